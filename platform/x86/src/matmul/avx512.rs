//! AVX-512 with VNNI: a vector is the four rows of a tile.

use core::arch::x86_64::*;

use super::vector::Vector;

/// Needs `avx512f`, `avx512bw` and `avx512vnni`.
pub(crate) struct Avx512;

impl Vector for Avx512 {
    type V = __m512i;

    const LANES: usize = 4;
    // 4 row tiles x 6 tokens are 24 of the 32 registers; the codes of a plane take 4 more, activations one.
    const TOKENS: usize = 6;
    const FLUSH: usize = usize::MAX;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn spread(p: *const u8) -> __m512i {
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn pairs<const P: i32>(w: __m512i) -> __m512i {
        unsafe {
            let mask = _mm512_set1_epi8(3);
            match P {
                0 => _mm512_and_si512(w, mask),
                1 => _mm512_and_si512(_mm512_srli_epi16::<2>(w), mask),
                2 => _mm512_and_si512(_mm512_srli_epi16::<4>(w), mask),
                _ => _mm512_and_si512(_mm512_srli_epi16::<6>(w), mask),
            }
        }
    }
    #[inline(always)]
    unsafe fn scaled_pairs<const P: i32>(w: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(w, _mm512_set1_epi8((3u8 << (2 * P)) as i8)) }
    }
    #[inline(always)]
    unsafe fn unscale<const P: i32>(sums: __m512i) -> __m512i {
        unsafe {
            match P {
                0 => sums,
                1 => _mm512_srai_epi32::<2>(sums),
                2 => _mm512_srai_epi32::<4>(sums),
                _ => _mm512_srai_epi32::<6>(sums),
            }
        }
    }
    #[inline(always)]
    unsafe fn upper_nibbles(w: __m512i) -> __m512i {
        unsafe { _mm512_srli_epi16::<4>(w) }
    }
    #[inline(always)]
    unsafe fn dot(sums: __m512i, u: __m512i, s: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, u, s) }
    }
    #[inline(always)]
    unsafe fn widen(total: __m512i, sums: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(total, sums) }
    }
    #[inline(always)]
    unsafe fn fold4([a, b, c, d]: [__m512i; 4]) -> __m512i {
        unsafe {
            let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
        }
    }
    #[inline(always)]
    unsafe fn store_rows(v: __m512i, p: *mut i32) {
        unsafe {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_si512(p.cast(), _mm512_permutexvar_epi32(order, v));
        }
    }
}
