//! The tokenizers. The first byte of an input chooses what the rest is: a section of tables, with which a fixed text is
//! encoded; or a text, encoded with the tables of the model that the repository ships, whose pre-tokenizer it chooses, too.

#![no_main]

use bitnet_edge_core::text::{
    Decoder, EncodeOptions, TokenKind, Tokenizer, Utf8Stream, encode, scratch_words,
};
use libfuzzer_sys::fuzz_target;

const STORY: &[u8] = include_bytes!("../../core/testdata/story.tok");
const TEXT: &[u8] = "Once upon a time, 1234 \u{1f999}s\n\tdidn't  <|endoftext|> \u{c4}pfel".as_bytes();
const TEXT_BYTES: usize = 4096;
/// Where a section says which pre-tokenizer its vocabulary has (`docs/tokenizer-format.md`).
const PRE_TOKENIZER: usize = 7;

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, section)) => {
            let Ok(tokenizer) = Tokenizer::new_checked(section) else { return };
            let _ = tokenizer.verify();
            round_trip(&tokenizer, TEXT);
            for id in (0..tokenizer.token_count().min(512)).chain([u32::MAX]) {
                let _ = (tokenizer.token_bytes(id), tokenizer.kind(id), tokenizer.is_end(id));
            }
        }
        Some((choice, text)) => {
            let text = &text[..text.len().min(TEXT_BYTES)];
            let mut section = STORY.to_vec();
            section[PRE_TOKENIZER] = (choice - 1) % 8 + 1;
            let tokenizer = Tokenizer::new_checked(&section).expect("the shipped tables are right");
            let Some((ids, decoded)) = round_trip(&tokenizer, text) else { return };
            assert!(
                ids.iter().all(|&id| tokenizer.kind(id) != TokenKind::Control),
                "text became a control token"
            );
            if text.is_ascii() {
                assert_eq!(decoded.as_bytes(), text.to_ascii_lowercase());
            }
        }
        None => {}
    }
});

/// Encodes and decodes; `None` if the text cannot be encoded.
fn round_trip(tokenizer: &Tokenizer<'_>, text: &[u8]) -> Option<(Vec<u32>, String)> {
    let mut scratch = vec![0; scratch_words(TEXT_BYTES)];
    let mut ids = vec![0; TEXT_BYTES + 16];
    let count = encode(tokenizer, text, &mut scratch, &mut ids, EncodeOptions::default()).ok()?;
    let (mut decoder, mut stream, mut out) = (Decoder::at_start(), Utf8Stream::new(), String::new());
    ids.truncate(count);
    for &id in &ids {
        assert!(id < tokenizer.token_count(), "token {id} of {}", tokenizer.token_count());
        stream.feed(decoder.bytes(tokenizer, id), |part| out.push_str(part));
    }
    stream.finish(|part| out.push_str(part));
    Some((ids, out))
}
