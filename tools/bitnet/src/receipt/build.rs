//! The receipt of a run on this machine.

use std::fs::File;
use std::io::Read;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use bitnet_edge_core::receipt::{
    BackendFacts, Digest, KernelRun, ModelFacts, Phase, Phases, PlanFacts, Receipt, SCHEMA_VERSION,
    Transcript, Versions, WeightFacts, fallbacks, runs, weights,
};
use bitnet_edge_core::{GenerationConfig, MemoryPlan, Model};
use bitnet_edge_kernels::ARITHMETIC_VERSION;
use sha2::{Digest as _, Sha256};

use super::form::OwnedReceipt;
use crate::generation::{Ended, Outcome};
use crate::session::Opened;

/// The digest of this program, which takes longer than all else: it is computed beside the run.
pub(crate) struct Program(Option<JoinHandle<Option<Digest>>>);

impl Program {
    /// Begins to read the program's file.
    pub(crate) fn begin() -> Self {
        Self(std::thread::Builder::new().name("program digest".to_owned()).spawn(digest).ok())
    }

    /// Its digest; nothing where it cannot be read.
    pub(crate) fn digest(self) -> Option<Digest> {
        self.0?.join().ok()?
    }
}

fn digest() -> Option<Digest> {
    // On Linux that is the file that runs, even if it was replaced meanwhile.
    let path =
        if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().ok()? };
    let mut file = File::open(path).ok()?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(Digest(hash.finalize().into())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// What is known of a run when it has ended.
pub(crate) struct Facts<'r> {
    pub(crate) opened: &'r Opened,
    pub(crate) model: &'r Model<'r>,
    pub(crate) plan: &'r MemoryPlan,
    pub(crate) config: &'r GenerationConfig,
    /// The prompt, as tokens.
    pub(crate) prompt: &'r [u32],
    pub(crate) outcome: &'r Outcome,
    /// Steps that were sampled.
    pub(crate) sampled: u64,
}

impl Facts<'_> {
    /// The receipt.
    pub(crate) fn receipt(&self, program: Program) -> Result<OwnedReceipt> {
        let Self { opened, model, plan, config, outcome, .. } = *self;
        let engine = &opened.engine;
        let logits = Digest(outcome.digest.context("a receipt needs the logit digest")?);
        let stop = match outcome.ended {
            Ended::Stop(reason) => Some(reason),
            Ended::Interrupted => None,
        };
        let mut transcript = Transcript::new(self.prompt);
        outcome.ids.iter().for_each(|&id| transcript.token(id));
        let (counts, own) = (engine.counts(), engine.own());
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let prompt = self.prompt.len() as u32;
        Ok(Receipt {
            schema: SCHEMA_VERSION,
            arithmetic: ARITHMETIC_VERSION,
            versions: Versions {
                program: concat!("bitnet ", env!("CARGO_PKG_VERSION")).to_owned(),
                runtime: Versions::RUNTIME.to_owned(),
            },
            program: program.digest(),
            machine: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            model: ModelFacts::of(model, weights(model).iter().map(owned_weights).collect()),
            plan: PlanFacts::of(plan, plan.bytes()),
            config: config.clone(),
            prompt: transcript.prompt(self.prompt.to_vec()),
            output: transcript.output(self.sampled, stop),
            logits,
            backend: BackendFacts {
                asked: engine.asked().map(str::to_owned),
                chosen: engine.backend().to_owned(),
                why: engine.why().to_owned(),
                threads: engine.threads() as u32,
                budget: u32::MAX,
                self_test: engine.self_test(),
            },
            kernels: runs(counts, engine.backend(), own).iter().map(owned_run).collect(),
            fallbacks: fallbacks(counts, own).iter().map(|name| (*name).to_owned()).collect(),
            phases: Phases {
                load_us: us(opened.took),
                prefill: Phase::new(us(outcome.statistics.prefill), prompt),
                decode: Phase::new(
                    us(outcome.statistics.decode),
                    (outcome.ids.len() as u32).saturating_sub(1),
                ),
            },
        })
    }
}

/// A line of the weights that owns its text.
pub(crate) fn owned_weights(line: &WeightFacts<&'static str>) -> WeightFacts<String> {
    let WeightFacts { layout, layers_matrices, layers_bytes, head_bytes } = *line;
    WeightFacts { layout: layout.to_owned(), layers_matrices, layers_bytes, head_bytes }
}

fn owned_run(run: &KernelRun<&'static str>) -> KernelRun<String> {
    KernelRun { id: run.id.to_owned(), by: run.by.to_owned(), calls: run.calls, work: run.work }
}
