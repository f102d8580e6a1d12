//! Perplexity against the figures of other engines.

use bitnet_edge_core::{Cpu, KvType, MemoryPlan, Model, PlanOptions, Session, model::InPlace};
use bitnet_edge_std::measure::{Perplexity, Windows, score, text_tokens};
use bitnet_edge_std::{Arena, Host, Pool, Tiers, physical_cores};
use bitnet_edge_tests::files;
use bitnet_pack::convert::{Options, convert};

/// The perplexity after each of the first `count` windows of `context` tokens.
fn perplexities(model: &Model<'_>, text: &[u8], context: u32, count: usize, kv: KvType) -> Vec<f64> {
    let tokenizer = model.tokenizer().unwrap();
    // llama.cpp drops bytes that have no token.
    let ids = text_tokens(&tokenizer, text, true).unwrap();
    let windows = Windows::new(&ids, context as usize, tokenizer.bos().filter(|_| tokenizer.adds_bos()));
    assert!(windows.count() >= count, "{} windows of {context}", windows.count());
    let options = PlanOptions { context, kv, batch: 64, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let (mut arena, pool) = (Arena::new(plan.bytes()), Pool::new(physical_cores()).unwrap());
    let backend = Host::select(None).unwrap().backend;
    let cpu = Cpu::new(model, &plan, arena.lines(), backend, &pool, InPlace).unwrap();
    let mut session = Session::new(model, &plan, cpu).unwrap();
    let mut perplexity = Perplexity::default();
    let running = windows.iter().take(count).map(|window| {
        score(&mut session, &window, |logits, next| perplexity.add(logits, next), |_| {}).unwrap();
        perplexity.value()
    });
    running.collect()
}

fn assert_within_half_a_percent(ours: f64, theirs: f64, what: &str) {
    println!("{what}: perplexity {ours:.4}, theirs {theirs:.4} ({:+.3} %)", (ours / theirs - 1.0) * 100.0);
    assert!((ours / theirs - 1.0).abs() < 0.005, "{what}: {ours} against {theirs}");
}

/// bitnet.cpp (commit 16da220a) over the held-out stories, context 256, 145 windows.
#[test]
fn tinystories_micro_on_held_out_stories() {
    let file = files::read("models/tinystories-micro/tinystories-micro-i2_s.gguf");
    let image = convert(&file, &Options::default()).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let text = files::read("tests/data/val.txt");
    let perplexity = |kv| *perplexities(&model, &text, 256, 145, kv).last().unwrap();
    let f16 = perplexity(KvType::F16);
    assert_within_half_a_percent(f16, 8.6337, "tinystories-micro");
    // What a board without an FPU gives up: the head is Q8_0 in the file and int8 in every image, so that only the cache differs.
    let int8 = perplexity(KvType::I8);
    println!("with an int8 KV cache {int8:.6}, with f16 {f16:.6} ({:+.4} %)", (int8 / f16 - 1.0) * 100.0);
    assert!((int8 / f16 - 1.0).abs() < 0.002, "an int8 KV cache: {int8}, f16: {f16}");
}

/// llama.cpp (0c1e57098) over a public-domain text, context 512: 42.7565 and 36.6202 after one and two windows, 23.1083
/// after sixteen, which `BITNET_EDGE_WINDOWS=16` runs.
#[cfg(feature = "fetched")]
#[test]
fn smollm2_on_a_public_domain_text() {
    let file = files::read(files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf"));
    let image = convert(&file, &Options::default()).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let text = files::read("tests/data/golden/sherlock-60k.txt");
    let count = std::env::var("BITNET_EDGE_WINDOWS").map_or(2, |n| n.parse().unwrap());
    let after = perplexities(&model, &text, 512, count, KvType::F16);
    for (n, theirs) in [(1, 42.7565), (2, 36.6202), (16, 23.1083)] {
        if let Some(&ours) = after.get(n - 1) {
            assert_within_half_a_percent(ours, theirs, &format!("SmolLM2 after {n} windows"));
        }
    }
}
