//! `matmul_q8r4_i8g32`: `Q8_0`.

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q8r4};

use crate::blocks::{Blocks, Tokens, halves};
use crate::products::Products;
use crate::quads::{GROUP, PANEL, Quad, Quads, transposed};
use crate::vector::Vector;

/// Bytes of a group's two tiles.
const TILES: usize = 128;

/// The layout.
pub struct Q8;

impl Blocks for Q8 {
    const GROUP: usize = GROUP;
    type Prepared = Quads;

    fn row_tile_bytes(cols: usize) -> usize {
        q8r4::row_tile_bytes(cols)
    }
    #[inline(always)]
    fn tokens<S: Vector>() -> usize {
        // With sixteen registers, more would have to be kept in memory.
        if S::REGISTERS < 32 { 2 } else { S::BLOCK_TOKENS }
    }
    fn room() -> Quads {
        Quads::uninit()
    }
    #[inline(always)]
    unsafe fn prepare<S: Vector>(tokens: &Tokens, count: usize, quads: &mut Quads) {
        // SAFETY: as promised.
        unsafe {
            Quad::prepare(tokens, count, quads, |sum| {
                sum.wrapping_mul(<S::Products as Products<S>>::OFFSET) as u32
            });
        }
    }

    /// A group's sum is at most 32 * 128 * 127, and below twice that with an offset of 128: exact in i32 and in f32.
    #[inline(always)]
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        quads: &Quads,
        mut stripes: [[S::V; NT]; T],
    ) -> [[S::V; NT]; T] {
        // SAFETY: all groups of the row tile are readable, those of the tokens prepared.
        unsafe {
            let full = const { q8r4::row_tile_bytes(PANEL_COLUMNS) };
            for b in (0..tokens.groups).step_by(4) {
                let groups = PANEL.min(tokens.groups - b / PANEL * PANEL);
                let panel = w.add(b / PANEL * full);
                let scales = panel.add(groups * TILES + b % PANEL * 8);
                let n = 4.min(tokens.groups - b);
                for v in 0..NT {
                    let tiles = panel.add(b % PANEL * TILES + v * S::LANES * 16);
                    let first = transposed::<S>(tiles, TILES, n);
                    let second = transposed::<S>(tiles.add(TILES / 2), TILES, n);
                    let mut w = [S::zero(); 8];
                    for (to, from) in w.iter_mut().zip([first, second].as_flattened()) {
                        *to = S::Products::signed(*from);
                    }
                    let d = halves::<S>(scales, v, n);
                    let sums = S::Products::quad8::<T>(&w, Quad::activations(quads, b / 4));
                    for (t, (stripes, mut i)) in stripes.iter_mut().zip(sums).enumerate() {
                        let [a, sum] = Quad::of::<T>(quads, t, b / 4).spread::<S>();
                        if <S::Products as Products<S>>::OFFSET != 0 {
                            i = S::sub32(i, sum);
                        }
                        stripes[v] = S::addf(stripes[v], S::term(d, a, i));
                    }
                }
            }
            stripes
        }
    }
}
