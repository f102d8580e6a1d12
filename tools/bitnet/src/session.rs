//! A model that is open, what it runs on, and how long that took: what every command that generates begins with.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::{MemoryPlan, Model};
use bitnet_pack::cli::{HOST_BATCH, ImportArgs, PlanArgs};
use bitnet_pack::report::{advised, say};
use bitnet_pack::source::{self, Source};
use bitnet_pack::verify;
use clap::Args;

use crate::engine::{self, BackendArgs, Engine};
use crate::model::open;

/// The model, its memory, and what it runs on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// A flash image (.bpk), or a GGUF file, which is converted in memory [default: the story model in the program]
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// Check every checksum of the image first
    #[arg(long)]
    verify: bool,
    /// Threads that compute [default: one a physical core]
    #[arg(long, value_name = "N", value_parser = engine::threads)]
    threads: Option<usize>,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    import: ImportArgs,
}

impl ModelArgs {
    /// Opens the model as the user names it, and what it runs on.
    pub(crate) fn open(&self) -> Result<Opened> {
        let start = Instant::now();
        let engine = Engine::new(&self.backend.select()?, self.threads)?;
        let source = open(self.model.as_deref(), &self.import, self.backend.huge_pages)?;
        let name = self.model.as_deref().unwrap_or(Path::new("the story model")).to_owned();
        if self.verify {
            verify::image(source.bytes()).map_err(advised).with_context(|| name.display().to_string())?;
        }
        Ok(Opened { engine, source, name, verified: self.verify, took: start.elapsed() })
    }

    /// The memory plan, for prompts of `bytes` bytes.
    pub(crate) fn plan(&self, model: &Model<'_>, bytes: usize) -> Result<MemoryPlan> {
        self.plan.plan(model, bytes, HOST_BATCH)
    }
}

/// A model that is open, and what it runs on.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    pub(crate) source: Source,
    /// As the user named it.
    pub(crate) name: PathBuf,
    verified: bool,
    /// How long opening took: conversion and verification included.
    pub(crate) took: Duration,
}

impl Opened {
    /// The model, which has a tokenizer.
    pub(crate) fn model(&self) -> Result<Model<'_>> {
        let model = source::model(self.source.bytes(), &self.name)?;
        if model.tokenizer().is_none() {
            let name = self.name.display();
            bail!("{name} has no tokenizer, which a prompt needs; convert a GGUF file that has one");
        }
        Ok(model)
    }

    /// Says how the model was read, what it runs on, and the plan by buffer.
    pub(crate) fn describe(&self, model: &Model<'_>, plan: &MemoryPlan) -> Result<()> {
        let (name, bytes) = (self.name.display(), self.source.bytes().len());
        let how = match &self.source {
            Source::Image(_) => "mapped, executed in place",
            Source::Converted { .. } => "converted in memory",
            Source::Copied(_) => "copied to huge pages",
        };
        let checks = if self.verified { "every checksum right" } else { "checksums of the header right" };
        let took = self.took.as_secs_f64();
        say(format_args!("model {name}: {bytes} bytes, {how}, {checks}, opened in {took:.3} s"));
        let c = model.config();
        say(format_args!(
            "{} layers of {}, {} heads ({} for keys and values), vocabulary {}, context {}, {}",
            c.layers,
            c.dim,
            c.heads,
            c.kv_heads,
            c.vocab,
            c.context,
            if model.chat().is_some() { "a chat template" } else { "no chat template" }
        ));
        say(self.engine.describe());
        let mut table = Vec::new();
        bitnet_pack::plan::print(model, plan, &mut table).context("the plan cannot be printed")?;
        say(String::from_utf8_lossy(&table).trim_end());
        Ok(())
    }
}
