//! From 16-bit sums to results.

use bitnet_edge_kernels::tile::{Results, TILE_ROWS};

use super::super::RowScales;
use super::{Bounds, Pass, SIXTEEN, Tables, width};

/// Rows whose results are put together.
const PUT: usize = 64;

impl Pass<'_> {
    /// Moves 16-bit sums to 32-bit ones.
    #[inline(always)]
    pub(super) unsafe fn widen<S: Tables>(&mut self, block: usize) {
        const EVEN: [i16; 8] = [1, 0, 1, 0, 1, 0, 1, 0];
        const ODD: [i16; 8] = [0, 1, 0, 1, 0, 1, 0, 1];
        let rows = self.product.tiles * TILE_ROWS;
        let at = block * rows * width::<S>();
        // SAFETY: rows and tokens fit the scratch memory.
        unsafe {
            let (even, odd) = (S::spread(EVEN.as_ptr().cast()), S::spread(ODD.as_ptr().cast()));
            let mut sums = self.scratch.sums.as_mut_ptr().add(at).cast::<u8>();
            let mut totals = self.scratch.totals.as_mut_ptr().add(at).cast::<u8>();
            for _ in 0..rows {
                let sum = S::load(sums);
                S::store(S::zero(), sums);
                S::store(S::add32(S::load(totals), S::madd(sum, even)), totals);
                totals = totals.add(S::LANES * 16);
                S::store(S::add32(S::load(totals), S::madd(sum, odd)), totals);
                totals = totals.add(S::LANES * 16);
                sums = sums.add(S::LANES * 16);
            }
        }
    }

    /// Puts the results of a block of tokens.
    #[inline(always)]
    pub(super) unsafe fn put<S: Tables>(&mut self, block: usize, bounds: &Bounds, out: &mut impl Results) {
        let product = self.product;
        let first = block * width::<S>();
        let bytes = S::LANES * 16;
        let mut scales = RowScales::<PUT>::new(product.scale);
        let mut tile = 0;
        while tile < product.tiles {
            let n = (PUT / TILE_ROWS).min(product.tiles - tile);
            scales.at(product.scale, (product.before + tile) * TILE_ROWS);
            let mut sums = [[0i32; PUT]; SIXTEEN];
            for i in 0..n {
                // SAFETY: the rows are those of the tile.
                unsafe {
                    let at = (first * product.tiles + (tile + i) * width::<S>()) * TILE_ROWS;
                    let totals = self.scratch.totals.as_ptr().add(at).cast::<u8>();
                    for odd in 0..2 {
                        let mut four = [S::zero(); TILE_ROWS];
                        for (r, v) in four.iter_mut().enumerate() {
                            *v = S::load(totals.add((2 * r + odd) * bytes));
                        }
                        let four = S::transposed(four);
                        for (j, v) in four.into_iter().enumerate() {
                            let mut lanes = [[0; TILE_ROWS]; 2];
                            S::store(v, lanes.as_mut_ptr().cast());
                            for (l, lane) in lanes.iter().enumerate().take(S::LANES) {
                                let t = 2 * (4 * l + j) + odd;
                                sums[t][i * TILE_ROWS..][..TILE_ROWS].copy_from_slice(lane);
                            }
                        }
                    }
                }
            }
            let tokens = sums.iter_mut().zip(bounds.sums).take(width::<S>().min(self.count - first));
            for (t, (sums, all)) in tokens.enumerate() {
                // Codes are one more than weights.
                sums.iter_mut().for_each(|sum| *sum = sum.wrapping_add(all));
                product.put(sums, &scales, self.token + first + t, tile, n, out);
            }
            tile += n;
        }
    }
}
