//! The sessions that are measured.

use anyhow::Result;
use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, Session};
use bitnet_edge_std::Selection;
use bitnet_pack::report::advised;

use crate::engine::{Engine, HostCpu, arena};

/// What a session is made for.
pub(super) struct Setup<'a> {
    pub(super) selection: &'a Selection,
    pub(super) threads: usize,
    pub(super) batch: u32,
    /// Positions.
    pub(super) context: u32,
}

/// Runs `f` with a session of an empty context.
pub(super) fn with_session<T>(
    model: &Model<'_>,
    setup: &Setup<'_>,
    f: impl FnOnce(&mut Session<'_, HostCpu<'_>>) -> Result<T>,
) -> Result<T> {
    let mut options = PlanOptions::new(&model.config());
    (options.context, options.batch) = (setup.context, setup.batch.min(setup.context));
    let plan = MemoryPlan::new(&model.config(), &options).map_err(advised)?;
    let mut arena = arena(&plan)?;
    let engine = Engine::new(setup.selection, Some(setup.threads))?;
    f(&mut Session::new(model, &plan, engine.cpu(model, &plan, &mut arena)?)?)
}
