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
            for v in 0..NT {
                let tile = w.add(quarter * QUARTER + v * S::LANES * 16);
                let high = S::load(tile.add(128));
                for half in 0..2 {
                    let low = S::load(tile.add(half * 64));
                    let u = if half == 0 {
                        [S::sixes(low, high, 0), S::sixes(low, high, 1)]
                    } else {
                        [S::sixes(low, high, 2), S::sixes(low, high, 3)]
                    };
                    let scales = S::Products::scales(w.add(SCALES + quarter * 16 + half * 8), v);
                    for (t, sums) in sums.iter_mut().enumerate() {
                        let at = at + half * 32;
                        let q = tokens.q.add(t * tokens.stride + at);
                        let c = prepared.as_ptr().cast::<u8>().add(at * T + t * 32);
                        sums[v] = S::Products::sub_blocks(
                            sums[v],
                            u,
                            [S::spread(q), S::spread(q.add(16))],
                            c,
                            scales,
                        );
                    }
                }
            }
        }
        sums
    }
}
