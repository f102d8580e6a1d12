//! The arithmetic of bitnet-edge, as specification.
//!
//! Every backend of bitnet-edge gives the same bits. This crate says which: the scalar code here *is* the definition
//! of each operation, and a faster backend is right exactly when it gives the same bytes. The contract in words is
//! `docs/arithmetic.md`; its version is [`ARITHMETIC_VERSION`].
//!
//! The crate knows slices and layouts and nothing of models. Read it in this order:
//!
//! 1. [`format`](mod@format): the block formats of GGUF files, a file each: byte layout, dequantize, quantize.
//! 2. [`tile`]: the layouts in which the runtime reads weights: four rows at a time, 64-byte aligned, one sequential
//!    stream. [`tile::t2r4`] is the ternary one.
//! 3. [`simd`]: [`F32x16`](simd::F32x16), the sixteen stripes in which every float sum is taken.
//! 4. [`math`]: `exp`, sine and cosine as polynomials.
//! 5. The operations: [`quantize`], [`norm`], [`rope`], [`attention`], [`gate`].
//! 6. [`Kernels`]: the trait a backend implements, with the definition as the default of every method.
//! 7. [`conformance`]: one table of cases that every backend runs against the definition, for exact equality.
//!
//! Nothing here allocates, panics or uses `unsafe`.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::disallowed_methods)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("bitnet-edge reads little-endian images in place; big-endian targets are not supported");

#[cfg(all(target_arch = "x86", not(target_feature = "sse2")))]
compile_error!("the x87 unit rounds to 80 bits: build for a 32-bit x86 target with SSE2, such as i686");

pub mod attention;
pub mod conformance;
mod error;
pub mod format;
pub mod gate;
mod kernels;
pub mod math;
pub mod norm;
pub mod quantize;
pub mod rope;
pub mod simd;
pub mod tile;

pub use error::Error;
pub use kernels::{Kernels, Scalar};

/// Version of the arithmetic contract (`docs/arithmetic.md`).
///
/// It changes when any operation may give other bits. Images, snapshots and receipts carry it.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::ARITHMETIC_VERSION, 1);
/// ```
pub const ARITHMETIC_VERSION: u32 = 1;
