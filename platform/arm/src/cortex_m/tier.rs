//! The tiers: what each needs of the processor, and its methods.

use bitnet_edge_kernels::conformance::straddles;
use bitnet_edge_kernels::tile::{q8r4, t2r4};
use bitnet_edge_simd::names::*;
use bitnet_edge_simd::words;

#[cfg(hard_float)]
use super::lanes::Lanes;
use super::{dsp, mve, q8, registers, table};

#[cfg(not(hard_float))]
type Lanes = Scalar16;

/// The methods of a tier with products of its own: their memory for ternary weights, and how a group of int8 weights is summed.
macro_rules! tier {
    ($tier:ident, $name:literal, $memory:ty, $group:path) => {
        impl Kernels for $tier {
            type Lanes = Lanes;

            fn name(&self) -> &'static str {
                $name
            }

            fn own(&self) -> KernelSet {
                KernelSet::of(&[Kernel::MatmulT2r4I8t, Kernel::MatmulQ8r4I8g32])
            }

            #[inline]
            fn matmul_t2r4_i8t<R: Results>(
                &self,
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                scale: TernaryScale<'_>,
                out: &mut R,
            ) -> Result<(), Error> {
                words::matmul(&mut <$memory>::new(), w, tokens, acts, scale, out)
            }

            #[inline]
            fn matmul_q8r4_i8g32<R: Results>(
                &self,
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                out: &mut R,
            ) -> Result<(), Error> {
                // SAFETY: a token of the tier exists, so the processor has the instructions.
                unsafe { q8::matmul::<Lanes, R>($group, w, tokens, acts, out) }
            }
        }
    };
}

bitnet_edge_simd::token! {
    /// Products of pairs of 16-bit numbers (the DSP extension): Cortex-M4 and M7, and M33 and M55 that have it. A product takes 2.5 KiB
    /// of stack.
    Dsp: (!registers::has_dsp()).then_some("dsp")
}

tier!(Dsp, "dsp", dsp::Memory, q8::by_pairs);

bitnet_edge_simd::token! {
    /// Vectors of sixteen bytes (Helium, MVE), integers alone: Cortex-M55, M85 and M52. The firmware has enabled the vector registers,
    /// as one for a hard-float target does at its start.
    Mve: (!registers::has_mve()).then_some("mve")
}

tier!(Mve, "mve", mve::Memory<'_>, q8::by_vectors);

/// Tables of sums of four activations, for matrices of many rows: every Cortex-M from M3 on. Products of fewer rows are [`Dsp`]'s where
/// the processor has it, else they are made by tables too, down to a few row tiles. A product takes 13 KiB of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table(Option<Dsp>);

impl Table {
    /// The token, which every processor of this architecture may have.
    #[must_use]
    pub fn new() -> Self {
        Self(Dsp::new())
    }

    /// The token of a processor that has no DSP extension.
    #[must_use]
    pub const fn without_dsp() -> Self {
        Self(None)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// Row tiles from which on a product takes less by tables than by pairs: a table takes 160 instructions and saves 0.35 a weight.
const MANY: usize = 28;

const _: () =
    assert!(straddles(1, MANY), "the conformance run has no cases around the tables' first row tile");
const _: () = assert!(
    straddles(1, words::table::TILES + 1),
    "it has none with more rows than the tables' memory takes"
);

impl Kernels for Table {
    type Lanes = Lanes;

    fn name(&self) -> &'static str {
        "table"
    }

    fn own(&self) -> KernelSet {
        let tables = KernelSet::of(&[Kernel::MatmulT2r4I8t]);
        self.0.map_or(tables, |dsp| dsp.own().and(tables))
    }

    #[inline]
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        let tiles = w.len() / t2r4::row_tile_bytes(acts.stride).max(1);
        match self.0 {
            Some(dsp) if tiles < MANY => dsp.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            None if tiles < words::table::WORTH => t2r4::matmul(w, tokens, acts, scale, out),
            _ => words::matmul(&mut table::Memory::new(), w, tokens, acts, scale, out),
        }
    }

    #[inline]
    fn matmul_q8r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        match self.0 {
            Some(dsp) => dsp.matmul_q8r4_i8g32(w, tokens, acts, out),
            None => q8r4::matmul(w, tokens, acts, out),
        }
    }
}
