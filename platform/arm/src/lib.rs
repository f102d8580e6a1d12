//! The kernels of bitnet-edge for ARM, each tier with the bits of the scalar definition.
//!
//! A *tier* is a set of CPU features and the kernels written for it. On `AArch64` these are `Neon` (every processor: Cortex-A53, A72,
//! A73), `Dotprod` (Cortex-A55, A76, Neoverse N1), and `I8mm` (Neoverse V1, N2, Grace). A tier's token is proof that this machine
//! has the features: only `new` makes one. [`Host`] is any of them, or the scalar definition, behind one type.
//!
//! With the feature `std`, which is on by default, the operating system is asked what the processor can. Without it and without an
//! operating system, the processor's registers are, which a firmware at EL1 or above may read: one firmware serves every
//! processor. Elsewhere a tier is there if the code is compiled for its features (`-C target-feature=+dotprod`, or a
//! `-C target-cpu` that has them).
//!
//! ```
//! use bitnet_edge_arm::Host;
//! use bitnet_edge_kernels::Kernels;
//! let (name, host) = Host::TIERS.iter().find_map(|(name, tier)| Some((*name, tier().ok()?))).unwrap();
//! assert_eq!(host.name(), name); // the best of this machine
//! ```
//!
//! On other architectures the crate builds, and [`Host`] is the scalar definition alone. So it is on 32-bit ARM, whose vector unit
//! knows no subnormal numbers, so that its floats are not those of the definition.
//!
//! A call takes no more than [`STACK`] of stack.
#![no_std]
#![deny(missing_docs, clippy::disallowed_methods)]
// An intrinsic has target features, and so is no `Fn` itself: what Clippy proposes does not compile.
#![allow(clippy::redundant_closure)]

#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(cortex_m)]
mod cortex_m;
mod host;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod intrinsics;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod lanes;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod matmul;
#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_os = "none"))]
mod registers;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod tier;

#[cfg(cortex_m)]
pub use cortex_m::{Dsp, Mve, Table};
pub use host::Host;

/// Bytes of stack that a call takes at most, what puts its results apart: compiled with optimizations, as a board's firmware is.
///
/// The block layouts with groups of 32 columns take most, 176 KiB, for activations of eight tokens in another order; ternary products of many
/// tokens take 96, attention without the feature `std` 72. `cargo xtask instructions --arm` measures it, and fails if it is more.
///
/// ```
/// const _: () = assert!(bitnet_edge_arm::STACK < 1024 * 1024, "a core's stack is too small");
/// ```
pub const STACK: usize = 192 * 1024;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub use tier::{Dotprod, I8mm, Neon};
