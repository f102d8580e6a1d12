//! A made-up byte-level vocabulary: bytes, words that merges make, special tokens.

use super::weights::Rng;
use std::collections::HashSet;

/// Words are at most this long, in characters.
const LONGEST: usize = 12;

pub(super) struct Vocabulary {
    pub(super) tokens: Vec<String>,
    /// 1 for text, 3 for control tokens.
    pub(super) types: Vec<i32>,
    pub(super) merges: Vec<String>,
    /// The token that begins a text; the next one ends it.
    pub(super) begin: u32,
}

/// A vocabulary of `count` tokens, the last ones special: 256, as Llama 3 has, or 16 in a small one.
pub(super) fn make(count: usize, seed: u64) -> Vocabulary {
    let specials = if count > 1 << 16 { 256 } else { 16 };
    let begin = count - specials;
    let mut rng = Rng::new(seed, u64::MAX);
    let mut tokens: Vec<String> = (0..=255).map(|byte| String::from(alphabet(byte))).collect();
    let mut merges = Vec::new();
    let mut known: HashSet<String> = tokens.iter().cloned().collect();
    // What words are made of: letters, a space in front of the first one.
    let mut parts: Vec<usize> = (b'a'..=b'z').chain([b' ']).map(usize::from).collect();
    while tokens.len() < begin {
        // Short parts at the end, so that words grow by syllables.
        let left = parts[rng.below(parts.len())];
        let right = parts[rng.below(parts.len().min(1500))];
        let word = format!("{}{}", tokens[left], tokens[right]);
        let fits = !tokens[right].starts_with(alphabet(b' ')) && word.chars().count() <= LONGEST;
        if fits && known.insert(word.clone()) {
            merges.push(format!("{} {}", tokens[left], tokens[right]));
            parts.push(tokens.len());
            tokens.push(word);
        }
    }
    tokens.extend(["<|begin_of_text|>", "<|end_of_text|>"].map(str::to_owned));
    tokens.extend((0..specials - 2).map(|n| format!("<|reserved_special_token_{n}|>")));
    let types = (0..count).map(|id| if id < begin { 1 } else { 3 }).collect();
    Vocabulary { tokens, types, merges, begin: begin as u32 }
}

/// The character that stands for a byte in byte-level vocabularies.
fn alphabet(byte: u8) -> char {
    let plain = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if plain(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !plain(other)).count();
    char::from_u32(256 + before as u32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_distinct_and_as_many_as_asked_for() {
        for count in [1024, 32_002, 128_256] {
            let made = make(count, 1);
            assert_eq!((made.tokens.len(), made.types.len()), (count, count));
            assert_eq!(made.tokens.iter().collect::<HashSet<_>>().len(), count);
            assert_eq!(256 + made.merges.len(), made.begin as usize);
        }
    }

    #[test]
    fn a_space_is_written_as_gpt_2_does() {
        assert_eq!([alphabet(b' '), alphabet(0), alphabet(b'a'), alphabet(0xad)], ['Ġ', 'Ā', 'a', 'Ń']);
    }
}
