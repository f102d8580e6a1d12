//! Two tokens and two rows in a vector of sums.

use core::arch::asm;

use super::{FOUR, Matrix};
use crate::intrinsics::*;

/// Needs `i8mm`.
pub(crate) struct Smmla;

/// Adds the sums of products of eight bytes: half 0 of `a` with both halves of `b`, then half 1.
#[inline]
#[target_feature(enable = "i8mm")]
fn smmla(mut sums: int32x4_t, a: uint8x16_t, b: uint8x16_t) -> int32x4_t {
    // SAFETY: the instruction works on registers alone.
    unsafe {
        asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// The lower halves of two vectors, and the upper ones.
#[inline(always)]
fn halves(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
    let (a, b) = (vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b));
    [vreinterpretq_u8_u64(vzip1q_u64(a, b)), vreinterpretq_u8_u64(vzip2q_u64(a, b))]
}

impl Matrix for Smmla {
    #[inline(always)]
    unsafe fn load(w: *const u8) -> [uint8x16_t; 4] {
        // The lower halves of two rows, their upper halves, then the same of the other two rows.
        // SAFETY: as promised.
        let (a, b) = unsafe { (arch::vld2q_u64(w.cast()), arch::vld2q_u64(w.add(32).cast())) };
        [a.0, a.1, b.0, b.1].map(|v| vreinterpretq_u8_u64(v))
    }
    #[inline(always)]
    unsafe fn pack([a, b, c, d]: [uint8x16_t; FOUR], to: *mut u8) {
        let ([a, b], [c, d]) = (halves(a, b), halves(c, d));
        // SAFETY: as promised.
        unsafe {
            arch::vst1q_u8(to, a);
            arch::vst1q_u8(to.add(16), b);
            arch::vst1q_u8(to.add(32), c);
            arch::vst1q_u8(to.add(48), d);
        }
    }
    #[inline(always)]
    unsafe fn plane(sums: &mut [int32x4_t; 4], u: &[uint8x16_t; 4], q: [uint8x16_t; 4]) {
        // SAFETY: the feature is there, as promised.
        unsafe {
            for half in 0..2 {
                sums[0] = smmla(sums[0], q[half], u[half]);
                sums[1] = smmla(sums[1], q[half], u[2 + half]);
                sums[2] = smmla(sums[2], q[2 + half], u[half]);
                sums[3] = smmla(sums[3], q[2 + half], u[2 + half]);
            }
        }
    }
    #[inline(always)]
    unsafe fn rows([a, b, c, d]: [int32x4_t; 4]) -> [int32x4_t; FOUR] {
        let [a, b, c, d] = [a, b, c, d].map(|v| vreinterpretq_u8_s32(v));
        let ([a, b], [c, d]) = (halves(a, b), halves(c, d));
        [a, b, c, d].map(|v| vreinterpretq_s32_u8(v))
    }
}
