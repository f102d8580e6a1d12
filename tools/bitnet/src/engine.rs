//! What a model runs on: backend, threads, memory.

use std::path::Path;

use anyhow::{Context, Result};
use bitnet_edge_core::image::{Data, Role, TensorId};
use bitnet_edge_core::model::InPlace;
use bitnet_edge_core::{Cpu, MemoryPlan, Model};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::tile::Activations;
use bitnet_edge_std::{Arena, Host, Pool, Selection, Tiers, physical_cores};
use bitnet_pack::report::{advised, say};
use clap::Args;

use crate::jetson;

/// Tokens of a prompt that go through the model together unless something else is asked for: enough that unpacking weights is
/// a small part of the work, few enough that activations stay in a core's cache.
pub(crate) const BATCH: u32 = 128;

/// The backend of every session here.
pub(crate) type HostCpu<'a> = Cpu<'a, Host, &'a Pool>;

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
    why: String,
    pool: Pool,
}

impl Engine {
    /// An engine of `threads` threads; by default one a physical core.
    pub(crate) fn new(selection: &Selection, threads: Option<usize>) -> Result<Self> {
        let pool = Pool::new(threads.unwrap_or_else(physical_cores))?;
        Ok(Self { backend: selection.backend, why: selection.why.clone(), pool })
    }

    /// The backend of a session.
    pub(crate) fn cpu<'a>(
        &'a self,
        model: &'a Model<'a>,
        plan: &MemoryPlan,
        arena: &'a mut Arena,
    ) -> Result<HostCpu<'a>> {
        self.tell_of_wide_matrices(model);
        Cpu::new(model, plan, arena.lines(), self.backend, &self.pool, InPlace).map_err(advised)
    }

    /// Says so if a matrix is wider than the backend's own products.
    fn tell_of_wide_matrices(&self, model: &Model<'_>) {
        let config = model.config();
        let most = Host::MOST_GROUPED_COLUMNS;
        let roles = [(Role::Q, config.dim), (Role::AttnOut, config.q_dim()), (Role::Down, config.ffn)];
        for (role, columns) in roles.into_iter().filter(|(_, columns)| *columns > most) {
            let grouped = (0..config.layers).find_map(|layer| {
                let tensor = model.tensor(TensorId::of(layer, role))?;
                let Data::Matrix { layout, .. } = tensor.data else { return None };
                matches!(layout.activations(), Activations::Group32 | Activations::Group256).then_some(layout)
            });
            if let Some(layout) = grouped.filter(|_| self.backend.name() != "scalar") {
                say(format_args!(
                    "note: {} matrices of {columns} columns run on the scalar definition, for backend {} has products of at \
                     most {most} columns",
                    layout.name(),
                    self.backend.name()
                ));
            }
        }
    }

    /// What runs: the backend, why it is this one, threads.
    pub(crate) fn describe(&self) -> String {
        use bitnet_edge_core::model::Split;
        let threads = self.pool.threads();
        let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        format!("backend {} ({}), {threads}", self.backend.name(), self.why)
    }
}

/// Memory for a plan.
pub(crate) fn arena(plan: &MemoryPlan) -> Result<Arena> {
    Arena::try_new(plan.bytes()).with_context(|| {
        let need = plan.bytes();
        format!("the system has no {need} bytes for the arena; a smaller --context or --kv int8 takes less")
    })
}
