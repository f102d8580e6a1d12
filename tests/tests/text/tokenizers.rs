//! Real vocabularies against the engines that they come from. Needs `cargo xtask fetch vocab smollm2`.
//!
//! `tests/data/tokenizers/*.json` hold what tiktoken, Hugging Face tokenizers and sentencepiece made of 69 texts, the
//! `.inp` and `.out` files beside the vocabularies what llama.cpp expects of its tokenizers.

use bitnet_edge_core::text::{
    ChatTemplate, EncodeOptions, Encoder, Ending, Message, Piece, Progress, Role, TokenKind, Tokenizer,
    scratch_words,
};
use bitnet_edge_tests::vocabulary::{fetched, in_workspace, read_vocab, text, tokens};
use bitnet_pack::text::{Packed, TokenizerOptions, pack_chat_template, pack_tokenizer};
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
    let packed = pack("vocab/ggml-vocab-qwen2.gguf");
    check(&packed, &vectors("vocab/ggml-vocab-qwen2.gguf"));
    // The name of another model's end, but here a word of text that merges make.
    let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
    assert_eq!(tokenizer.token_bytes(128_247), b"</s>");
    assert_eq!(tokenizer.kind(128_247), TokenKind::Normal);
    assert!(!tokenizer.is_end(128_247));
}

#[test]
fn llama2_spm() {
    let packed = pack("vocab/ggml-vocab-llama-spm.gguf");
    check(&packed, &golden("llama2-spm"));
    check(&packed, &vectors("vocab/ggml-vocab-llama-spm.gguf"));
}

/// The vectors of one vocabulary, whose text needs no other rules.
fn check_vectors(name: &str) {
    let path = format!("vocab/ggml-vocab-{name}.gguf");
    check(&pack(&path), &vectors(&path));
}

#[test]
fn command_r() {
    check_vectors("command-r");
}

#[test]
fn deepseek_coder() {
    check_vectors("deepseek-coder");
}

#[test]
fn deepseek_llm() {
    check_vectors("deepseek-llm");
}

#[test]
fn falcon() {
    check_vectors("falcon");
}

#[test]
fn mpt() {
    check_vectors("mpt");
}

#[test]
fn phi_3() {
    check_vectors("phi-3");
}

#[test]
fn qwen35() {
    check_vectors("qwen35");
}

#[test]
fn refact() {
    check_vectors("refact");
}

#[test]
fn starcoder() {
    check_vectors("starcoder");
}

#[test]
fn smollm2() {
    check(&pack("SmolLM2-135M-Instruct.Q4_1.gguf"), &golden("smollm2"));
}

/// Encodes in steps; returns the tokens and the number of steps of `budget` units.
fn stepped<'p>(
    tokenizer: &Tokenizer<'_>,
    pieces: impl Iterator<Item = Piece<'p>>,
    bytes: usize,
    budget: u32,
) -> (Vec<u32>, u64) {
    let (mut scratch, mut ids) = (vec![0; scratch_words(bytes)], vec![0; bytes + 64]);
    let mut encoder = Encoder::new(tokenizer, pieces, &mut scratch, &mut ids, EncodeOptions::default());
    let mut steps = 1;
    loop {
        match encoder.step(budget).unwrap() {
            Progress::More => steps += 1,
            Progress::Done { tokens } => {
                ids.truncate(tokens);
                return (ids, steps);
            }
        }
    }
}

/// With real merges, too, a word of 100 KB takes work in proportion to its length times its logarithm.
#[test]
fn hostile_words_take_bounded_work() {
    const LENGTH: usize = 100_000;
    for path in ["vocab/ggml-vocab-llama-bpe.gguf", "vocab/ggml-vocab-llama-spm.gguf"] {
        let packed = pack(path);
        let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
        for unit in ["a", " ", "ab", "the", "\u{1f999}", "\n \t", "antidisestablishmentarianism"] {
            let word = unit.repeat(LENGTH / unit.len());
            let (ids, steps) = stepped(&tokenizer, [Piece::from(&*word)].into_iter(), LENGTH, 1000);
            assert_eq!(text(&tokenizer, &ids), word.as_bytes());
            let units_a_byte = steps * 1000 / LENGTH as u64;
            println!("{unit:?}: {} tokens, {units_a_byte} units a byte", ids.len());
            assert!(units_a_byte < 160, "{unit:?}: {units_a_byte} units a byte");
        }
    }
}

/// SmolLM2's own template, from its file: the default system message, special tokens only from the template.
#[test]
fn smollm2_chats() {
    let path = fetched("SmolLM2-135M-Instruct.Q4_1.gguf");
    let (vocab, template) = read_vocab(&path).unwrap();
    let packed = pack_tokenizer(&vocab, TokenizerOptions::default()).unwrap();
    let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
    let chat = pack_chat_template(&template.unwrap(), &vocab).unwrap();
    let chat = ChatTemplate::new_checked(&chat.bytes).unwrap();
    let content = "Hello world\n<|im_end|>";
    let messages = [Message { role: Role::User, content: content.as_bytes() }];
    let (ids, _) = stepped(&tokenizer, chat.render(None, &messages, Ending::Reply).unwrap(), 256, u32::MAX);

    let marks: Vec<usize> = (0..ids.len()).filter(|&at| ids[at] <= 2).collect();
    assert_eq!(marks.iter().map(|&at| ids[at]).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);
    // What stands between two marks is one text: what the tokenizer makes of it as a whole.
    let system = "system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face";
    assert_eq!(ids[marks[0] + 1..marks[1]], tokens(&tokenizer, system.as_bytes()).unwrap());
    let user = format!("user\n{content}");
    assert_eq!(ids[marks[2] + 1..marks[3]], tokens(&tokenizer, user.as_bytes()).unwrap());
    assert_eq!(ids[marks[4] + 1..], tokens(&tokenizer, b"assistant\n").unwrap());
}
