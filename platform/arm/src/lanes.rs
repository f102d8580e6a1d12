//! Sixteen lanes in four NEON registers.
//!
//! Every operation is IEEE single under the control register (FPCR) of a program that has not changed it: round to nearest, subnormals
//! kept, NaNs propagated. Nothing is fused.

use crate::intrinsics::*;
use core::arch::asm;

use bitnet_edge_kernels::simd::{F32x16, LANES};

/// Four lanes each.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([float32x4_t; 4]);

/// Evaluates intrinsics that read or write through pointers.
macro_rules! memory {
    ($e:expr) => {{
        // SAFETY: what is read and written are whole arrays behind references, which need no alignment.
        unsafe { $e }
    }};
}

/// Four f16, widened. What the intrinsic for it takes is a type that is not stable.
#[inline(always)]
pub(crate) fn widen(x: uint16x4_t) -> float32x4_t {
    let wide;
    // SAFETY: the instruction works on registers alone, and every AArch64 processor with a vector unit has it.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", lateout(vreg) wide, in(vreg) x, options(pure, nomem, nostack));
    }
    wide
}

/// Four f32, narrowed to f16, half to even.
#[inline(always)]
fn narrow(x: float32x4_t) -> uint16x4_t {
    let half;
    // SAFETY: as above.
    unsafe {
        asm!("fcvtn {0:v}.4h, {1:v}.4s", lateout(vreg) half, in(vreg) x, options(pure, nomem, nostack));
    }
    half
}

/// `s[i] + s[i + 8]`, then `s[i] + s[i + 4]`.
#[inline(always)]
fn four([a, b, c, d]: [float32x4_t; 4]) -> float32x4_t {
    vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d))
}

/// `a[0] + a[2], a[1] + a[3]`, then those of `b`.
#[inline(always)]
fn pairs(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    let (a, b) = (vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b));
    vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(a, b)), vreinterpretq_f32_f64(vzip2q_f64(a, b)))
}

/// The folds of four vectors.
#[inline(always)]
fn sums(x: &[Lanes; LANES], p: usize) -> float32x4_t {
    let a = pairs(four(x[p].0), four(x[p + 1].0));
    let b = pairs(four(x[p + 2].0), four(x[p + 3].0));
    vpaddq_f32(a, b)
}

impl Lanes {
    /// `f` of all four. By a loop over an array, not by `map`, whose closures are not always inlined.
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, b.0);
        Self([f(a0, b0), f(a1, b1), f(a2, b2), f(a3, b3)])
    }
    #[inline(always)]
    fn each(self, f: impl Fn(float32x4_t) -> float32x4_t) -> Self {
        let [a, b, c, d] = self.0;
        Self([f(a), f(b), f(c), f(d)])
    }
}

impl F32x16 for Lanes {
    // Of 32, four each.
    const REGISTERS: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([vdupq_n_f32(x); 4])
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        let p = x.as_ptr();
        memory!(Self([
            arch::vld1q_f32(p),
            arch::vld1q_f32(p.add(4)),
            arch::vld1q_f32(p.add(8)),
            arch::vld1q_f32(p.add(12))
        ]))
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        let p = y.as_mut_ptr();
        memory!({
            arch::vst1q_f32(p, self.0[0]);
            arch::vst1q_f32(p.add(4), self.0[1]);
            arch::vst1q_f32(p.add(8), self.0[2]);
            arch::vst1q_f32(p.add(12), self.0[3]);
        });
    }
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        self.zip(b, |a, b| vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        self.zip(b, |a, b| vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        self.zip(b, |a, b| vdivq_f32(a, b))
    }
    #[inline(always)]
    fn clamp(self, lo: f32, hi: f32) -> Self {
        // Not the instructions for maxima: they have their own opinion of two zeros.
        let (lo, hi) = (vdupq_n_f32(lo), vdupq_n_f32(hi));
        self.each(|x| {
            let x = vbslq_f32(vcltq_f32(x, lo), lo, x);
            vbslq_f32(vcgtq_f32(x, hi), hi, x)
        })
    }
    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        self.each(|t| {
            let n = vaddq_s32(vreinterpretq_s32_f32(t), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(n))
        })
    }
    #[inline(always)]
    fn relu(self) -> Self {
        self.each(|x| {
            let below = vcltzq_f32(x);
            vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), below))
        })
    }
    #[inline(always)]
    fn from_f16(x: &[u16; LANES]) -> Self {
        let p = x.as_ptr();
        memory!({
            let (a, b) = (arch::vld1q_u16(p), arch::vld1q_u16(p.add(8)));
            Self([
                widen(vget_low_u16(a)),
                widen(vget_high_u16(a)),
                widen(vget_low_u16(b)),
                widen(vget_high_u16(b)),
            ])
        })
    }
    #[inline(always)]
    fn from_bf16(x: &[u16; LANES]) -> Self {
        let p = x.as_ptr();
        // A bfloat16 is the upper half of an f32.
        memory!({
            let (a, b, zero) = (arch::vld1q_u16(p), arch::vld1q_u16(p.add(8)), vdupq_n_u16(0));
            Self([
                vreinterpretq_f32_u16(vzip1q_u16(zero, a)),
                vreinterpretq_f32_u16(vzip2q_u16(zero, a)),
                vreinterpretq_f32_u16(vzip1q_u16(zero, b)),
                vreinterpretq_f32_u16(vzip2q_u16(zero, b)),
            ])
        })
    }
    #[inline(always)]
    fn to_f16(self, y: &mut [u16; LANES]) {
        let p = y.as_mut_ptr();
        let [a, b, c, d] = self.0;
        memory!({
            arch::vst1q_u16(p, vcombine_u16(narrow(a), narrow(b)));
            arch::vst1q_u16(p.add(8), vcombine_u16(narrow(c), narrow(d)));
        });
    }
    #[inline(always)]
    fn fold(self) -> f32 {
        let four = four(self.0);
        vpadds_f32(vget_low_f32(vaddq_f32(four, vextq_f32::<2>(four, four))))
    }
    #[inline(always)]
    fn fold16(x: [Self; LANES]) -> Self {
        // A tree that transposes while it adds, four vectors at a time.
        Self([sums(&x, 0), sums(&x, 4), sums(&x, 8), sums(&x, 12)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_kernels::conformance::{Effort, run_lanes};
    use std::println;

    #[test]
    fn lanes_are_the_definition_s() {
        for effort in [Effort::Boot, Effort::Full] {
            let summary = run_lanes::<Lanes>(effort, &mut |failure| println!("{failure}"));
            assert!(summary.passed(), "{summary:?}");
        }
    }
}
