//! Rows in the elements of a vector, a token in each vector of sums.

use core::arch::asm;

use super::{FOUR, Matrix};
use crate::intrinsics::*;

/// Needs `dotprod`.
pub(crate) struct Sdot;

/// [`Matrix::plane`]: adds to element `r` of the sums of a token the products of four bytes of row `r` and four of the token. The tokens take
/// turns: a sum waits for the one before it.
///
/// # Safety
/// 64 bytes at `q` are readable.
#[inline]
#[target_feature(enable = "dotprod")]
unsafe fn plane(sums: &mut [int32x4_t; 4], u: &[uint8x16_t; 4], mut q: *const u8) -> *const u8 {
    let [mut a, mut b, mut c, mut d] = *sums;
    // SAFETY: as promised; the other instructions work on registers alone.
    unsafe {
        asm!(
            "ld1 {{v0.16b, v1.16b, v2.16b, v3.16b}}, [{q}], #64",
            "sdot {a:v}.4s, {i:v}.16b, v0.4b[0]",
            "sdot {b:v}.4s, {i:v}.16b, v1.4b[0]",
            "sdot {c:v}.4s, {i:v}.16b, v2.4b[0]",
            "sdot {d:v}.4s, {i:v}.16b, v3.4b[0]",
            "sdot {a:v}.4s, {j:v}.16b, v0.4b[1]",
            "sdot {b:v}.4s, {j:v}.16b, v1.4b[1]",
            "sdot {c:v}.4s, {j:v}.16b, v2.4b[1]",
            "sdot {d:v}.4s, {j:v}.16b, v3.4b[1]",
            "sdot {a:v}.4s, {k:v}.16b, v0.4b[2]",
            "sdot {b:v}.4s, {k:v}.16b, v1.4b[2]",
            "sdot {c:v}.4s, {k:v}.16b, v2.4b[2]",
            "sdot {d:v}.4s, {k:v}.16b, v3.4b[2]",
            "sdot {a:v}.4s, {l:v}.16b, v0.4b[3]",
            "sdot {b:v}.4s, {l:v}.16b, v1.4b[3]",
            "sdot {c:v}.4s, {l:v}.16b, v2.4b[3]",
            "sdot {d:v}.4s, {l:v}.16b, v3.4b[3]",
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

impl Matrix for Sdot {
    #[inline(always)]
    unsafe fn load(w: *const u8) -> [uint8x16_t; 4] {
        // Bytes 4j to 4j + 3 of each row in vector j.
        // SAFETY: as promised.
        let all = unsafe { arch::vld4q_u32(w.cast()) };
        [all.0, all.1, all.2, all.3].map(|v| vreinterpretq_u8_u32(v))
    }
    #[inline(always)]
    unsafe fn pack([a, b, c, d]: [uint8x16_t; FOUR], to: *mut u8) {
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
    unsafe fn rows(sums: [int32x4_t; 4]) -> [int32x4_t; FOUR] {
        sums
    }
}
