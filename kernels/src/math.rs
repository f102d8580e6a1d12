//! `exp`, `ln`, sine and cosine: polynomials whose constants are bit patterns of the contract.
//!
//! The coefficients are those of the Cephes library's `expf`, `logf`, `sinf` and `cosf` (S. L. Moshier, 1989), evaluated by
//! Horner's rule with every product and sum rounded on its own.

use crate::simd::{F32x16, Scalar16};

/// `1.5 * 2^23`: added to and taken from a value below `2^22` it rounds half to even.
///
/// ```
/// # use bitnet_edge_kernels::math::ROUND;
/// assert_eq!((2.5f32 + ROUND) - ROUND, 2.0);
/// ```
pub const ROUND: f32 = 12_582_912.0;

const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
const LN2_HI: f32 = f32::from_bits(0x3f31_8000);
const LN2_LO: f32 = f32::from_bits(0xb95e_8083);
const EXP: [f32; 6] = [
    f32::from_bits(0x3950_6967), // 1.9875691500e-4
    f32::from_bits(0x3ab7_43ce), // 1.3981999507e-3
    f32::from_bits(0x3c08_8908), // 8.3334519073e-3
    f32::from_bits(0x3d2a_a9c1), // 4.1665795894e-2
    f32::from_bits(0x3e2a_aaaa), // 1.6666665459e-1
    f32::from_bits(0x3f00_0000), // 5.0000001201e-1
];

/// `exp(x)` in every lane, for `x` clamped to -87 ..= 88; relative error below 2e-7.
///
/// The clamp keeps every power of two normal: below -87 the result is `exp(-87)`, about 1.6e-38.
///
/// ```
/// use bitnet_edge_kernels::{math, simd::{F32x16, Scalar16}};
/// assert_eq!(math::exp(Scalar16::splat(0.0)).fold(), 16.0);
/// ```
#[cfg_attr(feature = "full", inline(always))]
#[cfg_attr(not(feature = "full"), inline(never))]
pub fn exp<V: F32x16>(x: V) -> V {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul(V::splat(LOG2_E)).add(V::splat(ROUND));
    let n = shifted.sub(V::splat(ROUND));
    let r = x.sub(n.mul(V::splat(LN2_HI))).sub(n.mul(V::splat(LN2_LO)));
    let mut p = V::splat(EXP[0]);
    for c in [EXP[1], EXP[2], EXP[3], EXP[4], EXP[5]] {
        p = p.mul(r).add(V::splat(c));
    }
    let p = p.mul(r.mul(r)).add(r).add(V::splat(1.0));
    p.mul(shifted.pow2_of_shifted())
}

/// [`exp`] of one value: the same bits as one lane.
///
/// ```
/// assert!((bitnet_edge_kernels::math::exp1(1.0) - core::f32::consts::E).abs() < 1e-6);
/// ```
pub fn exp1(x: f32) -> f32 {
    let mut lanes = [0.0; 16];
    exp(Scalar16::splat(x)).store(&mut lanes);
    lanes[0]
}

const SQRT_HALF: f32 = f32::from_bits(0x3f35_04f3); // 0.707106781186547524
const LN: [f32; 9] = [
    f32::from_bits(0x3d90_21bb), // 7.0376836292e-2
    f32::from_bits(0xbdeb_d1b8), // -1.1514610310e-1
    f32::from_bits(0x3def_251a), // 1.1676998740e-1
    f32::from_bits(0xbdfe_5d4f), // -1.2420140846e-1
    f32::from_bits(0x3e11_e9bf), // 1.4249322787e-1
    f32::from_bits(0xbe2a_ae50), // -1.6668057665e-1
    f32::from_bits(0x3e4c_ceac), // 2.0000714765e-1
    f32::from_bits(0xbe7f_fffc), // -2.4999993993e-1
    f32::from_bits(0x3eaa_aaaa), // 3.3333331174e-1
];

/// Natural logarithm of a normal positive number; error below 1.5e-7 of the result, or 1e-7 where that is more.
///
/// What is not a normal positive number counts as the smallest one, 2^-126, and infinity as its bits say, 2^128: callers
/// have checked.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::math::ln1(1.0), 0.0);
/// assert_eq!(bitnet_edge_kernels::math::ln1(0.5), -core::f32::consts::LN_2);
/// ```
pub fn ln1(x: f32) -> f32 {
    let bits = if x >= f32::MIN_POSITIVE { x.to_bits() } else { f32::MIN_POSITIVE.to_bits() };
    // x = m * 2^e with m from the root of a half to that of two.
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let e = (bits >> 23) as i32 - 126;
    let (m, e) = if m < SQRT_HALF { (m + m, e - 1) } else { (m, e) };
    let (r, e) = (m - 1.0, e as f32);
    let z = r * r;
    let mut p = LN[0];
    for c in [LN[1], LN[2], LN[3], LN[4], LN[5], LN[6], LN[7], LN[8]] {
        p = p * r + c;
    }
    let y = (p * r) * z + e * LN2_LO - 0.5 * z;
    (r + y) + e * LN2_HI
}

const TURN: f32 = f32::from_bits(0x30c9_0fdb); // 2 pi / 2^32
const SIN: [f32; 3] = [
    f32::from_bits(0xb94c_a1f9), // -1.9515295891e-4
    f32::from_bits(0x3c08_839e), // 8.3321608736e-3
    f32::from_bits(0xbe2a_aaa3), // -1.6666654611e-1
];
const COS: [f32; 3] = [
    f32::from_bits(0x37cc_f5ce), // 2.443315711809948e-5
    f32::from_bits(0xbab6_061a), // -1.388731625493765e-3
    f32::from_bits(0x3d2a_aaa5), // 4.166664568298827e-2
];

/// Cosine and sine of a phase in turns: `phase / 2^64` of a full circle.
///
/// The wrapping product of a position and a frequency in turns is exact, so an angle is right at any position.
/// Absolute error below 1.2e-7.
///
/// ```
/// use bitnet_edge_kernels::math::cos_sin_turns;
/// assert_eq!(cos_sin_turns(0), (1.0, 0.0));
/// assert_eq!(cos_sin_turns(1 << 62), (0.0, 1.0)); // a quarter turn
/// ```
pub fn cos_sin_turns(phase: u64) -> (f32, f32) {
    // The nearest quarter turn, and what is left: -1/8 ..= 1/8 of a turn as i32 in units of 2^-32.
    let quadrant = (phase.wrapping_add(1 << 61) >> 62) & 3;
    let rest = (phase.wrapping_sub(quadrant << 62) >> 32) as u32 as i32;
    let r = rest as f32 * TURN;
    let z = r * r;
    let s = ((SIN[0] * z + SIN[1]) * z + SIN[2]) * z * r + r;
    let c = ((COS[0] * z + COS[1]) * z + COS[2]) * (z * z) - 0.5 * z + 1.0;
    match quadrant {
        0 => (c, s),
        1 => (0.0 - s, c),
        2 => (0.0 - c, 0.0 - s),
        _ => (s, 0.0 - c),
    }
}

/// Square root, correctly rounded.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::math::sqrt(2.25), 1.5);
/// ```
#[inline]
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn exp_is_close_to_the_true_value_over_its_range() {
        let worst = (-87_000..=88_000)
            .map(|i| {
                let x = i as f32 / 1000.0;
                let want = f64::from(x).exp();
                ((f64::from(exp1(x)) - want) / want).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 2e-7, "worst relative error {worst:e}");
        assert_eq!(exp1(f32::MIN).to_bits(), exp1(-87.0).to_bits());
        assert_eq!(exp1(f32::MAX).to_bits(), exp1(88.0).to_bits());
        assert_eq!((exp1(0.0), exp1(-0.0)), (1.0, 1.0));
    }

    #[test]
    fn ln_is_close_to_the_true_value_over_its_range() {
        // All mantissas around 1, and every 997th float of the whole range.
        let near = 0x3f00_0000..0x4000_0000u32;
        let all = (0x0080_0000..0x7f80_0000u32).step_by(997);
        let worst = near.step_by(3).chain(all).map(f32::from_bits).map(|x| {
            let want = f64::from(x).ln();
            (f64::from(ln1(x)) - want).abs() / want.abs().max(2.0 / 3.0)
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 1.5e-7, "worst error {worst:e}");
        assert_eq!((ln1(1.0), ln1(0.0), ln1(-1.0)), (0.0, ln1(f32::MIN_POSITIVE), ln1(f32::MIN_POSITIVE)));
        assert_eq!(ln1(f32::NAN), ln1(0.0));
    }

    #[test]
    fn sine_and_cosine_are_close_over_the_circle() {
        let worst = (0..100_000u64)
            .map(|i| {
                let phase = i.wrapping_mul(0x0000_a7c5_ac47_1b47);
                let angle = phase as f64 / 2f64.powi(64) * core::f64::consts::TAU;
                let (c, s) = cos_sin_turns(phase);
                (f64::from(c) - angle.cos()).abs().max((f64::from(s) - angle.sin()).abs())
            })
            .fold(0.0, f64::max);
        assert!(worst < 1.2e-7, "worst absolute error {worst:e}");
    }

    #[test]
    fn constants_are_the_decimals_they_stand_for() {
        let decimal: Vec<f32> = [
            "1.9875691500e-4",
            "1.3981999507e-3",
            "8.3334519073e-3",
            "4.1665795894e-2",
            "1.6666665459e-1",
            "5.0000001201e-1",
            "-1.9515295891e-4",
            "8.3321608736e-3",
            "-1.6666654611e-1",
            "2.443315711809948e-5",
            "-1.388731625493765e-3",
            "4.166664568298827e-2",
            "0.693359375",
            "-2.12194440e-4",
            "1.44269504088896341",
            "1.4629180792671596e-9",
            "0.707106781186547524",
            "7.0376836292e-2",
            "-1.1514610310e-1",
            "1.1676998740e-1",
            "-1.2420140846e-1",
            "1.4249322787e-1",
            "-1.6668057665e-1",
            "2.0000714765e-1",
            "-2.4999993993e-1",
            "3.3333331174e-1",
        ]
        .iter()
        .map(|s| s.parse().unwrap())
        .collect();
        let bits: Vec<f32> =
            [&EXP[..], &SIN[..], &COS[..], &[LN2_HI, LN2_LO, LOG2_E, TURN, SQRT_HALF], &LN[..]].concat();
        assert_eq!(bits, decimal);
    }
}
