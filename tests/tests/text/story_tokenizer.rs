//! The tokenizer of the model that the repository ships.

use bitnet_edge_core::text::Tokenizer;
use bitnet_edge_tests::vocabulary::{in_workspace, read_vocab, text, tokens};
use bitnet_pack::text::{Packed, TokenizerOptions, pack_tokenizer};

fn story() -> Packed {
    let path = in_workspace("models/tinystories-micro/tinystories-micro-i2_s.gguf");
    let (vocab, _) = read_vocab(&path).unwrap();
    pack_tokenizer(&vocab, TokenizerOptions { lowercase: true }).unwrap()
}

/// The examples and unit tests of core use this section. `BLESS=1` writes it anew.
#[test]
fn the_section_in_core_is_current() {
    let path = in_workspace("core/testdata/story.tok");
    let packed = story();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &packed.bytes).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == packed.bytes, "run this test with BLESS=1");
    assert_eq!(packed.notes, [""; 0]);
}

#[test]
fn encodes_the_prompts_as_bitnet_cpp_did() {
    let packed = story();
    let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
    let golden = std::fs::read(in_workspace("tests/data/golden/tinystories-micro-i2_s.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let prompt = case["prompt"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["prompt_ids"].clone()).unwrap();
        let text_ids = ids.strip_prefix(&[0]).unwrap();
        assert_eq!(tokens(&tokenizer, prompt.as_bytes()).unwrap(), text_ids, "{prompt}");
        assert_eq!(tokens(&tokenizer, prompt.to_uppercase().as_bytes()).unwrap(), text_ids, "{prompt}");
        assert_eq!(text(&tokenizer, &ids), prompt.as_bytes());
    }
}
