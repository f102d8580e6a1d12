//! What boards without an operating system share.
//!
//! A board gives memory, a clock and a stream of bytes ([`Board`]); [`run`] does the rest: it checks the kernels against
//! their definition, checks the model, plans the arena, and then answers every line that is typed, each with a line of
//! statistics and the digest of its logits; a host that speaks in frames (`docs/device-protocol.md`) is answered in frames,
//! on the same stream of bytes. [`cores`] spreads the work over further cores. `docs/porting-a-board.md` is the
//! way to a new board.
//!
//! ```
//! use bitnet_edge_board::{Board, Machine, run};
//! use bitnet_edge_core::{Line, include_image, model::OneThread};
//! use bitnet_edge_kernels::Scalar;
//! # use std::collections::VecDeque;
//!
//! static MODEL: &[u8] = include_image!("../../../core/testdata/tiny.bpk");
//!
//! /// A board whose keyboard has typed everything already.
//! struct Fake {
//!     keys: VecDeque<u8>,
//!     screen: Vec<u8>,
//!     ticks: u64,
//! }
//!
//! impl Board for Fake {
//!     fn read(&mut self) -> Option<u8> {
//!         self.keys.pop_front()
//!     }
//!     fn write(&mut self, bytes: &[u8]) {
//!         self.screen.extend_from_slice(bytes);
//!     }
//!     fn now_us(&mut self) -> u64 {
//!         self.ticks += 1;
//!         self.ticks
//!     }
//! }
//!
//! let mut board = Fake { keys: b"who is there?\r/quit\r".iter().copied().collect(), screen: vec![], ticks: 0 };
//! let mut arena = vec![Line::ZERO; 4096];
//! let machine = Machine {
//!     title: &"a fake board",
//!     model: MODEL,
//!     arena: &mut arena,
//!     kernels: &[Scalar],
//!     split: OneThread,
//!     options: None,
//!     budget: 100_000,
//! };
//! run(&mut board, machine)?;
//! let screen = String::from_utf8(board.screen).unwrap();
//! assert!(screen.contains("> who is there?\r\nhello friend!\r\nlogit digest "));
//! # Ok::<(), bitnet_edge_board::Error>(())
//! ```
#![no_std]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::disallowed_methods)]

#[cfg(test)]
extern crate std;

#[macro_use]
mod log;

mod board;
mod console;
pub mod cores;
mod engine;
mod error;
mod last_words;
mod memory;
mod paint;
mod panics;
mod pipe;
mod selftest;
mod session;
mod settings;
mod stats;

pub use board::Board;
pub use console::{Console, Input, LINE_BYTES};
pub use error::Error;
pub use last_words::{LastWords, Writer};
pub use memory::{BATCH, MIN_CONTEXT, plan_for};
pub use paint::Stack;
pub use panics::report_panic;
pub use pipe::{Line, Pipe, Port};
pub use selftest::choose;
pub use session::{Machine, run};
pub use stats::{Hex, Stats};
