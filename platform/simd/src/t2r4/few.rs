//! A few tokens: weights are read once, in the order in which they lie, as fast as memory gives them.

use bitnet_edge_kernels::tile::{Results, TILE_ROWS, t2r4};

use super::{Product, RowScales, TILE};
use crate::products::Products;
use crate::vector::Vector;

/// Row tiles between two times that results are put: what is done then keeps the stream waiting.
const BATCH: usize = 16;
const ROWS: usize = BATCH * TILE_ROWS;

impl Product<'_> {
    /// The product for `T` tokens, one row tile of `NT` vectors after another.
    ///
    /// # Safety
    /// The row tiles and tokens are readable; the features of `S` are there.
    #[inline(always)]
    pub(crate) unsafe fn few<S: Vector, const NT: usize, const T: usize>(&self, out: &mut impl Results) {
        // SAFETY: as promised.
        unsafe {
            let mut totals = [[[S::zero(); NT]; BATCH]; T];
            let mut scales = RowScales::<ROWS>::new(self.scale);
            let mut first = 0;
            while first < self.tiles {
                let n = BATCH.min(self.tiles - first);
                for tile in 0..n {
                    let sums = self.row_tile::<S, NT, T>(first + tile);
                    for (totals, sums) in totals.iter_mut().zip(sums) {
                        totals[tile] = sums;
                    }
                }
                scales.at(self.scale, (self.before + first) * TILE_ROWS);
                for (t, totals) in totals.iter().enumerate() {
                    let mut sums = [0; ROWS];
                    let rows = sums.chunks_exact_mut(4 * S::LANES);
                    for (rows, &v) in rows.zip(totals.as_flattened().as_chunks().0).take((n * NT).div_ceil(4))
                    {
                        S::store_rows(S::fold4(v), rows.as_mut_ptr().cast());
                    }
                    self.put(&sums, &scales, t, first, n, out);
                }
                first += n;
            }
        }
    }

    /// Sums of one row tile for `T` tokens.
    #[inline(always)]
    unsafe fn row_tile<S: Vector, const NT: usize, const T: usize>(&self, tile: usize) -> [[S::V; NT]; T] {
        // SAFETY: column tiles `0..columns` of the row tile and of the tokens are readable; a prefetch reads nothing.
        unsafe {
            let w = self.w.add(tile * self.row_tile);
            let mut totals = [[S::zero(); NT]; T];
            let mut start = 0;
            while start < self.columns {
                let end = self.columns.min(start.saturating_add(S::Products::FLUSH_TILE));
                let mut sums = [[[S::zero(); 4]; NT]; T];
                for k in start..end {
                    let w = w.add(k * TILE);
                    if let Some(ahead) = S::AHEAD {
                        S::fetch_second(w.wrapping_add(ahead));
                    }
                    for (t, sums) in sums.iter_mut().enumerate() {
                        let q = self
                            .acts
                            .q
                            .as_ptr()
                            .add(t * self.acts.stride + k * t2r4::TILE_COLUMNS)
                            .cast::<u8>();
                        let q =
                            [S::spread(q), S::spread(q.add(16)), S::spread(q.add(32)), S::spread(q.add(48))];
                        for (v, sums) in sums.iter_mut().enumerate() {
                            S::Products::dot_tile(sums, S::load(w.add(v * S::LANES * 16)), &q);
                        }
                    }
                }
                for (totals, sums) in totals.iter_mut().zip(sums) {
                    for (total, sums) in totals.iter_mut().zip(sums) {
                        *total = S::Products::collect(*total, sums);
                    }
                }
                start = end;
            }
            totals
        }
    }
}
