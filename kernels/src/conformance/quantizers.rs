//! Activation quantization.

use super::check::Check;
use super::first;
use super::operands::Pattern;
use crate::{Error, Kernels, Scalar, quantize};

/// Elements of a row: around the groups and the vectors.
const LENGTHS: &[usize] = &[1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 192, 255, 256, 257, 300, 512, 576];

#[derive(Clone, Copy)]
enum Form {
    Token,
    Group32,
    Group256,
}

/// A row, its results in the definition and in the backend.
struct Memory<'a> {
    x: &'a mut [f32],
    q: [&'a mut [i8]; 2],
    scales: [[f32; 24]; 2],
    sums: [[i32; 24]; 2],
}

#[inline(never)]
pub(super) fn check<K: Kernels, const N: usize>(k: K, check: &mut Check<'_>) {
    let mut memory = Memory {
        x: &mut [0.0; N],
        q: [&mut [0; N], &mut [0; N]],
        scales: [[0.0; 24]; 2],
        sums: [[0; 24]; 2],
    };
    let forms =
        [("quantize_token", Form::Token), ("quantize_g32", Form::Group32), ("quantize_g256", Form::Group256)];
    for (name, form) in forms {
        for &n in LENGTHS {
            for pattern in Pattern::VALID {
                one(k, check, &mut memory, (name, form), n, pattern);
            }
            one(k, check, &mut memory, (name, form), n, Pattern::NonFinite);
        }
        one(k, check, &mut memory, (name, form), 100, Pattern::Misfit);
    }
}

#[inline(never)]
fn one<K: Kernels>(
    k: K,
    check: &mut Check<'_>,
    memory: &mut Memory<'_>,
    (name, form): (&'static str, Form),
    n: usize,
    pattern: Pattern,
) {
    let padded = if pattern == Pattern::Misfit { n - 1 } else { n.next_multiple_of(64) };
    let mut source = check.begin(name, [n, padded, 0], pattern);
    let [q, q_got] = &mut memory.q;
    let (Some(x), Some(q), Some(q_got)) = (first(memory.x, n), first(q, padded), first(q_got, padded)) else {
        return check.skip();
    };
    source.floats(x);
    if let (Pattern::Tiny, Some(last)) = (pattern, x.last_mut()) {
        // The floors themselves, and a value between them.
        *last = [quantize::TOKEN_FLOOR, 1e-7, quantize::GROUP_FLOOR].get(n % 3).copied().unwrap_or(0.0);
    }
    q.fill(99);
    q_got.fill(99);
    let ([a, a_got], [sum, sum_got]) = (&mut memory.scales, &mut memory.sums);
    for (a, sum) in [(&mut *a, &mut *sum), (&mut *a_got, &mut *sum_got)] {
        a.fill(99.0);
        sum.fill(99);
    }
    let expected = call(Scalar, form, x, q, a, sum);
    let found = call(k, form, x, q_got, a_got, sum_got);
    if check.results(expected, found) {
        check.output("q", q, q_got);
        check.output("scales", a, a_got);
        check.output("sums", sum, sum_got);
    }
}

fn call<K: Kernels>(
    k: K,
    form: Form,
    x: &[f32],
    q: &mut [i8],
    scales: &mut [f32; 24],
    sums: &mut [i32; 24],
) -> Result<(), Error> {
    match form {
        Form::Token => {
            (scales[0], sums[0]) = k.quantize_token(x, q)?;
            Ok(())
        }
        Form::Group32 => k.quantize_g32(x, q, scales, sums),
        Form::Group256 => k.quantize_g256(x, q, scales, sums),
    }
}
