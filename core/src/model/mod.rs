//! The forward pass, and what executes it.
//!
//! [`program`] lists the operations of a pass in order. An [`Op`] names its operands by slots of the memory plan and
//! holds no position, token id or count, so that a pass can be recorded once and replayed; those lie in the *step block*,
//! a slot. It divides into *units* that are independent and write disjoint ranges; no reduction crosses units, so results
//! do not depend on how units are spread or when they run. A [`Backend`] runs ranges of units; [`Session`] walks the
//! program, within a budget if need be.

mod backend;
mod cpu;
mod linear;
mod op;
pub mod program;
mod session;
mod split;

pub use backend::Backend;
pub use cpu::{Cpu, InPlace, Weights};
pub use op::{AttendShape, Input, Matrix, Op, Operands, Rows, RowsOf};
pub use session::{Progress, Session};
pub use split::{Columns, OneThread, Split};
