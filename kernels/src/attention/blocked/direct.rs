//! One tile of queries: what is widened is used once, in registers.

use super::{Block, CHUNK, Call, KvElement, LANES, MISFIT, RECORD_HEAD, Scratch};
use crate::Error;
use crate::simd::F32x16;

impl<E: KvElement> Call<'_, E> {
    /// All queries of the call, at most `T`; `head_dim` is a multiple of `B` blocks.
    #[inline(always)]
    pub(super) fn direct<V: F32x16, const T: usize, const K: usize, const B: usize>(
        &self,
        records: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let queries = scratch.queries.get_mut(..self.blocks * T).ok_or(MISFIT)?;
        self.pack::<V, T>(0, queries)?;
        let scores = scratch.scores.first_chunk_mut::<T>().ok_or(MISFIT)?;
        for at in (0..self.n).step_by(LANES / T) {
            let mut sums = [V::splat(0.0); LANES];
            for r in 0..LANES / (T * K) {
                let tile = self.dots::<V, T, K>(queries, at + r * K);
                for (sums, tile) in sums.chunks_exact_mut(LANES / T).zip(&tile) {
                    for (sum, dot) in sums.iter_mut().skip(r * K).zip(tile) {
                        *sum = *dot;
                    }
                }
            }
            self.fold(sums, at, scores);
        }
        let count = records.len() / (RECORD_HEAD + self.q.head_dim);
        self.softmax::<V>(scores.get_mut(..count).ok_or(MISFIT)?, records)?;
        for group in 0..self.blocks / B {
            let sums = self.weighed::<V, T, B>(group, scores);
            self.put(group, &sums, records);
        }
        Ok(())
    }

    /// The stripes of `T` queries with the keys of `K` positions; beyond the last position that of the last.
    #[inline(always)]
    fn dots<V: F32x16, const T: usize, const K: usize>(&self, q: &[Block], at: usize) -> [[V; K]; T] {
        let mut keys: [&[[E; LANES]]; K] = [&[]; K];
        for (j, key) in keys.iter_mut().enumerate() {
            let row = self.row(self.k, (at + j).min(self.n - 1));
            *key = row.as_chunks().0.get(..self.blocks).unwrap_or_default();
        }
        let mut sums = [[V::splat(0.0); K]; T];
        for (b, q) in q.as_chunks::<T>().0.iter().enumerate().take(self.blocks) {
            let mut wide = [V::splat(0.0); K];
            for (wide, key) in wide.iter_mut().zip(&keys) {
                *wide = E::widen(key.get(b).unwrap_or(&[E::default(); LANES]));
            }
            for (sums, q) in sums.iter_mut().zip(q) {
                let q = V::load(q);
                for (sum, k) in sums.iter_mut().zip(&wide) {
                    *sum = sum.add(q.mul(*k));
                }
            }
        }
        sums
    }

    /// `B` blocks of the outputs of `T` queries.
    #[inline(always)]
    fn weighed<V: F32x16, const T: usize, const B: usize>(
        &self,
        group: usize,
        weights: &[[f32; CHUNK]; T],
    ) -> [[V; B]; T] {
        let mut sums = [[V::splat(0.0); B]; T];
        for (i, row) in self.v.chunks_exact(self.q.head_dim).enumerate().take(CHUNK) {
            let blocks = row.as_chunks::<LANES>().0.as_chunks::<B>().0.get(group);
            let mut wide = [V::splat(0.0); B];
            for (wide, v) in wide.iter_mut().zip(blocks.unwrap_or(&[[E::default(); LANES]; B])) {
                *wide = E::widen(v);
            }
            for (sums, p) in sums.iter_mut().zip(weights) {
                let p = V::splat(p.get(i).copied().unwrap_or(0.0));
                for (sum, v) in sums.iter_mut().zip(&wide) {
                    *sum = sum.add(p.mul(*v));
                }
            }
        }
        sums
    }
}
