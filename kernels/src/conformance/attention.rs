//! Attention: chunks of float and int8 caches, and their combination.

use super::check::{Bits, Check};
use super::first;
use super::operands::{Pattern, Source};
use crate::attention::{Int8Rows, KvElement, Queries, RECORD_HEAD};
use crate::{Kernels, Scalar};

/// Head widths.
const HEADS: &[usize] = &[8, 16, 40, 48, 64, 80, 128, 256];
/// Positions of a chunk.
const POSITIONS: &[usize] = &[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64];
const WIDEST: usize = 256;
const RECORD: usize = RECORD_HEAD + WIDEST;
/// Values lie so many elements behind the keys, in the same memory.
const SHIFT: usize = 5;
/// No result is this.
const UNTOUCHED: f32 = 9999.0;

/// Every shape in every pattern, and those that must fail: one position too few or too many.
fn cases(check: &Check<'_>) -> impl Iterator<Item = ([usize; 3], Pattern)> + use<> {
    let patterns = check.patterns();
    let shapes = || HEADS.iter().flat_map(|&hd| POSITIONS.iter().map(move |&n| [hd, n, 0]));
    let valid = shapes().flat_map(move |s| patterns.iter().map(move |&p| (s, p)));
    let bad = shapes().map(|s| (s, Pattern::NonFinite));
    let misfits = [[8, 65, 0], [16, 5, 1], [8, 4, 2], [8, 0, 0], [8, 4, 3]].map(|s| (s, Pattern::Misfit));
    valid.chain(bad).chain(misfits)
}

/// A factor as models have it: about one over the root of the width.
fn factor(width: usize) -> f32 {
    1.0 / crate::math::sqrt(width as f32)
}

/// Tokens and heads of the queries of a case: every group a model has, tiles that are not full, more than one pass.
const QUERIES: &[[usize; 2]] =
    &[[1, 1], [1, 4], [1, 3], [1, 5], [1, 2], [2, 3], [5, 1], [16, 1], [3, 7], [4, 4], [17, 1], [2, 9]];
/// Elements behind a token's queries in its row.
const GAP: usize = 3;

/// `N`: elements of the cache, `Q` of the queries, `R` of the records.
#[inline(never)]
pub(super) fn check<K: Kernels, E: KvElement, const N: usize, const Q: usize, const R: usize>(
    k: K,
    check: &mut Check<'_>,
) {
    let (mut memory, mut queries) = ([E::default(); N], [0.0; Q]);
    let (mut want, mut got) = ([UNTOUCHED; R], [UNTOUCHED; R]);
    let name = if size_of::<E>() == 4 { "attend (f32)" } else { "attend (f16)" };
    let mut turn = QUERIES.iter().cycle();
    for (shape, pattern) in cases(check) {
        let [hd, n, misfit] = shape;
        let mut source = check.begin(name, shape, pattern);
        // Wide heads have few queries, for the stack's and the time's sake.
        let &[tokens, heads] = turn.find(|[t, h]| t * h * hd <= 900.max(4 * hd)).unwrap_or(&[1, 1]);
        let (len, stride) = (hd * n, heads * hd + GAP);
        let records = tokens * heads * (RECORD_HEAD + hd) - usize::from(misfit == 2);
        let (Some(kv), Some(x), Some(want), Some(got)) = (
            first(&mut memory, len + SHIFT),
            first(&mut queries, tokens * stride - GAP),
            first(&mut want, records),
            first(&mut got, records),
        ) else {
            check.skip();
            continue;
        };
        source.elements(kv);
        let (keys, values) = (kv.get(..len).unwrap_or(&[]), kv.get(SHIFT..).unwrap_or(&[]));
        let values = if misfit == 1 { values.get(1..).unwrap_or(&[]) } else { values };
        Source::new([hd, n, 7], if pattern == Pattern::NonFinite { Pattern::Plain } else { pattern })
            .floats(x);
        let x = if misfit == 3 { x.get(1..).unwrap_or(&[]) } else { &*x };
        let q = Queries { x, stride, tokens, heads, head_dim: hd };
        want.fill(UNTOUCHED);
        got.fill(UNTOUCHED);
        let expected = Scalar.attend(&q, keys, values, factor(hd), want);
        let found = k.attend(&q, keys, values, factor(hd), got);
        if check.results(expected, found) {
            check.output("records", want, got);
        }
    }
}

/// Rows of a cache: around the vectors, and whole heads.
#[inline(never)]
pub(super) fn check_store<K: Kernels, E: KvElement + Bits>(k: K, check: &mut Check<'_>) {
    let name = if size_of::<E>() == 4 { "store (f32)" } else { "store (f16)" };
    let (mut x, untouched) = ([0.0; WIDEST], E::from_f32(UNTOUCHED));
    for n in [1, 2, 15, 16, 17, 31, 32, 33, 40, 64, 80, 100, 128, 256] {
        let patterns = check.patterns().iter().chain([&Pattern::NonFinite, &Pattern::Misfit]);
        for &pattern in patterns {
            let mut source = check.begin(name, [n, 0, 0], pattern);
            let x = x.get_mut(..n).unwrap_or_default();
            source.floats(x);
            let (mut want, mut got) = ([untouched; WIDEST], [untouched; WIDEST]);
            let len = if pattern == Pattern::Misfit { n - 1 } else { n };
            let expected = Scalar.store(x, want.get_mut(..len).unwrap_or_default());
            let found = k.store(x, got.get_mut(..len).unwrap_or_default());
            if check.results(expected, found) {
                check.output("row", &want, &got);
            }
        }
    }
}

#[inline(never)]
pub(super) fn check_i8<K: Kernels, const N: usize>(k: K, check: &mut Check<'_>) {
    let mut memory = [0i8; N];
    for (shape, pattern) in cases(check).filter(|(shape, _)| shape[2] < 3) {
        let [hd, n, misfit] = shape;
        let mut source = check.begin("attend_i8", shape, pattern);
        let len = hd * n;
        let Some(kv) = first(&mut memory, len + SHIFT) else {
            check.skip();
            continue;
        };
        source.activations(kv);
        let (keys, values) = (kv.get(..len).unwrap_or(&[]), kv.get(SHIFT..).unwrap_or(&[]));
        let values = if misfit == 1 { values.get(1..).unwrap_or(&[]) } else { values };
        let mut scales = [0.0; 2 * 65];
        source.scales(&mut scales);
        if pattern == Pattern::Extreme || pattern == Pattern::Ties {
            scales.fill(1.0 / 127.0);
        }
        let (key_scales, value_scales) = scales.split_at(65);
        let mut q = [0; WIDEST];
        let q = q.get_mut(..hd).unwrap_or_default();
        source.activations(q);
        let key_rows = Int8Rows { q: keys, scales: key_scales.get(..n).unwrap_or(&[]) };
        let value_rows = Int8Rows { q: values, scales: value_scales.get(..n).unwrap_or(&[]) };
        // Sums of 127^2 would leave one position with all the weight: scores stay within a few units.
        let (q_scale, c) = (1.0 / 127.0, factor(hd));
        compare(check, hd, misfit == 2, |definition, record| {
            if definition {
                Scalar.attend_i8(q, q_scale, key_rows, value_rows, c, record)
            } else {
                k.attend_i8(q, q_scale, key_rows, value_rows, c, record)
            }
        });
    }
}

/// Runs both on a record of their own and compares; a `short` record must be refused.
#[inline(never)]
fn compare(
    check: &mut Check<'_>,
    hd: usize,
    short: bool,
    mut run: impl FnMut(bool, &mut [f32]) -> Result<(), crate::Error>,
) {
    let (mut want, mut got) = ([UNTOUCHED; RECORD], [UNTOUCHED; RECORD]);
    let len = RECORD_HEAD + hd - usize::from(short);
    let want = want.get_mut(..len).unwrap_or_default();
    let got = got.get_mut(..len).unwrap_or_default();
    let (expected, found) = (run(true, want), run(false, got));
    if check.results(expected, found) {
        check.output("record", want, got);
    }
}

/// Chunks of a head, and elements between its records.
const CHUNKS: &[[usize; 2]] = &[[1, 0], [2, 0], [2, 3], [3, 7], [4, 10], [5, 0], [8, 1], [9, 5]];

#[inline(never)]
pub(super) fn check_combine<K: Kernels, const N: usize>(k: K, check: &mut Check<'_>) {
    let mut memory = [0.0; N];
    let shapes = || HEADS.iter().flat_map(|&hd| CHUNKS.iter().map(move |&[n, gap]| [hd, n, gap]));
    let patterns = check.patterns();
    let valid = shapes().flat_map(move |s| patterns.iter().map(move |&p| (s, p)));
    for (shape, pattern) in valid.chain([([8, 3, 0], Pattern::Misfit)]) {
        let [hd, n, gap] = shape;
        let mut source = check.begin("combine", shape, pattern);
        let stride = RECORD_HEAD + hd + gap;
        let len = if pattern == Pattern::Misfit { stride * n - 1 } else { stride * n };
        let Some(records) = first(&mut memory, len) else {
            check.skip();
            continue;
        };
        source.floats(records);
        for record in records.chunks_mut(stride.max(1)) {
            if let Some([_, l]) = record.first_chunk_mut() {
                *l = l.abs() + 1.0;
            }
        }
        let (mut want, mut got) = ([UNTOUCHED; WIDEST], [UNTOUCHED; WIDEST]);
        let want = want.get_mut(..hd).unwrap_or_default();
        let got = got.get_mut(..hd).unwrap_or_default();
        let expected = Scalar.combine(records, stride, n, want);
        let found = k.combine(records, stride, n, got);
        if check.results(expected, found) {
            check.output("y", want, got);
        }
    }
}
