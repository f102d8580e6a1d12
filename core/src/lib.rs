//! Placeholder documentation, replaced with the first module.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::disallowed_methods)]

#[cfg(test)]
extern crate std;

pub mod text;
