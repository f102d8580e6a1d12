//! Which kernels a board chooses from.

use bitnet_edge_kernels::{Kernels, Scalar};

/// The scalar definition.
#[must_use]
pub fn backends() -> [impl Kernels; 1] {
    [Scalar]
}
