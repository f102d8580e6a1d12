//! A `no_std`, no-heap runtime for ternary (`BitNet` b1.58) and block-quantized language models.
//!
//! One core runs a model from a microcontroller to a workstation. It executes a *flash image* in place, inside an arena
//! whose size is known before anything runs, and gives the same logits, bit for bit, on every backend.
//!
//! A walk through the layers, from the bytes to the words:
//!
//! 1. [`image`] is a checked view of a flash image (`docs/image-format.md`): [`Model::new_checked`] once, infallible
//!    accessors after.
//! 2. [`memory`] plans every buffer: [`MemoryPlan::new`] is one `const fn` for the packing tool, the host and firmware,
//!    where a model that does not fit is a compile error.
//! 3. [`model`] holds the forward pass, which is a program: [`model::program`] lists a layer's operations in order. An
//!    operation names its operands by [`Slot`], so that the same program runs on a CPU, in bounded steps, or on a GPU. A
//!    [`Backend`] executes it; [`Cpu`] is the backend of every CPU tier.
//! 4. [`text`] turns text into tokens and back, over tables that stay in flash.
//! 5. [`generate`] samples, decides when to stop, and puts it together: [`Generator`].
//!
//! The arithmetic itself is in [`bitnet_edge_kernels`], its contract in `docs/arithmetic.md`.
//!
//! ```no_run
//! use bitnet_edge_core::{Cpu, Event, GenerationConfig, Generator, KvType, Line, MemoryPlan, Model, PlanOptions};
//! # fn flash() -> &'static [u8] { &[] }
//! # fn print(_: &[u8]) {}
//! # fn main() -> Result<(), bitnet_edge_core::Error> {
//! let model = Model::new_checked(flash())?;
//! let options = PlanOptions { context: 256, ..PlanOptions::new(&model.config()) };
//! let plan = MemoryPlan::new(&model.config(), &options)?;
//! let mut arena = [Line::ZERO; 6000]; // static memory on a board
//! let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
//! let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
//! generator.prompt("once upon a time")?;
//! loop {
//!     match generator.step(1_000_000)? {
//!         Event::Working => {} // feed a watchdog here
//!         Event::Token { bytes, .. } => print(bytes),
//!         Event::Done(_) => break,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::disallowed_methods)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

mod error;
pub mod generate;
pub mod image;
pub mod memory;
pub mod model;
pub mod text;

pub use error::Error;
pub use generate::{Event, GenerationConfig, Generator, StopReason};

pub use image::{Model, ModelConfig};
pub use memory::{KvType, Line, MemoryPlan, PlanOptions, Slot};
pub use model::{Backend, Cpu, Session};
