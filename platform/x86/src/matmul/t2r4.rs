//! `matmul_t2r4_i8t`: ternary weights, int8 activations with one scale a token.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};

use super::vector::Vector;
use super::{GROUP_ROWS, GROUP_TILES, Sums, balanced, whole_tiles};

const TILE: usize = t2r4::TILE_BYTES;
/// How far ahead of the weights in use the next ones are fetched. See `docs/performance.md` for what else was tried.
const AHEAD: usize = 3072;

/// The product. `NV` vectors of rows, at most those of [`GROUP_TILES`] row tiles, are a register block.
///
/// # Safety
/// The caller runs with the features of `S`.
#[inline(always)]
pub(crate) unsafe fn matmul<S: Vector, const NV: usize, const NV1: usize, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut R,
) -> Result<(), Error> {
    acts.check(tokens, acts.stride, 1)?;
    let row_tile = t2r4::row_tile_bytes(acts.stride);
    let tiles = whole_tiles(w, row_tile)?;
    let mut first = 0;
    while first < tiles {
        let n = GROUP_TILES.min(tiles - first);
        let scales: [f32; GROUP_ROWS] = core::array::from_fn(|r| scale.row(first * TILE_ROWS + r));
        let mut token = 0;
        while token < tokens {
            let count = balanced(tokens - token, S::TOKENS);
            let mut sums = [Sums::ZERO; 8];
            // SAFETY: row tiles `first..first + n` and tokens `token..token + count` are inside the checked slices.
            unsafe {
                let block = Block {
                    w: w.as_ptr().add(first * row_tile),
                    row_tile,
                    q: acts.q.as_ptr().add(token * acts.stride).cast(),
                    stride: acts.stride,
                    columns: acts.stride / t2r4::TILE_COLUMNS,
                };
                if tokens == 1 {
                    block.gemv::<S, NV1>(n, &mut sums[0]);
                } else {
                    block.gemm::<S, NV>(n, count, &mut sums);
                }
            }
            for (t, sums) in sums.iter().enumerate().take(count) {
                let at = (token + t) * acts.groups;
                let (Some(&s), Some(&sum)) = (acts.scales.get(at), acts.sums.get(at)) else { continue };
                let mut y = [0.0; GROUP_ROWS];
                for ((y, &acc), &scale) in y.iter_mut().zip(&sums.0).zip(&scales) {
                    *y = acc.wrapping_sub(sum) as f32 / s * scale;
                }
                out.put(token + t, first * TILE_ROWS, &y[..n * TILE_ROWS]);
            }
            token += count;
        }
        first += n;
    }
    Ok(())
}

/// Some row tiles and some tokens.
#[derive(Clone, Copy)]
struct Block {
    /// The first row tile.
    w: *const u8,
    /// Bytes from a row tile to the next.
    row_tile: usize,
    /// The first token's activations.
    q: *const u8,
    /// Bytes from a token to the next.
    stride: usize,
    /// Column tiles.
    columns: usize,
}

impl Block {
    /// Where vector `v` of row tiles `tile..` starts; row tiles beyond `tiles` are the last one again.
    #[inline(always)]
    unsafe fn vectors<S: Vector, const NV: usize>(&self, tile: usize, tiles: usize) -> [*const u8; NV] {
        let per_tile = TILE_ROWS / S::LANES;
        let mut w = [self.w; NV];
        for (v, w) in w.iter_mut().enumerate() {
            let tile = (tile + v / per_tile).min(tiles - 1);
            // SAFETY: within row tile `tile` of `tiles`.
            *w = unsafe { self.w.add(tile * self.row_tile + v % per_tile * S::LANES * 16) };
        }
        w
    }

    /// Row sums of `n` row tiles for up to [`Vector::TOKENS`] tokens.
    ///
    /// # Safety
    /// All of them are readable; the features of `S` are there.
    #[inline(always)]
    unsafe fn gemm<S: Vector, const NV: usize>(&self, n: usize, tokens: usize, sums: &mut [Sums; 8]) {
        let step = NV * S::LANES / TILE_ROWS;
        let mut tile = 0;
        while tile < n {
            // SAFETY: as promised for `n` and `tokens`.
            unsafe {
                let w = self.vectors::<S, NV>(tile, n);
                let row = tile * TILE_ROWS;
                match tokens {
                    1 => self.sums::<S, NV, 1>(w, row, sums),
                    2 => self.sums::<S, NV, 2>(w, row, sums),
                    3 => self.sums::<S, NV, 3>(w, row, sums),
                    4 => self.sums::<S, NV, 4>(w, row, sums),
                    5 if S::TOKENS >= 5 => self.sums::<S, NV, 5>(w, row, sums),
                    6 if S::TOKENS >= 6 => self.sums::<S, NV, 6>(w, row, sums),
                    _ => unreachable!("a register block has at most {} tokens", S::TOKENS),
                }
            }
            tile += step;
        }
    }

    /// Row sums of `NV` vectors for `T` tokens, from row `row` of `sums` on.
    ///
    /// Each code times each `q` is at most 2 * 127, and i32 holds the sum of 2^23 of them. Where elements are i16, a tile adds
    /// four pairs of them, at most 4 * 2 * 254 = 2,032, to each, and [`Vector::FLUSH`] tiles fit.
    #[inline(always)]
    unsafe fn sums<S: Vector, const NV: usize, const T: usize>(
        &self,
        w: [*const u8; NV],
        row: usize,
        sums: &mut [Sums; 8],
    ) {
        // SAFETY: column tiles `0..columns` of the row tiles and tokens are readable.
        unsafe {
            let mut total = [[S::zero(); NV]; T];
            if S::FLUSH == usize::MAX {
                self.columns::<S, NV, T>(&w, 0, self.columns, &mut total);
            } else {
                let mut start = 0;
                while start < self.columns {
                    let end = self.columns.min(start + S::FLUSH);
                    let mut part = [[S::zero(); NV]; T];
                    self.columns::<S, NV, T>(&w, start, end, &mut part);
                    for (total, part) in total.iter_mut().zip(part) {
                        for (total, part) in total.iter_mut().zip(part) {
                            *total = S::widen(*total, part);
                        }
                    }
                    start = end;
                }
            }
            for (sums, total) in sums.iter_mut().zip(total) {
                sums.store::<S, NV>(row, total);
            }
        }
    }

    /// Adds the products of column tiles `start..end`.
    #[inline(always)]
    unsafe fn columns<S: Vector, const NV: usize, const T: usize>(
        &self,
        w: &[*const u8; NV],
        start: usize,
        end: usize,
        acc: &mut [[S::V; NV]; T],
    ) {
        for k in start..end {
            // SAFETY: `k` is below `columns`.
            unsafe {
                let q = self.q.add(k * t2r4::TILE_COLUMNS);
                self.plane::<S, NV, T, 0>(w, k * TILE, q, acc);
                self.plane::<S, NV, T, 1>(w, k * TILE, q, acc);
                self.plane::<S, NV, T, 2>(w, k * TILE, q, acc);
                self.plane::<S, NV, T, 3>(w, k * TILE, q, acc);
            }
        }
    }

    #[inline(always)]
    unsafe fn plane<S: Vector, const NV: usize, const T: usize, const P: i32>(
        &self,
        w: &[*const u8; NV],
        at: usize,
        q: *const u8,
        acc: &mut [[S::V; NV]; T],
    ) {
        // SAFETY: as in `columns`.
        unsafe {
            let mut codes = [S::zero(); NV];
            for (codes, w) in codes.iter_mut().zip(w) {
                *codes = S::pairs::<P>(S::load(w.add(at)));
            }
            for (t, acc) in acc.iter_mut().enumerate() {
                let q = S::spread(q.add(t * self.stride + P as usize * 16));
                for (acc, codes) in acc.iter_mut().zip(codes) {
                    *acc = S::dot(*acc, codes, q);
                }
            }
        }
    }

    /// Row sums of `n` row tiles for one token.
    #[inline(always)]
    unsafe fn gemv<S: Vector, const NV: usize>(&self, n: usize, sums: &mut Sums) {
        let step = NV * S::LANES / TILE_ROWS;
        let mut tile = 0;
        while tile < n {
            // SAFETY: as promised for `n`.
            unsafe {
                let w = self.vectors::<S, NV>(tile, n);
                self.scaled_sums::<S, NV>(w, tile, sums);
            }
            tile += step;
        }
    }

    /// Row sums of `NV` vectors for one token: the planes stay where they are in their bytes, so that no shift is needed,
    /// and are divided at the end.
    ///
    /// The largest sum is that of plane 3, of `columns * 4` products in each element: `4 * 128 * 127` a tile, which i32
    /// holds for 33,000 tiles, twice as many as an image's 2^20 columns.
    #[inline(always)]
    unsafe fn scaled_sums<S: Vector, const NV: usize>(
        &self,
        w: [*const u8; NV],
        tile: usize,
        sums: &mut Sums,
    ) {
        // SAFETY: column tiles `0..columns` are readable; a prefetch reads nothing.
        unsafe {
            let mut acc = [[S::zero(); NV]; 4];
            let lines = NV * S::LANES / TILE_ROWS;
            let ahead = self.w.wrapping_add(tile * self.row_tile + AHEAD);
            for k in 0..self.columns {
                let q = self.q.add(k * t2r4::TILE_COLUMNS);
                let q = [S::spread(q), S::spread(q.add(16)), S::spread(q.add(32)), S::spread(q.add(48))];
                for line in 0..lines {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add((k * lines + line) * TILE).cast());
                }
                for (v, w) in w.iter().enumerate() {
                    let w = S::load(w.add(k * TILE));
                    acc[0][v] = S::dot(acc[0][v], S::scaled_pairs::<0>(w), q[0]);
                    acc[1][v] = S::dot(acc[1][v], S::scaled_pairs::<1>(w), q[1]);
                    acc[2][v] = S::dot(acc[2][v], S::scaled_pairs::<2>(w), q[2]);
                    acc[3][v] = S::dot(acc[3][v], S::scaled_pairs::<3>(w), q[3]);
                }
            }
            let mut total = [S::zero(); NV];
            for (v, total) in total.iter_mut().enumerate() {
                let low = S::widen(acc[0][v], S::unscale::<1>(acc[1][v]));
                *total = S::widen(S::widen(low, S::unscale::<2>(acc[2][v])), S::unscale::<3>(acc[3][v]));
            }
            sums.store::<S, NV>(tile * TILE_ROWS, total);
        }
    }
}
