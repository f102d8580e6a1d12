//! Products of packed weights and int8 activations.
//!
//! Each layout has one file, generic over the instruction set ([`vector::Vector`]), and each instruction set one with its
//! vectors. Integer sums are exact, so their order is free; float sums have the order of the definition.

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::TILE_ROWS;

pub(crate) mod avx512;
pub(crate) mod panels;
mod panels_avx512;
pub(crate) mod q4k4;
pub(crate) mod t2r4;
pub(crate) mod vector;

use vector::Vector;

/// Row tiles whose results are put together.
const GROUP_TILES: usize = 4;
/// Their rows.
const GROUP_ROWS: usize = GROUP_TILES * TILE_ROWS;

/// Integer sums of a group's rows for one token.
#[derive(Clone, Copy)]
pub(crate) struct Sums([i32; 2 * GROUP_ROWS]);

impl Sums {
    const ZERO: Self = Self([0; 2 * GROUP_ROWS]);

    /// Stores the sums of the lanes of `NV` vectors of rows, of which the first is `row`. Rows behind them are overwritten.
    ///
    /// # Safety
    /// The features of `S` are there. The vectors lie within the group.
    #[inline(always)]
    unsafe fn store<S: Vector, const NV: usize>(&mut self, row: usize, v: [S::V; NV]) {
        // Up to four vectors of up to four rows are written at once, from a row within the first half of the array.
        let p = self.0[row..row + GROUP_ROWS].as_mut_ptr();
        let mut first = 0;
        while first < NV {
            // SAFETY: as promised.
            unsafe {
                let mut four = [S::zero(); 4];
                for (to, from) in four.iter_mut().zip(&v[first..]) {
                    *to = *from;
                }
                S::store_rows(S::fold4(four), p.add(first * S::LANES));
            }
            first += 4;
        }
    }
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
    ($features:literal, $vector:ident, $block:literal, $gemv:literal) => {
        $crate::tier::with_features! { $features:
            fn matmul_t2r4_i8t<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, scale: TernaryScale<'_>, out: &mut R
            ) -> () =
                // SAFETY: this function has the features of the vectors.
                unsafe {
                    $crate::matmul::t2r4::matmul::<$crate::matmul::$vector, $block, $gemv, R>(
                        w, tokens, acts, scale, out)
                };
            fn matmul_q4k4_i8g256<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> () =
                // SAFETY: this function has the features of the vectors.
                unsafe { $crate::matmul::q4k4::matmul::<$crate::matmul::$vector, false, R>(w, tokens, acts, out) };
            fn matmul_q5k4_i8g256<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> () =
                // SAFETY: this function has the features of the vectors.
                unsafe { $crate::matmul::q4k4::matmul::<$crate::matmul::$vector, true, R>(w, tokens, acts, out) };
        }
    };
}

pub(crate) use avx512::Avx512;
pub(crate) use methods;
