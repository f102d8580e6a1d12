//! `matmul_q6r4_i8g256`: `Q6_K`.

use core::mem::MaybeUninit;

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q6r4};

use crate::blocks::{BLOCK, Blocks, MOST_COLUMNS, Tokens, halves};

use crate::products::Products;
use crate::vector::Vector;

const QUARTER: usize = 192;
const SCALES: usize = 4 * QUARTER;
const PANEL: usize = SCALES + 64;
/// How far ahead weights are fetched for one token.
const AHEAD: usize = 2 << 10;

/// The layout.
pub struct Q6;

impl Blocks for Q6 {
    const GROUP: usize = PANEL_COLUMNS;
    /// For each 32 columns, and for each token of the block, what an offset of 32 adds to the products: as [`Products::offsets`] makes them.
    type Prepared = MaybeUninit<[[u8; MOST_COLUMNS]; BLOCK]>;

    fn row_tile_bytes(cols: usize) -> usize {
        q6r4::row_tile_bytes(cols)
    }
    fn column_bytes(cols: usize) -> usize {
        // Behind the panels of all columns there are their scales.
        cols / PANEL_COLUMNS * PANEL
    }
    fn room() -> Self::Prepared {
        MaybeUninit::uninit()
    }

    #[inline(always)]
    unsafe fn prepare<S: Vector>(tokens: &Tokens, count: usize, prepared: &mut Self::Prepared) {
        for t in 0..count {
            for at in (0..tokens.groups * PANEL_COLUMNS).step_by(32) {
                // SAFETY: there is room for 8 tokens of up to `MOST_COLUMNS`.
                unsafe {
                    let to = prepared.as_mut_ptr().cast::<u8>().add(at * count + t * 32);
                    S::Products::offsets(tokens.q.add(t * tokens.stride + at), to);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        prepared: &Self::Prepared,
        mut stripes: [[S::V; NT]; T],
    ) -> [[S::V; NT]; T] {
        // SAFETY: all panels of the row tile and of the tokens are readable; the tokens were prepared.
        unsafe {
            let scales = w.add((tokens.row - tokens.first) * PANEL + tokens.first * 8);
            let mut b = 0;
            while b < tokens.groups {
                let n = 4.min(tokens.groups - b);
                let mut x = [[[S::zero(); 4]; NT]; T];
                for j in 0..n {
                    let sums = panel::<S, NT, T>(w.add((b + j) * PANEL), tokens, b + j, prepared);
                    for (x, sums) in x.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                        x[j] = *sums;
                    }
                }
                for v in 0..NT {
                    let d = halves::<S>(scales.add(b * 8), v, n);
                    for (t, stripes) in stripes.iter_mut().enumerate() {
                        let a = tokens.scales::<S>(t, b, n);
                        stripes[v] = S::addf(stripes[v], S::term(d, a, S::fold4(x[t][v])));
                    }
                }
                b += 4;
            }
            stripes
        }
    }
}

/// Integer sums of a panel's rows, in four elements each; their sum is at most 256 * 128 * 32 * 127, below 2^27.
#[inline(always)]
unsafe fn panel<S: Vector, const NT: usize, const T: usize>(
    w: *const u8,
    tokens: &Tokens,
    b: usize,
    prepared: &<Q6 as Blocks>::Prepared,
) -> [[S::V; NT]; T] {
    // SAFETY: the panel and these columns of the tokens are readable.
    unsafe {
        let mut sums = [[S::zero(); NT]; T];
        for quarter in 0..4 {
            let at = b * PANEL_COLUMNS + quarter * 64;
            if T == 1 {
                for line in (0..PANEL / 4).step_by(64) {
                    S::fetch(w.wrapping_add(quarter * (PANEL / 4) + AHEAD + line));
                }
            }
            // Not by loops, which the compiler would keep where there are many tokens, with the sums in memory.
            let part =
                Part { w: w.add(quarter * QUARTER), scales: w.add(SCALES + quarter * 16), at, prepared };
            part.rows::<S, NT, T, 0>(&mut sums, tokens);
            part.rows::<S, NT, T, 1>(&mut sums, tokens);
            part.rows::<S, NT, T, 2>(&mut sums, tokens);
            part.rows::<S, NT, T, 3>(&mut sums, tokens);
        }
        sums
    }
}

/// A quarter of a panel.
#[derive(Clone, Copy)]
struct Part<'a> {
    w: *const u8,
    /// The scales of its sub-blocks, `[4][4 rows]`.
    scales: *const u8,
    /// The first column.
    at: usize,
    prepared: &'a <Q6 as Blocks>::Prepared,
}

// SAFETY: of all blocks: as for `panel`.
impl Part<'_> {
    /// Adds the products of the rows of vector `V`, if there is one.
    #[inline(always)]
    unsafe fn rows<S: Vector, const NT: usize, const T: usize, const V: usize>(
        &self,
        sums: &mut [[S::V; NT]; T],
        tokens: &Tokens,
    ) {
        if V < NT {
            // SAFETY: as above.
            unsafe {
                let tile = self.w.add(V * S::LANES * 16);
                let (low, high) = (S::load(tile), S::load(tile.add(128)));
                let u = [S::sixes(low, high, 0), S::sixes(low, high, 1)];
                self.half::<S, NT, T, V>(sums, tokens, 0, u);
                let low = S::load(tile.add(64));
                let u = [S::sixes(low, high, 2), S::sixes(low, high, 3)];
                self.half::<S, NT, T, V>(sums, tokens, 1, u);
            }
        }
    }

    /// The same for half of its columns, whose codes are `u`.
    #[inline(always)]
    unsafe fn half<S: Vector, const NT: usize, const T: usize, const V: usize>(
        &self,
        sums: &mut [[S::V; NT]; T],
        tokens: &Tokens,
        half: usize,
        u: [S::V; 2],
    ) {
        const { assert!(T <= BLOCK) }
        // SAFETY: as above.
        unsafe {
            let scales = S::Products::scales(self.scales.add(half * 8), V);
            self.token::<S, NT, T, V, 0>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 1>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 2>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 3>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 4>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 5>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 6>(sums, tokens, half, u, scales);
            self.token::<S, NT, T, V, 7>(sums, tokens, half, u, scales);
        }
    }

    /// The same for token `I`, if there is one.
    #[inline(always)]
    unsafe fn token<S: Vector, const NT: usize, const T: usize, const V: usize, const I: usize>(
        &self,
        sums: &mut [[S::V; NT]; T],
        tokens: &Tokens,
        half: usize,
        u: [S::V; 2],
        scales: <S::Products as Products<S>>::Pair,
    ) {
        if I < T {
            // SAFETY: as above.
            unsafe {
                let at = self.at + half * 32;
                let q = tokens.q.add(I * tokens.stride + at);
                let c = self.prepared.as_ptr().cast::<u8>().add(at * T + I * 32);
                let q = [S::spread(q), S::spread(q.add(16))];
                sums[I][V] = S::Products::sub_blocks(sums[I][V], u, q, c, scales);
            }
        }
    }
}
