//! What the ends of a generation cost: a stop token looked for among some, and stop strings in a text.
//!
//!     cargo bench -p bitnet-edge-benches --bench stops
//!
//! An element is a token that is looked up, none of them a stop token but one in a thousand, or a byte of text.

use std::collections::HashSet;
use std::hint::black_box;

use bitnet_edge_benches::text;
use bitnet_edge_core::generate::{StopSet, StopState, StopStrings, random};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Tokens of the vocabulary from which they are drawn: Llama 3's.
const VOCABULARY: u64 = 128_256;
/// Tokens a round.
const TOKENS: u64 = 4096;

fn sets(c: &mut Criterion) {
    let mut group = c.benchmark_group("stop_ids");
    group.throughput(Throughput::Elements(TOKENS));
    for count in [1, 4, 16, 64] {
        let ids: Vec<u32> = (0..count).map(|i| (random(1, i) % VOCABULARY) as u32).collect();
        let tokens: Vec<u32> = (0..TOKENS)
            .map(|i| match i % 1000 {
                0 => ids[(i / 1000 % count) as usize],
                _ => (random(2, i) % VOCABULARY) as u32,
            })
            .collect();
        let mut line = |what, contains: &dyn Fn(&[u32]) -> usize| {
            group.bench_function(BenchmarkId::new(what, count), |b| b.iter(|| contains(black_box(&tokens))));
        };
        let set = StopSet::new(&ids).expect("64 ids fit");
        line("StopSet", &|tokens| tokens.iter().filter(|&&id| black_box(set.contains(id))).count());
        let set: HashSet<u32> = ids.iter().copied().collect();
        line("HashSet", &|tokens| tokens.iter().filter(|&id| black_box(set.contains(id))).count());
        line("scan", &|tokens| tokens.iter().filter(|&id| black_box(ids.contains(id))).count());
    }
    group.finish();
}

fn strings(c: &mut Criterion) {
    let story = text::story(4096);
    let mut group = c.benchmark_group("stop_strings");
    group.throughput(Throughput::Bytes(story.len() as u64));
    let all = ["\nUser:", "\n\n", "###", "<|im_end|>", "</s>", "[INST]", "Observation:", "``` "];
    // "the ends": begins at nearly every word, and never ends.
    for (what, strings) in [("1", &all[..1]), ("8", &all), ("often begun", &["the ends", "a little boy"])] {
        let strings = StopStrings::new(strings).expect("they fit");
        group.bench_function(BenchmarkId::new("feed", what), |b| {
            b.iter(|| {
                let mut state = StopState::default();
                // Tokens of four bytes.
                for token in black_box(&story).as_bytes().chunks(4) {
                    assert!(black_box(strings.feed(&mut state, token)).stop.is_none());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sets, strings);
criterion_main!(benches);
