//! Products of bytes on every processor: eight of them to 16 bits, added up there and widened in time.
//!
//! Activations are never -128 (`docs/arithmetic.md`, section 5), on which the bounds rest.

use crate::intrinsics::*;

use bitnet_edge_simd::products::Products;
use bitnet_edge_simd::vector::Vector;

use super::vectors::Vectors;

/// Products in 16 bits.
pub(crate) struct Smull;

/// Scales of sub-blocks, and which of them are meant; those are known once this is inlined.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    all: int16x8_t,
    pair: [usize; 2],
}

#[inline(always)]
fn s8(a: uint8x16_t) -> int8x16_t {
    vreinterpretq_s8_u8(a)
}

#[inline(always)]
fn s32(a: uint8x16_t) -> int32x4_t {
    vreinterpretq_s32_u8(a)
}

/// Products of the lower halves.
#[inline(always)]
fn low(u: uint8x16_t, q: uint8x16_t) -> int16x8_t {
    vmull_s8(vget_low_s8(s8(u)), vget_low_s8(s8(q)))
}

/// Adds products of the lower halves.
#[inline(always)]
fn add_low(sums: int16x8_t, u: uint8x16_t, q: uint8x16_t) -> int16x8_t {
    vmlal_s8(sums, vget_low_s8(s8(u)), vget_low_s8(s8(q)))
}

/// Adds products of the upper halves.
#[inline(always)]
fn add_high(sums: int16x8_t, u: uint8x16_t, q: uint8x16_t) -> int16x8_t {
    vmlal_high_s8(sums, s8(u), s8(q))
}

/// Adds `x` times scale `i`.
#[inline(always)]
fn add_scaled(sums: int32x4_t, x: int16x8_t, scales: int16x8_t, i: usize) -> int32x4_t {
    macro_rules! by {
        ($i:literal) => {
            vmlal_high_laneq_s16::<$i>(vmlal_laneq_s16::<$i>(sums, vget_low_s16(x), scales), x, scales)
        };
    }
    match i {
        0 => by!(0),
        1 => by!(1),
        2 => by!(2),
        3 => by!(3),
        4 => by!(4),
        5 => by!(5),
        6 => by!(6),
        _ => by!(7),
    }
}

// SAFETY: of all blocks below: reading is the caller's promise of `Vector`.
impl Products<Vectors<Self>> for Smull {
    type Pair = Scales;

    // Two products a plane go to each element, at most 3 * 127 each, and a tile has four planes: 10 * 4 * 2 * 381 = 30,480. A code is at
    // most 2 in what passes for a model, but a damaged or hostile image may have 3, and gives the same bits everywhere, too.
    const FLUSH: usize = 10;
    // One product a plane: 20 * 4 * 381 = 30,480.
    const FLUSH_TILE: usize = 20;
    const OFFSET: i32 = 0;

    #[inline(always)]
    unsafe fn dot(sums: uint8x16_t, u: uint8x16_t, q: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_s16(add_high(add_low(vreinterpretq_s16_u8(sums), u, q), u, q))
    }
    #[inline(always)]
    unsafe fn widen(total: uint8x16_t, sums: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_s32(vpadalq_s16(s32(total), vreinterpretq_s16_u8(sums)))
    }
    #[inline(always)]
    unsafe fn dot_tile(sums: &mut [uint8x16_t; 4], w: uint8x16_t, q: &[uint8x16_t; 4]) {
        for (p, q) in q.iter().enumerate() {
            // SAFETY: of any vectors.
            let u = unsafe { Vectors::<Self>::pairs(w, p as i32) };
            sums[0] = vreinterpretq_u8_s16(add_low(vreinterpretq_s16_u8(sums[0]), u, *q));
            sums[1] = vreinterpretq_u8_s16(add_high(vreinterpretq_s16_u8(sums[1]), u, *q));
        }
    }
    #[inline(always)]
    unsafe fn collect(total: uint8x16_t, [a, b, ..]: [uint8x16_t; 4]) -> uint8x16_t {
        let total = vpadalq_s16(s32(total), vreinterpretq_s16_u8(a));
        vreinterpretq_u8_s32(vpadalq_s16(total, vreinterpretq_s16_u8(b)))
    }
    #[inline(always)]
    unsafe fn quad4<const T: usize>(u: &[uint8x16_t; 8], q: [*const u8; T]) -> [uint8x16_t; T] {
        // SAFETY: as promised; of codes of at most 15 as of others.
        unsafe { Self::quad5(u, q) }
    }
    #[inline(always)]
    unsafe fn quad5<const T: usize>(u: &[uint8x16_t; 8], q: [*const u8; T]) -> [uint8x16_t; T] {
        // Eight products are at most 8 * 31 * 127 = 31,496.
        let mut all = [vdupq_n_u8(0); T];
        for (all, q) in all.iter_mut().zip(q) {
            let (mut a, mut b) = (vdupq_n_s16(0), vdupq_n_s16(0));
            for (i, u) in u.iter().enumerate() {
                // SAFETY: as promised.
                let q = unsafe { arch::vld1q_u8(q.add(16 * i)) };
                a = add_low(a, *u, q);
                b = add_high(b, *u, q);
            }
            *all = vreinterpretq_u8_s32(vpaddq_s32(vpaddlq_s16(a), vpaddlq_s16(b)));
        }
        all
    }
    #[inline(always)]
    unsafe fn signed(w: uint8x16_t) -> uint8x16_t {
        w
    }
    #[inline(always)]
    unsafe fn quad8<const T: usize>(w: &[uint8x16_t; 8], q: [*const u8; T]) -> [uint8x16_t; T] {
        // Two products are at most 2 * 128 * 127 = 32,512.
        let mut all = [vdupq_n_u8(0); T];
        for (all, q) in all.iter_mut().zip(q) {
            let (mut a, mut b) = (vdupq_n_s32(0), vdupq_n_s32(0));
            for (i, [first, second]) in w.as_chunks::<2>().0.iter().enumerate() {
                // SAFETY: as promised.
                let (q0, q1) = unsafe { (arch::vld1q_u8(q.add(32 * i)), arch::vld1q_u8(q.add(32 * i + 16))) };
                a = vpadalq_s16(a, add_low(low(*first, q0), *second, q1));
                b = vpadalq_s16(b, add_high(vmull_high_s8(s8(*first), s8(q0)), *second, q1));
            }
            *all = vreinterpretq_u8_s32(vpaddq_s32(a, b));
        }
        all
    }
    #[inline(always)]
    unsafe fn scales(p: *const u8, v: usize) -> Scales {
        // SAFETY: as promised.
        Scales { all: vmovl_s8(unsafe { arch::vld1_s8(p.cast()) }), pair: [v, 4 + v] }
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
        // Two products are at most 2 * 32 * 127 = 8,128.
        let mut sums = s32(sums);
        for ((u, q), i) in u.into_iter().zip(q).zip(scales.pair) {
            let w = vsubq_u8(u, vdupq_n_u8(32));
            sums = add_scaled(sums, add_high(low(w, q), w, q), scales.all, i);
        }
        vreinterpretq_u8_s32(sums)
    }
    #[inline(always)]
    unsafe fn wide_scales(scales: uint8x16_t, pair: usize) -> Scales {
        let all = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(scales)));
        Scales { all, pair: [2 * pair, 2 * pair + 1] }
    }
    #[inline(always)]
    unsafe fn wide_sub_blocks(
        sums: uint8x16_t,
        u: [uint8x16_t; 4],
        q: [uint8x16_t; 4],
        scales: Scales,
    ) -> uint8x16_t {
        // Four products are at most 4 * 31 * 127 = 15,748.
        let first = add_high(add_low(add_high(low(u[0], q[0]), u[0], q[0]), u[1], q[1]), u[1], q[1]);
        let second = add_high(add_low(add_high(low(u[2], q[2]), u[2], q[2]), u[3], q[3]), u[3], q[3]);
        let sums = add_scaled(s32(sums), first, scales.all, scales.pair[0]);
        vreinterpretq_u8_s32(add_scaled(sums, second, scales.all, scales.pair[1]))
    }
}
