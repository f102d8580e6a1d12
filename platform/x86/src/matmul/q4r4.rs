//! `matmul_q4r4_i8g32` and `matmul_q4m4_i8g32`: `Q4_0` and `Q4_1`.

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q4r4};

use super::blocks::{Blocks, Tokens, halves};
use super::products::Products;
use super::vector::Vector;

const GROUP: usize = 32;
const TILE: usize = 64;
/// Groups of a full panel.
const PANEL: usize = PANEL_COLUMNS / GROUP;

/// The layout; with `MINIMA`, that of `Q4_1`.
pub(crate) struct Q4<const MINIMA: bool>;

/// Four groups of a row tile, or the last few of them.
struct Quad {
    /// The first group.
    b: usize,
    n: usize,
    tiles: *const u8,
    scales: *const u8,
    minima: *const u8,
}

impl<const MINIMA: bool> Blocks for Q4<MINIMA> {
    const GROUP: usize = GROUP;
    type Prepared = ();

    fn row_tile_bytes(cols: usize) -> usize {
        q4r4::row_tile_bytes(cols, MINIMA)
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
            let full = const { q4r4::row_tile_bytes(PANEL_COLUMNS, MINIMA) };
            let mut b = 0;
            while b < tokens.groups {
                let groups = PANEL.min(tokens.groups - b / PANEL * PANEL);
                let panel = w.add(b / PANEL * full);
                let scales = panel.add(groups * TILE + b % PANEL * 8);
                let quad = Quad {
                    b,
                    n: 4.min(tokens.groups - b),
                    tiles: panel.add(b % PANEL * TILE),
                    scales,
                    minima: scales.add((groups * 8).next_multiple_of(64)),
                };
                // A constant number of groups is unrolled.
                if quad.n == 4 {
                    quad.add::<S, NT, T, MINIMA>(4, tokens, &mut stripes);
                } else {
                    quad.add::<S, NT, T, MINIMA>(quad.n, tokens, &mut stripes);
                }
                b += 4;
            }
            stripes
        }
    }
}

impl Quad {
    /// Adds the terms of the groups.
    ///
    /// A group's sum of nibbles is at most 32 * 15 * 127, of weights 32 * 8 * 127: exact in i32 and in f32.
    #[inline(always)]
    unsafe fn add<S: Vector, const NT: usize, const T: usize, const MINIMA: bool>(
        &self,
        n: usize,
        tokens: &Tokens,
        stripes: &mut [[S::V; NT]; T],
    ) {
        // SAFETY: the groups are readable.
        unsafe {
            for v in 0..NT {
                let d = halves::<S>(self.scales, v, n);
                let m = if MINIMA { halves::<S>(self.minima, v, n) } else { S::zero() };
                for (t, stripes) in stripes.iter_mut().enumerate() {
                    let q = tokens.q.add(t * tokens.stride + self.b * GROUP);
                    let mut x = [S::zero(); 4];
                    for (j, x) in x.iter_mut().enumerate().take(n) {
                        let q = q.add(j * GROUP);
                        let w = S::load(self.tiles.add(j * TILE + v * S::LANES * 16));
                        *x = S::Products::group4(w, [S::spread(q), S::spread(q.add(16))]);
                    }
                    let i = S::fold4(x);
                    let a = tokens.four::<S, _>(tokens.scales, t, self.b, n);
                    let sum = tokens.four::<S, _>(tokens.sums, t, self.b, n);
                    let term = if MINIMA {
                        S::addf(S::term(d, a, i), S::term(m, a, sum))
                    } else {
                        S::term(d, a, S::sub32(i, S::shl32(sum, 3)))
                    };
                    stripes[v] = S::addf(stripes[v], term);
                }
            }
        }
    }
}
