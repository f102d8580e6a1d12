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
//!
//! A ternary layer, as `BitNet` computes it: activations become int8 with one scale, the products are summed in integers, and
//! one multiplication brings the result back.
//!
//! ```
//! use bitnet_edge_kernels::{Kernels, Scalar, tile::{Int8Acts, Layout, Outputs, TernaryScale}};
//!
//! // 4 x 64 weights: +1 in columns 0 to 15, -1 in columns 16 to 31, 0 elsewhere; the code is the weight plus one.
//! let weights = [0b01_01_00_10; 64];
//! assert_eq!(Layout::T2r4.matrix_bytes(4, 64), Some(weights.len()));
//! let mut x = [0.0; 64];
//! x[..16].fill(0.5);
//! x[16..32].fill(0.25);
//!
//! let mut q = [0; 64];
//! let (scale, sum) = Scalar.quantize_token(&x, &mut q)?;
//! let acts = Int8Acts { q: &q, stride: 64, scales: &[scale], sums: &[sum], groups: 1 };
//! let mut y = [0.0; 4];
//! Scalar.matmul_t2r4_i8t(&weights, 1, &acts, TernaryScale::Tensor(2.0), &mut Outputs::of_token(&mut y))?;
//!
//! assert_eq!((scale, q[0], q[16]), (254.0, 127, 64)); // 63.5 rounds to even
//! assert_eq!(y, [16.0 * (127.0 - 64.0) / 254.0 * 2.0; 4]); // instead of 8: int8 has 127 steps
//! # Ok::<(), bitnet_edge_kernels::Error>(())
//! ```
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
mod counted;
mod error;
pub mod format;
pub mod gate;
mod kernel;
mod kernels;
pub mod math;
pub mod norm;
pub mod quantize;
pub mod rope;
pub mod simd;
pub mod tile;
mod witness;

pub use counted::{Counted, Counts, Tally};
pub use error::Error;
pub use kernel::{Kernel, KernelSet};
pub use kernels::{Kernels, Scalar};
#[cfg(feature = "witness")]
pub use witness::take_definitions;

/// Version of the arithmetic contract (`docs/arithmetic.md`).
///
/// It changes when any operation may give other bits. Images, snapshots and receipts carry it.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::ARITHMETIC_VERSION, 1);
/// ```
pub const ARITHMETIC_VERSION: u32 = 1;
