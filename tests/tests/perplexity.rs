//! Perplexity against the figures of other engines.

use bitnet_edge_core::{KvType, Model};
use bitnet_edge_tests::files;
use bitnet_edge_tests::perplexity::{cumulative, tokens, windows};
use bitnet_pack::convert::{Options, convert};

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
    let text = String::from_utf8(files::read("tests/data/val.txt")).unwrap();
    let ids = tokens(&model, &text);
    let perplexity = |kv| {
        let scores = windows(&model, &ids, 256, 145, model.tokenizer().unwrap().bos(), kv);
        *cumulative(&scores).last().unwrap()
    };
    let f16 = perplexity(KvType::F16);
    assert_within_half_a_percent(f16, 8.6337, "tinystories-micro");
    // What a board without an FPU gives up: the head is Q8_0 in the file and int8 in every image, so that only the cache differs.
    let int8 = perplexity(KvType::I8);
    println!("with an int8 KV cache {int8:.4} ({:+.3} %)", (int8 / f16 - 1.0) * 100.0);
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
    let text = String::from_utf8(files::read("tests/data/golden/sherlock-60k.txt")).unwrap();
    let count = std::env::var("BITNET_EDGE_WINDOWS").map_or(2, |n| n.parse().unwrap());
    let after = cumulative(&windows(&model, &tokens(&model, &text), 512, count, None, KvType::F16));
    for (n, theirs) in [(1, 42.7565), (2, 36.6202), (16, 23.1083)] {
        if let Some(&ours) = after.get(n - 1) {
            assert_within_half_a_percent(ours, theirs, &format!("SmolLM2 after {n} windows"));
        }
    }
}
