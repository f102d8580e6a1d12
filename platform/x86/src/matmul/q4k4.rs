//! `matmul_q4k4_i8g256` and `matmul_q5k4_i8g256`: blocks of 256 with 6-bit scales and minima of sub-blocks.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, PANEL_COLUMNS, Results, TILE_ROWS, q4k4};

use super::panels::{CHUNK, Panels, Sums, sums};
use super::whole_tiles;

const TILE: usize = 64;
/// Where fifth bits begin in a panel, and heads if there are none.
const NIBBLES: usize = 8 * TILE;
/// Row tiles that the tokens of a block go through before the next block of tokens: 16 of them are in the second level cache
/// up to 16,000 columns.
const GROUP_TILES: usize = 16;
const GROUP_ROWS: usize = GROUP_TILES * TILE_ROWS;
/// Most tokens of a register block.
const TOKENS: usize = 8;
/// Chunks of a token whose sums of activations are kept: 16,384 columns.
const KEPT: usize = 16;
/// The sums of activations of a block of tokens.
type Kept = [[Sums; KEPT]; TOKENS];
/// How far ahead of the weights in use the next ones are fetched.
const AHEAD: usize = 4096;

/// The product; `FIFTH` for `q5k4`.
///
/// # Safety
/// The caller runs with the features of `S`, AVX2 among them.
#[inline(always)]
pub(crate) unsafe fn matmul<S: Panels, const FIFTH: bool, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let panels = acts.groups;
    let cols = panels.checked_mul(PANEL_COLUMNS).ok_or(Error::Operand("too many columns"))?;
    acts.check(tokens, cols, panels)?;
    let tiles = whole_tiles(w, q4k4::row_tile_bytes(cols, FIFTH))?;
    let mut kept: Kept = [[[[0; 8]; 4]; KEPT]; TOKENS];
    let mut first = 0;
    while first < tiles {
        let n = GROUP_TILES.min(tiles - first);
        let mut token = 0;
        while token < tokens {
            let count = match tokens - token {
                rest @ 0..2 => rest,
                2..4 => 2,
                4..8 => 4,
                _ => S::BLOCK,
            };
            // SAFETY: row tiles `first..first + n` and tokens `token..token + count` lie in the checked slices.
            unsafe {
                let block = Block::<FIFTH> {
                    w: w.as_ptr().add(first * panels * Block::<FIFTH>::PANEL),
                    q: acts.q.as_ptr().add(token * acts.stride).cast(),
                    stride: acts.stride,
                    a: acts.scales.as_ptr().add(token * panels),
                    panels,
                };
                // The sums of all tokens of a small call stay from one group of row tiles to the next.
                if count < tokens || first == 0 {
                    block.keep_sums(count, &mut kept);
                }
                let mut y = [[0.0; GROUP_ROWS]; TOKENS];
                match count {
                    1 => block.tiles::<S, 1>(n, &kept, &mut y),
                    2 => block.tiles::<S, 2>(n, &kept, &mut y),
                    4 => block.tiles::<S, 4>(n, &kept, &mut y),
                    _ => block.tiles::<S, 8>(n, &kept, &mut y),
                }
                for (t, y) in y.iter().enumerate().take(count) {
                    out.put(token + t, first * TILE_ROWS, &y[..n * TILE_ROWS]);
                }
            }
            token += count;
        }
        first += n;
    }
    Ok(())
}

/// Some row tiles and some tokens.
#[derive(Clone, Copy)]
struct Block<const FIFTH: bool> {
    /// The first row tile.
    w: *const u8,
    /// The first token's activations.
    q: *const u8,
    /// Bytes from a token to the next.
    stride: usize,
    /// The first token's scales, `panels` a token.
    a: *const f32,
    panels: usize,
}

impl<const FIFTH: bool> Block<FIFTH> {
    const HEADS: usize = NIBBLES + if FIFTH { 2 * TILE } else { 0 };
    const PANEL: usize = Self::HEADS + TILE;

    /// The sums of activations of `tokens` tokens, for as many chunks as are kept.
    ///
    /// # Safety
    /// The tokens are readable, and the CPU has AVX2.
    #[inline(always)]
    unsafe fn keep_sums(&self, tokens: usize, kept: &mut Kept) {
        for (t, kept) in kept.iter_mut().enumerate().take(tokens) {
            for (chunk, kept) in kept.iter_mut().enumerate().take(self.panels.div_ceil(CHUNK)) {
                // SAFETY: the token's panels from this chunk on are readable.
                *kept = unsafe { self.chunk_sums(t, chunk * CHUNK) };
            }
        }
    }

    /// The sums of activations of token `t` in the panels from `first` on, as many of them as are in a chunk.
    #[inline(always)]
    unsafe fn chunk_sums(&self, t: usize, first: usize) -> Sums {
        // SAFETY: as in `keep_sums`.
        unsafe { sums(self.q.add(t * self.stride + first * PANEL_COLUMNS), CHUNK.min(self.panels - first)) }
    }

    /// Results of `n` row tiles for `T` tokens.
    ///
    /// # Safety
    /// All of them are readable; the features of `S` are there.
    #[inline(always)]
    unsafe fn tiles<S: Panels, const T: usize>(
        &self,
        n: usize,
        kept: &Kept,
        y: &mut [[f32; GROUP_ROWS]; TOKENS],
    ) {
        // SAFETY: the features of `S` are there.
        let mut i = unsafe { [[S::zero(); T]; CHUNK] };
        for part in 0..n * TILE_ROWS / S::LANES {
            let row = part * S::LANES;
            // SAFETY: as promised, for chunks of panels that exist.
            unsafe {
                let lanes = row % TILE_ROWS * 16;
                let w = self.w.add(row / TILE_ROWS * self.panels * Self::PANEL + lanes);
                let mut stripes = [S::no_floats(); T];
                let mut b = 0;
                while b < self.panels {
                    self.chunk::<S, T>(w, b, kept, &mut i, &mut stripes);
                    b += CHUNK;
                }
                for (stripes, y) in stripes.iter().zip(&mut *y) {
                    S::fold(*stripes, &mut y[row..row + S::LANES]);
                }
            }
        }
    }

    /// Adds the terms of up to four panels, from panel `first` on. `w` is the row tile, or its second rows where vectors hold two.
    #[inline(always)]
    unsafe fn chunk<S: Panels, const T: usize>(
        &self,
        w: *const u8,
        first: usize,
        kept: &Kept,
        i: &mut [[S::V; T]; CHUNK],
        stripes: &mut [S::Floats; T],
    ) {
        let n = CHUNK.min(self.panels - first);
        // SAFETY: panels `first..first + n` of the row tile and of `T` tokens are readable.
        unsafe {
            // Panels that are not there add zero.
            let (mut heads, mut unpacked) = ([S::zero(); CHUNK], [S::zero(); CHUNK]);
            for i in &mut i[n..] {
                i.fill(S::zero());
            }
            for k in 0..n {
                let panel = w.add((first + k) * Self::PANEL);
                heads[k] = S::load(panel.add(Self::HEADS));
                unpacked[k] = S::unpack(heads[k]);
                let q = self.q.add((first + k) * PANEL_COLUMNS);
                let mut acc = [S::zero(); T];
                self.pair::<S, T, 0>(panel, q, unpacked[k], &mut acc);
                self.pair::<S, T, 1>(panel, q, unpacked[k], &mut acc);
                self.pair::<S, T, 2>(panel, q, unpacked[k], &mut acc);
                self.pair::<S, T, 3>(panel, q, unpacked[k], &mut acc);
                i[k] = acc;
            }
            let (minima, d) = (S::minima(unpacked), S::widen_heads(heads));
            for (t, stripes) in stripes.iter_mut().enumerate() {
                let j = match kept[t].get(first / CHUNK) {
                    Some(sums) => S::dot_minima(&minima, sums),
                    None => S::dot_minima(&minima, &self.chunk_sums(t, first)),
                };
                let a = S::spread_floats(self.a.add(t * self.panels + first), n);
                *stripes = S::add_terms(*stripes, [i[0][t], i[1][t], i[2][t], i[3][t]], j, d, a);
            }
        }
    }

    /// Adds the products of sub-blocks `2 * K` and `2 * K + 1`, times their scales.
    #[inline(always)]
    unsafe fn pair<S: Panels, const T: usize, const K: usize>(
        &self,
        panel: *const u8,
        q: *const u8,
        unpacked: S::V,
        acc: &mut [S::V; T],
    ) {
        // SAFETY: as in `chunk`; a prefetch reads nothing.
        unsafe {
            let at = panel.add(K * 2 * TILE);
            if T <= 2 {
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD + TILE).cast());
                if K < (Self::PANEL - NIBBLES) / TILE {
                    _mm_prefetch::<_MM_HINT_T0>(panel.wrapping_add(AHEAD + NIBBLES + K * TILE).cast());
                }
            }
            let ([c0, c1], [c2, c3]) = (S::nibbles(S::load(at)), S::nibbles(S::load(at.add(TILE))));
            let mut codes = [c0, c1, c2, c3];
            if FIFTH {
                let bits = S::load(panel.add(NIBBLES + K / 2 * TILE));
                codes = if K.is_multiple_of(2) {
                    [
                        S::fifth::<0>(c0, bits),
                        S::fifth::<1>(c1, bits),
                        S::fifth::<2>(c2, bits),
                        S::fifth::<3>(c3, bits),
                    ]
                } else {
                    [
                        S::fifth::<4>(c0, bits),
                        S::fifth::<5>(c1, bits),
                        S::fifth::<6>(c2, bits),
                        S::fifth::<7>(c3, bits),
                    ]
                };
            }
            let scales = S::scales::<K>(unpacked);
            for (t, acc) in acc.iter_mut().enumerate() {
                *acc = S::dot_pair(*acc, &codes, q.add(t * self.stride + K * 64), scales);
            }
        }
    }
}
