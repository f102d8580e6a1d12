//! Panels: 32 rows times some tokens.
//!
//! Four tiles of sums, of 2 x 16 tokens and 2 x 16 rows, are computed at once, so that each tile that is loaded is used
//! twice: four products (64 cycles) for four loads. Columns come in blocks, short enough that the unpacked weights of a
//! block (20 KiB) stay in L1 beside the activations that stream through it; between blocks the sums wait in memory. They
//! are integers: neither the order of blocks nor that detour changes a bit.
//!
//! The products keep one port of the processor busy for one cycle in sixteen. What else there is to do for a panel goes
//! between them, a piece a step: the weights of the next step are unpacked before the products of this one (while the
//! first tokens are at work), and the results of the tokens before are finished.

use std::arch::x86_64::*;
use std::ops::Range;

use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4::TILE_BYTES};

use super::tiles::{Instructions, ROW_BYTES, ROWS, SumTile, Tiles, WeightTile};

/// Steps of 64 columns in a block of columns.
const STEPS: usize = 10;
/// Row tiles of a panel.
const PANEL_TILES: usize = 8;
const PANEL_ROWS: usize = PANEL_TILES * TILE_ROWS;
/// Tokens of a block: two tiles.
pub(super) const BLOCK_TOKENS: usize = 2 * ROWS;
/// Blocks of tokens whose sums have a place.
const BLOCKS: usize = 16;
/// The most tokens that one pass over the weights takes.
pub(super) const PASS_TOKENS: usize = BLOCKS * BLOCK_TOKENS;

/// The memory of a call: 84 KiB, on its stack.
pub(super) struct Scratch {
    /// `[step][half of the panel's rows]`
    weights: [[WeightTile; 2]; STEPS],
    /// `[block of tokens][half of its tokens][half of the rows]`
    sums: [[[SumTile; 2]; 2]; BLOCKS],
}

impl Scratch {
    pub(super) const ZERO: Self = Self {
        weights: [[WeightTile([[0; ROW_BYTES]; ROWS]); 2]; STEPS],
        sums: [[[SumTile([[0; 16]; ROWS]); 2]; 2]; BLOCKS],
    };
}

/// Row tiles of a panel, 1 to 8.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    /// `[row tile][64 columns]`
    w: &'a [[u8; TILE_BYTES]],
    /// Tiles of a row tile.
    columns: usize,
    count: usize,
    /// Output of the first row.
    row: usize,
}

/// Sums that wait to become results: those of some tokens of a panel.
struct Pending {
    tokens: Range<usize>,
    /// The first token of the block.
    first: usize,
    block: usize,
    row: usize,
    rows: usize,
    scales: [f32; PANEL_ROWS],
}

/// The product of a call.
pub(super) struct Product<'a, I: Instructions, R> {
    tiles: Tiles<I>,
    scratch: &'a mut Scratch,
    acts: &'a Int8Acts<'a>,
    tokens: usize,
    scale: TernaryScale<'a>,
    out: &'a mut R,
    pending: Pending,
}

/// Where a loop over columns stands.
#[derive(Clone, Copy)]
struct Block {
    /// The first token, the number of tokens, the place of their sums.
    token: usize,
    tokens: usize,
    place: usize,
    /// The first tile of columns, and how many.
    column: usize,
    steps: usize,
    first: bool,
    last: bool,
    /// The sums wait in memory between blocks of columns, for there are other tokens.
    away: bool,
}

impl<'a, I: Instructions, R: Results> Product<'a, I, R> {
    pub(super) fn new(
        tiles: Tiles<I>,
        scratch: &'a mut Scratch,
        acts: &'a Int8Acts<'a>,
        tokens: usize,
        scale: TernaryScale<'a>,
        out: &'a mut R,
    ) -> Self {
        let pending =
            Pending { tokens: 0..0, first: 0, block: 0, row: 0, rows: 0, scales: [0.0; PANEL_ROWS] };
        Self { tiles, scratch, acts, tokens, scale, out, pending }
    }

    /// All rows for `tokens`, at most [`PASS_TOKENS`]. `w` holds whole row tiles of `columns` tiles.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn pass(&mut self, w: &[[u8; TILE_BYTES]], columns: usize, tokens: Range<usize>) {
        for (i, w) in w.chunks(PANEL_TILES * columns).enumerate() {
            let panel = Panel { w, columns, count: w.len() / columns, row: i * PANEL_ROWS };
            if panel.count > PANEL_TILES / 2 {
                self.panel::<2>(panel, tokens.clone());
            } else {
                self.panel::<1>(panel, tokens.clone());
            }
        }
        self.finish(usize::MAX);
    }

    /// `HALVES` x 16 rows for `tokens`.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn panel<const HALVES: usize>(&mut self, panel: Panel<'_>, tokens: Range<usize>) {
        // What lies beyond the last whole tile of activations is not multiplied.
        let columns = self.acts.stride / ROW_BYTES;
        let parts = columns.div_ceil(STEPS).max(1);
        let steps = columns.div_ceil(parts);
        for part in 0..parts {
            let column = part * steps;
            let steps = steps.min(columns - column);
            let (first, last) = (part == 0, part + 1 == parts);
            for (place, token) in tokens.clone().step_by(BLOCK_TOKENS).enumerate() {
                let count = BLOCK_TOKENS.min(tokens.end - token);
                let away = tokens.len() > BLOCK_TOKENS;
                let block = Block { token, tokens: count, place, column, steps, first, last, away };
                if count > ROWS {
                    self.block::<2, HALVES>(panel, block);
                } else {
                    self.block::<1, HALVES>(panel, block);
                }
            }
        }
    }

    /// `TILES` x 16 tokens, `HALVES` x 16 rows, one block of columns.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn block<const TILES: usize, const HALVES: usize>(&mut self, panel: Panel<'_>, block: Block) {
        let stride = self.acts.stride;
        let q: [&[i8]; 2] = std::array::from_fn(|i| {
            let token = first_row(block.token + (i * ROWS).min((TILES - 1) * ROWS), self.tokens);
            &self.acts.q[token * stride + block.column * ROW_BYTES..]
        });
        self.load_sums::<TILES, HALVES>(block);
        let unpacks = block.place == 0;
        if unpacks && block.steps > 0 {
            unpack::<HALVES>(panel, block.column, &mut self.scratch.weights[0]);
        }
        let finished = self.pending.tokens.len().div_ceil(block.steps.max(1));
        for step in 0..block.steps {
            if unpacks && step + 1 < block.steps {
                unpack::<HALVES>(panel, block.column + step + 1, &mut self.scratch.weights[step + 1]);
            }
            self.finish(finished);
            let weights = &self.scratch.weights[step];
            let at = step * ROW_BYTES;
            self.tiles.load_activations::<4>(&q[0][at..], stride);
            self.tiles.load_weights::<6>(&weights[0]);
            self.tiles.dot::<0, 4, 6>();
            if HALVES > 1 {
                self.tiles.load_weights::<7>(&weights[1]);
                self.tiles.dot::<1, 4, 7>();
            }
            if TILES > 1 {
                self.tiles.load_activations::<5>(&q[1][at..], stride);
                self.tiles.dot::<2, 5, 6>();
                if HALVES > 1 {
                    self.tiles.dot::<3, 5, 7>();
                }
            }
        }
        self.finish(usize::MAX);
        if block.away || block.last {
            self.store_sums::<TILES, HALVES>(block.place);
        }
        if block.last {
            self.await_results(panel, block);
        }
    }

    #[inline(always)]
    fn load_sums<const TILES: usize, const HALVES: usize>(&mut self, block: Block) {
        let [[s0, s1], [s2, s3]] = &self.scratch.sums[block.place];
        if block.first {
            self.tiles.zero::<0>();
            self.tiles.zero::<1>();
            self.tiles.zero::<2>();
            self.tiles.zero::<3>();
        } else if block.away {
            self.tiles.load_sums::<0>(s0);
            if HALVES > 1 {
                self.tiles.load_sums::<1>(s1);
            }
            if TILES > 1 {
                self.tiles.load_sums::<2>(s2);
            }
            if TILES > 1 && HALVES > 1 {
                self.tiles.load_sums::<3>(s3);
            }
        }
    }

    #[inline(always)]
    fn store_sums<const TILES: usize, const HALVES: usize>(&mut self, place: usize) {
        let [[s0, s1], [s2, s3]] = &mut self.scratch.sums[place];
        self.tiles.store_sums::<0>(s0);
        if HALVES > 1 {
            self.tiles.store_sums::<1>(s1);
        }
        if TILES > 1 {
            self.tiles.store_sums::<2>(s2);
        }
        if TILES > 1 && HALVES > 1 {
            self.tiles.store_sums::<3>(s3);
        }
    }

    /// The sums of a block are complete; nothing is pending.
    fn await_results(&mut self, panel: Panel<'_>, block: Block) {
        let pending = &mut self.pending;
        if pending.row != panel.row || pending.rows == 0 {
            pending.row = panel.row;
            pending.rows = panel.count * TILE_ROWS;
            for (i, scale) in pending.scales.iter_mut().enumerate() {
                *scale = self.scale.row(panel.row + i);
            }
        }
        pending.tokens = block.token..block.token + block.tokens;
        pending.first = block.token;
        pending.block = block.place;
    }

    /// Puts the results of up to `count` pending tokens.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn finish(&mut self, count: usize) {
        let Pending { ref mut tokens, first, block, row, rows, ref scales } = self.pending;
        for token in tokens.take(count) {
            let tile = (token - first) / ROWS;
            let sums = &self.scratch.sums[block][tile];
            let from = token - first_row(first + tile * ROWS, self.tokens);
            let (s, sum) =
                (self.acts.scales[token * self.acts.groups], self.acts.sums[token * self.acts.groups]);
            let values = results([&sums[0].0[from], &sums[1].0[from]], sum, s, scales);
            self.out.put(token, row, &values[..rows]);
        }
    }
}

/// The token in the first row of the tile that begins with `token`. Tiles are always full: the last one begins with tokens
/// that another has, too, unless there is but one.
#[inline(always)]
fn first_row(token: usize, tokens: usize) -> usize {
    token.min(tokens.saturating_sub(ROWS))
}

/// `f32(acc - sum) / s * scale` of 32 rows.
#[target_feature(enable = "avx512f")]
#[inline]
fn results(acc: [&[i32; 16]; 2], sum: i32, s: f32, scales: &[f32; PANEL_ROWS]) -> [f32; PANEL_ROWS] {
    // Sum 4r + t of a tile is that of row r of row tile t.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let (sum, s) = (_mm512_set1_epi32(sum), _mm512_set1_ps(s));
    let mut values = [0.0; PANEL_ROWS];
    for ((acc, scales), values) in
        acc.into_iter().zip(scales.as_chunks::<16>().0).zip(values.as_chunks_mut::<16>().0)
    {
        // SAFETY: all three are sixteen elements long.
        unsafe {
            let acc = _mm512_permutexvar_epi32(order, _mm512_loadu_si512(acc.as_ptr().cast()));
            let y = _mm512_div_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(acc, sum)), s);
            _mm512_storeu_ps(values.as_mut_ptr(), _mm512_mul_ps(y, _mm512_loadu_ps(scales.as_ptr())));
        }
    }
    values
}

/// Unpacks 64 columns of `HALVES` x 16 rows. Rows that the panel does not have are those of its last row tile: nobody
/// reads their sums.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn unpack<const HALVES: usize>(panel: Panel<'_>, column: usize, to: &mut [WeightTile; 2]) {
    for (half, to) in to.iter_mut().enumerate().take(HALVES) {
        let tiles = std::array::from_fn(|i| {
            let tile = (half * TILE_ROWS + i).min(panel.count - 1);
            let tile = &panel.w[tile * panel.columns + column];
            // The same place of the next panel. Beyond the end of the weights this is no access.
            let next = tile.as_ptr().wrapping_add(PANEL_TILES * panel.columns * TILE_BYTES);
            _mm_prefetch::<_MM_HINT_T0>(next.cast());
            tile
        });
        unpack_16(tiles, to);
    }
}

/// Unpacks 64 columns of four row tiles: column `n = 4r + t` of the tile is row `r` of row tile `t`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn unpack_16(tiles: [&[u8; TILE_BYTES]; 4], to: &mut WeightTile) {
    // SAFETY: reads 64 bytes of each.
    let [t0, t1, t2, t3] = tiles.map(|t| unsafe { _mm512_loadu_si512(t.as_ptr().cast()) });
    // Of the packed bytes: lane r of vector j has bytes 4j..4j + 4 of row r of the four tiles.
    let (a, b) = (_mm512_unpacklo_epi32(t0, t1), _mm512_unpackhi_epi32(t0, t1));
    let (c, d) = (_mm512_unpacklo_epi32(t2, t3), _mm512_unpackhi_epi32(t2, t3));
    let words = [
        _mm512_unpacklo_epi64(a, c),
        _mm512_unpackhi_epi64(a, c),
        _mm512_unpacklo_epi64(b, d),
        _mm512_unpackhi_epi64(b, d),
    ];
    let [p0, p1, p2, p3] = to.0.as_chunks_mut::<4>().0 else { return };
    plane::<0>(words, p0);
    plane::<2>(words, p1);
    plane::<4>(words, p2);
    plane::<6>(words, p3);
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn plane<const SHIFT: u32>(words: [__m512i; 4], to: &mut [[u8; ROW_BYTES]; 4]) {
    let three = _mm512_set1_epi8(3);
    for (word, to) in words.into_iter().zip(to) {
        let codes = _mm512_and_si512(_mm512_srli_epi16::<SHIFT>(word), three);
        // SAFETY: writes the 64 bytes of `to`.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), codes) }
    }
}
