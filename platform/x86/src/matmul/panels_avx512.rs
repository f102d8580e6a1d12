//! [`Panels`] with AVX-512 VNNI.

use core::arch::x86_64::*;

use super::avx512::Avx512;
use super::panels::{CHUNK, Panels, Sums};
use super::vector::Vector;

/// Four times the same sixteen bytes.
#[inline(always)]
unsafe fn lanes(bytes: [i8; 16]) -> __m512i {
    // SAFETY: as for all of this file; the array has sixteen bytes.
    unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(bytes.as_ptr().cast())) }
}

impl Panels for Avx512 {
    type Floats = __m512;
    /// Four i16 of the first sub-block, then four of the second, a lane.
    type Scales = __m512i;
    const BLOCK: usize = 8;

    #[inline(always)]
    unsafe fn nibbles(w: __m512i) -> [__m512i; 2] {
        unsafe {
            let mask = _mm512_set1_epi8(15);
            [_mm512_and_si512(w, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(w), mask)]
        }
    }
    #[inline(always)]
    unsafe fn fifth<const P: i32>(codes: __m512i, bits: __m512i) -> __m512i {
        unsafe {
            let there = _mm512_test_epi8_mask(bits, _mm512_set1_epi8((1u8 << P) as i8));
            _mm512_mask_add_epi8(codes, there, codes, _mm512_set1_epi8(16))
        }
    }
    #[inline(always)]
    unsafe fn unpack(heads: __m512i) -> __m512i {
        unsafe {
            // Elements of a lane: d and dmin; scales; minima; low nibbles of the second half of both.
            let first = _mm512_shuffle_epi32::<0b10_10_01_01>(heads);
            let first = _mm512_srlv_epi32(first, lanes([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]));
            let low = _mm512_shuffle_epi32::<0b11_11_11_11>(heads);
            let low = _mm512_srlv_epi32(low, lanes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]));
            let (six, two, four) = (0x3f, 0x30, 0x0f);
            let first_mask =
                lanes([six, six, six, six, two, two, two, two, six, six, six, six, two, two, two, two]);
            let low_mask = lanes([0, 0, 0, 0, four, four, four, four, 0, 0, 0, 0, four, four, four, four]);
            _mm512_or_si512(_mm512_and_si512(first, first_mask), _mm512_and_si512(low, low_mask))
        }
    }
    #[inline(always)]
    unsafe fn scales<const K: usize>(unpacked: __m512i) -> __m512i {
        unsafe {
            let (a, b) = (2 * K as i8, 2 * K as i8 + 1);
            _mm512_shuffle_epi8(unpacked, lanes([a, -1, a, -1, a, -1, a, -1, b, -1, b, -1, b, -1, b, -1]))
        }
    }
    #[inline(always)]
    unsafe fn minima(unpacked: [__m512i; CHUNK]) -> [__m512i; 4] {
        unsafe {
            let [a, b, c, d] = unpacked.map(|u| _mm512_unpackhi_epi8(u, _mm512_setzero_si512()));
            let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            let (upper_ab, upper_cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(ab, cd),
                _mm512_unpackhi_epi64(ab, cd),
                _mm512_unpacklo_epi64(upper_ab, upper_cd),
                _mm512_unpackhi_epi64(upper_ab, upper_cd),
            ]
        }
    }
    #[inline(always)]
    unsafe fn dot_pair(acc: __m512i, codes: &[__m512i; 4], q: *const u8, scales: __m512i) -> __m512i {
        unsafe {
            // Each element sums eight products of at most 31 * 127: 31,496 fits i16, so packing does not saturate.
            let zero = _mm512_setzero_si512();
            let first = _mm512_dpbusd_epi32(zero, codes[0], Self::spread(q));
            let first = _mm512_dpbusd_epi32(first, codes[1], Self::spread(q.add(16)));
            let second = _mm512_dpbusd_epi32(zero, codes[2], Self::spread(q.add(32)));
            let second = _mm512_dpbusd_epi32(second, codes[3], Self::spread(q.add(48)));
            _mm512_dpwssd_epi32(acc, _mm512_packs_epi32(first, second), scales)
        }
    }
    #[inline(always)]
    unsafe fn dot_minima(minima: &[__m512i; 4], sums: &Sums) -> __m512i {
        unsafe {
            let mut acc = _mm512_setzero_si512();
            for (minima, sums) in minima.iter().zip(sums) {
                acc = _mm512_dpwssd_epi32(acc, *minima, Self::spread(sums.as_ptr().cast()));
            }
            acc
        }
    }
    #[inline(always)]
    unsafe fn no_floats() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn widen_heads([a, b, c, d]: [__m512i; CHUNK]) -> [__m512; 2] {
        unsafe {
            let halves = _mm512_unpacklo_epi64(_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            [halves, _mm512_srli_epi32::<16>(halves)].map(|half| _mm512_cvtph_ps(_mm512_cvtepi32_epi16(half)))
        }
    }
    #[inline(always)]
    unsafe fn spread_floats(p: *const f32, n: usize) -> __m512 {
        unsafe { _mm512_broadcast_f32x4(_mm_maskz_loadu_ps((1u8 << n) - 1, p)) }
    }
    #[inline(always)]
    unsafe fn add_terms(
        stripes: __m512,
        i: [__m512i; CHUNK],
        j: __m512i,
        [d, dmin]: [__m512; 2],
        a: __m512,
    ) -> __m512 {
        unsafe {
            let scaled = _mm512_mul_ps(_mm512_mul_ps(d, a), _mm512_cvtepi32_ps(Self::fold4(i)));
            let minima = _mm512_mul_ps(_mm512_mul_ps(dmin, a), _mm512_cvtepi32_ps(j));
            _mm512_add_ps(stripes, _mm512_sub_ps(scaled, minima))
        }
    }
    #[inline(always)]
    unsafe fn fold(stripes: __m512, y: &mut [f32]) {
        unsafe {
            let pairs = _mm512_add_ps(stripes, _mm512_permute_ps::<0b11_10_11_10>(stripes));
            let sums = _mm512_add_ps(pairs, _mm512_permute_ps::<0b01_01_01_01>(pairs));
            let rows = _mm512_permutexvar_ps(
                _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                sums,
            );
            _mm_storeu_ps(y[..4].as_mut_ptr(), _mm512_castps512_ps128(rows));
        }
    }
}
