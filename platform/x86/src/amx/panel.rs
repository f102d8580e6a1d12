//! Panels: 32 rows times some tokens.
//!
//! Four tiles of sums, of 2 x 16 tokens and 2 x 16 rows, are computed at once, so that each tile that is loaded is used
//! twice: four products (64 cycles) for four loads. Columns come in blocks, and two panels share a block if there are many
//! tokens. So the unpacked weights of a block (24 KiB) and the activations of 32 tokens (12 KiB), which the second panel
//! takes again, stay in L1, and what comes from L2 is 37 bytes a cycle of products: 16 of activations, 21 of sums, which
//! wait in memory between blocks of columns. Longer blocks of one panel would need 45, and no blocks at all 64. Sums are
//! integers: neither the order of blocks nor that detour changes a bit.
//!
//! The products keep one port of the processor busy for one cycle in sixteen. What else there is to do for a panel goes
//! between them, a piece a step: weights are unpacked two steps before their products (while the first tokens are at
//! work), and the results of the tokens before are finished.

use std::mem::MaybeUninit;
use std::ops::Range;

use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4::TILE_BYTES};

use super::convert::{results, unpack};
use super::tiles::{Instructions, ROW_BYTES, ROWS, SumTile, Tiles, WeightTile};

/// Steps of 64 columns in a block of columns.
const STEPS: usize = 6;
/// Panels that share the activations of a block.
const PANELS: usize = 2;
/// How many steps before its products a step is unpacked: a tile may be loaded only when the stores to it have reached L1,
/// which is a latency of products and of stores later.
const AHEAD: usize = 2;
/// Row tiles of a panel.
pub(super) const PANEL_TILES: usize = 8;
pub(super) const PANEL_ROWS: usize = PANEL_TILES * TILE_ROWS;
/// Tokens of a block: two tiles.
pub(super) const BLOCK_TOKENS: usize = 2 * ROWS;
/// Blocks of tokens whose sums have a place.
const BLOCKS: usize = 8;
/// The most tokens that one pass over the weights takes.
pub(super) const PASS_TOKENS: usize = BLOCKS * BLOCK_TOKENS;

/// Sums of a block of tokens: `[half of its tokens][half of the panel's rows]`; if there is but one tile of tokens, `[even
/// or odd steps][half of the panel's rows]`.
type BlockSums = [[SumTile; 2]; 2];

/// Unpacked weights of a block of columns: `[step][half of the panel's rows]`.
type BlockWeights = [[WeightTile; 2]; STEPS];

/// The memory of a call: 88 KiB, on its stack.
pub(super) struct Scratch {
    weights: [BlockWeights; PANELS],
    /// `[block of tokens][panel]`
    sums: [MaybeUninit<BlockSums>; BLOCKS * PANELS],
}

impl Scratch {
    pub(super) const NEW: Self = Self {
        weights: [[[WeightTile([[0; ROW_BYTES]; ROWS]); 2]; STEPS]; PANELS],
        sums: [const { MaybeUninit::uninit() }; BLOCKS * PANELS],
    };

    /// The memory for passes of `tokens` tokens: what more would take is not touched.
    fn parts(&mut self, tokens: usize) -> (&mut [BlockWeights; PANELS], &mut [BlockSums]) {
        let sums = &mut self.sums[..tokens.div_ceil(BLOCK_TOKENS) * PANELS];
        sums.fill(MaybeUninit::new([[SumTile([[0; 16]; ROWS]); 2]; 2]));
        // SAFETY: all of them have just been filled.
        (&mut self.weights, unsafe { sums.assume_init_mut() })
    }
}

/// Row tiles of a panel.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    /// Tiles of 64 columns of each row tile. The last row tile stands in for those that the panel does not have: nobody
    /// reads their sums.
    pub(super) tiles: [&'a [[u8; TILE_BYTES]]; PANEL_TILES],
    /// Tiles from here to the panel that will be unpacked in its place.
    pub(super) next: usize,
    /// Output of the first row, and the number of rows.
    row: usize,
    rows: usize,
    scales: [f32; PANEL_ROWS],
}

impl<'a> Panel<'a> {
    /// `w` holds 1 to 8 row tiles of `columns` tiles.
    fn new(
        w: &'a [[u8; TILE_BYTES]],
        columns: usize,
        next: usize,
        row: usize,
        scale: TernaryScale<'_>,
    ) -> Self {
        let count = w.len() / columns;
        let tiles = std::array::from_fn(|i| &w[i.min(count - 1) * columns..][..columns]);
        let mut scales = [0.0; PANEL_ROWS];
        for (i, s) in scales.iter_mut().enumerate() {
            *s = scale.row(row + i);
        }
        Self { tiles, next, row, rows: count * TILE_ROWS, scales }
    }
}

/// Sums that wait to become results: those of some tokens of a panel.
struct Pending {
    tokens: Range<usize>,
    /// The first token of the block.
    first: usize,
    place: usize,
    /// One tile of tokens, whose sums of even and odd steps are apart.
    apart: bool,
    row: usize,
    rows: usize,
    scales: [f32; PANEL_ROWS],
}

/// The product of a call.
pub(super) struct Product<'a, I: Instructions, R> {
    tiles: Tiles<I>,
    weights: &'a mut [BlockWeights; PANELS],
    sums: &'a mut [BlockSums],
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
    /// The first tokens of a pass, for which weights are unpacked.
    unpacks: bool,
    /// Which of the panels that share the block.
    panel: usize,
    /// The first tile of columns, and how many.
    column: usize,
    steps: usize,
    first: bool,
    last: bool,
    /// The sums wait in memory between blocks of columns, for there are other tokens.
    away: bool,
}

impl<'a, I: Instructions, R: Results> Product<'a, I, R> {
    /// `pass` is the most tokens that a pass will have.
    pub(super) fn new(
        tiles: Tiles<I>,
        scratch: &'a mut Scratch,
        acts: &'a Int8Acts<'a>,
        tokens: usize,
        pass: usize,
        scale: TernaryScale<'a>,
        out: &'a mut R,
    ) -> Self {
        let (weights, sums) = scratch.parts(pass.min(tokens));
        let pending = Pending {
            tokens: 0..0,
            first: 0,
            place: 0,
            apart: false,
            row: 0,
            rows: 0,
            scales: [0.0; PANEL_ROWS],
        };
        Self { tiles, weights, sums, acts, tokens, scale, out, pending }
    }

    /// All rows for `tokens`, at most [`PASS_TOKENS`]. `w` holds whole row tiles of `columns` tiles.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn pass(&mut self, w: &[[u8; TILE_BYTES]], columns: usize, tokens: Range<usize>) {
        // One block of tokens has its sums in registers from the first column to the last, and shares nothing.
        let shared = if tokens.len() > BLOCK_TOKENS { PANELS } else { 1 };
        let tiles = PANEL_TILES * columns;
        for (i, w) in w.chunks(shared * tiles).enumerate() {
            let row = i * shared * PANEL_ROWS;
            let (first, second) = w.split_at(tiles.min(w.len()));
            let first = Panel::new(first, columns, shared * tiles, row, self.scale);
            if second.is_empty() {
                self.panels(&[first], &tokens);
            } else {
                let second = Panel::new(second, columns, shared * tiles, row + PANEL_ROWS, self.scale);
                self.panels(&[first, second], &tokens);
            }
        }
        self.finish(usize::MAX);
    }

    /// The rows of `panels` for `tokens`.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn panels(&mut self, panels: &[Panel<'_>], tokens: &Range<usize>) {
        // What lies beyond the last whole tile of activations is not multiplied.
        let columns = self.acts.stride / ROW_BYTES;
        let parts = columns.div_ceil(STEPS).max(1);
        let steps = columns.div_ceil(parts);
        let away = tokens.len() > BLOCK_TOKENS;
        for part in 0..parts {
            let column = part * steps;
            let steps = steps.min(columns - column);
            let (first, last) = (part == 0, part + 1 == parts);
            for (i, token) in tokens.clone().step_by(BLOCK_TOKENS).enumerate() {
                let (tokens, unpacks) = (BLOCK_TOKENS.min(tokens.end - token), i == 0);
                for (panel, rows) in panels.iter().enumerate() {
                    let place = i * PANELS + panel;
                    let block =
                        Block { token, tokens, place, unpacks, panel, column, steps, first, last, away };
                    match (tokens > ROWS, rows.rows > PANEL_ROWS / 2) {
                        (true, true) => self.block::<2, 2>(rows, block),
                        (true, false) => self.block::<2, 1>(rows, block),
                        (false, true) => self.block::<1, 2>(rows, block),
                        (false, false) => self.block::<1, 1>(rows, block),
                    }
                }
            }
        }
    }

    /// `TILES` x 16 tokens, `HALVES` x 16 rows, one block of columns.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn block<const TILES: usize, const HALVES: usize>(&mut self, panel: &Panel<'_>, block: Block) {
        let stride = self.acts.stride;
        let second = if TILES > 1 { ROWS } else { 0 };
        let [mut q0, mut q1] = [block.token, block.token + second].map(|token| {
            let at = first_row(token, self.tokens) * stride + block.column * ROW_BYTES;
            &self.acts.q[at..]
        });
        self.load_sums::<HALVES>(block);
        // Only the first tokens unpack.
        let unpacked = if block.unpacks { block.steps } else { 0 };
        for step in 0..unpacked.min(AHEAD) {
            unpack::<HALVES>(panel, block.column + step, &mut self.weights[block.panel][step]);
        }
        let finished = self.pending.tokens.len().div_ceil(block.steps.max(1));
        for step in 0..block.steps {
            if step + AHEAD < unpacked {
                let next = step + AHEAD;
                unpack::<HALVES>(panel, block.column + next, &mut self.weights[block.panel][next]);
            }
            if !self.pending.tokens.is_empty() {
                self.finish(finished);
            }
            self.step::<TILES, HALVES>(block.panel, step, [q0, q1], stride);
            (q0, q1) = (&q0[ROW_BYTES..], &q1[ROW_BYTES..]);
        }
        self.finish(usize::MAX);
        if block.away || block.last {
            self.store_sums::<HALVES>(block.place);
        }
        if block.last {
            self.await_results(panel, block);
        }
    }

    /// The products of a step. A product takes longer (52 cycles) than two of them keep the processor busy: one tile of
    /// tokens has the sums of even and odd steps apart, so that none waits for the one before.
    #[inline(always)]
    fn step<const TILES: usize, const HALVES: usize>(
        &mut self,
        panel: usize,
        step: usize,
        q: [&[i8]; 2],
        stride: usize,
    ) {
        let weights = &self.weights[panel][step];
        self.tiles.load_activations::<4>(q[0], stride);
        self.tiles.load_weights::<6>(&weights[0]);
        if HALVES > 1 {
            self.tiles.load_weights::<7>(&weights[1]);
        }
        if TILES > 1 || step.is_multiple_of(2) {
            self.tiles.dot::<0, 4, 6>();
            if HALVES > 1 {
                self.tiles.dot::<1, 4, 7>();
            }
        } else {
            self.tiles.dot::<2, 4, 6>();
            if HALVES > 1 {
                self.tiles.dot::<3, 4, 7>();
            }
        }
        if TILES > 1 {
            self.tiles.load_activations::<5>(q[1], stride);
            self.tiles.dot::<2, 5, 6>();
            if HALVES > 1 {
                self.tiles.dot::<3, 5, 7>();
            }
        }
    }

    #[inline(always)]
    fn load_sums<const HALVES: usize>(&mut self, block: Block) {
        if block.first {
            self.tiles.zero::<0>();
            self.tiles.zero::<1>();
            self.tiles.zero::<2>();
            self.tiles.zero::<3>();
        } else if block.away {
            let [[s0, s1], [s2, s3]] = &self.sums[block.place];
            self.tiles.load_sums::<0>(s0);
            self.tiles.load_sums::<2>(s2);
            if HALVES > 1 {
                self.tiles.load_sums::<1>(s1);
                self.tiles.load_sums::<3>(s3);
            }
        }
    }

    #[inline(always)]
    fn store_sums<const HALVES: usize>(&mut self, place: usize) {
        let [[s0, s1], [s2, s3]] = &mut self.sums[place];
        self.tiles.store_sums::<0>(s0);
        self.tiles.store_sums::<2>(s2);
        if HALVES > 1 {
            self.tiles.store_sums::<1>(s1);
            self.tiles.store_sums::<3>(s3);
        }
    }

    /// The sums of a block are complete; nothing is pending.
    fn await_results(&mut self, panel: &Panel<'_>, block: Block) {
        self.pending = Pending {
            tokens: block.token..block.token + block.tokens,
            first: block.token,
            place: block.place,
            apart: block.tokens <= ROWS,
            row: panel.row,
            rows: panel.rows,
            scales: panel.scales,
        };
    }

    /// Puts the results of up to `count` pending tokens.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline(never)]
    fn finish(&mut self, count: usize) {
        let Pending { ref mut tokens, first, place, apart, row, rows, ref scales } = self.pending;
        for token in tokens.take(count) {
            let tile = (token - first) / ROWS;
            let from = token - first_row(first + tile * ROWS, self.tokens);
            let [even, odd] = &self.sums[place];
            let (sums, more) = match (apart, tile) {
                (true, _) => (even, Some(odd)),
                (false, 0) => (even, None),
                (false, _) => (odd, None),
            };
            let at = token * self.acts.groups;
            let (sum, s) = (self.acts.sums[at], self.acts.scales[at]);
            let values = results(sums, more, from, (sum, s), scales);
            // A length that is known where `put` is inlined makes it a few vectors.
            if rows == PANEL_ROWS {
                self.out.put(token, row, &values);
            } else {
                self.out.put(token, row, &values[..rows]);
            }
        }
    }
}

/// The token in the first row of the tile that begins with `token`. Tiles are always full: the last one begins with tokens
/// that another has, too, unless there is but one.
#[inline(always)]
fn first_row(token: usize, tokens: usize) -> usize {
    token.min(tokens.saturating_sub(ROWS))
}
