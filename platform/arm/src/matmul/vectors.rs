//! NEON: a vector is one row of a tile.

use crate::intrinsics::*;
use core::marker::PhantomData;

use bitnet_edge_kernels::tile::TILE_ROWS;
use bitnet_edge_simd::products::Products;
use bitnet_edge_simd::vector::Vector;

use crate::lanes::widen;

/// With products `P`, and what these need.
pub(crate) struct Vectors<P>(PhantomData<P>);

/// As 32-bit elements.
#[inline(always)]
fn u32s(a: uint8x16_t) -> uint32x4_t {
    vreinterpretq_u32_u8(a)
}

/// As 16-bit elements.
#[inline(always)]
fn u16s(a: uint8x16_t) -> uint16x8_t {
    vreinterpretq_u16_u8(a)
}

/// As f32.
#[inline(always)]
fn floats(a: uint8x16_t) -> float32x4_t {
    vreinterpretq_f32_u8(a)
}

/// Every byte shifted to the right; `n` is known once this is inlined.
#[inline(always)]
fn shr8(a: uint8x16_t, n: i32) -> uint8x16_t {
    match n {
        0 => a,
        1 => vshrq_n_u8::<1>(a),
        2 => vshrq_n_u8::<2>(a),
        3 => vshrq_n_u8::<3>(a),
        4 => vshrq_n_u8::<4>(a),
        5 => vshrq_n_u8::<5>(a),
        _ => vshrq_n_u8::<6>(a),
    }
}

/// Every byte shifted to the left.
#[inline(always)]
fn shl8(a: uint8x16_t, n: i32) -> uint8x16_t {
    match n {
        0 => a,
        1 => vshlq_n_u8::<1>(a),
        2 => vshlq_n_u8::<2>(a),
        3 => vshlq_n_u8::<3>(a),
        _ => vshlq_n_u8::<4>(a),
    }
}

// SAFETY: of all blocks below: reading and writing is the caller's promise of `Vector`.
impl<P: Products<Self>> Vector for Vectors<P> {
    type V = uint8x16_t;
    type Products = P;

    const LANES: usize = 1;
    const REGISTERS: usize = 32;
    // A row tile x 5 tokens are 20 of the 32 registers; a tile takes 4, its codes 4 more, activations one.
    const TOKENS: usize = 5;
    const FEW: usize = 1;
    const AHEAD: Option<usize> = None;
    const BLOCK_TOKENS: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> uint8x16_t {
        vdupq_n_u8(0)
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> uint8x16_t {
        // SAFETY: as above.
        unsafe { arch::vld1q_u8(p) }
    }
    #[inline(always)]
    unsafe fn spread(p: *const u8) -> uint8x16_t {
        // SAFETY: as above.
        unsafe { arch::vld1q_u8(p) }
    }
    #[inline(always)]
    unsafe fn splat8(x: u8) -> uint8x16_t {
        vdupq_n_u8(x)
    }
    #[inline(always)]
    unsafe fn splat16(x: i16) -> uint8x16_t {
        vreinterpretq_u8_s16(vdupq_n_s16(x))
    }
    #[inline(always)]
    unsafe fn store_rows(v: uint8x16_t, p: *mut u32) {
        // SAFETY: as above.
        unsafe { arch::vst1q_u32(p, u32s(v)) }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8, v: usize) -> uint8x16_t {
        // SAFETY: as above; the load takes the sixteen f16 apart by rows.
        let rows = unsafe { arch::vld4_u16(p.cast()) };
        let row = match v % TILE_ROWS {
            0 => rows.0,
            1 => rows.1,
            2 => rows.2,
            _ => rows.3,
        };
        vreinterpretq_u8_f32(widen(row))
    }
    #[inline(always)]
    unsafe fn half32(a: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_f32(widen(vmovn_u32(u32s(a))))
    }
    #[inline(always)]
    unsafe fn and(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vandq_u8(a, b)
    }
    #[inline(always)]
    unsafe fn or_and(a: uint8x16_t, b: uint8x16_t, c: uint8x16_t) -> uint8x16_t {
        vorrq_u8(a, vandq_u8(b, c))
    }
    #[inline(always)]
    unsafe fn shuffle8(a: uint8x16_t, order: uint8x16_t) -> uint8x16_t {
        // Zero for every index from 16 on.
        vqtbl1q_u8(a, order)
    }
    #[inline(always)]
    unsafe fn shr16(a: uint8x16_t, n: i32) -> uint8x16_t {
        let by = vdupq_n_s16(-n as i16);
        vreinterpretq_u8_u16(vshlq_u16(u16s(a), by))
    }
    #[inline(always)]
    unsafe fn shl16(a: uint8x16_t, n: i32) -> uint8x16_t {
        let by = vdupq_n_s16(n as i16);
        vreinterpretq_u8_u16(vshlq_u16(u16s(a), by))
    }
    #[inline(always)]
    unsafe fn sar32(a: uint8x16_t, n: i32) -> uint8x16_t {
        vreinterpretq_u8_s32(vshlq_s32(vreinterpretq_s32_u8(a), vdupq_n_s32(-n)))
    }
    #[inline(always)]
    unsafe fn add16(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_u16(vaddq_u16(u16s(a), u16s(b)))
    }
    #[inline(always)]
    unsafe fn sub16(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_u16(vsubq_u16(u16s(a), u16s(b)))
    }
    #[inline(always)]
    unsafe fn add32(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_u32(vaddq_u32(u32s(a), u32s(b)))
    }
    #[inline(always)]
    unsafe fn sub32(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_u32(vsubq_u32(u32s(a), u32s(b)))
    }
    #[inline(always)]
    unsafe fn madd(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        let (a, b) = (vreinterpretq_s16_u8(a), vreinterpretq_s16_u8(b));
        let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
        vreinterpretq_u8_s32(vpaddq_s32(low, vmull_high_s16(a, b)))
    }
    #[inline(always)]
    unsafe fn zip32(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
        let (a, b) = (u32s(a), u32s(b));
        [vreinterpretq_u8_u32(vzip1q_u32(a, b)), vreinterpretq_u8_u32(vzip2q_u32(a, b))]
    }
    #[inline(always)]
    unsafe fn zip64(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
        let (a, b) = (vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b));
        [vreinterpretq_u8_u64(vzip1q_u64(a, b)), vreinterpretq_u8_u64(vzip2q_u64(a, b))]
    }
    #[inline(always)]
    unsafe fn unzip32(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
        let (a, b) = (u32s(a), u32s(b));
        [vreinterpretq_u8_u32(vuzp1q_u32(a, b)), vreinterpretq_u8_u32(vuzp2q_u32(a, b))]
    }
    #[inline(always)]
    unsafe fn float(a: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_f32(vcvtq_f32_s32(vreinterpretq_s32_u8(a)))
    }
    #[inline(always)]
    unsafe fn addf(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_f32(vaddq_f32(floats(a), floats(b)))
    }
    #[inline(always)]
    unsafe fn subf(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_f32(vsubq_f32(floats(a), floats(b)))
    }
    #[inline(always)]
    unsafe fn mulf(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        vreinterpretq_u8_f32(vmulq_f32(floats(a), floats(b)))
    }

    // Shifts of bytes bring nothing in from their neighbours, so that the last plane needs no mask.
    #[inline(always)]
    unsafe fn pairs(w: uint8x16_t, p: i32) -> uint8x16_t {
        let shifted = shr8(w, 2 * p);
        if p == 3 { shifted } else { vandq_u8(shifted, vdupq_n_u8(3)) }
    }
    #[inline(always)]
    unsafe fn nibbles(w: uint8x16_t, p: i32) -> uint8x16_t {
        if p == 0 { vandq_u8(w, vdupq_n_u8(15)) } else { shr8(w, 4) }
    }
    #[inline(always)]
    unsafe fn sixes(low: uint8x16_t, high: uint8x16_t, p: i32) -> uint8x16_t {
        let high = match p {
            0 => shl8(high, 4),
            1 => shl8(high, 2),
            2 => high,
            _ => shr8(high, 2),
        };
        let low = if p % 2 == 0 { vandq_u8(low, vdupq_n_u8(15)) } else { shr8(low, 4) };
        vorrq_u8(vandq_u8(high, vdupq_n_u8(0x30)), low)
    }
    #[inline(always)]
    unsafe fn fives(low: uint8x16_t, p: i32, high: uint8x16_t, bit: i32) -> uint8x16_t {
        let high = if bit < 4 { shl8(high, 4 - bit) } else { shr8(high, bit - 4) };
        let low = if p == 0 { vandq_u8(low, vdupq_n_u8(15)) } else { shr8(low, 4) };
        vorrq_u8(vandq_u8(high, vdupq_n_u8(0x10)), low)
    }
    #[inline(always)]
    unsafe fn fold4([a, b, c, d]: [uint8x16_t; 4]) -> uint8x16_t {
        let ab = vpaddq_s32(vreinterpretq_s32_u8(a), vreinterpretq_s32_u8(b));
        let cd = vpaddq_s32(vreinterpretq_s32_u8(c), vreinterpretq_s32_u8(d));
        vreinterpretq_u8_s32(vpaddq_s32(ab, cd))
    }
}
