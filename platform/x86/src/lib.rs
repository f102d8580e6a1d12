//! The kernels of bitnet-edge for x86-64, each tier with the bits of the scalar definition.
//!
//! A *tier* is a set of CPU features and the kernels written for it: [`Sse41`], [`Avx2`], [`AvxVnni`], [`Avx512Vnni`],
//! [`Amx`]. Its token is proof that this machine has the features: only `new` makes one, and only after asking the CPU
//! and the operating system. [`Host`] is any of them, or the scalar definition, behind one type, so that a session is
//! compiled once; [`Host::TIERS`] is what a program chooses from.
//!
//! ```
//! use bitnet_edge_kernels::Kernels;
//! use bitnet_edge_x86::Host;
//! let best = Host::TIERS.iter().find_map(|(_, probe)| probe().ok());
//! assert!(best.is_some(), "the scalar definition is always there");
//! let (name, scalar) = Host::TIERS.last().expect("the scalar definition");
//! assert_eq!(scalar().map(|scalar| scalar.name()), Ok(*name));
//! ```
//!
//! On other architectures the crate builds, and [`Host`] is the scalar definition alone.
//!
//! Float code is that of the kernels crate, generic over sixteen lanes, compiled once a tier inside a function that
//! has the tier's features. The lanes of a tier are not reachable from outside, because they may be used only where
//! the features are.
#![deny(missing_docs, clippy::disallowed_methods)]

#[cfg(target_arch = "x86_64")]
mod amx;
pub mod bandwidth;
mod host;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod matmul;
#[cfg(target_arch = "x86_64")]
mod tier;

pub use host::Host;
#[cfg(target_arch = "x86_64")]
pub use tier::{amx::Amx, avx_vnni::AvxVnni, avx2::Avx2, avx512_vnni::Avx512Vnni, sse41::Sse41};
