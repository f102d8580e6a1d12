//! From 16-bit sums to results.

use core::array::from_fn;

use bitnet_edge_kernels::tile::{Results, TILE_ROWS};
use bitnet_edge_simd::AnyResults;
use bitnet_edge_simd::vector::Vector;

use super::look_up::load;
use super::{Entry, Neon, Pass, TOKENS};
use crate::intrinsics::*;

/// Row tiles whose results are put together.
const PUT: usize = 16;

/// Adds 16-bit sums of eight tokens to 32-bit ones of four.
#[inline(always)]
pub(super) fn add<const V: usize>(totals: &mut [int32x4_t; 4], sums: &[int16x8_t; V]) {
    for (totals, sums) in totals.as_chunks_mut::<2>().0.iter_mut().zip(sums) {
        totals[0] = vaddw_s16(totals[0], vget_low_s16(*sums));
        totals[1] = vaddw_high_s16(totals[1], *sums);
    }
}

// SAFETY: of all blocks below: as promised for `run`.
impl Pass<'_> {
    /// Moves 16-bit sums to 32-bit ones.
    #[inline(always)]
    pub(super) unsafe fn widen<const V: usize>(&self) {
        // SAFETY: as above.
        unsafe {
            let mut sums = (&raw mut (*self.memory).sums).cast::<Entry>();
            let mut totals = (&raw mut (*self.memory).totals).cast::<[[i32; 4]; 4]>();
            for _ in 0..self.tiles * TILE_ROWS {
                let to = totals.cast::<i32>();
                let mut all = [vdupq_n_s32(0); 4];
                for (g, all) in all.iter_mut().enumerate().take(2 * V) {
                    *all = arch::vld1q_s32(to.add(4 * g));
                }
                add::<V>(&mut all, &load(sums));
                for (g, all) in all.into_iter().enumerate().take(2 * V) {
                    arch::vst1q_s32(to.add(4 * g), all);
                }
                sums.write_bytes(0, 1);
                (sums, totals) = (sums.add(1), totals.add(1));
            }
        }
    }

    /// Puts all results. `all` are the sums of the tokens' activations.
    #[inline(always)]
    pub(super) unsafe fn put<const V: usize>(&self, all: [int32x4_t; 4], out: &mut AnyResults<'_>) {
        let (mut s, mut more) = ([1.0; TOKENS], [0; TOKENS]);
        for (g, all) in all.into_iter().enumerate() {
            // SAFETY: there is room for four groups of four.
            unsafe { arch::vst1q_s32(more[4 * g..].as_mut_ptr(), all) };
        }
        for t in 0..self.count {
            let at = (self.token + t) * self.acts.groups;
            // Codes are one more than weights. Both are there: the operands were checked.
            (s[t], more[t]) = (self.acts.scales[at], more[t].wrapping_sub(self.acts.sums[at]));
        }
        for start in (0..self.tiles).step_by(PUT) {
            let tiles = PUT.min(self.tiles - start);
            let mut y = [[0.0f32; PUT * TILE_ROWS]; TOKENS];
            for i in 0..tiles {
                let row = (start + i) * TILE_ROWS;
                let scale: [f32; TILE_ROWS] = from_fn(|r| self.scale.row(self.first * TILE_ROWS + row + r));
                for g in 0..2 * V {
                    // SAFETY: as above.
                    unsafe {
                        let scale = arch::vld1q_f32(scale.as_ptr());
                        let totals = (&raw const (*self.memory).totals).cast::<[[u8; 16]; 4]>().add(row);
                        let rows = from_fn(|r| arch::vld1q_u8((*totals.add(r))[g].as_ptr()));
                        for (t, sums) in Neon::transposed(rows).into_iter().enumerate() {
                            let token = 4 * g + t;
                            let sums = vaddq_s32(vreinterpretq_s32_u8(sums), vdupq_n_s32(more[token]));
                            let product = vdivq_f32(vcvtq_f32_s32(sums), vdupq_n_f32(s[token]));
                            arch::vst1q_f32(
                                y[token][i * TILE_ROWS..].as_mut_ptr(),
                                vmulq_f32(product, scale),
                            );
                        }
                    }
                }
            }
            for (t, y) in y.iter().enumerate().take(self.count) {
                let row = (self.first + start) * TILE_ROWS;
                out.put(self.token + t, row, &y[..tiles * TILE_ROWS]);
            }
        }
    }
}
