//! Sixteen f32 lanes: the shape in which every float sum is taken.
//!
//! Float code exists once, generic over [`F32x16`]; a backend's tier implements only this type. [`Scalar16`] is the
//! definition. All operations are IEEE single, lane by lane, each rounded on its own: no fused multiply-add, no
//! approximations, subnormals kept.

use crate::format::{bf16_to_f32, f16_to_f32, f32_to_f16};

/// Number of stripes of a float sum.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::simd::LANES, 16);
/// ```
pub const LANES: usize = 16;

/// Sixteen f32 values and the operations the contract allows on them.
///
/// ```
/// use bitnet_edge_kernels::simd::{F32x16, Scalar16};
/// let x = Scalar16::load(&core::array::from_fn(|i| i as f32));
/// assert_eq!(x.add(Scalar16::splat(1.0)).fold(), 136.0);
/// ```
pub trait F32x16: Copy {
    /// How many of these the registers of the processor hold: what code goes by that keeps several sums under way.
    const REGISTERS: usize = 4;

    /// All lanes `x`.
    fn splat(x: f32) -> Self;
    /// Lane `i` is `x[i]`.
    fn load(x: &[f32; LANES]) -> Self;
    /// Writes lane `i` to `y[i]`.
    fn store(self, y: &mut [f32; LANES]);
    /// `self + b`, lane by lane.
    #[must_use]
    fn add(self, b: Self) -> Self;
    /// `self - b`, lane by lane.
    #[must_use]
    fn sub(self, b: Self) -> Self;
    /// `self * b`, lane by lane.
    #[must_use]
    fn mul(self, b: Self) -> Self;
    /// `self / b`, lane by lane, correctly rounded.
    #[must_use]
    fn div(self, b: Self) -> Self;
    /// Lanes below `lo` become `lo`, lanes above `hi` become `hi`; a NaN stays.
    #[must_use]
    fn clamp(self, lo: f32, hi: f32) -> Self;
    /// For `t = n + 12582912.0` with whole `n` in -126..=127: `2^n`, made from the low bits of `t`.
    #[must_use]
    fn pow2_of_shifted(self) -> Self;
    /// Lanes below zero become `+0.0`; the others stay, NaN and both zeros among them.
    #[must_use]
    fn relu(self) -> Self;
    /// Widens sixteen f16 bit patterns, subnormals kept.
    fn from_f16(x: &[u16; LANES]) -> Self;
    /// Widens sixteen bfloat16 bit patterns.
    #[inline(always)]
    fn from_bf16(x: &[u16; LANES]) -> Self {
        let mut lanes = [0.0; LANES];
        for (lane, &bits) in lanes.iter_mut().zip(x) {
            *lane = bf16_to_f32(bits);
        }
        Self::load(&lanes)
    }
    /// Rounds to f16, half to even, subnormals kept.
    fn to_f16(self, y: &mut [u16; LANES]);
    /// The sum of the lanes: `s[i] += s[i + w]` for w = 8, 4, 2, 1.
    fn fold(self) -> f32;
    /// Sixteen folds: lane `i` is the [`fold`](Self::fold) of `x[i]`.
    #[inline(always)]
    fn fold16(x: [Self; LANES]) -> Self {
        Self::load(&x.map(Self::fold))
    }
    /// Loads up to sixteen values; missing lanes are `+0.0`.
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn load_part(x: &[f32]) -> Self {
        let mut lanes = [0.0; LANES];
        for (lane, &v) in lanes.iter_mut().zip(x) {
            *lane = v;
        }
        Self::load(&lanes)
    }
    /// Stores the first `y.len()` lanes, at most sixteen.
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn store_part(self, y: &mut [f32]) {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        for (v, lane) in y.iter_mut().zip(lanes) {
            *v = lane;
        }
    }
}

/// The definition of [`F32x16`].
///
/// ```
/// use bitnet_edge_kernels::simd::{F32x16, Scalar16};
/// assert_eq!(Scalar16::splat(-2.0).relu().fold(), 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scalar16([f32; LANES]);

impl Scalar16 {
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        Self(self.0.map(f))
    }
    #[inline(always)]
    fn zip(mut self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for (x, y) in self.0.iter_mut().zip(b.0) {
            *x = f(*x, y);
        }
        self
    }
}

// Without the feature `full` a lane operation is one function: small firmware has no room for a copy at every use.
impl F32x16 for Scalar16 {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        Self(*x)
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        *y = self.0;
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn add(self, b: Self) -> Self {
        self.zip(b, |x, y| x + y)
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn sub(self, b: Self) -> Self {
        self.zip(b, |x, y| x - y)
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn mul(self, b: Self) -> Self {
        self.zip(b, |x, y| x * y)
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn div(self, b: Self) -> Self {
        self.zip(b, |x, y| x / y)
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn clamp(self, lo: f32, hi: f32) -> Self {
        self.map(|x| {
            let x = if x < lo { lo } else { x };
            if x > hi { hi } else { x }
        })
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn pow2_of_shifted(self) -> Self {
        self.map(|t| f32::from_bits(t.to_bits().wrapping_add(127) << 23))
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn relu(self) -> Self {
        self.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn from_f16(x: &[u16; LANES]) -> Self {
        Self(x.map(f16_to_f32))
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn to_f16(self, y: &mut [u16; LANES]) {
        *y = self.0.map(f32_to_f16);
    }
    #[cfg_attr(feature = "full", inline(always))]
    #[cfg_attr(not(feature = "full"), inline(never))]
    fn fold(self) -> f32 {
        let s = self.0;
        let e: [f32; 8] = [
            s[0] + s[8],
            s[1] + s[9],
            s[2] + s[10],
            s[3] + s[11],
            s[4] + s[12],
            s[5] + s[13],
            s[6] + s[14],
            s[7] + s[15],
        ];
        let q = [e[0] + e[4], e[1] + e[5], e[2] + e[6], e[3] + e[7]];
        (q[0] + q[2]) + (q[1] + q[3])
    }
}

/// Sum over `i` of `a[i] * b[i]` in sixteen stripes; the shorter slice decides.
///
/// ```
/// use bitnet_edge_kernels::simd::{Scalar16, dot};
/// assert_eq!(dot::<Scalar16>(&[1.0, 2.0, 3.0], &[1.0, 1.0, 2.0]), 9.0);
/// assert_eq!(dot::<Scalar16>(&[1.0, 2.0], &[1.0; 16]), 3.0);
/// ```
#[inline(always)]
pub fn dot<V: F32x16>(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (a.get(..n).unwrap_or(a), b.get(..n).unwrap_or(b));
    let (a16, a_tail) = a.as_chunks::<LANES>();
    let (b16, b_tail) = b.as_chunks::<LANES>();
    let mut s = V::splat(0.0);
    for (x, y) in a16.iter().zip(b16) {
        s = s.add(V::load(x).mul(V::load(y)));
    }
    if !a_tail.is_empty() {
        s = s.add(V::load_part(a_tail).mul(V::load_part(b_tail)));
    }
    s.fold()
}
