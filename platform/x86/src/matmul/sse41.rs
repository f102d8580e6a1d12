//! SSE4.1: a vector is one row of a tile.

use core::arch::x86_64::*;

use bitnet_edge_kernels::format::f16_to_f32;
use bitnet_edge_kernels::tile::TILE_ROWS;

use super::products::{Maddubs, Signs, Words};
use bitnet_edge_simd::t2r4::Tables;
use bitnet_edge_simd::vector::Vector;

/// Needs `sse4.1`.
pub(crate) struct Sse41;

impl Vector for Sse41 {
    type V = __m128i;
    type Products = Maddubs;

    const LANES: usize = 1;
    const REGISTERS: usize = 16;
    // A row tile x 2 tokens are 8 of the 16 registers; the codes of a plane take 4 more.
    const TOKENS: usize = 2;
    const FEW: usize = 1;
    const AHEAD: Option<usize> = None;
    const BLOCK_TOKENS: usize = 4;

    super::fetches!();

    #[inline(always)]
    unsafe fn zero() -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_setzero_si128() }
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_loadu_si128(p.cast()) }
    }
    #[inline(always)]
    unsafe fn spread(p: *const u8) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_loadu_si128(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat8(x: u8) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_set1_epi8(x as i8) }
    }
    #[inline(always)]
    unsafe fn store_rows(v: __m128i, p: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8, v: usize) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe {
            let group = |j: usize| f16_to_f32(p.cast::<u16>().add(j * TILE_ROWS + v).read_unaligned());
            _mm_castps_si128(_mm_setr_ps(group(0), group(1), group(2), group(3)))
        }
    }
    #[inline(always)]
    unsafe fn half32(a: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c, d] = [
                _mm_extract_epi16::<0>(a),
                _mm_extract_epi16::<2>(a),
                _mm_extract_epi16::<4>(a),
                _mm_extract_epi16::<6>(a),
            ]
            .map(|half| f16_to_f32(half as u16));
            _mm_castps_si128(_mm_setr_ps(a, b, c, d))
        }
    }
    #[inline(always)]
    unsafe fn and(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_and_si128(a, b) }
    }
    #[inline(always)]
    unsafe fn or_and(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_or_si128(a, _mm_and_si128(b, c)) }
    }
    #[inline(always)]
    unsafe fn shuffle8(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_shuffle_epi8(a, b) }
    }
    #[inline(always)]
    unsafe fn shr16(a: __m128i, n: i32) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_srl_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn shl16(a: __m128i, n: i32) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_sll_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn sar32(a: __m128i, n: i32) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_sra_epi32(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn splat16(x: i16) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_set1_epi16(x) }
    }
    #[inline(always)]
    unsafe fn add16(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_add_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub16(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn add32(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub32(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_sub_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn madd(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_madd_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn zip32(a: __m128i, b: __m128i) -> [__m128i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b)] }
    }
    #[inline(always)]
    unsafe fn zip64(a: __m128i, b: __m128i) -> [__m128i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b)] }
    }
    #[inline(always)]
    unsafe fn unzip32(a: __m128i, b: __m128i) -> [__m128i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = (_mm_castsi128_ps(a), _mm_castsi128_ps(b));
            [_mm_castps_si128(_mm_shuffle_ps::<0x88>(a, b)), _mm_castps_si128(_mm_shuffle_ps::<0xdd>(a, b))]
        }
    }
    #[inline(always)]
    unsafe fn float(a: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_castps_si128(_mm_cvtepi32_ps(a)) }
    }
    #[inline(always)]
    unsafe fn addf(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b))) }
    }
    #[inline(always)]
    unsafe fn subf(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_castps_si128(_mm_sub_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b))) }
    }
    #[inline(always)]
    unsafe fn mulf(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_castps_si128(_mm_mul_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b))) }
    }
}

impl Words for Sse41 {
    #[inline(always)]
    unsafe fn spread8(p: *const u8) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_set1_epi64x(p.cast::<i64>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn xor(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_xor_si128(a, b) }
    }
    #[inline(always)]
    unsafe fn sar16(a: __m128i, n: i32) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_sra_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn maddubs(u: __m128i, s: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_maddubs_epi16(u, s) }
    }
    #[inline(always)]
    unsafe fn pack32(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_packs_epi32(a, b) }
    }
}

impl Signs for Sse41 {
    #[inline(always)]
    unsafe fn abs8(a: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_abs_epi8(a) }
    }
    #[inline(always)]
    unsafe fn sign8(a: __m128i, s: __m128i) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_sign_epi8(a, s) }
    }
}

impl Tables for Sse41 {
    #[inline(always)]
    unsafe fn widen8(p: *const u8) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_cvtepi8_epi16(_mm_loadl_epi64(p.cast())) }
    }
    #[inline(always)]
    unsafe fn store(v: __m128i, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn zip8(a: __m128i, b: __m128i) -> [__m128i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)] }
    }
}
