//! `matmul_q4r4_i8g32` and `matmul_q4m4_i8g32`: `Q4_0` and `Q4_1`.

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q4r4};

use crate::blocks::{Blocks, Tokens, halves, prefetch};
use crate::products::Products;
use crate::quads::{GROUP, PANEL, Quad, Quads, transposed};
use crate::vector::Vector;

const TILE: usize = 64;

/// The layout; with `MINIMA`, that of `Q4_1`.
pub struct Q4<const MINIMA: bool>;

impl<const MINIMA: bool> Blocks for Q4<MINIMA> {
    const GROUP: usize = GROUP;
    type Prepared = Quads;

    fn row_tile_bytes(cols: usize) -> usize {
        q4r4::row_tile_bytes(cols, MINIMA)
    }
    #[inline(always)]
    fn tokens<S: Vector>() -> usize {
        // With sixteen registers, more would have to be kept in memory.
        if MINIMA && S::REGISTERS < 32 { 2 } else { S::BLOCK_TOKENS }
    }
    fn room() -> Quads {
        Quads::uninit()
    }
    #[inline(always)]
    unsafe fn prepare<S: Vector>(tokens: &Tokens, count: usize, quads: &mut Quads) {
        // SAFETY: as promised.
        unsafe {
            Quad::prepare(tokens, count, quads, |sum| {
                if MINIMA { (sum as f32).to_bits() } else { sum.wrapping_mul(8) as u32 }
            });
        }
    }

    /// A group's sum of nibbles is at most 32 * 15 * 127, of weights 32 * 8 * 127: exact in i32 and in f32.
    #[inline(always)]
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        quads: &Quads,
        mut stripes: [[S::V; NT]; T],
    ) -> [[S::V; NT]; T] {
        // SAFETY: all groups of the row tile are readable, those of the tokens prepared.
        unsafe {
            let full = const { q4r4::row_tile_bytes(PANEL_COLUMNS, MINIMA) };
            for b in (0..tokens.groups).step_by(4) {
                let groups = PANEL.min(tokens.groups - b / PANEL * PANEL);
                let panel = w.add(b / PANEL * full);
                let tiles = panel.add(b % PANEL * TILE);
                let scales = panel.add(groups * TILE + b % PANEL * 8);
                let minima = scales.add((groups * 8).next_multiple_of(64));
                let n = 4.min(tokens.groups - b);
                prefetch::<S, T>(panel.add(b % PANEL / 4 * (full / 2)), full / 2);
                for v in 0..NT {
                    let w = transposed::<S>(tiles.add(v * S::LANES * 16), TILE, n);
                    let mut u = [S::zero(); 8];
                    for (i, w) in w.into_iter().enumerate() {
                        u[i] = S::nibbles(w, 0);
                        u[i + 4] = S::nibbles(w, 1);
                    }
                    let d = halves::<S>(scales, v, n);
                    let m = if MINIMA { halves::<S>(minima, v, n) } else { S::zero() };
                    let sums = S::Products::quad4::<T>(&u, Quad::activations(quads, b / 4));
                    for (t, (stripes, i)) in stripes.iter_mut().zip(sums).enumerate() {
                        let [a, sum] = Quad::of::<T>(quads, t, b / 4).spread::<S>();
                        let term = if MINIMA {
                            S::addf(S::term(d, a, i), S::mulf(S::mulf(m, a), sum))
                        } else {
                            S::term(d, a, S::sub32(i, sum))
                        };
                        stripes[v] = S::addf(stripes[v], term);
                    }
                }
            }
            stripes
        }
    }
}
