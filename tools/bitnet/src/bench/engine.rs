//! What runs a model for the benchmark: backend, threads, memory.

use anyhow::{Context, Result, ensure};
use bitnet_edge_core::model::{InPlace, OneThread};
use bitnet_edge_core::{Cpu, MemoryPlan, Model, PlanOptions, Session};
use bitnet_edge_std::Arena;
use bitnet_edge_x86::Host;
use bitnet_pack::report::advised;

/// The kernels of any backend.
pub(super) type Kernel = Host;
/// The backend of the sessions that are measured.
pub(super) type Engine<'a> = Cpu<'a, Host>;

/// What a session is made for.
pub(super) struct Setup {
    pub(super) backend: Kernel,
    pub(super) threads: usize,
    pub(super) batch: u32,
    /// Positions.
    pub(super) context: u32,
}

/// The backend that `--backend` asks for, and why it is this one.
pub(super) fn backend(asked: Option<&str>) -> Result<(Kernel, String)> {
    let chosen = Host::select(asked)?;
    Ok((chosen.backend, chosen.why))
}

/// The largest number of threads that makes sense here.
pub(super) const fn most_threads() -> usize {
    1
}

/// Runs `f` with a session of an empty context.
pub(super) fn with_session<T>(
    model: &Model<'_>,
    setup: &Setup,
    f: impl FnOnce(&mut Session<'_, Engine<'_>>) -> Result<T>,
) -> Result<T> {
    ensure!(setup.threads == 1, "this version runs on one thread");
    let mut options = PlanOptions::new(&model.config());
    (options.context, options.batch) = (setup.context, setup.batch.min(setup.context));
    let plan = MemoryPlan::new(&model.config(), &options).map_err(advised)?;
    let mut arena = Arena::try_new(plan.bytes())
        .with_context(|| format!("the system has no {} bytes for the arena", plan.bytes()))?;
    let cpu = Cpu::new(model, &plan, arena.lines(), setup.backend, OneThread, InPlace)?;
    f(&mut Session::new(model, &plan, cpu)?)
}
