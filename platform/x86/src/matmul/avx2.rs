//! AVX2: a vector is two rows of a tile.

use core::arch::x86_64::*;

use super::products::{Maddubs, Signs, Words};
use bitnet_edge_simd::t2r4::Tables;
use bitnet_edge_simd::vector::Vector;

/// Needs `avx2` and `f16c`.
pub(crate) struct Avx2;

impl Vector for Avx2 {
    type V = __m256i;
    type Products = Maddubs;

    const LANES: usize = 2;
    const REGISTERS: usize = 16;
    // A row tile x 5 tokens are 10 of the 16 registers; a tile takes 2, its codes 2 more, activations and a product one each.
    const TOKENS: usize = 5;
    const FEW: usize = 1;
    const AHEAD: Option<usize> = None;
    const BLOCK_TOKENS: usize = 4;

    super::fetches!();

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(p.cast()) }
    }
    #[inline(always)]
    unsafe fn spread(p: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn splat8(x: u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_epi8(x as i8) }
    }
    #[inline(always)]
    unsafe fn store_rows(v: __m256i, p: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            _mm256_storeu_si256(p.cast(), _mm256_permutevar8x32_epi32(v, order));
        }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8, v: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            // Two groups of four rows become four rows of two groups, and two of those four rows of four groups.
            let order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
            let first = _mm_shuffle_epi8(_mm_loadu_si128(p.cast()), order);
            let second = _mm_shuffle_epi8(_mm_loadu_si128(p.add(16).cast()), order);
            let rows =
                if v == 0 { _mm_unpacklo_epi32(first, second) } else { _mm_unpackhi_epi32(first, second) };
            _mm256_castps_si256(_mm256_cvtph_ps(rows))
        }
    }
    #[inline(always)]
    unsafe fn half32(a: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            let halves = _mm256_and_si256(a, _mm256_set1_epi32(0xffff));
            let rows = _mm256_permute4x64_epi64::<0b10_00_10_00>(_mm256_packus_epi32(halves, halves));
            _mm256_castps_si256(_mm256_cvtph_ps(_mm256_castsi256_si128(rows)))
        }
    }
    #[inline(always)]
    unsafe fn and(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn or_and(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_or_si256(a, _mm256_and_si256(b, c)) }
    }
    #[inline(always)]
    unsafe fn shuffle8(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_shuffle_epi8(a, b) }
    }
    #[inline(always)]
    unsafe fn shr16(a: __m256i, n: i32) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_srl_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn shl16(a: __m256i, n: i32) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sll_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn sar32(a: __m256i, n: i32) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn splat16(x: i16) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_epi16(x) }
    }
    #[inline(always)]
    unsafe fn add16(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_add_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub16(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn add32(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub32(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sub_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn madd(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_madd_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn zip32(a: __m256i, b: __m256i) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)] }
    }
    #[inline(always)]
    unsafe fn zip64(a: __m256i, b: __m256i) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)] }
    }
    #[inline(always)]
    unsafe fn unzip32(a: __m256i, b: __m256i) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
            [
                _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(a, b)),
                _mm256_castps_si256(_mm256_shuffle_ps::<0xdd>(a, b)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn float(a: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_castps_si256(_mm256_cvtepi32_ps(a)) }
    }
    #[inline(always)]
    unsafe fn addf(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b))) }
    }
    #[inline(always)]
    unsafe fn subf(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_castps_si256(_mm256_sub_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b))) }
    }
    #[inline(always)]
    unsafe fn mulf(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b))) }
    }
}

impl Words for Avx2 {
    #[inline(always)]
    unsafe fn spread8(p: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_epi64x(p.cast::<i64>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn xor(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_xor_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn sar16(a: __m256i, n: i32) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sra_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn maddubs(u: __m256i, s: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_maddubs_epi16(u, s) }
    }
    #[inline(always)]
    unsafe fn pack32(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_packs_epi32(a, b) }
    }
}

impl Signs for Avx2 {
    #[inline(always)]
    unsafe fn abs8(a: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_abs_epi8(a) }
    }
    #[inline(always)]
    unsafe fn sign8(a: __m256i, s: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sign_epi8(a, s) }
    }
}

impl Tables for Avx2 {
    #[inline(always)]
    unsafe fn widen8(p: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn store(v: __m256i, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn zip8(a: __m256i, b: __m256i) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)] }
    }
}
