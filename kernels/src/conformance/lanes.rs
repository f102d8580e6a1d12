//! The sixteen lanes.

use super::Effort;
use super::check::Check;
use super::operands::{Pattern, Source};
use crate::format::f16_to_f32;
use crate::math::exp;
use crate::simd::{F32x16, LANES, Scalar16};

/// Values at the edges of f32: zeros, subnormals, the smallest normals, ones, ties, the largest, infinity, NaN.
const EDGES: [u32; 16] = [
    0x0000_0000,
    0x0000_0001,
    0x0040_0000,
    0x007f_ffff,
    0x0080_0000,
    0x0080_0001,
    0x3380_0000,
    0x3f7f_ffff,
    0x3f80_0000,
    0x3f80_0001,
    0x4b40_0001,
    0x42ae_0000,
    0x42b0_0001,
    0x7f7f_ffff,
    0x7f80_0000,
    0x7fc0_0000,
];

fn store<V: F32x16>(v: V) -> [f32; LANES] {
    let mut y = [9999.0; LANES];
    v.store(&mut y);
    y
}

#[inline(never)]
pub(super) fn check<V: F32x16>(check: &mut Check<'_>) {
    let rounds = if check.effort() == Effort::Boot { 4 } else { 200 };
    for round in 0..rounds {
        for &pattern in check.patterns() {
            let mut source = check.begin("lanes", [LANES, round, 0], pattern);
            let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
            source.floats(&mut a);
            source.floats(&mut b);
            binary::<V>(check, &a, &b);
            unary::<V>(check, &a);
        }
    }
    for (i, &edge) in EDGES.iter().enumerate() {
        for sign in [0, 0x8000_0000] {
            check.begin("lanes", [LANES, i, 1], Pattern::NonFinite);
            let a = [f32::from_bits(edge | sign); LANES];
            let b = EDGES.map(f32::from_bits);
            binary::<V>(check, &a, &b);
            binary::<V>(check, &b, &a);
            unary::<V>(check, &a);
        }
    }
    powers::<V>(check);
    parts::<V>(check);
    folds::<V>(check);
    halves::<V>(check);
}

#[inline(never)]
fn binary<V: F32x16>(check: &mut Check<'_>, a: &[f32; LANES], b: &[f32; LANES]) {
    let (x, y) = (V::load(a), V::load(b));
    let (p, q) = (Scalar16::load(a), Scalar16::load(b));
    check.output("add", &store(p.add(q)), &store(x.add(y)));
    check.output("sub", &store(p.sub(q)), &store(x.sub(y)));
    check.output("mul", &store(p.mul(q)), &store(x.mul(y)));
    check.output("div", &store(p.div(q)), &store(x.div(y)));
    // Products that are added at once: what a compiler could fuse.
    check.output("mul, add", &store(p.mul(q).add(p)), &store(x.mul(y).add(x)));
}

#[inline(never)]
fn unary<V: F32x16>(check: &mut Check<'_>, a: &[f32; LANES]) {
    let (x, p) = (V::load(a), Scalar16::load(a));
    check.output("load, store", a, &store(x));
    check.output("splat", &[a[3]; LANES], &store(V::splat(a[3])));
    check.output("relu", &store(p.relu()), &store(x.relu()));
    check.output("clamp", &store(p.clamp(-87.0, 88.0)), &store(x.clamp(-87.0, 88.0)));
    check.output("clamp", &store(p.clamp(-0.5, 0.25)), &store(x.clamp(-0.5, 0.25)));
    check.output("exp", &store(exp(p)), &store(exp(x)));
    check.output("fold", &[p.fold()], &[x.fold()]);
    let (mut want, mut got) = ([0; LANES], [0; LANES]);
    p.to_f16(&mut want);
    x.to_f16(&mut got);
    check.output("to_f16", &want, &got);
}

fn powers<V: F32x16>(check: &mut Check<'_>) {
    for n in -126..=127 {
        check.begin("lanes", [LANES, 0, 2], Pattern::Plain);
        let t = n as f32 + crate::math::ROUND;
        check.output(
            "pow2_of_shifted",
            &store(Scalar16::splat(t).pow2_of_shifted()),
            &store(V::splat(t).pow2_of_shifted()),
        );
    }
}

/// Sixteen folds at once, each of other values.
#[inline(never)]
fn folds<V: F32x16>(check: &mut Check<'_>) {
    for &pattern in check.patterns() {
        let mut source = check.begin("lanes", [LANES, 0, 5], pattern);
        let mut x = [[0.0; LANES]; LANES];
        x.iter_mut().for_each(|x| source.floats(x));
        let want = x.map(|x| Scalar16::load(&x).fold());
        check.output("fold16", &want, &store(V::fold16(x.map(|x| V::load(&x)))));
    }
}

fn parts<V: F32x16>(check: &mut Check<'_>) {
    let mut x = [0.0; LANES + 1];
    Source::new([LANES, 0, 3], Pattern::Plain).floats(&mut x);
    for n in 0..=LANES + 1 {
        check.begin("lanes", [n, 0, 3], Pattern::Plain);
        let part = x.get(..n).unwrap_or(&[]);
        check.output("load_part", &store(Scalar16::load_part(part)), &store(V::load_part(part)));
        let (mut want, mut got) = ([5.0; LANES + 1], [5.0; LANES + 1]);
        Scalar16::load_part(&x).store_part(want.get_mut(..n).unwrap_or_default());
        V::load_part(&x).store_part(got.get_mut(..n).unwrap_or_default());
        check.output("store_part", &want, &got);
    }
}

/// All f16 and bfloat16, and the f32 values at, just below and just above each of them and each point halfway to the next.
fn halves<V: F32x16>(check: &mut Check<'_>) {
    let step = if check.effort() == Effort::Boot { 61 } else { 1 };
    for first in (0..=u16::MAX - 15).step_by(step * LANES) {
        check.begin("lanes", [LANES, usize::from(first), 4], Pattern::NonFinite);
        let mut bits = [0; LANES];
        for (bits, i) in bits.iter_mut().zip(0..) {
            *bits = first | i;
        }
        check.output("from_f16", &store(Scalar16::from_f16(&bits)), &store(V::from_f16(&bits)));
        check.output("from_bf16", &store(Scalar16::from_bf16(&bits)), &store(V::from_bf16(&bits)));
        for nudge in [0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff] {
            let x = bits.map(|b| {
                let wide = f16_to_f32(b).to_bits();
                // A NaN stays one: what is added must not carry into its sign.
                f32::from_bits(if wide & 0x7fff_ffff >= 0x7f80_0000 { wide } else { wide + nudge })
            });
            let (mut want, mut got) = ([0; LANES], [0; LANES]);
            Scalar16::load(&x).to_f16(&mut want);
            V::load(&x).to_f16(&mut got);
            check.output("to_f16", &want, &got);
        }
    }
}
