//! Norms, rotation, gates.

use super::check::Check;
use super::first;
use super::operands::Pattern;
use crate::gate::Activation;
use crate::{Error, Kernels, Scalar};

const LENGTHS: &[usize] = &[1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 100, 128, 129, 256, 300, 576];

/// Head widths and rotated pairs.
const HEADS: &[[usize; 2]] =
    &[[2, 1], [8, 4], [48, 24], [64, 32], [64, 16], [66, 33], [100, 50], [128, 64], [256, 128], [256, 3]];

#[derive(Clone, Copy)]
enum Op {
    Norm(f32),
    NormInPlace(f32),
    Gate(Activation),
    Rope,
}

struct Memory<'a> {
    x: &'a mut [f32],
    w: &'a mut [f32],
    want: &'a mut [f32],
    got: &'a mut [f32],
}

#[inline(never)]
pub(super) fn check<K: Kernels, const N: usize>(k: K, check: &mut Check<'_>) {
    let mut memory = Memory { x: &mut [0.0; N], w: &mut [0.0; N], want: &mut [0.0; N], got: &mut [0.0; N] };
    let ops = [
        ("rms_norm", Op::Norm(1e-5)),
        ("rms_norm", Op::Norm(0.0)),
        ("rms_norm_in_place", Op::NormInPlace(1e-6)),
        ("gate (SiLU)", Op::Gate(Activation::Silu)),
        ("gate (squared ReLU)", Op::Gate(Activation::Relu2)),
    ];
    for (name, op) in ops {
        for &n in LENGTHS {
            for &pattern in check.patterns() {
                one(k, check, &mut memory, (name, op), [n, n], pattern);
            }
            one(k, check, &mut memory, (name, op), [n, n], Pattern::NonFinite);
        }
        one(k, check, &mut memory, (name, op), [17, 16], Pattern::Misfit);
    }
    for &[width, pairs] in HEADS {
        for &pattern in check.patterns() {
            one(k, check, &mut memory, ("rope", Op::Rope), [width, 2 * pairs], pattern);
        }
    }
    one(k, check, &mut memory, ("rope", Op::Rope), [30, 32], Pattern::Misfit);
}

/// `n`: elements, and elements of the second operand.
#[inline(never)]
fn one<K: Kernels>(
    k: K,
    check: &mut Check<'_>,
    memory: &mut Memory<'_>,
    (name, op): (&'static str, Op),
    n: [usize; 2],
    pattern: Pattern,
) {
    let mut source = check.begin(name, [n[0], n[1], 0], pattern);
    let (Some(x), Some(w), Some(want), Some(got)) =
        (first(memory.x, n[0]), first(memory.w, n[1]), first(memory.want, n[0]), first(memory.got, n[0]))
    else {
        return check.skip();
    };
    source.floats(x);
    if pattern == Pattern::NonFinite {
        source = super::operands::Source::new([n[0], n[1], 1], Pattern::Plain);
    }
    source.floats(w);
    for ((want, got), &x) in want.iter_mut().zip(got.iter_mut()).zip(x.iter()) {
        // Operations in place find their input there, the others nothing that could be a result.
        (*want, *got) = if matches!(op, Op::Norm(_)) { (9999.0, 9999.0) } else { (x, x) };
    }
    let expected = call(Scalar, op, x, w, want);
    let found = call(k, op, x, w, got);
    if check.results(expected, found) {
        check.output("y", want, got);
    }
}

fn call<K: Kernels>(k: K, op: Op, x: &[f32], w: &[f32], y: &mut [f32]) -> Result<(), Error> {
    match op {
        Op::Norm(eps) => k.rms_norm(x, w, eps, y),
        Op::NormInPlace(eps) => k.rms_norm_in_place(y, w, eps),
        Op::Gate(act) => k.gate(act, y, w),
        Op::Rope => k.rope(y, w),
    }
}
