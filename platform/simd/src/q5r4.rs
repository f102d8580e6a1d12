//! `matmul_q5r4_i8g32`: `Q5_0`.

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q5r4};

use crate::blocks::{Blocks, Tokens, halves, prefetch};
use crate::products::Products;
use crate::quads::{GROUP, PANEL, Quad, Quads};
use crate::vector::Vector;

const TILE: usize = 64;

/// The layout.
pub struct Q5;

impl Blocks for Q5 {
    const GROUP: usize = GROUP;
    type Prepared = Quads;

    fn row_tile_bytes(cols: usize) -> usize {
        q5r4::row_tile_bytes(cols)
    }
    fn room() -> Quads {
        Quads::uninit()
    }
    #[inline(always)]
    unsafe fn prepare<S: Vector>(tokens: &Tokens, count: usize, quads: &mut Quads) {
        // SAFETY: as promised.
        unsafe { Quad::prepare(tokens, count, quads, |sum| sum.wrapping_mul(16) as u32) };
    }

    /// A group's sum of codes is at most 32 * 31 * 127, of weights 32 * 16 * 127: exact in i32 and in f32.
    #[inline(always)]
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        quads: &Quads,
        mut stripes: [[S::V; NT]; T],
    ) -> [[S::V; NT]; T] {
        // SAFETY: all groups of the row tile are readable, those of the tokens prepared.
        unsafe {
            let full = const { q5r4::row_tile_bytes(PANEL_COLUMNS) };
            for b in (0..tokens.groups).step_by(4) {
                let groups = PANEL.min(tokens.groups - b / PANEL * PANEL);
                let panel = w.add(b / PANEL * full);
                let bits = panel.add(groups * TILE);
                let scales = bits.add(groups.div_ceil(4) * TILE + b % PANEL * 8);
                let n = 4.min(tokens.groups - b);
                prefetch::<S, T>(panel.add(b % PANEL / 4 * (full / 2)), full / 2);
                for v in 0..NT {
                    let row = v * S::LANES * 16;
                    let nibbles = panel.add(b % PANEL * TILE + row);
                    let u = codes::<S>(nibbles, S::load(bits.add(b % PANEL / 4 * TILE + row)), n);
                    let d = halves::<S>(scales, v, n);
                    let sums = S::Products::quad5::<T>(&u, Quad::activations(quads, b / 4));
                    for (t, (stripes, i)) in stripes.iter_mut().zip(sums).enumerate() {
                        let [a, sum] = Quad::of::<T>(quads, t, b / 4).spread::<S>();
                        stripes[v] = S::addf(stripes[v], S::term(d, a, S::sub32(i, sum)));
                    }
                }
            }
            stripes
        }
    }
}

/// The codes of `n` of four groups, transposed as [`Quad`]'s activations are; zeros for those that are not there.
#[inline(always)]
unsafe fn codes<S: Vector>(nibbles: *const u8, bits: S::V, n: usize) -> [S::V; 8] {
    // SAFETY: the caller's promise of `Vector`; `n` tiles of nibbles are readable.
    unsafe {
        let (mut first, mut second) = ([S::zero(); 4], [S::zero(); 4]);
        // All four in every case, so that the planes are constants.
        for j in 0..4 {
            if j < n {
                let w = S::load(nibbles.add(j * TILE));
                first[j] = S::fives(w, 0, bits, 2 * j as i32);
                second[j] = S::fives(w, 1, bits, 2 * j as i32 + 1);
            }
        }
        let ([a, b, c, d], [e, f, g, h]) = (S::transposed(first), S::transposed(second));
        [a, b, c, d, e, f, g, h]
    }
}
