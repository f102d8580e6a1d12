//! What a model runs on: backend, threads, memory.

use std::cell::OnceCell;
use std::path::Path;

use anyhow::{Context, Result};
use bitnet_edge_core::model::{InPlace, Split};
use bitnet_edge_core::receipt::SelfTest;
use bitnet_edge_core::{Cpu, MemoryPlan, Model};
use bitnet_edge_kernels::{Counted, Counts, KernelSet, Kernels};
use bitnet_edge_std::{Arena, Host, Pool, Selection, Tiers, physical_cores};
use bitnet_pack::report::{advised, say};
use clap::Args;

use crate::jetson;

/// The backend of every session here.
pub(crate) type HostCpu<'a> = Cpu<'a, Counted<'a, Host>, &'a Pool>;

#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    /// The backend: a name forces it, -NAME forbids it [default: the best of this machine]
    #[arg(long, value_name = "NAME", env = "BITNET_BACKEND", allow_hyphen_values = true)]
    backend: Option<String>,
    /// Copy the model to memory in huge pages, for faster decoding where files are mapped in small ones (Linux)
    #[arg(long)]
    pub(crate) huge_pages: bool,
}

impl BackendArgs {
    /// The backend that is asked for, and why it is this one.
    pub(crate) fn select(&self) -> Result<Selection> {
        if let Some(note) = jetson::note(Path::new("/")) {
            say(note);
        }
        Host::select(self.backend.as_deref()).context("--backend (or BITNET_BACKEND)")
    }
}

/// Threads, and the kernels that they run.
#[derive(Debug)]
pub(crate) struct Engine {
    backend: Host,
    asked: Option<String>,
    why: String,
    pool: Pool,
    /// What the kernels did, in all sessions.
    counts: Counts,
    self_test: OnceCell<SelfTest>,
}

impl Engine {
    /// An engine of `threads` threads; by default one a physical core.
    pub(crate) fn new(selection: &Selection, threads: Option<usize>) -> Result<Self> {
        let pool = Pool::new(threads.unwrap_or_else(physical_cores))?;
        let Selection { backend, asked, why } = selection.clone();
        Ok(Self { backend, asked, why, pool, counts: Counts::new(), self_test: OnceCell::new() })
    }

    /// The backend of a session.
    pub(crate) fn cpu<'a>(
        &'a self,
        model: &'a Model<'a>,
        plan: &MemoryPlan,
        arena: &'a mut Arena,
    ) -> Result<HostCpu<'a>> {
        let kernels = Counted::new(self.backend, &self.counts);
        Cpu::new(model, plan, arena.lines(), kernels, &self.pool, InPlace).map_err(advised)
    }

    /// Refuses what is a fallback for this model, or not right on this machine: `--strict`.
    pub(crate) fn strict(&self, model: &Model<'_>, plan: &MemoryPlan) -> Result<()> {
        let test = crate::receipt::strict(self.backend, model, plan)?;
        self.self_test.get_or_init(|| test);
        Ok(())
    }

    /// What the kernels did so far.
    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The kernels that the backend has of its own.
    pub(crate) fn own(&self) -> KernelSet {
        self.backend.own()
    }

    /// The kernels against their definition, if they were compared.
    pub(crate) fn self_test(&self) -> Option<SelfTest> {
        self.self_test.get().copied()
    }

    /// What was asked for.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// The backend's name.
    pub(crate) fn backend(&self) -> &'static str {
        self.backend.name()
    }

    /// Why it is this one.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Threads that compute.
    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// What runs: the backend, why it is this one, threads.
    pub(crate) fn describe(&self) -> String {
        let threads = self.threads();
        let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        format!("backend {} ({}), {threads}", self.backend.name(), self.why)
    }
}

/// Reads a number of threads.
pub(crate) fn threads(text: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|n| (1..=1024).contains(n));
    number.context("a number from 1 to 1024 is needed")
}

/// Memory for a plan.
pub(crate) fn arena(plan: &MemoryPlan) -> Result<Arena> {
    Arena::try_new(plan.bytes()).with_context(|| {
        let need = plan.bytes();
        format!("the system has no {need} bytes for the arena; a smaller --context or --kv int8 takes less")
    })
}
