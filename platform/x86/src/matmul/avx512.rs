//! AVX-512: a vector is the four rows of a tile.

use core::arch::x86_64::*;

use super::products::{Dot, Vnni, Words};
use bitnet_edge_simd::vector::Vector;

/// Needs `avx512f`, `avx512bw` and `avx512vnni`.
pub(crate) struct Avx512;

impl Vector for Avx512 {
    type V = __m512i;
    type Products = Vnni;

    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    // 4 row tiles x 5 tokens are 20 of the 32 registers; a tile of each takes 4, its codes 4 more, activations one.
    const TOKENS: usize = 5;
    // Four sums a token, and four planes of activations.
    const FEW: usize = 4;
    const AHEAD: Option<usize> = Some(12 << 10);
    const BLOCK_TOKENS: usize = 8;

    super::fetches!();

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn spread(p: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn splat8(x: u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi8(x as i8) }
    }
    #[inline(always)]
    unsafe fn store_rows(v: __m512i, p: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(p.cast(), transposed(v)) }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8, _: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { transposed(_mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256(p.cast())))) }
    }
    #[inline(always)]
    unsafe fn half32(a: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a))) }
    }
    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn or_and(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_ternarylogic_epi32::<0xf8>(a, b, c) }
    }
    #[inline(always)]
    unsafe fn shuffle8(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_shuffle_epi8(a, b) }
    }
    #[inline(always)]
    unsafe fn shr16(a: __m512i, n: i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_srl_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn shl16(a: __m512i, n: i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_sll_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn sar32(a: __m512i, n: i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_sra_epi32(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn splat16(x: i16) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi16(x) }
    }
    #[inline(always)]
    unsafe fn add16(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_add_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub16(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn add32(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub32(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_sub_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn madd(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_madd_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn zip32(a: __m512i, b: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)] }
    }
    #[inline(always)]
    unsafe fn zip64(a: __m512i, b: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's promise.
        unsafe { [_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)] }
    }
    #[inline(always)]
    unsafe fn unzip32(a: __m512i, b: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = (_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
            [
                _mm512_castps_si512(_mm512_shuffle_ps::<0x88>(a, b)),
                _mm512_castps_si512(_mm512_shuffle_ps::<0xdd>(a, b)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn float(a: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(_mm512_cvtepi32_ps(a)) }
    }
    #[inline(always)]
    unsafe fn addf(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))) }
    }
    #[inline(always)]
    unsafe fn subf(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))) }
    }
    #[inline(always)]
    unsafe fn mulf(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))) }
    }
}

impl Words for Avx512 {
    #[inline(always)]
    unsafe fn spread8(p: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi64(p.cast::<i64>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn xor(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn sar16(a: __m512i, n: i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_sra_epi16(a, _mm_cvtsi32_si128(n)) }
    }
    #[inline(always)]
    unsafe fn maddubs(u: __m512i, s: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maddubs_epi16(u, s) }
    }
    #[inline(always)]
    unsafe fn pack32(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_packs_epi32(a, b) }
    }
}

/// Element `i` of lane `l` in the place of element `l` of lane `i`.
#[inline(always)]
unsafe fn transposed(v: __m512i) -> __m512i {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_epi32(order, v)
    }
}

impl Dot for Avx512 {
    #[inline(always)]
    unsafe fn dpbusd(sums: __m512i, u: __m512i, s: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_dpbusd_epi32(sums, u, s) }
    }
    #[inline(always)]
    unsafe fn dpwssd(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_dpwssd_epi32(sums, a, b) }
    }
}
