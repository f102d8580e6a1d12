//! Which kernels this board chooses from: each is compared with the definition at every start.

use bitnet_edge_arm::Table;
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
use bitnet_edge_kernels::{Error, KernelSet, Kernels, Scalar};

/// Kernels of this processor.
#[derive(Clone, Copy)]
pub enum Backend {
    /// Sums of activations in tables, and for small matrices pairs of products at once (DSP).
    Table(Table),
    /// The definition.
    Scalar,
}

/// The fastest ones, then the definition, which the self-test falls back to.
pub fn backends() -> [Backend; 2] {
    [Backend::Table(Table::new()), Backend::Scalar]
}

impl Kernels for Backend {
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        match self {
            Self::Table(table) => table.name(),
            Self::Scalar => Scalar.name(),
        }
    }

    fn own(&self) -> KernelSet {
        match self {
            Self::Table(table) => table.own(),
            Self::Scalar => Scalar.own(),
        }
    }

    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        match self {
            Self::Table(table) => table.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Scalar => Scalar.matmul_t2r4_i8t(w, tokens, acts, scale, out),
        }
    }
}
