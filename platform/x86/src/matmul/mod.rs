//! Products of packed weights and int8 activations.
//!
//! Each layout has one file, generic over the instruction set ([`vector::Vector`]), and each instruction set one with its
//! vectors. Integer sums are exact, so their order is free; float sums have the order of the definition.

use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Results, TILE_ROWS};

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod avx_vnni;
pub(crate) mod blocks;
pub(crate) mod products;
pub(crate) mod q4k4;
pub(crate) mod q4r4;
pub(crate) mod q5r4;
pub(crate) mod q6r4;
pub(crate) mod q8r4;
pub(crate) mod quads;
pub(crate) mod sse41;
pub(crate) mod t2r4;
#[cfg(test)]
mod tests;
pub(crate) mod vector;

/// Row tiles whose results are put together.
const GROUP_TILES: usize = 4;
/// Their rows.
const GROUP_ROWS: usize = GROUP_TILES * TILE_ROWS;

/// Fetches the line at `p`, which is wanted soon, into the first cache. How far ahead that is worth it, and where the second
/// cache is better, was measured for each layout: `docs/performance.md`.
#[inline(always)]
fn fetch(p: *const u8) {
    // SAFETY: a prefetch reads nothing, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
}

/// Fetches the line at `p` into the second cache.
#[inline(always)]
fn fetch_second(p: *const u8) {
    // SAFETY: as above.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
}

/// Row tiles in `w`.
fn whole_tiles(w: &[u8], row_tile: usize) -> Result<usize, Error> {
    if row_tile == 0 || !w.len().is_multiple_of(row_tile) {
        return Err(Error::Operand("weights are not whole row tiles"));
    }
    Ok(w.len() / row_tile)
}

/// Of `rest` tokens, how many to take next so that blocks of at most `most` are of nearly the same size.
#[inline(always)]
fn balanced(rest: usize, most: usize) -> usize {
    rest.div_ceil(rest.div_ceil(most))
}

/// The integer products of a tier: `$vector` with the register blocks of its instruction set.
macro_rules! methods {
    ($features:literal, $vector:ident, $block:literal, $tile:literal) => {
        $crate::tier::with_features! { $features:
            fn matmul_t2r4_i8t<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, scale: TernaryScale<'_>, out: &mut R
            ) -> () =
                // SAFETY: this function has the features of the vectors.
                unsafe {
                    $crate::matmul::t2r4::matmul::<$crate::matmul::$vector, $block, $tile, R>(
                        w, tokens, acts, scale, out)
                };
        }
        $crate::matmul::methods! { @blocks $features, $vector, $tile:
            matmul_q4r4_i8g32: Q4r4,
            matmul_q4m4_i8g32: Q4m4,
            matmul_q8r4_i8g32: Q8r4,
            matmul_q6r4_i8g256: Q6r4,
            matmul_q4k4_i8g256: Q4k4,
            matmul_q5r4_i8g32: Q5r4,
            matmul_q5k4_i8g256: Q5k4,
        }
    };
    (@blocks $features:literal, $vector:ident, $tile:literal: $($name:ident: $blocks:ident,)*) => {$(
        #[inline]
        fn $name<R: Results>(
            &self,
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            #[target_feature(enable = $features)]
            fn featured(
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                out: &mut $crate::matmul::AnyResults<'_>,
            ) -> Result<(), Error> {
                // SAFETY: this function has the features of the vectors.
                unsafe {
                    $crate::matmul::blocks::matmul::<$crate::matmul::$vector, $crate::matmul::$blocks, $tile, _>(
                        w, tokens, acts, out)
                }
            }
            // SAFETY: the features are there, for a token of the tier exists (see `token`).
            unsafe { featured(w, tokens, acts, &mut $crate::matmul::AnyResults(out)) }
        }
    )*};
}

/// Results of any kind, so that a product is compiled once and not for each. A call takes many rows.
pub(crate) struct AnyResults<'a>(pub(crate) &'a mut dyn Results);

impl Results for AnyResults<'_> {
    #[inline]
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        self.0.put(token, row, values);
    }
}

pub(crate) type Q4r4 = q4r4::Q4<false>;
pub(crate) type Q4m4 = q4r4::Q4<true>;
pub(crate) type Q8r4 = q8r4::Q8;
pub(crate) type Q6r4 = q6r4::Q6;
pub(crate) type Q4k4 = q4k4::K4<false>;
pub(crate) type Q5r4 = q5r4::Q5;
pub(crate) type Q5k4 = q4k4::K4<true>;
#[cfg(test)]
pub(crate) use avx_vnni::Avx512Vnni256;
pub(crate) use avx_vnni::AvxVnni;
pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
pub(crate) use methods;
pub(crate) use sse41::Sse41;
