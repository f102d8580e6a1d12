//! Sixteen lanes in four SSE registers. Conversions of f16 are the definition's, four at a time: F16C came later.

use std::arch::x86_64::*;

use bitnet_edge_kernels::simd::{F32x16, LANES};

use super::featured;

/// Four lanes each.
#[derive(Clone, Copy)]
pub(crate) struct Sse41Lanes([__m128; 4]);

/// An intrinsic of two vectors, on all four.
macro_rules! zip {
    ($f:ident, $a:expr, $b:expr) => {{
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = ($a.0, $b.0);
        featured!(Self([$f(a0, b0), $f(a1, b1), $f(a2, b2), $f(a3, b3)]))
    }};
}

/// 2^-14, the smallest normal f16, as f32 bits.
const MIN_NORMAL: i32 = (127 - 14) << 23;

/// Four f16 in 32-bit lanes, widened.
#[inline(always)]
fn widen(x: __m128i) -> __m128 {
    /// Where the f16 exponent lands once it is moved to the f32 position.
    const EXPONENT: i32 = 0x7c00 << 13;
    featured!({
        let sign = _mm_slli_epi32::<16>(_mm_and_si128(x, _mm_set1_epi32(0x8000)));
        let magnitude = _mm_slli_epi32::<13>(_mm_and_si128(x, _mm_set1_epi32(0x7fff)));
        let normal = _mm_add_epi32(magnitude, _mm_set1_epi32((127 - 15) << 23));
        let subnormal = _mm_castps_si128(_mm_sub_ps(
            _mm_castsi128_ps(_mm_add_epi32(magnitude, _mm_set1_epi32(MIN_NORMAL))),
            _mm_castsi128_ps(_mm_set1_epi32(MIN_NORMAL)),
        ));
        // Infinity and NaN get the largest exponent, a NaN the quiet bit.
        let special = _mm_and_si128(
            _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(EXPONENT - 1)),
            _mm_set1_epi32(112 << 23),
        );
        let quiet =
            _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(EXPONENT)), _mm_set1_epi32(0x0040_0000));
        let normal = _mm_or_si128(_mm_add_epi32(normal, special), quiet);
        let is_subnormal = _mm_cmpgt_epi32(_mm_set1_epi32(1 << 23), magnitude);
        let widened = _mm_blendv_epi8(normal, subnormal, is_subnormal);
        _mm_castsi128_ps(_mm_or_si128(sign, widened))
    })
}

/// Four f32, narrowed to f16 in 32-bit lanes.
#[inline(always)]
fn narrow(x: __m128) -> __m128i {
    const INFINITY: i32 = 255 << 23;
    /// 2^16: from here on everything is an infinity or a NaN.
    const OVERFLOW: i32 = (127 + 16) << 23;
    /// 0.5, whose unit in the last place as an f32 is 2^-24, the smallest f16 subnormal.
    const ALIGNER: i32 = (127 - 1) << 23;
    featured!({
        let bits = _mm_castps_si128(x);
        let sign = _mm_and_si128(_mm_srli_epi32::<16>(bits), _mm_set1_epi32(0x8000));
        let magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fff_ffff));
        let upper = _mm_srli_epi32::<13>(magnitude);
        let odd = _mm_and_si128(upper, _mm_set1_epi32(1));
        let rounding = _mm_add_epi32(odd, _mm_set1_epi32(0x0fff - ((127 - 15) << 23)));
        let normal = _mm_srli_epi32::<13>(_mm_add_epi32(magnitude, rounding));
        // The addition shifts the significand into place and rounds it half to even on the way.
        let aligned = _mm_add_ps(_mm_castsi128_ps(magnitude), _mm_castsi128_ps(_mm_set1_epi32(ALIGNER)));
        let subnormal = _mm_sub_epi32(_mm_castps_si128(aligned), _mm_set1_epi32(ALIGNER));
        let nan = _mm_or_si128(_mm_set1_epi32(0x7e00), _mm_and_si128(upper, _mm_set1_epi32(0x01ff)));
        let is_nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(INFINITY));
        let large = _mm_blendv_epi8(_mm_set1_epi32(0x7c00), nan, is_nan);
        let small =
            _mm_blendv_epi8(normal, subnormal, _mm_cmpgt_epi32(_mm_set1_epi32(MIN_NORMAL), magnitude));
        let is_large = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(OVERFLOW - 1));
        _mm_or_si128(sign, _mm_blendv_epi8(small, large, is_large))
    })
}

/// The pair of `a`, then that of `b`.
#[inline(always)]
fn pairs(a: __m128, b: __m128) -> __m128 {
    featured!(_mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a)))
}

/// `s[i] + s[i + 8]`, then `s[i] + s[i + 4]`.
#[inline(always)]
fn four([a, b, c, d]: [__m128; 4]) -> __m128 {
    featured!(_mm_add_ps(_mm_add_ps(a, c), _mm_add_ps(b, d)))
}

/// `pow2_of_shifted` of four lanes.
#[inline(always)]
fn power(t: __m128) -> __m128 {
    featured!({
        let n = _mm_add_epi32(_mm_castps_si128(t), _mm_set1_epi32(127));
        _mm_castsi128_ps(_mm_slli_epi32::<23>(n))
    })
}

/// The folds of four vectors.
#[inline(always)]
fn sums(x: &[Sse41Lanes; LANES], p: usize) -> __m128 {
    let a = pairs(four(x[p].0), four(x[p + 1].0));
    let b = pairs(four(x[p + 2].0), four(x[p + 3].0));
    featured!(_mm_add_ps(_mm_shuffle_ps::<0x88>(a, b), _mm_shuffle_ps::<0xdd>(a, b)))
}

impl F32x16 for Sse41Lanes {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        featured!(Self([_mm_set1_ps(x); 4]))
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        let p = x.as_ptr();
        featured!(Self([
            _mm_loadu_ps(p),
            _mm_loadu_ps(p.add(4)),
            _mm_loadu_ps(p.add(8)),
            _mm_loadu_ps(p.add(12)),
        ]))
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        let p = y.as_mut_ptr();
        featured!({
            _mm_storeu_ps(p, self.0[0]);
            _mm_storeu_ps(p.add(4), self.0[1]);
            _mm_storeu_ps(p.add(8), self.0[2]);
            _mm_storeu_ps(p.add(12), self.0[3]);
        });
    }
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        zip!(_mm_add_ps, self, b)
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        zip!(_mm_sub_ps, self, b)
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        zip!(_mm_mul_ps, self, b)
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        zip!(_mm_div_ps, self, b)
    }
    #[inline(always)]
    fn clamp(self, lo: f32, hi: f32) -> Self {
        // The second operand is the result for a NaN and for two zeros.
        let above = zip!(_mm_max_ps, Self::splat(lo), self);
        zip!(_mm_min_ps, Self::splat(hi), above)
    }
    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([power(a), power(b), power(c), power(d)])
    }
    #[inline(always)]
    fn relu(self) -> Self {
        zip!(_mm_max_ps, Self::splat(0.0), self)
    }
    #[inline(always)]
    fn from_f16(x: &[u16; LANES]) -> Self {
        featured!({
            let a = _mm_loadu_si128(x.as_ptr().cast());
            let b = _mm_loadu_si128(x.as_ptr().add(8).cast());
            Self([
                widen(_mm_cvtepu16_epi32(a)),
                widen(_mm_cvtepu16_epi32(_mm_srli_si128::<8>(a))),
                widen(_mm_cvtepu16_epi32(b)),
                widen(_mm_cvtepu16_epi32(_mm_srli_si128::<8>(b))),
            ])
        })
    }
    #[inline(always)]
    fn from_bf16(x: &[u16; LANES]) -> Self {
        featured!({
            // A bfloat16 is the upper half of an f32.
            let (a, zero) = (_mm_loadu_si128(x.as_ptr().cast()), _mm_setzero_si128());
            let b = _mm_loadu_si128(x.as_ptr().add(8).cast());
            Self([
                _mm_castsi128_ps(_mm_unpacklo_epi16(zero, a)),
                _mm_castsi128_ps(_mm_unpackhi_epi16(zero, a)),
                _mm_castsi128_ps(_mm_unpacklo_epi16(zero, b)),
                _mm_castsi128_ps(_mm_unpackhi_epi16(zero, b)),
            ])
        })
    }
    #[inline(always)]
    fn to_f16(self, y: &mut [u16; LANES]) {
        featured!({
            let a = _mm_packus_epi32(narrow(self.0[0]), narrow(self.0[1]));
            let b = _mm_packus_epi32(narrow(self.0[2]), narrow(self.0[3]));
            _mm_storeu_si128(y.as_mut_ptr().cast(), a);
            _mm_storeu_si128(y.as_mut_ptr().add(8).cast(), b);
        });
    }
    #[inline(always)]
    fn fold(self) -> f32 {
        featured!({
            let four = four(self.0);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn fold16(x: [Self; LANES]) -> Self {
        // A tree that transposes while it adds, four vectors at a time.
        Self([sums(&x, 0), sums(&x, 4), sums(&x, 8), sums(&x, 12)])
    }
}
