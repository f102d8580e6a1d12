//! The std platform of bitnet-edge: images mapped from files, memory for arenas, threads, and the choice of a backend.
//!
//! ```
//! use bitnet_edge_std::{Arena, Bytes};
//! let mut image = Bytes::zeroed(100);
//! image.as_mut_slice()[0] = 0x89;
//! assert!(image.as_slice().as_ptr().addr().is_multiple_of(64));
//! assert_eq!(Arena::new(1000).lines().len(), 16);
//! ```
#![deny(clippy::disallowed_methods)]

pub mod bandwidth;
mod float_mode;
mod host;
pub mod measure;
mod memory;
mod mmap;
mod select;
mod threads;

pub use float_mode::keeps_subnormals;
pub use host::Host;
pub use memory::{Arena, Bytes};
pub use mmap::{HugePages, MappedFile};
pub use select::{SelectError, Selection, Tier, Tiers};
pub use threads::{Pool, PoolError, PoolPart, physical_cores};
