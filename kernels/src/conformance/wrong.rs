//! Backends that are wrong on purpose: the table must catch each of them, and blame the right kernel.

mod lanes;
mod products;

use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Effort, run};
use crate::attention::{Int8Rows, KvElement, Queries, RECORD_HEAD};
use crate::gate::Activation;
use crate::math::{exp1, sqrt};
use crate::simd::{Scalar16, dot};
use crate::tile::{FloatActs, Int8Acts, Layout, Results, TernaryScale};
use crate::{Error, Kernels, Scalar, quantize};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    TokenRoundsHalfAway,
    TokenWithoutFloor,
    TokenLeavesPadding,
    Group32DividesEach,
    Group32WithoutFloor,
    Group256MultipliesByReciprocal,
    Group256SkipsPartial,
    TernaryWrapsI16,
    TernaryFoldsScales,
    TernaryScaleOfTheTile,
    Q8InOrder,
    Q8OneStripeTooMany,
    Q8NegatesMinus128,
    Q8Associates,
    Q4Fuses,
    Q4FlushesSubnormals,
    Q4mTwoTerms,
    Q6ConvertsSubBlocks,
    Q4kFuses,
    Q4kTwoTerms,
    Q4kScalesOfFourBits,
    Q5ReusesBits,
    Q5SubtractsLate,
    Q5kWrapsI16,
    Q5kConvertsSubBlocks,
    F32Fuses,
    F32FoldsNeighbours,
    F16FlushesSubnormals,
    Bf16EightStripes,
    ReadsBeyondTheTokens,
    PutsTwice,
    NormInDouble,
    NormFoldsScales,
    NormInOrder,
    NormInPlaceFuses,
    RopeFuses,
    SiluAssociates,
    SiluTrueExp,
    ReluAssociates,
    ReluLosesNan,
    AttendFuses,
    AttendEightStripes,
    StoreTruncates,
    AttendNormalizes,
    AttendRepeatsHead,
    AttendIgnoresStride,
    AttendAcceptsInfinity,
    AttendI8FloatValues,
    AttendI8Truncates,
    CombineReciprocal,
    CombineBackwards,
}

#[derive(Clone, Copy)]
struct Wrong(Fault);

/// `a * b + c` rounded once, or nearly: what a fused multiply-add gives.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0.0 } else { x }
}

impl Wrong {
    fn is(self, fault: Fault) -> bool {
        self.0 == fault
    }

    fn norm(self, x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) {
        let n = x.len() as f32;
        let mean = dot::<Scalar16>(x, x) / n;
        let scale = match self.0 {
            Fault::NormInDouble => (1.0 / f64::from(mean + eps).sqrt()) as f32,
            Fault::NormInOrder => 1.0 / sqrt(x.iter().fold(0.0, |s, x| s + x * x) / n + eps),
            Fault::NormInPlaceFuses => 1.0 / sqrt(x.iter().fold(0.0, |s, &x| fused(x, x, s)) / n + eps),
            _ => 1.0 / sqrt(mean + eps),
        };
        for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
            *y = if self.is(Fault::NormFoldsScales) { x * (scale * w) } else { x * scale * w };
        }
    }

    /// Attention over a chunk from scores on, in the ways it can go wrong.
    fn attend_rows(self, scores: &[f32], v: &[f32], record: &mut [f32]) {
        let hd = record.len() - RECORD_HEAD;
        let m = scores.iter().fold(f32::MIN, |m, &s| if s > m { s } else { m });
        let mut p: Vec<f32> = scores.iter().map(|s| exp1(s - m)).collect();
        let l = dot::<Scalar16>(&p, &[1.0; 64]);
        if self.is(Fault::AttendNormalizes) {
            p.iter_mut().for_each(|p| *p = *p / l * l);
        }
        (record[0], record[1]) = (m, l);
        for d in 0..hd {
            record[RECORD_HEAD + d] = p.iter().enumerate().fold(0.0, |o, (i, &p)| {
                let v = v[i * hd + d];
                if self.is(Fault::AttendFuses) { fused(p, v, o) } else { o + p * v }
            });
        }
    }
}

impl Kernels for Wrong {
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "wrong"
    }

    fn quantize_token(&self, x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error> {
        let before: Vec<i8> = q.to_vec();
        let (mut s, mut sum) = quantize::token(x, q)?;
        match self.0 {
            Fault::TokenLeavesPadding => q[x.len()..].copy_from_slice(&before[x.len()..]),
            Fault::TokenRoundsHalfAway => {
                sum = 0;
                for (q, x) in q.iter_mut().zip(x) {
                    *q = f64::from(x * s).round() as i8;
                    sum += i32::from(*q);
                }
            }
            Fault::TokenWithoutFloor if quantize::abs_max(x)? > quantize::GROUP_FLOOR => {
                s = 127.0 / quantize::abs_max(x)?;
                sum = 0;
                for (q, x) in q.iter_mut().zip(x) {
                    *q = quantize::round_half_even(x * s) as i8;
                    sum += i32::from(*q);
                }
            }
            _ => {}
        }
        Ok((s, sum))
    }

    fn quantize_g32(&self, x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error> {
        quantize::groups::<32>(x, q, a, sum)?;
        for (b, x) in x.chunks(32).enumerate() {
            let amax = quantize::abs_max(x)?;
            if self.is(Fault::Group32WithoutFloor) && amax > 0.0 {
                a[b] = amax / 127.0;
            }
            if self.is(Fault::Group32DividesEach) && a[b] > 0.0 {
                sum[b] = 0;
                for (q, x) in q[b * 32..].iter_mut().zip(x) {
                    *q = quantize::round_half_even(x / a[b]) as i8;
                    sum[b] += i32::from(*q);
                }
            }
        }
        Ok(())
    }

    fn quantize_g256(&self, x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error> {
        quantize::groups::<256>(x, q, a, sum)?;
        for (b, x) in x.chunks(256).enumerate() {
            if self.is(Fault::Group256MultipliesByReciprocal) && a[b] > 0.0 {
                a[b] = quantize::abs_max(x)? * (1.0 / 127.0);
            }
            if self.is(Fault::Group256SkipsPartial) && x.len() % 16 != 0 {
                sum[b] -= i32::from(q[b * 256 + x.len() - 1]);
            }
        }
        Ok(())
    }

    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        let result = products::redo(
            n,
            out,
            |y| Scalar.matmul_t2r4_i8t(w, n, a, scale, y),
            |y| self.ternary(w, n, a, scale, y),
        );
        if self.is(Fault::PutsTwice) {
            result?;
            return Scalar.matmul_t2r4_i8t(w, n, a, scale, out);
        }
        // What an unsafe kernel does that trusts its caller.
        if self.is(Fault::ReadsBeyondTheTokens) { Ok(()) } else { result }
    }

    fn matmul_q8r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(n, out, |y| Scalar.matmul_q8r4_i8g32(w, n, a, y), |y| self.q8(w, n, a, y))
    }

    fn matmul_q4r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(n, out, |y| Scalar.matmul_q4r4_i8g32(w, n, a, y), |y| self.q4(w, n, a, y))
    }

    fn matmul_q4m4_i8g32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(n, out, |y| Scalar.matmul_q4m4_i8g32(w, n, a, y), |y| self.q4_minima(w, n, a, y))
    }

    fn matmul_q6r4_i8g256<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(n, out, |y| Scalar.matmul_q6r4_i8g256(w, n, a, y), |y| self.q6(w, n, a, y))
    }

    fn matmul_q4k4_i8g256<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(
            n,
            out,
            |y| Scalar.matmul_q4k4_i8g256(w, n, a, y),
            |y| self.k(Layout::Q4k4, w, n, a, y),
        )
    }

    fn matmul_q5r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(n, out, |y| Scalar.matmul_q5r4_i8g32(w, n, a, y), |y| self.q5(w, n, a, y))
    }

    fn matmul_q5k4_i8g256<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(
            n,
            out,
            |y| Scalar.matmul_q5k4_i8g256(w, n, a, y),
            |y| self.k(Layout::Q5k4, w, n, a, y),
        )
    }

    fn matmul_f32_f32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &FloatActs<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(
            n,
            out,
            |y| Scalar.matmul_f32_f32(w, n, a, y),
            |y| self.floats(Layout::F32, w, n, a, y),
        )
    }

    fn matmul_f16_f32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &FloatActs<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(
            n,
            out,
            |y| Scalar.matmul_f16_f32(w, n, a, y),
            |y| self.floats(Layout::F16, w, n, a, y),
        )
    }

    fn matmul_bf16_f32<R: Results>(
        &self,
        w: &[u8],
        n: usize,
        a: &FloatActs<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        products::redo(
            n,
            out,
            |y| Scalar.matmul_bf16_f32(w, n, a, y),
            |y| self.floats(Layout::Bf16, w, n, a, y),
        )
    }

    fn rms_norm(&self, x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> Result<(), Error> {
        Scalar.rms_norm(x, w, eps, y)?;
        if !self.is(Fault::NormInPlaceFuses) {
            self.norm(x, w, eps, y);
        }
        Ok(())
    }

    fn rms_norm_in_place(&self, x: &mut [f32], w: &[f32], eps: f32) -> Result<(), Error> {
        let before: Vec<f32> = x.to_vec();
        Scalar.rms_norm_in_place(x, w, eps)?;
        if self.is(Fault::NormInPlaceFuses) {
            self.norm(&before, w, eps, x);
        }
        Ok(())
    }

    fn rope(&self, head: &mut [f32], angles: &[f32]) -> Result<(), Error> {
        let before: Vec<f32> = head.to_vec();
        Scalar.rope(head, angles)?;
        let pairs = angles.len() / 2;
        for i in 0..pairs {
            if self.is(Fault::RopeFuses) {
                let (x, y, c, s) = (before[i], before[i + pairs], angles[2 * i], angles[2 * i + 1]);
                (head[i], head[i + pairs]) = (fused(x, c, -(y * s)), fused(x, s, y * c));
            }
        }
        Ok(())
    }

    fn gate(&self, act: Activation, g: &mut [f32], u: &[f32]) -> Result<(), Error> {
        let before: Vec<f32> = g.to_vec();
        Scalar.gate(act, g, u)?;
        for ((out, g), &u) in g.iter_mut().zip(before).zip(u) {
            match (self.0, act) {
                (Fault::SiluAssociates, Activation::Silu) => *out = g * u / (1.0 + exp1(0.0 - g)),
                (Fault::SiluTrueExp, Activation::Silu) => {
                    *out = g / (1.0 + f64::from(-g).exp() as f32) * u;
                }
                (Fault::ReluAssociates, Activation::Relu2) if g > 0.0 => *out = g * (g * u),
                (Fault::ReluLosesNan, Activation::Relu2) if g.is_nan() => *out = 0.0 * u,
                _ => {}
            }
        }
        Ok(())
    }

    fn store<E: KvElement>(&self, x: &[f32], row: &mut [E]) -> Result<(), Error> {
        Scalar.store(x, row)?;
        if self.is(Fault::StoreTruncates) {
            for (row, x) in row.iter_mut().zip(x) {
                *row = E::from_f32(f32::from_bits(x.to_bits() & !0x1fff));
            }
        }
        Ok(())
    }

    fn attend<E: KvElement>(
        &self,
        q: &Queries<'_>,
        k: &[E],
        v: &[E],
        c: f32,
        records: &mut [f32],
    ) -> Result<(), Error> {
        let result = Scalar.attend(q, k, v, c, records);
        if self.is(Fault::AttendAcceptsInfinity) {
            return if result == Err(Error::NonFinite) { Ok(()) } else { result };
        }
        result?;
        let widen = |x: &[E]| -> Vec<f32> {
            let mut lanes = [0.0; 16];
            x.iter()
                .map(|&x| {
                    crate::simd::F32x16::store(E::widen::<Scalar16>(&[x; 16]), &mut lanes);
                    lanes[0]
                })
                .collect()
        };
        let (k, v) = (widen(k), widen(v));
        for (i, record) in records.chunks_mut(RECORD_HEAD + q.head_dim).enumerate() {
            let x = match self.0 {
                Fault::AttendRepeatsHead => &q.x[i / q.heads * q.stride..][..q.head_dim],
                Fault::AttendIgnoresStride => &q.x[i * q.head_dim..][..q.head_dim],
                _ => q.get(i).unwrap(),
            };
            let score = |k: &[f32]| {
                if self.is(Fault::AttendEightStripes) {
                    products::striped::<8>(x.iter().zip(k).map(|(q, k)| q * k)) * c
                } else {
                    dot::<Scalar16>(x, k) * c
                }
            };
            let scores: Vec<f32> = k.chunks(q.head_dim).map(score).collect();
            self.attend_rows(&scores, &v, record);
        }
        Ok(())
    }

    fn attend_i8(
        &self,
        q: &[i8],
        q_scale: f32,
        k: Int8Rows<'_>,
        v: Int8Rows<'_>,
        c: f32,
        record: &mut [f32],
    ) -> Result<(), Error> {
        Scalar.attend_i8(q, q_scale, k, v, c, record)?;
        let m = record[0];
        let scores = k.q.chunks(q.len()).zip(k.scales).map(|(k, ka)| {
            let sum: i32 = q.iter().zip(k).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
            sum as f32 * (q_scale * ka) * c
        });
        let p: Vec<f32> = scores.zip(v.scales).map(|(s, va)| exp1(s - m) * va).collect();
        let largest = quantize::abs_max(&p)?;
        let (scale, unit) = (32767.0 / largest, largest / 32767.0);
        if largest < crate::attention::VALUE_FLOOR {
            return Ok(());
        }
        for (d, o) in record[RECORD_HEAD..].iter_mut().enumerate() {
            let column = || v.q.iter().skip(d).step_by(q.len()).map(|&v| i32::from(v)).zip(&p);
            match self.0 {
                Fault::AttendI8FloatValues => *o = column().fold(0.0, |o, (v, p)| o + p * v as f32),
                Fault::AttendI8Truncates => {
                    *o = column().map(|(v, p)| v * (p * scale) as i32).sum::<i32>() as f32 * unit;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn combine(&self, records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> Result<(), Error> {
        Scalar.combine(records, stride, n, y)?;
        let mut order: Vec<&[f32]> = records.chunks(stride).take(n).collect();
        let m = order.iter().fold(f32::MIN, |m, r| if r[0] > m { r[0] } else { m });
        if self.is(Fault::CombineBackwards) {
            order.reverse();
        }
        let weights: Vec<f32> = order.iter().map(|r| exp1(r[0] - m)).collect();
        let sum = order.iter().zip(&weights).fold(0.0, |s, (r, w)| s + w * r[1]);
        for (d, y) in y.iter_mut().enumerate() {
            let o = order.iter().zip(&weights).fold(0.0, |o, (r, w)| o + w * r[RECORD_HEAD + d]);
            *y = if self.is(Fault::CombineReciprocal) { o * (1.0 / sum) } else { o / sum };
        }
        Ok(())
    }
}

/// Every fault, and the kernels that it must show in.
const FAULTS: &[(Fault, &[&str])] = &[
    (Fault::TokenRoundsHalfAway, &["quantize_token"]),
    (Fault::TokenWithoutFloor, &["quantize_token"]),
    (Fault::TokenLeavesPadding, &["quantize_token"]),
    (Fault::Group32DividesEach, &["quantize_g32"]),
    (Fault::Group32WithoutFloor, &["quantize_g32"]),
    (Fault::Group256MultipliesByReciprocal, &["quantize_g256"]),
    (Fault::Group256SkipsPartial, &["quantize_g256"]),
    (Fault::TernaryWrapsI16, &["matmul_t2r4_i8t"]),
    (Fault::TernaryFoldsScales, &["matmul_t2r4_i8t"]),
    (Fault::TernaryScaleOfTheTile, &["matmul_t2r4_i8t"]),
    (Fault::ReadsBeyondTheTokens, &["matmul_t2r4_i8t"]),
    (Fault::PutsTwice, &["matmul_t2r4_i8t"]),
    (Fault::Q8InOrder, &["matmul_q8r4_i8g32"]),
    (Fault::Q8OneStripeTooMany, &["matmul_q8r4_i8g32"]),
    (Fault::Q8NegatesMinus128, &["matmul_q8r4_i8g32"]),
    (Fault::Q8Associates, &["matmul_q8r4_i8g32"]),
    (Fault::Q4Fuses, &["matmul_q4r4_i8g32"]),
    (Fault::Q4FlushesSubnormals, &["matmul_q4r4_i8g32"]),
    (Fault::Q4mTwoTerms, &["matmul_q4m4_i8g32"]),
    (Fault::Q6ConvertsSubBlocks, &["matmul_q6r4_i8g256"]),
    (Fault::Q4kFuses, &["matmul_q4k4_i8g256"]),
    (Fault::Q4kTwoTerms, &["matmul_q4k4_i8g256"]),
    (Fault::Q4kScalesOfFourBits, &["matmul_q4k4_i8g256"]),
    (Fault::Q5ReusesBits, &["matmul_q5r4_i8g32"]),
    (Fault::Q5SubtractsLate, &["matmul_q5r4_i8g32"]),
    (Fault::Q5kWrapsI16, &["matmul_q5k4_i8g256"]),
    (Fault::Q5kConvertsSubBlocks, &["matmul_q5k4_i8g256"]),
    (Fault::F32Fuses, &["matmul_f32_f32"]),
    (Fault::F32FoldsNeighbours, &["matmul_f32_f32"]),
    (Fault::F16FlushesSubnormals, &["matmul_f16_f32"]),
    (Fault::Bf16EightStripes, &["matmul_bf16_f32"]),
    (Fault::NormInDouble, &["rms_norm"]),
    (Fault::NormFoldsScales, &["rms_norm"]),
    (Fault::NormInOrder, &["rms_norm"]),
    (Fault::NormInPlaceFuses, &["rms_norm_in_place"]),
    (Fault::RopeFuses, &["rope"]),
    (Fault::SiluAssociates, &["gate (SiLU)"]),
    (Fault::SiluTrueExp, &["gate (SiLU)"]),
    (Fault::ReluAssociates, &["gate (squared ReLU)"]),
    (Fault::ReluLosesNan, &["gate (squared ReLU)"]),
    (Fault::StoreTruncates, &["store (f16)", "store (f32)"]),
    (Fault::AttendFuses, &["attend (f16)", "attend (f32)"]),
    (Fault::AttendEightStripes, &["attend (f16)", "attend (f32)"]),
    (Fault::AttendNormalizes, &["attend (f16)", "attend (f32)"]),
    (Fault::AttendRepeatsHead, &["attend (f16)", "attend (f32)"]),
    (Fault::AttendIgnoresStride, &["attend (f16)", "attend (f32)"]),
    (Fault::AttendAcceptsInfinity, &["attend (f16)", "attend (f32)"]),
    (Fault::AttendI8FloatValues, &["attend_i8"]),
    (Fault::AttendI8Truncates, &["attend_i8"]),
    (Fault::CombineReciprocal, &["combine"]),
    (Fault::CombineBackwards, &["combine"]),
];

/// It shows from a stripe's second term on, and a boot has no memory for that many panels.
const NEEDS_FIVE_PANELS: Fault = Fault::Q4kTwoTerms;

fn blamed(fault: Fault, effort: Effort) -> (BTreeSet<&'static str>, String) {
    let (mut kernels, mut lines) = (BTreeSet::new(), String::new());
    let summary = run(Wrong(fault), effort, &mut |failure| {
        kernels.insert(failure.kernel);
        if lines.len() < 400 {
            lines += &format!("\n{failure}");
        }
    });
    assert_eq!(summary.passed(), kernels.is_empty());
    (kernels, lines)
}

#[test]
fn each_fault_is_caught_in_its_own_kernel() {
    for &(fault, kernels) in FAULTS {
        let expected: BTreeSet<&str> = kernels.iter().copied().collect();
        for &effort in
            if fault == NEEDS_FIVE_PANELS { &[Effort::Full][..] } else { &[Effort::Boot, Effort::Full] }
        {
            let (found, lines) = blamed(fault, effort);
            assert_eq!(found, expected, "{fault:?} ({effort:?}){lines}");
        }
    }
}

/// The code that the faults are planted in is itself another way to write the definition.
#[test]
fn without_a_fault_the_same_code_passes() {
    for effort in [Effort::Boot, Effort::Full] {
        let (kernels, lines) = blamed(Fault::None, effort);
        assert!(kernels.is_empty(), "{lines}");
    }
}

#[test]
fn the_definition_passes_and_no_case_of_the_full_run_is_skipped() {
    let full = run(Scalar, Effort::Full, &mut |f| panic!("{f}"));
    assert!(full.passed() && full.skipped == 0, "{full:?}");
    let boot = run(Scalar, Effort::Boot, &mut |f| panic!("{f}"));
    assert!(boot.passed() && boot.cases > 1000, "{boot:?}");
}
