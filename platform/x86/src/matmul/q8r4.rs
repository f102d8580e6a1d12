//! `matmul_q8r4_i8g32`: `Q8_0`.

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q8r4};

use super::blocks::{Blocks, Tokens, halves};
use super::products::Products;
use super::vector::Vector;

const GROUP: usize = 32;
/// Bytes of a group's two tiles.
const TILES: usize = 128;
/// Groups of a full panel.
const PANEL: usize = PANEL_COLUMNS / GROUP;

/// The layout.
pub(crate) struct Q8;

impl Blocks for Q8 {
    const GROUP: usize = GROUP;
    type Prepared = ();

    fn row_tile_bytes(cols: usize) -> usize {
        q8r4::row_tile_bytes(cols)
    }
    fn room() {}
    #[inline(always)]
    unsafe fn prepare<S: Vector>(_: &Tokens, _: usize, (): &mut ()) {}

    #[inline(always)]
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        (): &(),
    ) -> [[S::V; NT]; T] {
        // SAFETY: all groups of the row tile and of the tokens are readable.
        unsafe {
            let mut stripes = [[S::zero(); NT]; T];
            let full = const { q8r4::row_tile_bytes(PANEL_COLUMNS) };
            let mut b = 0;
            while b < tokens.groups {
                let groups = PANEL.min(tokens.groups - b / PANEL * PANEL);
                let panel = w.add(b / PANEL * full);
                let (tiles, scales) =
                    (panel.add(b % PANEL * TILES), panel.add(groups * TILES + b % PANEL * 8));
                let n = 4.min(tokens.groups - b);
                // A constant number of groups is unrolled.
                if n == 4 {
                    quad::<S, NT, T>(tiles, scales, b, 4, tokens, &mut stripes);
                } else {
                    quad::<S, NT, T>(tiles, scales, b, n, tokens, &mut stripes);
                }
                b += 4;
            }
            stripes
        }
    }
}

/// Adds the terms of `n` groups, of which `b` is the first.
///
/// A group's sum is at most 32 * 128 * 127, and below twice that with an offset of 128: exact in i32 and in f32.
#[inline(always)]
unsafe fn quad<S: Vector, const NT: usize, const T: usize>(
    tiles: *const u8,
    scales: *const u8,
    b: usize,
    n: usize,
    tokens: &Tokens,
    stripes: &mut [[S::V; NT]; T],
) {
    // SAFETY: the groups are readable.
    unsafe {
        for v in 0..NT {
            let d = halves::<S>(scales, v, n);
            for (t, stripes) in stripes.iter_mut().enumerate() {
                let q = tokens.q.add(t * tokens.stride + b * GROUP);
                let mut x = [S::zero(); 4];
                for (j, x) in x.iter_mut().enumerate().take(n) {
                    let (q, w) = (q.add(j * GROUP), tiles.add(j * TILES + v * S::LANES * 16));
                    *x = S::Products::group8(
                        [S::load(w), S::load(w.add(TILES / 2))],
                        [S::spread(q), S::spread(q.add(16))],
                    );
                }
                let mut i = S::fold4(x);
                if let Some(offset) = S::Products::OFFSET {
                    i = S::sub32(i, S::shl32(tokens.four::<S, _>(tokens.sums, t, b, n), offset));
                }
                let a = tokens.four::<S, _>(tokens.scales, t, b, n);
                stripes[v] = S::addf(stripes[v], S::term(d, a, i));
            }
        }
    }
}
