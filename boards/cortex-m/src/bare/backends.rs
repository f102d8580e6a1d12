//! Which kernels a board chooses from.

use bitnet_edge_arm::{Dsp, Mve, Table};
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
use bitnet_edge_kernels::{Error, Kernels, Scalar};
use heapless::Vec;

/// What there can be.
const ALL: usize = 4;

/// A tier of this processor, or the scalar definition. The tiers differ in the ternary product; everything else is the definition's.
#[derive(Clone, Copy, Debug)]
pub enum Backend {
    /// Helium.
    Mve(Mve),
    /// Tables of sums, for matrices of many rows.
    Table(Table),
    /// Products of pairs of 16-bit numbers.
    Dsp(Dsp),
    /// The definition.
    Scalar,
}

/// The kernels of this processor, the ones to prefer first; the last is the scalar definition, which the self-test falls back to.
#[must_use]
pub fn backends() -> Vec<Backend, ALL> {
    let tiers: [Option<Backend>; ALL] = [
        Mve::new().map(Backend::Mve),
        Some(Backend::Table(Table::new())),
        Dsp::new().map(Backend::Dsp),
        Some(Backend::Scalar),
    ];
    tiers.into_iter().flatten().collect()
}

impl Kernels for Backend {
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        match self {
            Self::Mve(tier) => tier.name(),
            Self::Table(tier) => tier.name(),
            Self::Dsp(tier) => tier.name(),
            Self::Scalar => Scalar.name(),
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
            Self::Mve(tier) => tier.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Table(tier) => tier.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Dsp(tier) => tier.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Scalar => Scalar.matmul_t2r4_i8t(w, tokens, acts, scale, out),
        }
    }
}
