//! Runs `bitnet` as a user does.
#![allow(dead_code)] // each file of tests uses a part of it

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bitnet_pack::convert::{Options, convert};

/// The program, to be given arguments. Where it is compiled for another machine, `BITNET_EDGE_RUNNER` says what runs it.
pub(crate) fn bitnet() -> Command {
    let runner = std::env::var("BITNET_EDGE_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace().chain([env!("CARGO_BIN_EXE_bitnet")]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// `bitnet run` with these arguments.
pub(crate) fn run<S: AsRef<OsStr>>(args: &[S]) -> Output {
    bitnet().arg("run").args(args).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What `bitnet run` prints where it succeeds: stdout and stderr.
pub(crate) fn success<S: AsRef<OsStr>>(args: &[S]) -> (String, String) {
    let output = run(args);
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output).to_owned(), stderr(&output).to_owned())
}

/// The story model as the repository ships it.
pub(crate) fn story() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tinystories-micro/tinystories-micro-i2_s.gguf")
}

/// Its image, as `bitnet-pack convert --lowercase` writes it.
pub(crate) fn story_image() -> Vec<u8> {
    let options = Options { lowercase: true, ..Options::default() };
    convert(&std::fs::read(story()).unwrap(), &options).unwrap().image.as_slice().to_vec()
}
