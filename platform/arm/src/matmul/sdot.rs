//! Products of bytes where the processor adds four of them to 32 bits in one instruction (dotprod).
//!
//! Activations are never -128 (`docs/arithmetic.md`, section 5), on which the bounds rest.

use crate::intrinsics::*;
use core::arch::asm;

use bitnet_edge_simd::products::Products;

use super::vectors::Vectors;

/// Products in 32 bits.
pub(crate) struct Sdot;

/// Scales of sub-blocks, and which of them are meant; those are known once this is inlined.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    all: [int32x4_t; 2],
    pair: [usize; 2],
}

#[inline(always)]
fn s32(a: uint8x16_t) -> int32x4_t {
    vreinterpretq_s32_u8(a)
}

/// Adds to each 32-bit element four products of signed bytes. The intrinsic for it is not stable.
#[inline]
#[target_feature(enable = "dotprod")]
pub(crate) fn sdot(mut sums: int32x4_t, a: uint8x16_t, b: uint8x16_t) -> int32x4_t {
    // SAFETY: the instruction works on registers alone.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// Adds `x` times scale `i` of four.
#[inline(always)]
fn add_scaled(sums: int32x4_t, x: int32x4_t, scales: int32x4_t, i: usize) -> int32x4_t {
    match i {
        0 => vmlaq_laneq_s32::<0>(sums, x, scales),
        1 => vmlaq_laneq_s32::<1>(sums, x, scales),
        2 => vmlaq_laneq_s32::<2>(sums, x, scales),
        _ => vmlaq_laneq_s32::<3>(sums, x, scales),
    }
}

// SAFETY: of all blocks below: reading, and that the feature is there, is the caller's promise of `Vector`.
impl Products<Vectors<Self>> for Sdot {
    type Pair = Scales;

    // Each product is at most 3 * 127: i32 holds 2^22 of them, four times the columns of the widest image.
    const FLUSH: usize = usize::MAX;
    const FLUSH_TILE: usize = usize::MAX;
    const OFFSET: i32 = 0;

    #[inline(always)]
    unsafe fn dot(sums: uint8x16_t, u: uint8x16_t, q: uint8x16_t) -> uint8x16_t {
        // SAFETY: as above.
        vreinterpretq_u8_s32(unsafe { sdot(s32(sums), u, q) })
    }
    #[inline(always)]
    unsafe fn widen(total: uint8x16_t, sums: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_s32(vaddq_s32(s32(total), s32(sums)))
    }
    #[inline(always)]
    unsafe fn dot_tile(sums: &mut [uint8x16_t; 4], w: uint8x16_t, q: &[uint8x16_t; 4]) {
        // Planes 1 and 2 stay where they are in their bytes, so that no shift is needed: their sums are multiples of 4 and 16. Plane 3
        // would be negative there; shifted down it needs no mask. An element of plane 2 grows by at most 4 * 48 * 127 a tile: i32 holds
        // 88,000 tiles, more than the 16,384 of the 2^20 columns that the widest image has.
        let planes = [
            (0, vandq_u8(w, vdupq_n_u8(0x03))),
            (1, vandq_u8(w, vdupq_n_u8(0x0c))),
            (2, vandq_u8(w, vdupq_n_u8(0x30))),
            (0, vshrq_n_u8::<6>(w)),
        ];
        for ((sum, u), q) in planes.into_iter().zip(q) {
            // SAFETY: as above.
            sums[sum] = vreinterpretq_u8_s32(unsafe { sdot(s32(sums[sum]), u, *q) });
        }
    }
    #[inline(always)]
    unsafe fn collect(total: uint8x16_t, [a, b, c, _]: [uint8x16_t; 4]) -> uint8x16_t {
        let total = vsraq_n_s32::<2>(vaddq_s32(s32(total), s32(a)), s32(b));
        vreinterpretq_u8_s32(vsraq_n_s32::<4>(total, s32(c)))
    }
    #[inline(always)]
    unsafe fn quad4<const T: usize>(u: &[uint8x16_t; 8], q: [*const u8; T]) -> [uint8x16_t; T] {
        // SAFETY: as above; it takes any signed bytes.
        unsafe { Self::quad8(u, q) }
    }
    #[inline(always)]
    unsafe fn quad5<const T: usize>(u: &[uint8x16_t; 8], q: [*const u8; T]) -> [uint8x16_t; T] {
        // SAFETY: as above.
        unsafe { Self::quad8(u, q) }
    }
    #[inline(always)]
    unsafe fn signed(w: uint8x16_t) -> uint8x16_t {
        w
    }
    #[inline(always)]
    unsafe fn quad8<const T: usize>(w: &[uint8x16_t; 8], q: [*const u8; T]) -> [uint8x16_t; T] {
        let mut sums = [vdupq_n_s32(0); T];
        for (i, w) in w.iter().enumerate() {
            for (sum, q) in sums.iter_mut().zip(q) {
                // SAFETY: as above.
                *sum = unsafe { sdot(*sum, *w, arch::vld1q_u8(q.add(16 * i))) };
            }
        }
        let mut all = [vdupq_n_u8(0); T];
        for (all, sum) in all.iter_mut().zip(sums) {
            *all = vreinterpretq_u8_s32(sum);
        }
        all
    }
    #[inline(always)]
    unsafe fn scales(p: *const u8, v: usize) -> Scales {
        // SAFETY: as promised.
        let all = vmovl_s8(unsafe { arch::vld1_s8(p.cast()) });
        Scales { all: [vmovl_s16(vget_low_s16(all)), vmovl_high_s16(all)], pair: [v, v] }
    }
    #[inline(always)]
    unsafe fn offsets(_: *const u8, _: *mut u8) {
        // Nothing: codes become signed.
    }
    #[inline(always)]
    unsafe fn sub_blocks(
        sums: uint8x16_t,
        u: [uint8x16_t; 2],
        q: [uint8x16_t; 2],
        _: *const u8,
        scales: Scales,
    ) -> uint8x16_t {
        let mut sums = s32(sums);
        for (j, (u, q)) in u.into_iter().zip(q).enumerate() {
            let w = vsubq_u8(u, vdupq_n_u8(32));
            // SAFETY: as above.
            let four = unsafe { sdot(vdupq_n_s32(0), w, q) };
            sums = add_scaled(sums, four, scales.all[j], scales.pair[j]);
        }
        vreinterpretq_u8_s32(sums)
    }
    #[inline(always)]
    unsafe fn wide_scales(scales: uint8x16_t, pair: usize) -> Scales {
        let all = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(scales)));
        let four = if pair < 2 { vmovl_s16(vget_low_s16(all)) } else { vmovl_high_s16(all) };
        Scales { all: [four; 2], pair: [pair % 2 * 2, pair % 2 * 2 + 1] }
    }
    #[inline(always)]
    unsafe fn wide_sub_blocks(
        sums: uint8x16_t,
        u: [uint8x16_t; 4],
        q: [uint8x16_t; 4],
        scales: Scales,
    ) -> uint8x16_t {
        let mut sums = s32(sums);
        for j in 0..2 {
            // SAFETY: as above.
            let eight = unsafe { sdot(sdot(vdupq_n_s32(0), u[2 * j], q[2 * j]), u[2 * j + 1], q[2 * j + 1]) };
            sums = add_scaled(sums, eight, scales.all[j], scales.pair[j]);
        }
        vreinterpretq_u8_s32(sums)
    }
}
