//! The definition against plain formulas: weights placed by the tables of `docs/layouts.md`, sums in f64 or i64.
//!
//! The bounds are those of f32 rounding, computed with the result from the magnitudes that were added; none is tuned.

mod common;

use bitnet_edge_kernels::attention::{self, Int8Rows};
use bitnet_edge_kernels::format::{f16_to_f32, f32_to_f16};
use bitnet_edge_kernels::gate::{self, Activation};
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{
    FloatActs, Int8Acts, Layout, Outputs, TernaryScale, q4k4, q4r4, q5r4, q6r4, q8r4, rows, t2r4,
};
use bitnet_edge_kernels::{norm, quantize, rope};
use common::{EPS, Noise, close, matrix};

/// Groups of activations, quantized by the definition.
struct Acts {
    q: Vec<i8>,
    stride: usize,
    scales: Vec<f32>,
    sums: Vec<i32>,
    groups: usize,
}

impl Acts {
    fn new(x: &[f32], tokens: usize, group: usize) -> Self {
        let cols = x.len() / tokens;
        let (stride, groups) = (cols.next_multiple_of(64), cols.div_ceil(group));
        let (mut q, mut scales, mut sums) =
            (vec![0; tokens * stride], vec![0.0; tokens * groups], vec![0; tokens * groups]);
        for t in 0..tokens {
            let x = &x[t * cols..][..cols];
            let q = &mut q[t * stride..][..stride];
            let (a, s) = (&mut scales[t * groups..][..groups], &mut sums[t * groups..][..groups]);
            match group {
                32 => quantize::groups::<32>(x, q, a, s).unwrap(),
                256 => quantize::groups::<256>(x, q, a, s).unwrap(),
                _ => (a[0], s[0]) = quantize::token(x, q).unwrap(),
            }
        }
        Self { q, stride, scales, sums, groups }
    }

    fn view(&self) -> Int8Acts<'_> {
        let Self { q, stride, scales, sums, groups } = self;
        Int8Acts { q, stride: *stride, scales, sums, groups: *groups }
    }
}

/// The product of one row tile, `[tokens][4]`; ternary weights times 0.3.
fn product(layout: Layout, tile: &[u8], tokens: usize, acts: &Int8Acts<'_>) -> Vec<f32> {
    let mut y = vec![0.0; tokens * 4];
    let out = &mut Outputs { y: &mut y, stride: 4 };
    match layout {
        Layout::T2r4 => t2r4::matmul(tile, tokens, acts, TernaryScale::Tensor(0.3), out),
        Layout::Q8r4 => q8r4::matmul(tile, tokens, acts, out),
        Layout::Q4r4 => q4r4::matmul(tile, tokens, acts, out),
        Layout::Q4m4 => q4r4::matmul_minima(tile, tokens, acts, out),
        Layout::Q6r4 => q6r4::matmul(tile, tokens, acts, out),
        Layout::Q4k4 => q4k4::matmul(tile, tokens, acts, out),
        Layout::Q5r4 => q5r4::matmul(tile, tokens, acts, out),
        Layout::Q5k4 => q4k4::matmul_fifth(tile, tokens, acts, out),
        other => panic!("{other:?} has no blocks"),
    }
    .unwrap();
    y
}

#[test]
fn block_products_are_the_sums_of_what_the_tables_place() {
    let tokens = 3;
    for (layout, group, widths) in [
        (Layout::Q8r4, 32, &[32, 96, 256, 288, 576][..]),
        (Layout::Q4r4, 32, &[32, 96, 256, 288, 576]),
        (Layout::Q4m4, 32, &[32, 96, 256, 288, 576]),
        (Layout::Q5r4, 32, &[32, 96, 256, 288, 416, 576]),
        (Layout::Q6r4, 256, &[256, 768, 2304]),
        (Layout::Q4k4, 256, &[256, 768, 2304]),
        (Layout::Q5k4, 256, &[256, 768, 2304]),
    ] {
        for &cols in widths {
            let mut noise = Noise(cols as u64);
            let (w, tile) = matrix(layout, cols, &mut noise);
            let x: Vec<f32> = (0..tokens * cols).map(|_| noise.float()).collect();
            let acts = Acts::new(&x, tokens, group);
            let out = product(layout, &tile, tokens, &acts.view());
            for t in 0..tokens {
                for (r, w) in w.iter().enumerate() {
                    // Where minima are taken off, each of the two parts is at most the weight and twice the largest minimum.
                    let minimum =
                        if matches!(layout, Layout::Q4k4 | Layout::Q5k4) { 2.0 * 63.0 } else { 0.0 };
                    let terms = w.iter().enumerate().map(|(c, w)| {
                        let a = f64::from(acts.scales[t * acts.groups + c / group]);
                        let aq = a * f64::from(acts.q[t * acts.stride + c]);
                        (w * aq, (w.abs() + 2.0 * minimum) * aq.abs())
                    });
                    let (sum, size) = terms.fold((0.0, 0.0), |(s, m): (f64, f64), t| (s + t.0, m + t.1));
                    // d*a, times the integer (itself rounded once), where there are minima a second such term, and a sum over
                    // groups.
                    let bound = size * EPS * (acts.groups as f64 + 6.0);
                    close(
                        out[t * 4 + r],
                        sum,
                        bound,
                        &format!("{layout:?} {cols} columns, token {t}, row {r}"),
                    );
                }
            }
        }
    }
}

#[test]
fn widened_rows_are_what_the_tables_place() {
    for layout in Layout::ALL {
        let cols = if layout.column_multiple() == 256 { 512 } else { 288 };
        let (w, tile) = matrix(layout, cols, &mut Noise(7));
        for (r, w) in w.iter().enumerate() {
            let mut y = vec![0.0; cols];
            layout.dequantize_row(&tile, r, 0.75, &mut y).unwrap();
            for (c, (&y, &w)) in y.iter().zip(w).enumerate() {
                // Products of an f16 with whole numbers are exact, or are rounded once; so is the sum in Q4_1.
                let bound = if layout.column_multiple() == 1 { 0.0 } else { EPS * w.abs() };
                let w = if layout == Layout::T2r4 { w * 0.75 } else { w };
                close(y, w, bound, &format!("{layout:?} row {r} column {c}"));
            }
        }
    }
}

#[test]
fn a_ternary_product_is_the_integer_divided_and_scaled() {
    for cols in [1, 63, 64, 65, 576, 2560] {
        let mut noise = Noise(cols as u64 + 99);
        let (w, tile) = matrix(Layout::T2r4, cols, &mut noise);
        let x: Vec<f32> = (0..2 * cols).map(|_| noise.float() * 3.0).collect();
        let acts = Acts::new(&x, 2, usize::MAX);
        let mut out = [0.0; 8];
        let scales = [0.5, 1.25, 3.0, 0.01];
        t2r4::matmul(
            &tile,
            2,
            &acts.view(),
            TernaryScale::Rows(&scales),
            &mut Outputs { y: &mut out, stride: 4 },
        )
        .unwrap();
        for t in 0..2 {
            for (r, w) in w.iter().enumerate() {
                let q = &acts.q[t * acts.stride..];
                let i: i64 = w.iter().zip(q).map(|(&w, &q)| w as i64 * i64::from(q)).sum();
                // The same three roundings, from an exact integer below 2^24.
                let y = i as f32 / acts.scales[t] * scales[r];
                assert_eq!(out[t * 4 + r].to_bits(), y.to_bits(), "{cols} columns, token {t}, row {r}");
            }
        }
    }
}

#[test]
fn a_ternary_product_approximates_the_product_of_the_floats() {
    let cols = 1000;
    let mut noise = Noise(5);
    let (w, tile) = matrix(Layout::T2r4, cols, &mut noise);
    let x: Vec<f32> = (0..cols).map(|_| noise.float()).collect();
    let acts = Acts::new(&x, 1, usize::MAX);
    let mut out = [0.0; 4];
    t2r4::matmul(&tile, 1, &acts.view(), TernaryScale::Tensor(2.0), &mut Outputs { y: &mut out, stride: 4 })
        .unwrap();
    for (r, w) in w.iter().enumerate() {
        let want: f64 = w.iter().zip(&x).map(|(w, &x)| 2.0 * w * f64::from(x)).sum();
        // Half a step of the quantizer for each weight that is not zero.
        let steps = w.iter().filter(|w| **w != 0.0).count() as f64;
        close(out[r], want, steps * 2.0 / f64::from(acts.scales[0]) * 0.5001, &format!("row {r}"));
    }
}

#[test]
fn float_products_are_sums_of_products() {
    for cols in [1, 5, 16, 33, 300] {
        for layout in [Layout::F32, Layout::F16, Layout::Bf16] {
            let mut noise = Noise(cols as u64);
            let (w, tile) = matrix(layout, cols, &mut noise);
            let x: Vec<f32> = (0..2 * cols).map(|_| noise.float()).collect();
            let acts = FloatActs { x: &x, stride: cols, cols };
            let mut out = [0.0; 8];
            match layout {
                Layout::F32 => {
                    rows::matmul::<f32, Scalar16, _>(&tile, 2, &acts, &mut Outputs { y: &mut out, stride: 4 })
                }
                Layout::F16 => rows::matmul::<rows::F16, Scalar16, _>(
                    &tile,
                    2,
                    &acts,
                    &mut Outputs { y: &mut out, stride: 4 },
                ),
                _ => rows::matmul::<rows::Bf16, Scalar16, _>(
                    &tile,
                    2,
                    &acts,
                    &mut Outputs { y: &mut out, stride: 4 },
                ),
            }
            .unwrap();
            for t in 0..2 {
                for (r, w) in w.iter().enumerate() {
                    let products = w.iter().zip(&x[t * cols..]).map(|(w, &x)| w * f64::from(x));
                    let (sum, size) = products.fold((0.0, 0.0), |(s, m): (f64, f64), p| (s + p, m + p.abs()));
                    let bound = size * EPS * (cols.div_ceil(16) as f64 + 5.0);
                    close(out[t * 4 + r], sum, bound, &format!("{layout:?} {cols} columns"));
                }
            }
        }
    }
}

/// softmax(q k * c) v in f64, and the largest score.
fn softmax(q: &[f64], k: &[f64], v: &[f64], c: f64) -> Vec<f64> {
    let hd = q.len();
    let scores: Vec<f64> =
        k.chunks(hd).map(|k| c * k.iter().zip(q).map(|(a, b)| a * b).sum::<f64>()).collect();
    let m = scores.iter().copied().fold(f64::MIN, f64::max);
    let p: Vec<f64> = scores.iter().map(|s| (s - m).exp()).collect();
    let l: f64 = p.iter().sum();
    (0..hd).map(|d| p.iter().enumerate().map(|(i, p)| p * v[i * hd + d]).sum::<f64>() / l).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Chunks of `n` positions and their combination: `record(first position, positions, record)`.
fn chunked(hd: usize, n: usize, mut record: impl FnMut(usize, usize, &mut [f32])) -> Vec<f32> {
    let size = attention::RECORD_HEAD + hd;
    let mut records = vec![0.0; n.div_ceil(64) * size];
    for (i, r) in records.chunks_mut(size).enumerate() {
        record(i * 64, (n - i * 64).min(64), r);
    }
    let mut y = vec![0.0; hd];
    attention::combine::<Scalar16>(&records, size, n.div_ceil(64), &mut y).unwrap();
    y
}

#[test]
fn attention_is_softmax_over_all_chunks() {
    for (hd, n) in [(8, 1), (48, 63), (64, 64), (64, 65), (128, 200), (256, 300)] {
        let mut noise = Noise((hd * n) as u64);
        let mut floats = |n: usize| (0..n).map(|_| noise.float()).collect::<Vec<f32>>();
        let (q, k, v) = (floats(hd), floats(hd * n), floats(hd * n));
        let c = 1.0 / (hd as f32).sqrt();
        let want = softmax(&wide(&q), &wide(&k), &wide(&v), f64::from(c));
        let got = chunked(hd, n, |at, n, r| {
            let (k, v) = (&k[at * hd..][..n * hd], &v[at * hd..][..n * hd]);
            attention::chunk::<f32, Scalar16>(&q, k, v, c, r).unwrap();
        });
        // A score adds hd/16 + 6 roundings of terms below 4; the weights carry that, exp's own error and its argument's.
        let score = 4.0 * hd as f64 * f64::from(c) * EPS * (hd as f64 / 16.0 + 6.0);
        let weight = 2.0 * score + 4e-7 + 8.0 * EPS * 8.0;
        let bound = 2.0 * (2.0 * weight + EPS * (n.min(64) + n / 64 + 8) as f64);
        for (d, (&y, &want)) in got.iter().zip(&want).enumerate() {
            close(y, want, bound, &format!("head of {hd}, {n} positions, element {d}"));
        }
        let half = |x: &[f32]| x.iter().map(|&x| f32_to_f16(x)).collect::<Vec<u16>>();
        let (k16, v16) = (half(&k), half(&v));
        let back = |x: &[u16]| x.iter().map(|&x| f64::from(f16_to_f32(x))).collect::<Vec<f64>>();
        let want = softmax(&wide(&q), &back(&k16), &back(&v16), f64::from(c));
        let got = chunked(hd, n, |at, n, r| {
            let (k, v) = (&k16[at * hd..][..n * hd], &v16[at * hd..][..n * hd]);
            attention::chunk::<u16, Scalar16>(&q, k, v, c, r).unwrap();
        });
        for (&y, &want) in got.iter().zip(&want) {
            close(y, want, bound, &format!("f16, head of {hd}, {n} positions"));
        }
    }
}

#[test]
fn int8_attention_is_softmax_over_the_quantized_rows() {
    for (hd, n) in [(8, 1), (48, 63), (64, 65), (256, 300)] {
        let mut noise = Noise((hd * n + 1) as u64);
        let mut rows = |n: usize| {
            let (mut q, mut scales) = (vec![0; n * hd], vec![0.0; n]);
            for (q, a) in q.chunks_mut(hd).zip(&mut scales) {
                let x: Vec<f32> = (0..hd).map(|_| noise.float()).collect();
                *a = quantize::group(&x, q).unwrap().0;
            }
            let wide = q.iter().enumerate().map(|(i, &q)| f64::from(q) * f64::from(scales[i / hd])).collect();
            (q, scales, wide)
        };
        let ((q, qa, qw), (k, ka, kw), (v, va, vw)): (_, _, (Vec<i8>, Vec<f32>, Vec<f64>)) =
            (rows(1), rows(n), rows(n));
        let c = 1.0 / (hd as f32).sqrt();
        let want = softmax(&qw, &kw, &vw, f64::from(c));
        let got = chunked(hd, n, |at, n, r| {
            let k = Int8Rows { q: &k[at * hd..][..n * hd], scales: &ka[at..][..n] };
            let v = Int8Rows { q: &v[at * hd..][..n * hd], scales: &va[at..][..n] };
            attention::chunk_i8::<Scalar16>(&q, qa[0], k, v, c, r).unwrap();
        });
        // Rounding a weight to i16 moves it by half a unit of 1/32767 of the largest: 64 values of at most 2, over a sum of
        // at least 1. A score, at most 4 * 16, is rounded four times, and moves the weights of values of at most 2.
        let bound = 64f64.min(n as f64) * 2.0 * 0.5 / 32767.0 + 2.0 * 2.0 * 64.0 * 4.0 * EPS;
        for (d, (&y, &want)) in got.iter().zip(&want).enumerate() {
            close(y, want, bound, &format!("head of {hd}, {n} positions, element {d}"));
        }
    }
}

#[test]
fn norms_gates_and_rotations_are_their_formulas() {
    for n in [1, 15, 16, 100, 2560] {
        let mut noise = Noise(n as u64);
        let x: Vec<f32> = (0..n).map(|_| noise.float()).collect();
        let w: Vec<f32> = (0..n).map(|_| noise.float()).collect();
        let mut y = vec![0.0; n];
        norm::rms_norm::<Scalar16>(&x, &w, 1e-5, &mut y).unwrap();
        let mean = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / n as f64;
        let scale = 1.0 / (mean + 1e-5).sqrt();
        for i in 0..n {
            let want = f64::from(x[i]) * scale * f64::from(w[i]);
            close(y[i], want, want.abs() * EPS * (n as f64 / 16.0 + 14.0), &format!("norm of {n}, {i}"));
        }
        let (mut silu, mut relu) = (x.clone(), x.clone());
        gate::gate::<Scalar16>(Activation::Silu, &mut silu, &w).unwrap();
        gate::gate::<Scalar16>(Activation::Relu2, &mut relu, &w).unwrap();
        for i in 0..n {
            let (g, u) = (f64::from(x[i]), f64::from(w[i]));
            let want = g / (1.0 + (-g).exp()) * u;
            close(silu[i], want, want.abs() * (2e-7 + 4.0 * EPS), &format!("SiLU {i}"));
            let want = g.max(0.0) * g.max(0.0) * u;
            close(relu[i], want, want.abs() * 3.0 * EPS, &format!("squared ReLU {i}"));
        }
    }
}

#[test]
fn an_angle_is_right_at_any_position() {
    // The reference reduces the exact product of 128 bits.
    let turns: Vec<u64> = (0..32)
        .map(|i| (2f64.powi(64) / std::f64::consts::TAU * 10_000f64.powf(-f64::from(i) / 32.0)) as u64)
        .collect();
    for position in [0u32, 1, 255, 4095, 131_071, 1 << 24] {
        let mut angles = [0.0; 64];
        rope::angles(&turns, position, 1.0, &mut angles).unwrap();
        let mut head: Vec<f32> = (0..70).map(|i| (i as f32 - 30.0) / 30.0).collect();
        let before = head.clone();
        rope::rotate(&mut head, &angles).unwrap();
        for (i, &turn) in turns.iter().enumerate() {
            let phase = (u128::from(turn) * u128::from(position)) % (1 << 64);
            let (s, c) = (phase as f64 / 2f64.powi(64) * std::f64::consts::TAU).sin_cos();
            let (x, y) = (f64::from(before[i]), f64::from(before[i + 32]));
            let size = x.abs() + y.abs();
            close(head[i], x * c - y * s, size * 4e-7, &format!("position {position}, pair {i}"));
            close(head[i + 32], x * s + y * c, size * 4e-7, &format!("position {position}, pair {i}"));
        }
        assert_eq!(head[64..], before[64..], "elements beyond the pairs stay");
    }
}

#[test]
fn a_token_does_not_depend_on_its_batch() {
    for (layout, group, cols) in [
        (Layout::T2r4, usize::MAX, 130),
        (Layout::Q8r4, 32, 96),
        (Layout::Q4r4, 32, 96),
        (Layout::Q4m4, 32, 96),
        (Layout::Q5r4, 32, 160),
        (Layout::Q6r4, 256, 512),
        (Layout::Q4k4, 256, 512),
        (Layout::Q5k4, 256, 512),
    ] {
        let mut noise = Noise(cols as u64);
        let tile = matrix(layout, cols, &mut noise).1;
        let x: Vec<f32> = (0..7 * cols).map(|_| noise.float()).collect();
        let run = |x: &[f32], tokens: usize| {
            let acts = Acts::new(x, tokens, group);
            product(layout, &tile, tokens, &acts.view())
        };
        let all = run(&x, 7);
        for (t, out) in all.chunks(4).enumerate() {
            assert_eq!(out, run(&x[t * cols..][..cols], 1), "{layout:?} token {t}");
        }
    }
}
