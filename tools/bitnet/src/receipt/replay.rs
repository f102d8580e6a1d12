//! The run of a receipt once more.

use std::fmt::Display;

use anyhow::{Context, Result};
use bitnet_edge_core::receipt::{Digest, TokenDigest, Transcript};
use bitnet_edge_core::{Event, Generator, MemoryPlan, Model, PlanOptions};
use bitnet_edge_kernels::{ARITHMETIC_VERSION, Kernel};
use bitnet_pack::cli::HOST_BATCH;
use bitnet_pack::report::advised;

use super::check::work_of;
use super::form::OwnedReceipt;
use crate::engine::{self, Engine};

/// What a replay found.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) agrees: Vec<String>,
    pub(super) differs: Vec<String>,
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

/// Runs a receipt's prompt again, and compares what came of it.
pub(super) fn replay(receipt: &OwnedReceipt, model: &Model<'_>, engine: &Engine) -> Result<Replay> {
    let mut found = Replay::default();
    found.compare("arithmetic version", receipt.arithmetic, ARITHMETIC_VERSION);
    let plan = plan(receipt, model)?;
    let mut arena = engine::arena(&plan)?;
    engine.counts().reset();
    let cpu = engine.cpu(model, &plan, &mut arena)?;
    let mut generator =
        Generator::new(model, &plan, cpu, receipt.config.clone()).context("the receipt's configuration")?;
    generator.tokens(&receipt.prompt.ids).map_err(advised).context("the receipt's prompt")?;
    let mut transcript = Transcript::new(&receipt.prompt.ids);
    let stop = loop {
        // Whoever asked ended it there.
        let output = transcript.output(generator.sampled(), None);
        if receipt.output.stop.is_none() && output.tokens >= receipt.output.tokens {
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
    if stop.is_some() {
        counts(receipt, engine, &mut found);
    }
    Ok(found)
}

/// The work of each kernel: that of a whole run is the same everywhere.
fn counts(receipt: &OwnedReceipt, engine: &Engine, found: &mut Replay) {
    let mut same = 0;
    for kernel in Kernel::ALL {
        let (there, here) = (work_of(receipt, kernel), engine.counts().of(kernel).work);
        if there != here {
            found.differs.push(format!("work of {}: {there} in the receipt, {here} here", kernel.name()));
        } else if here > 0 {
            same += 1;
        }
    }
    found.agrees.push(format!("work: of {same} kernels"));
}

/// A plan with what results depend on as the receipt has it, and batches as suit this machine.
fn plan(receipt: &OwnedReceipt, model: &Model<'_>) -> Result<MemoryPlan> {
    let config = model.config();
    let (context, kv) = (receipt.plan.context, receipt.plan.kv_cache);
    let batch = HOST_BATCH.min(context.max(1));
    MemoryPlan::new(&config, &PlanOptions { context, kv, batch, ..PlanOptions::new(&config) })
        .map_err(advised)
}
