//! Sixteen lanes in two AVX registers.

use std::arch::x86_64::*;

use bitnet_edge_kernels::simd::{F32x16, LANES};

use super::featured;

/// Lanes 0 to 7, and 8 to 15.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Lanes([__m256; 2]);

impl Avx2Lanes {
    #[inline(always)]
    fn bits(self) -> [__m256i; 2] {
        featured!([_mm256_castps_si256(self.0[0]), _mm256_castps_si256(self.0[1])])
    }
}

/// In each half the quarter sums of `a`, then those of `b`.
#[inline(always)]
fn quarters(a: __m256, b: __m256) -> __m256 {
    featured!(_mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)))
}

/// In each half the pair of `a`, then that of `b`.
#[inline(always)]
fn pairs(a: __m256, b: __m256) -> __m256 {
    featured!({
        let (x, y) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
        _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)))
    })
}

/// The quarter sums of vectors `p` and `p + 4`.
#[inline(always)]
fn column(x: &[Avx2Lanes; LANES], p: usize) -> __m256 {
    let (a, b) = (x[p].0, x[p + 4].0);
    featured!(quarters(_mm256_add_ps(a[0], a[1]), _mm256_add_ps(b[0], b[1])))
}

/// The folds of eight vectors.
#[inline(always)]
fn eight(x: &[Avx2Lanes; LANES], p: usize) -> __m256 {
    let a = pairs(column(x, p), column(x, p + 1));
    let b = pairs(column(x, p + 2), column(x, p + 3));
    featured!(_mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b)))
}

impl F32x16 for Avx2Lanes {
    const REGISTERS: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        featured!(Self([_mm256_set1_ps(x); 2]))
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        featured!(Self([_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))]))
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        featured!({
            _mm256_storeu_ps(y.as_mut_ptr(), self.0[0]);
            _mm256_storeu_ps(y.as_mut_ptr().add(8), self.0[1]);
        });
    }
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        featured!(Self([_mm256_add_ps(self.0[0], b.0[0]), _mm256_add_ps(self.0[1], b.0[1])]))
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        featured!(Self([_mm256_sub_ps(self.0[0], b.0[0]), _mm256_sub_ps(self.0[1], b.0[1])]))
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        featured!(Self([_mm256_mul_ps(self.0[0], b.0[0]), _mm256_mul_ps(self.0[1], b.0[1])]))
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        featured!(Self([_mm256_div_ps(self.0[0], b.0[0]), _mm256_div_ps(self.0[1], b.0[1])]))
    }
    #[inline(always)]
    fn clamp(self, lo: f32, hi: f32) -> Self {
        // The second operand is the result for a NaN and for two zeros.
        featured!({
            let (lo, hi) = (_mm256_set1_ps(lo), _mm256_set1_ps(hi));
            Self([
                _mm256_min_ps(hi, _mm256_max_ps(lo, self.0[0])),
                _mm256_min_ps(hi, _mm256_max_ps(lo, self.0[1])),
            ])
        })
    }
    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        featured!({
            let (bias, [a, b]) = (_mm256_set1_epi32(127), self.bits());
            Self([
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(a, bias))),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(b, bias))),
            ])
        })
    }
    #[inline(always)]
    fn relu(self) -> Self {
        featured!({
            let zero = _mm256_setzero_ps();
            Self([_mm256_max_ps(zero, self.0[0]), _mm256_max_ps(zero, self.0[1])])
        })
    }
    #[inline(always)]
    fn from_f16(x: &[u16; LANES]) -> Self {
        featured!(Self([
            _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(8).cast())),
        ]))
    }
    #[inline(always)]
    fn from_bf16(x: &[u16; LANES]) -> Self {
        featured!({
            let a = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast()));
            let b = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().add(8).cast()));
            Self([
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(a)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(b)),
            ])
        })
    }
    #[inline(always)]
    fn to_f16(self, y: &mut [u16; LANES]) {
        featured!({
            let a = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0[0]);
            let b = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0[1]);
            _mm_storeu_si128(y.as_mut_ptr().cast(), a);
            _mm_storeu_si128(y.as_mut_ptr().add(8).cast(), b);
        });
    }
    #[inline(always)]
    fn fold(self) -> f32 {
        featured!({
            let eight = _mm256_add_ps(self.0[0], self.0[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn fold16(x: [Self; LANES]) -> Self {
        // A tree that transposes while it adds; the two vectors of a column become the two halves of a register.
        Self([eight(&x, 0), eight(&x, 8)])
    }
}
