//! Two tokens and two rows in a vector of sums.

use core::arch::asm;

use super::{FOUR, Matrix};
use crate::intrinsics::*;

/// Needs `i8mm`.
pub(crate) struct Smmla;

/// [`Matrix::plane`]: each instruction adds the sums of products of eight bytes, those of two tokens with those of two rows.
///
/// # Safety
/// 64 bytes at `q` are readable.
#[inline]
#[target_feature(enable = "i8mm")]
unsafe fn plane(sums: &mut [int32x4_t; 4], u: &[uint8x16_t; 4], mut q: *const u8) -> *const u8 {
    let [mut a, mut b, mut c, mut d] = *sums;
    // SAFETY: as promised; the other instructions work on registers alone.
    unsafe {
        asm!(
            "ld1 {{v0.16b, v1.16b, v2.16b, v3.16b}}, [{q}], #64",
            "smmla {a:v}.4s, v0.16b, {i:v}.16b",
            "smmla {b:v}.4s, v0.16b, {k:v}.16b",
            "smmla {c:v}.4s, v2.16b, {i:v}.16b",
            "smmla {d:v}.4s, v2.16b, {k:v}.16b",
            "smmla {a:v}.4s, v1.16b, {j:v}.16b",
            "smmla {b:v}.4s, v1.16b, {l:v}.16b",
            "smmla {c:v}.4s, v3.16b, {j:v}.16b",
            "smmla {d:v}.4s, v3.16b, {l:v}.16b",
            q = inout(reg) q,
            a = inout(vreg) a, b = inout(vreg) b, c = inout(vreg) c, d = inout(vreg) d,
            i = in(vreg) u[0], j = in(vreg) u[1], k = in(vreg) u[2], l = in(vreg) u[3],
            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    *sums = [a, b, c, d];
    q
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
    unsafe fn plane(sums: &mut [int32x4_t; 4], u: &[uint8x16_t; 4], q: *const u8) -> *const u8 {
        // SAFETY: as promised.
        unsafe { plane(sums, u, q) }
    }
    #[inline(always)]
    unsafe fn rows([a, b, c, d]: [int32x4_t; 4]) -> [int32x4_t; FOUR] {
        let [a, b, c, d] = [a, b, c, d].map(|v| vreinterpretq_u8_s32(v));
        let ([a, b], [c, d]) = (halves(a, b), halves(c, d));
        [a, b, c, d].map(|v| vreinterpretq_s32_u8(v))
    }
}
