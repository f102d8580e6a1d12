//! Sixteen lanes in one AVX-512 register.

use std::arch::x86_64::*;

use bitnet_edge_kernels::simd::{F32x16, LANES};

use super::featured;

#[derive(Clone, Copy)]
pub(crate) struct Avx512Lanes(__m512);

/// A mask of the first `n` lanes.
#[inline(always)]
fn first(n: usize) -> u16 {
    if n >= LANES { u16::MAX } else { (1 << n) - 1 }
}

/// The half sums `s[i] + s[i + 8]` of `a`, then those of `b`.
#[inline(always)]
fn halves(a: __m512, b: __m512) -> __m512 {
    featured!(_mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b)))
}

/// The quarter sums of the two vectors in `a`, then in `b`.
#[inline(always)]
fn quarters(a: __m512, b: __m512) -> __m512 {
    featured!(_mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)))
}

/// The quarter sums of every fourth vector.
#[inline(always)]
fn column(x: &[Avx512Lanes; LANES], p: usize) -> __m512 {
    quarters(halves(x[p].0, x[4 + p].0), halves(x[8 + p].0, x[12 + p].0))
}

/// In each 128-bit part the pair of `a`, then that of `b`.
#[inline(always)]
fn pairs(a: __m512, b: __m512) -> __m512 {
    featured!({
        let (x, y) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)))
    })
}

impl F32x16 for Avx512Lanes {
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        featured!(Self(_mm512_set1_ps(x)))
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        featured!(Self(_mm512_loadu_ps(x.as_ptr())))
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        featured!(_mm512_storeu_ps(y.as_mut_ptr(), self.0));
    }
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        featured!(Self(_mm512_add_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        featured!(Self(_mm512_sub_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        featured!(Self(_mm512_mul_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        featured!(Self(_mm512_div_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn clamp(self, lo: f32, hi: f32) -> Self {
        // The second operand is the result for a NaN and for two zeros.
        featured!(Self(_mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), self.0))))
    }
    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        featured!({
            let n = _mm512_add_epi32(_mm512_castps_si512(self.0), _mm512_set1_epi32(127));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(n)))
        })
    }
    #[inline(always)]
    fn relu(self) -> Self {
        featured!(Self(_mm512_max_ps(_mm512_setzero_ps(), self.0)))
    }
    #[inline(always)]
    fn from_f16(x: &[u16; LANES]) -> Self {
        featured!(Self(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast()))))
    }
    #[inline(always)]
    fn from_bf16(x: &[u16; LANES]) -> Self {
        featured!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
        })
    }
    #[inline(always)]
    fn to_f16(self, y: &mut [u16; LANES]) {
        featured!({
            let half = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0);
            _mm256_storeu_si256(y.as_mut_ptr().cast(), half);
        });
    }
    #[inline(always)]
    fn fold(self) -> f32 {
        featured!({
            let eight = _mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn fold16(x: [Self; LANES]) -> Self {
        // A tree that transposes while it adds; column p becomes element p of each 128-bit part.
        let (a, b) = (pairs(column(&x, 0), column(&x, 1)), pairs(column(&x, 2), column(&x, 3)));
        featured!(Self(_mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b))))
    }
    #[inline(always)]
    fn load_part(x: &[f32]) -> Self {
        // What the mask leaves out is not read.
        featured!(Self(_mm512_maskz_loadu_ps(first(x.len()), x.as_ptr())))
    }
    #[inline(always)]
    fn store_part(self, y: &mut [f32]) {
        featured!(_mm512_mask_storeu_ps(y.as_mut_ptr(), first(y.len()), self.0));
    }
}
