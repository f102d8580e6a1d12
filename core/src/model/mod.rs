//! The forward pass, and what executes it.
//!
//! [`program`] lists the operations of a pass in order. An [`Op`] names its operands by slots of the memory plan and
//! holds no position, token id or count, so that a pass can be recorded once and replayed; those lie in the *step block*,
//! a slot. It divides into *units* that are independent and write disjoint ranges; no reduction crosses units, so results
//! do not depend on how units are spread or when they run. A [`Backend`] runs ranges of units; [`Session`] walks the
//! program, within a budget if need be.
//!
//! Read [`program`] first: a layer of every architecture is one listing of about twenty operations, with shapes. Then [`Op`],
//! what each operation is, and [`Cpu`], which hands its operands as slices to the kernels.
//!
//! To run a model without text, use a [`Session`]:
//!
//! ```
//! use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session};
//! # static IMAGE: &[u8] =
//! #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
//! let model = Model::new_checked(IMAGE)?;
//! let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
//! let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
//! let mut session = Session::new(&model, &plan, Cpu::scalar(&model, &plan, &mut arena)?)?;
//!
//! session.prefill(&[4, 5, 6], false)?; // a prompt, in batches
//! let logits = session.decode(7)?; // one token, and what may follow it
//! assert_eq!(logits.len(), 56);
//! # Ok::<(), bitnet_edge_core::Error>(())
//! ```

mod backend;
mod cpu;
mod kv;
mod linear;
mod op;
pub mod program;
mod session;
mod split;
mod tokens;
mod weights;

pub use backend::Backend;
pub use cpu::Cpu;
pub use op::{AttendShape, Input, Matrix, Op, Operands, Rows, RowsOf};
pub use session::{Progress, Session};
pub use split::{Grid, OneThread, Output, Part, Split, Whole, Work};
pub use weights::{InPlace, Weights};
