//! Rows in the elements of a vector, a token in each vector of sums.

use core::arch::asm;

use super::{FOUR, Matrix};
use crate::intrinsics::*;

/// Needs `dotprod`.
pub(crate) struct Sdot;

/// Adds to element `r` four products of bytes: those of element `r` of `u`, and those of one element of `q`.
macro_rules! by_element {
    ($name:ident, $instruction:literal) => {
        #[inline]
        #[target_feature(enable = "dotprod")]
        fn $name(mut sums: int32x4_t, u: uint8x16_t, q: uint8x16_t) -> int32x4_t {
            // SAFETY: the instruction works on registers alone.
            unsafe {
                asm!($instruction, inout(vreg) sums, in(vreg) u, in(vreg) q,
                    options(pure, nomem, nostack, preserves_flags));
            }
            sums
        }
    };
}

by_element!(sdot0, "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[0]");
by_element!(sdot1, "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[1]");
by_element!(sdot2, "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[2]");
by_element!(sdot3, "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[3]");

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
    unsafe fn plane(sums: &mut [int32x4_t; 4], u: &[uint8x16_t; 4], q: [uint8x16_t; 4]) {
        // The tokens take turns: a sum waits for the one before it.
        // SAFETY: the feature is there, as promised.
        unsafe {
            for (sum, q) in sums.iter_mut().zip(q) {
                *sum = sdot0(*sum, u[0], q);
            }
            for (sum, q) in sums.iter_mut().zip(q) {
                *sum = sdot1(*sum, u[1], q);
            }
            for (sum, q) in sums.iter_mut().zip(q) {
                *sum = sdot2(*sum, u[2], q);
            }
            for (sum, q) in sums.iter_mut().zip(q) {
                *sum = sdot3(*sum, u[3], q);
            }
        }
    }
    #[inline(always)]
    unsafe fn rows(sums: [int32x4_t; 4]) -> [int32x4_t; FOUR] {
        sums
    }
}
