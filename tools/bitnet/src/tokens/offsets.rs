//! Where in a text its tokens stand.

use std::ops::Range;

use bitnet_edge_core::text::{Model, Tokenizer};

/// The bytes of `text` that each token stands for. Between two there may be bytes that were dropped; the space that
/// SentencePiece puts before a text is not part of it.
pub(super) fn places(tokenizer: &Tokenizer<'_>, text: &[u8], ids: &[u32]) -> Vec<Range<usize>> {
    let normalized = Normalized::of(tokenizer, text);
    let mut at = 0;
    ids.iter()
        .map(|&id| {
            let token = tokenizer.token_bytes(id);
            // What was dropped is skipped.
            let rest = &normalized.bytes[at..];
            let skipped = rest.windows(token.len().max(1)).position(|window| window == token).unwrap_or(0);
            let from = at + skipped;
            at = (from + token.len()).min(normalized.bytes.len());
            normalized.source(from.min(at)).start
                ..normalized.source(at.saturating_sub(1).max(from.min(at))).end
        })
        .collect()
}

/// A text as it is cut into tokens, and where each byte of it comes from.
struct Normalized {
    bytes: Vec<u8>,
    /// The range of the text that a byte stands for.
    sources: Vec<Range<usize>>,
}

impl Normalized {
    fn of(tokenizer: &Tokenizer<'_>, text: &[u8]) -> Self {
        let mut made = Self { bytes: Vec::new(), sources: Vec::new() };
        if tokenizer.adds_space_prefix() {
            made.push(b" ", 0..0);
        }
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let len = character(rest);
            let (whole, range) = (&rest[..len], at..at + len);
            let lower = std::str::from_utf8(whole).ok().filter(|_| tokenizer.lowercases()).and_then(lower);
            match lower {
                _ if tokenizer.model() == Model::Spm && whole == "\u{2581}".as_bytes() => {
                    made.push(b" ", range);
                }
                Some(lower) => made.push(lower.encode_utf8(&mut [0; 4]).as_bytes(), range),
                None => made.push(whole, range),
            }
            at += len;
        }
        made
    }

    /// Appends what the bytes of `range` became.
    fn push(&mut self, bytes: &[u8], range: Range<usize>) {
        for (index, &byte) in bytes.iter().enumerate() {
            self.bytes.push(byte);
            let same_length = bytes.len() == range.len();
            let byte_range =
                if same_length { range.start + index..range.start + index + 1 } else { range.clone() };
            self.sources.push(byte_range);
        }
    }

    /// Where the byte at `index` comes from; behind the end, the end of the text.
    fn source(&self, index: usize) -> Range<usize> {
        let end = self.sources.last().map_or(0, |range| range.end);
        self.sources.get(index).cloned().unwrap_or(end..end)
    }
}

/// The bytes of the first character; 1 of what is no UTF-8.
fn character(text: &[u8]) -> usize {
    (1..=4.min(text.len())).find(|&len| std::str::from_utf8(&text[..len]).is_ok()).unwrap_or(1)
}

/// A character in the lower case that the encoder gives it: never longer.
fn lower(text: &str) -> Option<char> {
    let upper = text.chars().next()?;
    let covered = matches!(u32::from(upper), 0..=0x17f | 0x391..=0x3a9 | 0x400..=0x42f);
    upper.to_lowercase().next().filter(|_| covered)
}
