//! Real vocabularies against the engines that they come from. Needs `cargo xtask fetch vocab smollm2`.
//!
//! `tests/data/tokenizers/*.json` hold what tiktoken, Hugging Face tokenizers and sentencepiece made of 69 texts, the
//! `.inp` and `.out` files beside the vocabularies what llama.cpp expects of its tokenizers.

use bitnet_edge_core::text::Tokenizer;
use bitnet_edge_tests::vocabulary::{fetched, in_workspace, read_vocab, text, tokens};
use bitnet_pack::text::{Packed, TokenizerOptions, pack_tokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

fn pack(path: &str) -> Packed {
    let (vocab, _) = read_vocab(&fetched(path)).unwrap();
    let packed = pack_tokenizer(&vocab, TokenizerOptions::default()).unwrap();
    println!("{path}: {} tokens, {} bytes; {:?}", vocab.tokens.len(), packed.bytes.len(), packed.notes);
    packed
}

/// The texts of another engine, with the tokens that it made of them.
fn golden(name: &str) -> Vec<Case> {
    let file = std::fs::read(in_workspace(&format!("tests/data/tokenizers/{name}.json"))).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&file).unwrap();
    assert_eq!(cases.len(), 69);
    cases
}

/// llama.cpp's texts and tokens for the vocabulary at `path`.
fn vectors(path: &str) -> Vec<Case> {
    let read = |end| std::fs::read_to_string(fetched(&format!("{path}.{end}"))).unwrap();
    let (inputs, outputs) = (read("inp"), read("out"));
    let texts: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
    let lines: Vec<&str> = outputs.lines().collect();
    let cases = texts.iter().zip(&lines).map(|(text, line)| Case {
        text: (*text).to_owned(),
        ids: line.split_whitespace().map(|id| id.parse().unwrap()).collect(),
    });
    assert!(
        lines.len() > 40 && texts.len() - lines.len() <= 1,
        "{} texts, {} lines",
        texts.len(),
        lines.len()
    );
    cases.collect()
}

#[track_caller]
fn check(packed: &Packed, cases: &[Case]) {
    let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
    let mut wrong = 0;
    for Case { text: input, ids } in cases {
        let ours = tokens(&tokenizer, input.as_bytes()).unwrap();
        if ours != *ids {
            wrong += 1;
            println!("{input:?}\n  theirs {ids:?}\n  ours   {ours:?}");
        }
        assert_eq!(text(&tokenizer, &ours), input.as_bytes(), "decoding gives the text back");
    }
    assert_eq!(wrong, 0, "of {} texts", cases.len());
}

#[test]
fn gpt2() {
    let packed = pack("vocab/ggml-vocab-gpt-2.gguf");
    check(&packed, &golden("gpt2"));
    check(&packed, &vectors("vocab/ggml-vocab-gpt-2.gguf"));
}

#[test]
fn llama3() {
    let packed = pack("vocab/ggml-vocab-llama-bpe.gguf");
    check(&packed, &golden("llama3"));
    check(&packed, &vectors("vocab/ggml-vocab-llama-bpe.gguf"));
}

#[test]
fn qwen2() {
    check(&pack("vocab/ggml-vocab-qwen2.gguf"), &vectors("vocab/ggml-vocab-qwen2.gguf"));
}

#[test]
fn llama2_spm() {
    let packed = pack("vocab/ggml-vocab-llama-spm.gguf");
    check(&packed, &golden("llama2-spm"));
    check(&packed, &vectors("vocab/ggml-vocab-llama-spm.gguf"));
}

#[test]
fn smollm2() {
    check(&pack("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"), &golden("smollm2"));
}
