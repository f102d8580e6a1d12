//! Receipts as the program writes them, and as a forger would.
#![allow(dead_code)] // each file of tests uses a part of it

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use bitnet_edge_core::receipt::{Form, KernelRun, Receipt, WeightFacts};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{bitnet, stderr, stdout};

/// A model of three sentences.
pub(crate) const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/testdata/tiny.bpk");

pub(crate) const PROMPT: &str = "once upon a time";

/// The record as somebody else would write it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owned;

impl Form for Owned {
    type Text = String;
    type Ids = Vec<u32>;
    type Names = Vec<String>;
    type Weights = Vec<WeightFacts<String>>;
    type Kernels = Vec<KernelRun<String>>;
}

/// A folder of receipts.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The receipt of a run with these arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Value {
        let path = self.path("run.json");
        let output = bitnet().args(["run", "--receipt"]).arg(&path).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        read(&path)
    }

    /// What `bitnet receipt verify` makes of a file.
    pub(crate) fn verify(&self, file: &Value, args: &[&str]) -> Output {
        let path = self.path("verify.json");
        std::fs::write(&path, serde_json::to_vec(file).unwrap()).unwrap();
        verify(&path, args)
    }

    /// What it prints of a good one.
    pub(crate) fn good(&self, file: &Value, args: &[&str]) -> String {
        let output = self.verify(file, args);
        assert!(output.status.success(), "{args:?}: {}{}", stdout(&output), stderr(&output));
        stdout(&output).to_owned()
    }

    /// Its one line of error for a bad one, whose exit code is 10.
    pub(crate) fn bad(&self, file: &Value, args: &[&str]) -> String {
        refused(&self.verify(file, args))
    }
}

pub(crate) fn verify(path: &Path, args: &[&str]) -> Output {
    bitnet().args(["receipt", "verify"]).arg(path).args(args).output().unwrap()
}

pub(crate) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(10), "{}{}", stdout(output), stderr(output));
    let line =
        stderr(output).lines().find_map(|line| line.strip_prefix("error: the receipt does not verify: "));
    line.unwrap_or_else(|| panic!("{}", stderr(output))).to_owned()
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The record of a file.
pub(crate) fn record(file: &Value) -> Receipt<Owned> {
    serde_json::from_value(file["receipt"].clone()).unwrap()
}

/// The file with a value changed, at a path such as `/receipt/plan/context`, and with the hash of what it then says.
pub(crate) fn forged(file: &Value, at: &str, value: Value) -> Value {
    let mut file = edited(file, at, value);
    file["sha256"] = json!(record(&file).digest().to_string());
    file
}

/// The file with a value changed and nothing else.
pub(crate) fn edited(file: &Value, at: &str, value: Value) -> Value {
    let mut file = file.clone();
    *file.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = value;
    file
}

/// Every value of a receipt, by its path.
pub(crate) fn leaves(value: &Value, at: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(name, value)| leaves(value, format!("{at}/{name}"), found));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(i, value)| leaves(value, format!("{at}/{i}"), found));
        }
        _ => {
            found.insert(at, value.clone());
        }
    }
}
