//! The run of a receipt once more.

use std::fmt::Display;

use anyhow::{Context, Result};
use bitnet_edge_core::receipt::{Digest, TokenDigest, Transcript};
use bitnet_edge_core::{Backend, Event, Generator, MemoryPlan, Model, PlanOptions};
use bitnet_edge_kernels::{ARITHMETIC_VERSION, Counts, Kernel};
use bitnet_pack::cli::HOST_BATCH;
use bitnet_pack::report::advised;

use super::check::work_of;
use super::form::OwnedReceipt;

/// What a replay found.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) agrees: Vec<String>,
    pub(super) differs: Vec<String>,
    /// What was not compared, and why.
    pub(super) notes: Vec<String>,
}

impl Replay {
    fn compare<T: PartialEq + Display>(&mut self, what: &str, there: T, here: T) {
        if there == here {
            self.agrees.push(format!("{what}: {here}"));
        } else {
            self.differs.push(format!("{what}: {there} in the receipt, {here} here"));
        }
    }
}

/// Runs a receipt's prompt again, and compares what came of it. Its errors are of what the receipt asks for.
pub(super) fn replay<K: Backend>(
    receipt: &OwnedReceipt,
    model: &Model<'_>,
    plan: &MemoryPlan,
    cpu: K,
    work: &Counts,
) -> Result<Replay> {
    let mut found = Replay::default();
    found.compare("arithmetic version", receipt.arithmetic, ARITHMETIC_VERSION);
    let mut generator =
        Generator::new(model, plan, cpu, receipt.config.clone()).context("the receipt's configuration")?;
    generator.tokens(&receipt.prompt.ids).map_err(advised).context("the receipt's prompt")?;
    let mut transcript = Transcript::new(&receipt.prompt.ids);
    let stop = loop {
        // Whoever asked ended it there.
        let (done, wanted) = (transcript.output(generator.sampled(), None), &receipt.output);
        if wanted.stop.is_none() && done.tokens >= wanted.tokens && done.sampled >= wanted.sampled {
            break None;
        }
        match generator.step(u32::MAX).map_err(advised)? {
            Event::Working | Event::Text(_) => {}
            Event::Token { id, .. } => transcript.token(id),
            Event::Done(reason) => break Some(reason),
        }
    };
    let output = transcript.output(generator.sampled(), stop);
    let logits = Digest(generator.digest().context("the receipt's configuration asks for no logit digest")?);
    found.compare("prompt digest", receipt.prompt.digest, TokenDigest::of(&receipt.prompt.ids));
    found.compare("tokens", receipt.output.tokens, output.tokens);
    found.compare("token digest", receipt.output.digest, output.digest);
    found.compare("sampled steps", receipt.output.sampled, output.sampled);
    let reason = |stop: Option<_>| {
        stop.map_or("whoever asked ended it".to_owned(), |stop: bitnet_edge_core::StopReason| {
            stop.to_string()
        })
    };
    found.compare("end", reason(receipt.output.stop), reason(stop));
    found.compare("logit digest", receipt.logits, logits);
    if receipt.output.stop.is_none() && receipt.output.sampled == 0 {
        found.agrees.clear();
        found.notes.push("nothing was replayed: the run was cut short before its first token".to_owned());
    } else {
        counts(receipt, work, &mut found);
    }
    Ok(found)
}

/// The work of each kernel: that of a whole run is the same everywhere. One that was cut short did at least that of its steps; the
/// program of the model bounds what it did more.
fn counts(receipt: &OwnedReceipt, counts: &Counts, found: &mut Replay) {
    let (mut same, is_whole) = (0, receipt.output.stop.is_some());
    for kernel in Kernel::ALL {
        let (there, here) = (work_of(receipt, kernel), counts.of(kernel).work);
        if if is_whole { there != here } else { there < here } {
            found.differs.push(format!("work of {}: {there} in the receipt, {here} here", kernel.name()));
        } else if here > 0 {
            same += 1;
        }
    }
    let least = format!(", at least that of these {} steps: the run was cut short", receipt.output.sampled);
    found.agrees.push(format!("work: of {same} kernels{}", if is_whole { "" } else { &least }));
}

/// A plan with what results depend on as the receipt has it, and batches as suit this machine.
pub(super) fn plan(receipt: &OwnedReceipt, model: &Model<'_>) -> Result<MemoryPlan> {
    let config = model.config();
    let (context, kv) = (receipt.plan.context, receipt.plan.kv_cache);
    let batch = HOST_BATCH.min(context.max(1));
    MemoryPlan::new(&config, &PlanOptions { context, kv, batch, ..PlanOptions::new(&config) })
        .map_err(advised)
}
