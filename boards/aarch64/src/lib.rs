//! What `AArch64` boards without an operating system share: from reset to a running program on every core.
//!
//! `board!` joins a board to it: the board names its memory [`Map`], its UART, how it ends, and `main`. Then, on each core,
//! the boot code leaves EL2 if it starts there, enables floating point with FPCR = 0, turns on MMU and caches over an identity
//! map, and installs vectors that print what happened. Core 0 goes on to `main`; the others, once `cores::start` has
//! them started, wait for work: `cores::CREW`.
//!
//! ```text
//! reset -> _start (boot.s) -> main(device tree)            core 0
//!          _secondary      -> CREW.join_as(number)         each other core
//! ```
//!
//! The part that needs no such processor ([`Map`], [`memory`], [`tree`], [`atags`]) builds and is tested on any host.
#![cfg_attr(target_os = "none", no_std)]
#![deny(missing_docs)]

pub mod atags;
mod backends;
mod error;
mod map;
pub mod memory;
pub mod tree;

pub use backends::backends;
pub use error::Error;
pub use map::{Kind, Map};

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod bare;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use bare::*;
