//! AVX-512 with VNNI: a vector is the four rows of a tile.

use core::arch::x86_64::*;

use super::vector::Vector;

/// Needs `avx512f`, `avx512bw` and `avx512vnni`.
pub(crate) struct Avx512;

impl Vector for Avx512 {
    type V = __m512i;
    type Pair = __m512i;

    const LANES: usize = 4;
    // 4 row tiles x 5 tokens are 20 of the 32 registers; a tile of each takes 4, its codes 4 more, activations one.
    const TOKENS: usize = 5;
    // Four sums a token, and four planes of activations.
    const FEW: usize = 4;
    const FLUSH: usize = usize::MAX;
    const FLUSH_TILE: usize = usize::MAX;
    const BLOCK_TOKENS: usize = 8;
    const OFFSET: i32 = 128;

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
    unsafe fn dot_tile(sums: &mut [__m512i; 4], w: __m512i, q: &[__m512i; 4]) {
        // The planes stay where they are in their bytes, so that no shift is needed: their sums are multiples of 1, 4, 16
        // and 64. That of plane 3 grows by at most 4 * 128 * 127 an element and tile: i32 holds 33,000 tiles, twice as many
        // as the 2^20 columns of the widest image.
        unsafe {
            sums[0] = Self::dot(sums[0], _mm512_and_si512(w, _mm512_set1_epi8(0x03)), q[0]);
            sums[1] = Self::dot(sums[1], _mm512_and_si512(w, _mm512_set1_epi8(0x0c)), q[1]);
            sums[2] = Self::dot(sums[2], _mm512_and_si512(w, _mm512_set1_epi8(0x30)), q[2]);
            sums[3] = Self::dot(sums[3], _mm512_and_si512(w, _mm512_set1_epi8(0xc0u8 as i8)), q[3]);
        }
    }
    #[inline(always)]
    unsafe fn collect(total: __m512i, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        unsafe {
            let ab = _mm512_add_epi32(a, _mm512_srai_epi32::<2>(b));
            let cd = _mm512_add_epi32(_mm512_srai_epi32::<4>(c), _mm512_srai_epi32::<6>(d));
            _mm512_add_epi32(total, _mm512_add_epi32(ab, cd))
        }
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
    unsafe fn store_rows(v: __m512i, p: *mut u32) {
        unsafe {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_si512(p.cast(), _mm512_permutexvar_epi32(order, v));
        }
    }

    #[inline(always)]
    unsafe fn group4(w: __m512i, q: [__m512i; 2]) -> __m512i {
        unsafe {
            let mask = _mm512_set1_epi8(15);
            let low = Self::dot(_mm512_setzero_si512(), _mm512_and_si512(w, mask), q[0]);
            Self::dot(low, _mm512_and_si512(_mm512_srli_epi16::<4>(w), mask), q[1])
        }
    }
    #[inline(always)]
    unsafe fn group8(w: [__m512i; 2], q: [__m512i; 2]) -> __m512i {
        unsafe {
            let offset = _mm512_set1_epi8(i8::MIN);
            let first = Self::dot(_mm512_setzero_si512(), _mm512_xor_si512(w[0], offset), q[0]);
            Self::dot(first, _mm512_xor_si512(w[1], offset), q[1])
        }
    }
    #[inline(always)]
    unsafe fn sixes<const P: i32>(low: __m512i, high: __m512i) -> __m512i {
        unsafe {
            let low = if P % 2 == 0 { low } else { _mm512_srli_epi16::<4>(low) };
            let high = match P {
                0 => _mm512_slli_epi16::<4>(high),
                1 => _mm512_slli_epi16::<2>(high),
                2 => high,
                _ => _mm512_srli_epi16::<2>(high),
            };
            let high = _mm512_and_si512(high, _mm512_set1_epi8(0x30));
            // high | low & 15
            _mm512_ternarylogic_epi32::<0xf8>(high, low, _mm512_set1_epi8(15))
        }
    }
    #[inline(always)]
    unsafe fn scales(p: *const u8, _: usize) -> __m512i {
        unsafe {
            // In lane r, four words of byte r and four of byte 4 + r, in their upper halves.
            const ORDER: [[u8; 16]; 4] = super::pair_order();
            let both = _mm512_set1_epi64(p.cast::<i64>().read_unaligned());
            let upper = _mm512_shuffle_epi8(both, _mm512_loadu_si512(ORDER.as_ptr().cast()));
            _mm512_srai_epi16::<8>(upper)
        }
    }
    #[inline(always)]
    unsafe fn offsets(q: *const u8, c: *mut u8) {
        unsafe {
            let (first, second) = (_mm_loadu_si128(q.cast()), _mm_loadu_si128(q.add(16).cast()));
            let (factor, one) = (_mm_set1_epi8(32), _mm_set1_epi16(1));
            let first = _mm_madd_epi16(_mm_maddubs_epi16(factor, first), one);
            let second = _mm_madd_epi16(_mm_maddubs_epi16(factor, second), one);
            _mm_storeu_si128(c.cast(), _mm_packs_epi32(first, second));
        }
    }
    #[inline(always)]
    unsafe fn sub_blocks(
        sums: __m512i,
        u: [__m512i; 2],
        q: [__m512i; 2],
        c: *const u8,
        scales: __m512i,
    ) -> __m512i {
        // Four products are at most 4 * 63 * 127 = 32,004, and 32 times four activations 16,256: all fit i16.
        unsafe {
            let first = Self::dot(_mm512_setzero_si512(), u[0], q[0]);
            let second = Self::dot(_mm512_setzero_si512(), u[1], q[1]);
            let sum = _mm512_sub_epi16(_mm512_packs_epi32(first, second), Self::spread(c));
            _mm512_dpwssd_epi32(sums, sum, scales)
        }
    }
    #[inline(always)]
    unsafe fn fold4_float([a, b, c, d]: [__m512i; 4]) -> __m512i {
        unsafe {
            let [a, b, c, d] = [
                _mm512_castsi512_pd(a),
                _mm512_castsi512_pd(b),
                _mm512_castsi512_pd(c),
                _mm512_castsi512_pd(d),
            ];
            let (low, high) =
                (_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
            let ab = _mm512_add_ps(low, high);
            let (low, high) =
                (_mm512_castpd_ps(_mm512_unpacklo_pd(c, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
            let cd = _mm512_add_ps(low, high);
            let sum = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(ab, cd), _mm512_shuffle_ps::<0xdd>(ab, cd));
            _mm512_castps_si512(sum)
        }
    }
    #[inline(always)]
    unsafe fn less<const SHIFT: u32>(i: __m512i, sum: __m512i) -> __m512i {
        unsafe { _mm512_sub_epi32(i, _mm512_slli_epi32::<SHIFT>(sum)) }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8, _: usize) -> __m512i {
        unsafe {
            let by_group = _mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256(p.cast())));
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_permutexvar_epi32(order, by_group)
        }
    }
    #[inline(always)]
    unsafe fn term(d: __m512i, a: __m512i, i: __m512i) -> __m512i {
        unsafe {
            let scale = _mm512_mul_ps(_mm512_castsi512_ps(d), _mm512_castsi512_ps(a));
            _mm512_castps_si512(_mm512_mul_ps(scale, _mm512_cvtepi32_ps(i)))
        }
    }
    #[inline(always)]
    unsafe fn add(x: __m512i, y: __m512i) -> __m512i {
        unsafe { _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(y))) }
    }
}
