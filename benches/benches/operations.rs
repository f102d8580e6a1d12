//! Speeds of the operations by size, for people: elements/s and GB/s, every tier of this machine, one thread.
//!
//!     cargo bench -p bitnet-edge-benches -- gemv/t2r4/avx2
//!
//! An element is a weight (times tokens for a GEMM), a float, an element of the KV cache, a byte of text, or a token.

use std::hint::black_box;
use std::time::Duration;

use bitnet_edge_benches::{Attention, Product, noise, text};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::format::{q4_0, q4_1, q4_k, q5_0, q5_k, q6_k, q8_0, tq1_0, tq2_0};
use bitnet_edge_kernels::tile::Layout;
use bitnet_edge_std::{Host, Tiers};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Elements of the smallest case and the largest, as powers of two.
const SIZES: [u32; 8] = [10, 12, 14, 16, 18, 20, 22, 24];
/// Tokens of a GEMM.
const TOKENS: usize = 64;
/// The layouts whose weights are quantized.
const LAYOUTS: [Layout; 8] = [
    Layout::T2r4,
    Layout::Q8r4,
    Layout::Q4r4,
    Layout::Q4m4,
    Layout::Q5r4,
    Layout::Q4k4,
    Layout::Q5k4,
    Layout::Q6r4,
];

/// One line: `group/what/size`.
fn line(c: &mut Criterion, group: &str, what: &str, n: usize, bytes: usize, mut f: impl FnMut()) {
    line_of(c, group, what, (n, n, bytes), &mut f);
}

fn line_of(
    c: &mut Criterion,
    group: &str,
    what: &str,
    (n, elements, bytes): (usize, usize, usize),
    f: &mut dyn FnMut(),
) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::ElementsAndBytes { elements: elements as u64, bytes: bytes as u64 });
    group.bench_function(BenchmarkId::new(what, n), |b| b.iter(&mut *f));
    group.finish();
}

fn sizes() -> impl Iterator<Item = usize> {
    SIZES.into_iter().map(|power| 1 << power)
}

fn quantize(c: &mut Criterion) {
    for n in sizes() {
        let (x, mut q) = (noise(n), vec![0; n]);
        let (mut a, mut sum) = (vec![0.0; n / 32], vec![0; n / 32]);
        for host in Host::available() {
            let name = |what| format!("{what}/{}", host.name());
            line(c, "quantize", &name("token"), n, 4 * n, || {
                black_box(host.quantize_token(&x, &mut q)).unwrap();
            });
            line(c, "quantize", &name("g32"), n, 4 * n, || {
                host.quantize_g32(&x, &mut q, &mut a, &mut sum).unwrap();
            });
            line(c, "quantize", &name("g256"), n, 4 * n, || {
                host.quantize_g256(&x, &mut q, &mut a[..n / 256], &mut sum[..n / 256]).unwrap();
            });
        }
        blocks(c, "q8_0", &x, q8_0::quantize);
        blocks(c, "q4_0", &x, q4_0::quantize);
        // The search for scales takes tens of microseconds a block: the larger sizes would take minutes and say the same.
        if n <= 1 << 18 {
            blocks(c, "q6_k", &x, q6_k::quantize);
        }
    }
}

fn blocks<const W: usize, const B: usize>(
    c: &mut Criterion,
    name: &str,
    x: &[f32],
    quantize: fn(&[f32; W]) -> [u8; B],
) {
    line(c, "quantize", name, x.len(), size_of_val(x), || {
        x.as_chunks().0.iter().for_each(|weights| {
            black_box(quantize(weights));
        });
    });
}

fn dequantize(c: &mut Criterion) {
    for n in sizes() {
        unpack(c, "q8_0", n, q8_0::dequantize);
        unpack(c, "q4_0", n, q4_0::dequantize);
        unpack(c, "q4_1", n, q4_1::dequantize);
        unpack(c, "q5_0", n, q5_0::dequantize);
        unpack(c, "q4_k", n, q4_k::dequantize);
        unpack(c, "q5_k", n, q5_k::dequantize);
        unpack(c, "q6_k", n, q6_k::dequantize);
        unpack(c, "tq1_0", n, tq1_0::dequantize);
        unpack(c, "tq2_0", n, tq2_0::dequantize);
    }
}

fn unpack<const W: usize, const B: usize>(
    c: &mut Criterion,
    name: &str,
    n: usize,
    dequantize: fn(&[u8; B], &mut [f32; W]),
) {
    // No float of it is infinite.
    let data = vec![0x35u8; n / W * B];
    let mut out = [0.0; W];
    line(c, "dequantize", name, n, data.len(), || {
        data.as_chunks().0.iter().for_each(|block| dequantize(block, black_box(&mut out)));
    });
}

fn products(c: &mut Criterion) {
    for n in sizes() {
        // Rows of 1024 columns, but four rows at least.
        let cols = (n / 4).min(1024);
        for layout in LAYOUTS {
            for (group, tokens) in [("gemv", 1), ("gemm", TOKENS)] {
                let product = Product::new(layout, n / cols, cols, tokens);
                let mut results = product.results();
                for host in Host::available() {
                    // The definition is no backend for large prompts: a second an iteration.
                    if tokens > 1 && n > 1 << 20 && host.name() == "scalar" {
                        continue;
                    }
                    let name = format!("{}/{}", layout.name(), host.name());
                    line_of(c, group, &name, (n, n * tokens, product.weight_bytes()), &mut || {
                        product.run(host, black_box(&mut results)).unwrap();
                    });
                }
            }
        }
    }
}

fn attention(c: &mut Criterion) {
    for n in sizes() {
        // K and V of one head of 128, in f16, for four query heads.
        let positions = n / 256;
        let mut attention = Attention::new(4, 128, positions);
        for host in Host::available() {
            line(c, "attention", &format!("f16/{}", host.name()), n, 2 * n, || {
                attention.run(host).unwrap();
            });
        }
    }
}

fn texts(c: &mut Criterion) {
    let tokenizer = text::tokenizer();
    for n in sizes() {
        // Without a pre-tokenizer the whole text is one word to merge: the largest would take a quarter of a minute each time.
        if n <= 1 << 20 {
            let story = text::story(n);
            let mut encoding = text::Encoding::new(n);
            line(c, "tokenizer", "encode", n, n, || {
                black_box(encoding.run(&tokenizer, &story)).unwrap();
            });
        }
        let ids: Vec<u32> = (0..512).cycle().take(n).collect();
        line(c, "stop", "check", n, 4 * n, || {
            black_box(text::ends(&tokenizer, &[7, 8], black_box(&ids)));
        });
    }
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
}

criterion_group! {
    name = operations;
    config = quick();
    targets = quantize, dequantize, products, attention, texts
}
criterion_main!(operations);
