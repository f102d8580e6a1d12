//! Which kernels a board chooses from.

use bitnet_edge_arm::{Dsp, Mve, Table};
use bitnet_edge_kernels::attention::{self, KvElement, Queries};
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
use bitnet_edge_kernels::{Error, Kernel, KernelSet, Kernels, Scalar};
use heapless::Vec;

/// What there can be.
const ALL: usize = 4;

/// The lanes of every tier here: the floating-point unit widens and narrows f16.
type Lanes = <Table as Kernels>::Lanes;

/// A tier of this processor, or the scalar definition. The tiers differ in the products of ternary and of int8 weights, and in how an
/// f16 KV cache is read and written from the definition; everything else is the definition's.
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

    fn own(&self) -> KernelSet {
        // Those of the lanes, where the definition's are not taken below.
        let lanes = KernelSet::of(&[Kernel::Store, Kernel::Attend]);
        match self {
            Self::Mve(tier) => tier.own().and(lanes),
            Self::Table(tier) => tier.own().and(lanes),
            Self::Dsp(tier) => tier.own().and(lanes),
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
            Self::Mve(tier) => tier.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Table(tier) => tier.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Dsp(tier) => tier.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Scalar => Scalar.matmul_t2r4_i8t(w, tokens, acts, scale, out),
        }
    }

    fn matmul_q8r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        match self {
            Self::Mve(tier) => tier.matmul_q8r4_i8g32(w, tokens, acts, out),
            Self::Table(tier) => tier.matmul_q8r4_i8g32(w, tokens, acts, out),
            Self::Dsp(tier) => tier.matmul_q8r4_i8g32(w, tokens, acts, out),
            Self::Scalar => Scalar.matmul_q8r4_i8g32(w, tokens, acts, out),
        }
    }

    fn store<E: KvElement>(&self, x: &[f32], row: &mut [E]) -> Result<(), Error> {
        match self {
            Self::Scalar => Scalar.store(x, row),
            _ => attention::store::<E, Lanes>(x, row),
        }
    }

    fn attend<E: KvElement>(
        &self,
        q: &Queries<'_>,
        k: &[E],
        v: &[E],
        c: f32,
        records: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            Self::Scalar => Scalar.attend(q, k, v, c, records),
            _ => attention::each::<E, Lanes>(q, k, v, c, records),
        }
    }
}
