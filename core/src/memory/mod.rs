//! The memory plan and the arena.
//!
//! [`MemoryPlan::new`] is one `const fn` for the packing tool, the host and firmware: it places every buffer the runtime
//! uses, temporaries included, in one arena. Nothing is allocated beside it.
//!
//! [`PlanOptions`] are the choices: positions of the context, type of the KV cache, tokens of a prompt that go through the
//! model together. [`MemoryPlan::bytes`] is what they cost, [`MemoryPlan::buffers`] says where it goes, and a [`Lifetime`]
//! why buffers can share memory. On a board [`assert_fits!`](crate::assert_fits) makes a plan that is too large a compile error.
//!
//! An arena is a slice of [`Line`]s. The program names its operands by [`Slot`]s, ranges of the arena that know their type;
//! only a backend makes slices of them.
//!
//! ```
//! use bitnet_edge_core::{KvType, MemoryPlan, ModelConfig, PlanOptions};
//! # static IMAGE: &[u8] =
//! #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
//! let config = ModelConfig::read(IMAGE)?;
//! let default = PlanOptions::new(&config);
//! for kv in [KvType::F32, KvType::F16, KvType::I8] {
//!     let plan = MemoryPlan::new(&config, &PlanOptions { kv, ..default })?;
//!     println!("{} positions, {} KV cache: {} bytes", default.context, kv.name(), plan.bytes());
//! }
//! # Ok::<(), bitnet_edge_core::Error>(())
//! ```

mod buffers;
mod fits;
mod options;
mod plan;
mod slot;

pub use buffers::{
    ActSlots, BUFFERS, Buffer, KvSlots, Lifetime, STEP_IDS, STEP_OUT_ROW, STEP_POSITION, STEP_TOKENS,
};
pub use fits::TooSmall;
pub use options::{KvType, MAX_CONTEXT, Needs, PlanOptions};
pub use plan::MemoryPlan;
pub use slot::{Line, Slot};
pub(crate) use slot::{disjoint, typed};
