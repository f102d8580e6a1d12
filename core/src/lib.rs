//! A `no_std`, no-heap runtime for ternary (`BitNet` b1.58) and block-quantized language models.
//!
//! One core runs a model from a microcontroller to a workstation. It executes a *flash image* in place, inside an arena
//! whose size is known before anything runs, and gives the same logits, bit for bit, on every backend.
//!
//! # On a device
//!
//! `bitnet-pack` makes a flash image of a GGUF file. Firmware needs that image at a multiple of 64, memory for the arena,
//! and somewhere to put the words:
//!
//! ```standalone_crate
//! use bitnet_edge_core::{
//!     Cpu, Error, Event, GenerationConfig, Generator, KvType, Line, MemoryPlan, Model, ModelConfig, PlanOptions,
//!     StopReason, assert_fits, include_image,
//! };
//!
//! static IMAGE: &[u8] = include_image!("../testdata/tiny.bpk");
//! const CONFIG: ModelConfig = match ModelConfig::read(IMAGE) {
//!     Ok(config) => config,
//!     Err(_) => panic!("not a flash image of this version"),
//! };
//! const OPTIONS: PlanOptions = PlanOptions { kv: KvType::I8, batch: 1, ..PlanOptions::new(&CONFIG) };
//! const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) {
//!     Ok(plan) => plan,
//!     Err(_) => panic!("an option is out of bounds"),
//! };
//! assert_fits!(PLAN, 32 * 1024); // what the board has to spare: a larger plan is a compile error
//!
//! /// Memory for everything that changes. `main` takes it, once: `unsafe { &mut *(&raw mut ARENA) }`.
//! static mut ARENA: [Line; Line::count(PLAN.bytes())] = [Line::ZERO; Line::count(PLAN.bytes())];
//!
//! fn tell(
//!     arena: &mut [Line],
//!     uart: &mut impl FnMut(&[u8]),
//!     watchdog: &mut impl FnMut(),
//! ) -> Result<StopReason, Error> {
//!     let model = Model::new_checked(IMAGE)?;
//!     let cpu = Cpu::scalar(&model, &PLAN, arena)?;
//!     let mut generator = Generator::new(&model, &PLAN, cpu, GenerationConfig::default())?;
//!     generator.prompt("once upon a time")?;
//!     loop {
//!         // It returns after at most so many multiply-accumulates.
//!         match generator.step(100_000)? {
//!             Event::Working => watchdog(),
//!             Event::Text(bytes) | Event::Token { bytes, .. } => uart(bytes),
//!             Event::Done(reason) => return Ok(reason),
//!         }
//!     }
//! }
//! #
//! # fn main() {
//! #     // SAFETY: nothing else refers to the arena.
//! #     let arena = unsafe { &mut *(&raw mut ARENA) };
//! #     let (mut text, mut fed) = (Vec::new(), 0);
//! #     let reason = tell(arena, &mut |bytes| text.extend_from_slice(bytes), &mut || fed += 1);
//! #     assert_eq!(reason, Ok(StopReason::Stop(0)));
//! #     assert_eq!(text, b", there lived one model so small that it fit on every board.");
//! #     assert!(fed > 0);
//! # }
//! ```
//!
//! Host programs take `bitnet-edge-std` for a file mapping and an arena, and the rest is the same. To hold a conversation
//! instead, give [`Generator::pieces`] what [`ChatTemplate::render`](text::ChatTemplate::render) makes of the messages; to
//! have logits and no text, use [`Session`].
//!
//! # The layers, from the bytes to the words
//!
//! 1. [`image`] is a checked view of a flash image (`docs/image-format.md`): [`Model::new_checked`] once, infallible
//!    accessors after.
//! 2. [`memory`] plans every buffer: [`MemoryPlan::new`] is one `const fn` for the packing tool, the host and firmware,
//!    where a model that does not fit is a compile error.
//! 3. [`model`] holds the forward pass, which is a program: [`model::program`] lists a layer's operations in order. An
//!    operation names its operands by [`Slot`], so that the same program runs on a CPU, in bounded steps, or on a GPU. A
//!    [`Backend`] executes it; [`Cpu`] is the backend of every CPU tier, and [`Session`] walks the program.
//! 4. [`text`] turns text into tokens and back, over tables that stay in flash.
//! 5. [`generate`] samples, decides when to stop, and puts it together: [`Generator`].
//!
//! The arithmetic itself is in [`bitnet_edge_kernels`], its contract in `docs/arithmetic.md`.
//!
//! # Errors and panics
//!
//! Whatever is wrong with an image, a prompt or an option is an [`Error`], which says what was found and what was needed.
//! Nothing here panics: a firmware linked with this crate has no panic path left.
//!
//! The examples of this documentation run on `testdata/tiny.bpk`, a model of 31 KB that knows three sentences.
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
pub mod receipt;
pub mod text;

pub use error::Error;
pub use generate::{Event, GenerationConfig, Generator, StopReason};

pub use image::{Model, ModelConfig};
pub use memory::{KvType, Line, MemoryPlan, PlanOptions, Slot};
pub use model::{Backend, Cpu, Session};
