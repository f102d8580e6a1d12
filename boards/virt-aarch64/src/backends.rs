//! Which kernels this processor can run.

use bitnet_edge_kernels::Scalar;

/// The scalar definition.
pub(crate) fn available() -> [Scalar; 1] {
    [Scalar]
}
