//! The memory plan and the arena.
//!
//! [`MemoryPlan::new`] is one `const fn` for the packing tool, the host and firmware: it places every buffer the runtime
//! uses, temporaries included, in one arena. Nothing is allocated beside it.

mod fits;
mod plan;
mod slot;

pub use fits::TooSmall;
pub use plan::{
    ActSlots, BUFFERS, Buffer, KvSlots, KvType, Lifetime, MAX_CONTEXT, MemoryPlan, Needs, PlanOptions,
    STEP_IDS, STEP_OUT_ROW, STEP_POSITION, STEP_TOKENS,
};
pub use slot::{Line, Slot};
pub(crate) use slot::{disjoint, typed};
