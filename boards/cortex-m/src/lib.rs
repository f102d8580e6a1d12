//! What Cortex-M boards without an operating system share: from reset to a console that answers.
//!
//! `board!` joins a board to it. A board is a `memory.x` (`FLASH`, `MODEL`, `STACK`, `RAM`) and one call of the macro, which
//! says what the board has: its clock's frequency, its UART, its watchdog, and how much of its memory the model gets. The plan of
//! that memory is made by the compiler, and a model that does not fit is a compile error with both numbers.
//!
//! ```text
//! reset -> cortex-m-rt -> main (board!) -> start -> bitnet_edge_board::run
//! ```
//!
//! The status that a firmware ends with, where an emulator or a debugger takes it (semihosting): 0, 1 for an error that is said,
//! and those of [`status`].
//!
//! The part that needs no such processor ([`clock`]) builds and is tested on any host.
#![cfg_attr(target_os = "none", no_std)]
#![deny(missing_docs)]

pub mod clock;
pub mod status;

#[cfg(all(target_arch = "arm", target_os = "none"))]
mod bare;
#[cfg(all(target_arch = "arm", target_os = "none"))]
pub use bare::*;
