//! `matmul_q5r4_i8g32`: `Q5_0`.

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q5r4};

use super::blocks::{Blocks, Tokens, halves};
use super::products::Products;
use super::vector::Vector;

const GROUP: usize = 32;
const TILE: usize = 64;
/// Groups of a full panel.
const PANEL: usize = PANEL_COLUMNS / GROUP;

/// The layout.
pub(crate) struct Q5;

/// Four groups of a row tile, or the last few of them: those that share a tile of fifth bits.
struct Quad {
    /// The first group.
    b: usize,
    nibbles: *const u8,
    bits: *const u8,
    scales: *const u8,
}

impl Blocks for Q5 {
    const GROUP: usize = GROUP;
    type Prepared = ();

    fn row_tile_bytes(cols: usize) -> usize {
        q5r4::row_tile_bytes(cols)
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
            let full = const { q5r4::row_tile_bytes(PANEL_COLUMNS) };
            let mut b = 0;
            while b < tokens.groups {
                let groups = PANEL.min(tokens.groups - b / PANEL * PANEL);
                let panel = w.add(b / PANEL * full);
                let bits = panel.add(groups * TILE);
                let quad = Quad {
                    b,
                    nibbles: panel.add(b % PANEL * TILE),
                    bits: bits.add(b % PANEL / 4 * TILE),
                    scales: bits.add(groups.div_ceil(4) * TILE + b % PANEL * 8),
                };
                // A constant number of groups is unrolled.
                match tokens.groups - b {
                    n @ ..4 => quad.add::<S, NT, T>(n, tokens, &mut stripes),
                    _ => quad.add::<S, NT, T>(4, tokens, &mut stripes),
                }
                b += 4;
            }
            stripes
        }
    }
}

impl Quad {
    /// Adds the terms of the first `n` groups.
    ///
    /// A group's sum of codes is at most 32 * 31 * 127, of weights 32 * 16 * 127: exact in i32 and in f32.
    #[inline(always)]
    unsafe fn add<S: Vector, const NT: usize, const T: usize>(
        &self,
        n: usize,
        tokens: &Tokens,
        stripes: &mut [[S::V; NT]; T],
    ) {
        // SAFETY: the groups are readable.
        unsafe {
            for v in 0..NT {
                let row = v * S::LANES * 16;
                let d = halves::<S>(self.scales, v, n);
                let bits = S::load(self.bits.add(row));
                let mut x = [[S::zero(); 4]; T];
                for j in 0..n {
                    let w = S::load(self.nibbles.add(j * TILE + row));
                    let u = [S::fives(w, 0, bits, 2 * j as i32), S::fives(w, 1, bits, 2 * j as i32 + 1)];
                    for (t, x) in x.iter_mut().enumerate() {
                        let q = tokens.q.add(t * tokens.stride + (self.b + j) * GROUP);
                        x[j] = S::Products::group5(u, [S::spread(q), S::spread(q.add(16))]);
                    }
                }
                for (t, stripes) in stripes.iter_mut().enumerate() {
                    let a = tokens.four::<S, _>(tokens.scales, t, self.b, n);
                    let sum = tokens.four::<S, _>(tokens.sums, t, self.b, n);
                    let i = S::sub32(S::fold4(x[t]), S::shl32(sum, 4));
                    stripes[v] = S::addf(stripes[v], S::term(d, a, i));
                }
            }
        }
    }
}
