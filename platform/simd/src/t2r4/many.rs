//! Many tokens: a block of rows and tokens stays in registers, and the codes of a plane serve all of its tokens.

use core::ops::Range;

use bitnet_edge_kernels::tile::{Results, TILE_ROWS, t2r4};

use super::{Product, RowScales, TILE};
use crate::products::Products;
use crate::vector::Vector;
use crate::{GROUP_ROWS, GROUP_TILES, balanced};

/// Integer sums of a group's rows for the tokens of a block, and room for what a store of whole vectors writes behind them.
type Sums = [[i32; 2 * GROUP_ROWS]; 8];

impl Product<'_> {
    /// The product for any number of tokens, in register blocks of `NV` vectors of rows and up to [`Vector::TOKENS`] tokens.
    /// The weights of a group of rows stay in the first cache while the activations of all tokens pass.
    ///
    /// # Safety
    /// The row tiles and tokens are readable; the features of `S` are there.
    #[inline(always)]
    pub(crate) unsafe fn many<S: Vector, const NV: usize>(
        &self,
        tokens: Range<usize>,
        out: &mut impl Results,
    ) {
        let mut sums = [[0; 2 * GROUP_ROWS]; 8];
        let mut scales = RowScales::<GROUP_ROWS>::new(self.scale);
        let mut first = 0;
        while first < self.tiles {
            let n = GROUP_TILES.min(self.tiles - first);
            scales.at(self.scale, (self.before + first) * TILE_ROWS);
            let mut token = tokens.start;
            // The next group comes from memory meanwhile, a part with each block of tokens.
            let mut next = self.w.wrapping_add((first + n) * self.row_tile);
            let blocks = tokens.len().div_ceil(S::TOKENS);
            let part = (GROUP_TILES * self.row_tile / TILE).div_ceil(blocks);
            while token < tokens.end {
                let count = balanced(tokens.end - token, S::TOKENS);
                for _ in 0..part {
                    S::fetch_second(next);
                    next = next.wrapping_add(TILE);
                }
                // SAFETY: row tiles `first..first + n` and tokens `token..token + count` are readable.
                unsafe {
                    let block = Block {
                        w: self.w.add(first * self.row_tile),
                        row_tile: self.row_tile,
                        q: self.acts.q.as_ptr().add(token * self.acts.stride).cast(),
                        stride: self.acts.stride,
                        columns: self.columns,
                    };
                    block.gemm::<S, NV>(n, count, &mut sums);
                }
                for (t, sums) in sums.iter().enumerate().take(count) {
                    if let Some(sums) = sums.first_chunk::<GROUP_ROWS>() {
                        self.put(sums, &scales, token + t, first, n, out);
                    }
                }
                token += count;
            }
            first += n;
        }
    }
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
    unsafe fn gemm<S: Vector, const NV: usize>(&self, n: usize, tokens: usize, sums: &mut Sums) {
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
    /// Each code times each `q` is at most 3 * 127, and i32 holds the sum of 2^22 of them. Where elements are i16, a tile adds
    /// four pairs of them, at most 4 * 2 * 381 = 3,048, to each, and [`Products::FLUSH`] tiles fit.
    #[inline(always)]
    unsafe fn sums<S: Vector, const NV: usize, const T: usize>(
        &self,
        w: [*const u8; NV],
        row: usize,
        sums: &mut Sums,
    ) {
        // SAFETY: column tiles `0..columns` of the row tiles and tokens are readable.
        unsafe {
            let mut total = [[S::zero(); NV]; T];
            if S::Products::FLUSH == usize::MAX {
                self.columns::<S, NV, T>(&w, 0, self.columns, &mut total);
            } else {
                let mut start = 0;
                while start < self.columns {
                    let end = self.columns.min(start + S::Products::FLUSH);
                    let mut part = [[S::zero(); NV]; T];
                    self.columns::<S, NV, T>(&w, start, end, &mut part);
                    for (total, part) in total.iter_mut().zip(part) {
                        for (total, part) in total.iter_mut().zip(part) {
                            *total = S::Products::widen(*total, part);
                        }
                    }
                    start = end;
                }
            }
            for (sums, total) in sums.iter_mut().zip(total) {
                store::<S>(sums, row, &total);
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
                *codes = S::pairs(S::load(w.add(at)), P);
            }
            for (t, acc) in acc.iter_mut().enumerate() {
                let q = S::spread(q.add(t * self.stride + P as usize * 16));
                for (acc, codes) in acc.iter_mut().zip(codes) {
                    *acc = S::Products::dot(*acc, codes, q);
                }
            }
        }
    }
}

/// Stores the sums of the lanes of vectors, of which the first is row `row`. Rows behind them are overwritten.
///
/// # Safety
/// The features of `S` are there.
#[inline(always)]
unsafe fn store<S: Vector>(sums: &mut [i32; 2 * GROUP_ROWS], row: usize, v: &[S::V]) {
    for (i, v) in v.chunks(4).enumerate() {
        // SAFETY: `rows` has room for four vectors.
        unsafe {
            let rows = &mut sums[row + i * 4 * S::LANES..][..4 * S::LANES];
            let mut four = [S::zero(); 4];
            for (to, from) in four.iter_mut().zip(v) {
                *to = *from;
            }
            S::store_rows(S::fold4(four), rows.as_mut_ptr().cast());
        }
    }
}
