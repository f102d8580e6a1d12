//! What a draw from 128,000 logits costs, by the options of the sampler, and what log-probabilities and penalties do.
//!
//!     cargo bench -p bitnet-edge-benches --bench sampling

use std::hint::black_box;

use bitnet_edge_core::GenerationConfig;
use bitnet_edge_core::generate::{Logprobs, penalize, random, sample};
use criterion::{Criterion, criterion_group, criterion_main};

const VOCAB: u64 = 128_000;

/// A bell of logits around 0, most of them from -6 to 6.
fn logits() -> Vec<f32> {
    let uniform = |i, j| (random(j, i) >> 40) as f32 / 16_777_216.0 - 0.5;
    (0..VOCAB).map(|i| (0..6).map(|j| uniform(i, j)).sum::<f32>() * 4.0).collect()
}

fn draws(c: &mut Criterion) {
    let logits = logits();
    let all = GenerationConfig::default().with_top_k(0);
    let mut group = c.benchmark_group("sample");
    for (name, config) in [
        ("greedy", GenerationConfig::greedy()),
        ("default", GenerationConfig::default()),
        ("balanced", GenerationConfig::balanced()),
        ("creative", GenerationConfig::creative()),
        ("top-k 0", all.clone()),
        ("top-k 0, top-p 0.95", all.clone().with_top_p(0.95)),
        ("top-k 0, min-p 0.05", all.clone().with_min_p(0.05)),
        ("top-k 0, typical-p 0.95", all.clone().with_typical_p(0.95)),
    ] {
        let mut n = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                n += 1;
                sample(black_box(&logits), &config, n)
            });
        });
    }
    group.finish();
    c.bench_function("logprobs 5", |b| b.iter(|| Logprobs::of(black_box(&logits), 7, 5)));
}

fn penalties(c: &mut Criterion) {
    let mut logits = logits();
    let context: Vec<u32> = (0..32_768).map(|i| (random(3, i) % 2000) as u32).collect();
    let mut group = c.benchmark_group("penalize");
    for window in [64, 256, 4096, 32_768] {
        // So little that a million rounds leave the logits finite.
        let config = GenerationConfig::default().with_presence_penalty(1e-3).with_penalty_window(window);
        group.bench_function(window.to_string(), |b| {
            b.iter(|| penalize(black_box(&mut logits), &context, &config));
        });
    }
    group.finish();
}

criterion_group!(benches, draws, penalties);
criterion_main!(benches);
