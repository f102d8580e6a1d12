//! Packed tokenizers against the definition of their models, on vocabularies drawn at random.

use std::collections::HashMap;

use bitnet_edge_core::text::{Decoder, EncodeOptions, Error, Tokenizer, encode, scratch_words};
use bitnet_pack::text::{Packed, TokenizerOptions, Vocab, VocabModel, pack_tokenizer};

/// A small generator, so that every run draws the same.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }

    fn text(&mut self, alphabet: &[&str], longest: usize) -> String {
        let len = self.below(longest);
        (0..len).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

fn pack(vocab: &Vocab) -> Packed {
    pack_tokenizer(vocab, TokenizerOptions::default()).unwrap()
}

fn refusal(vocab: &Vocab) -> String {
    format!("{:#}", pack_tokenizer(vocab, TokenizerOptions::default()).unwrap_err())
}

fn ids(section: &[u8], text: &[u8]) -> Result<Vec<u32>, Error> {
    let tokenizer = Tokenizer::new_checked(section)?;
    let (mut scratch, mut out) = (vec![0; scratch_words(text.len())], vec![0; text.len() * 3 + 3]);
    let count = encode(&tokenizer, text, &mut scratch, &mut out, EncodeOptions::default())?;
    out.truncate(count);
    Ok(out)
}

/// A word of the header (`docs/tokenizer-format.md`).
fn header(packed: &Packed, offset: usize) -> u32 {
    u32::from_le_bytes(packed.bytes[offset..offset + 4].try_into().unwrap())
}

const PAIRS: usize = 28;
const FLAGS: usize = 8;
const RANKS: u32 = 1 << 5;

fn owned(tokens: &[&str]) -> Vec<String> {
    tokens.iter().map(|&token| token.to_owned()).collect()
}

/// BPE by its definition: of all adjacent pairs that are merges, the first in the list goes first, the leftmost of
/// equal ones.
fn bpe(vocab: &Vocab, text: &str) -> Vec<u32> {
    let mut ranks: HashMap<(&str, &str), usize> = HashMap::new();
    for (rank, (left, right)) in vocab.merges.iter().enumerate() {
        ranks.entry((left, right)).or_insert(rank);
    }
    let mut symbols: Vec<String> = text.chars().map(String::from).collect();
    loop {
        let pairs = symbols.windows(2).enumerate();
        let ranked = pairs.filter_map(|(at, pair)| Some((*ranks.get(&(&*pair[0], &*pair[1]))?, at)));
        let Some((_, at)) = ranked.min() else { break };
        let right = symbols.remove(at + 1);
        symbols[at] += &right;
    }
    symbols
        .iter()
        .map(|symbol| vocab.tokens.iter().position(|token| token == symbol).unwrap() as u32)
        .collect()
}

/// What a vocabulary drawn at random is like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// A merge a token, in order of the ids.
    One,
    /// All splits of every token, in order of the ids: a list of merges made from ranks of tokens.
    Every,
    /// Any merges in any order.
    Any,
}

fn bpe_vocab(draw: &mut Draw, style: Style) -> Vocab {
    let mut tokens = owned(&["a", "b", "c"]);
    let mut merges: Vec<(String, String)> = Vec::new();
    for _ in 0..30 {
        let (left, right) =
            (tokens[draw.below(tokens.len())].clone(), tokens[draw.below(tokens.len())].clone());
        let token = format!("{left}{right}");
        if token.len() <= 7 && !tokens.contains(&token) {
            tokens.push(token);
            merges.push((left, right));
        }
    }
    if style != Style::One {
        merges = every_split(&tokens);
    }
    if style == Style::Any {
        merges.retain(|_| draw.below(3) > 0);
        draw.shuffle(&mut merges);
        draw.shuffle(&mut tokens);
    }
    let mut vocab = Vocab::new(VocabModel::Bpe, "gpt-2", tokens);
    vocab.merges = merges;
    vocab
}

/// Every split of every token into two tokens, in order of the token's id, then of the left half's.
fn every_split(tokens: &[String]) -> Vec<(String, String)> {
    let id = |half: &str| tokens.iter().position(|token| token == half);
    let mut merges = Vec::new();
    for token in tokens {
        let splits = (1..token.len()).map(|at| token.split_at(at));
        let mut splits: Vec<_> =
            splits.filter(|(left, right)| id(left).is_some() && id(right).is_some()).collect();
        splits.sort_by_key(|(left, _)| id(left));
        merges.extend(splits.into_iter().map(|(left, right)| (left.to_owned(), right.to_owned())));
    }
    merges
}

#[test]
fn bpe_is_exact_whatever_the_merges_are() {
    let mut draw = Draw(1);
    let mut listed = 0;
    for style in [Style::One, Style::Every, Style::Any] {
        for _ in 0..300 {
            let vocab = bpe_vocab(&mut draw, style);
            let packed = pack(&vocab);
            if style == Style::Any {
                listed += header(&packed, PAIRS);
            } else {
                let tables = (header(&packed, PAIRS), header(&packed, FLAGS) & RANKS);
                assert_eq!(tables, (0, 0), "{style:?} needs neither pairs nor ranks");
            }
            for _ in 0..40 {
                let text = draw.text(&["a", "b", "c"], 40);
                assert_eq!(ids(&packed.bytes, text.as_bytes()), Ok(bpe(&vocab, &text)), "{text} {vocab:?}");
            }
        }
    }
    assert!(listed > 1000, "{listed} listed pairs");
}

/// Ids in any order, most splits legal: merges of the same token overlap all the time.
#[test]
fn overlapping_merges_of_one_token_are_exact() {
    let mut draw = Draw(4);
    for _ in 0..2000 {
        let mut tokens = owned(&["a", "b"]);
        for _ in 0..draw.below(12) {
            let token = draw.text(&["a", "b"], 6);
            if !token.is_empty() && !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        draw.shuffle(&mut tokens);
        let mut merges = every_split(&tokens);
        merges.retain(|_| draw.below(8) > 0);
        let mut vocab = Vocab::new(VocabModel::Bpe, "gpt-2", tokens);
        vocab.merges = merges;
        let packed = pack(&vocab);
        for _ in 0..40 {
            let text = draw.text(&["a", "b"], 24);
            assert_eq!(
                ids(&packed.bytes, text.as_bytes()),
                Ok(bpe(&vocab, &text)),
                "{text} {:?}",
                vocab.tokens
            );
        }
    }
}

/// SPM by its definition: of all adjacent pairs that make a token, the one with the highest score goes first, the
/// leftmost of equal ones.
fn spm(vocab: &Vocab, text: &str) -> Vec<u32> {
    if text.is_empty() {
        return Vec::new();
    }
    let id = |symbol: &str| vocab.tokens.iter().position(|token| token == symbol);
    let mut symbols: Vec<String> =
        format!(" {text}").replace(' ', "\u{2581}").chars().map(String::from).collect();
    loop {
        let mut best: Option<(f32, usize)> = None;
        for (at, pair) in symbols.windows(2).enumerate() {
            let score = id(&pair.concat()).map(|id| vocab.scores[id]);
            if let Some(score) = score.filter(|&score| best.is_none_or(|(best, _)| score > best)) {
                best = Some((score, at));
            }
        }
        let Some((_, at)) = best else { break };
        let right = symbols.remove(at + 1);
        symbols[at] += &right;
    }
    let byte = |byte: u8| id(&format!("<0x{byte:02X}>")).unwrap() as u32;
    let tokens = symbols.iter().flat_map(|symbol| match id(symbol) {
        Some(id) => vec![id as u32],
        None => symbol.bytes().map(byte).collect(),
    });
    tokens.collect()
}

fn spm_vocab(draw: &mut Draw) -> Vocab {
    let mut tokens = owned(&["<unk>", "<s>", "</s>"]);
    tokens.extend((0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>")));
    let mut types = [vec![2, 3, 3], vec![6; 256]].concat();
    tokens.extend(owned(&["\u{2581}", "a", "b", "é"]));
    for _ in 0..25 {
        let half = |draw: &mut Draw| match draw.below(8) {
            // Halves need not be tokens.
            0 => "漢".to_owned(),
            _ => tokens[259 + draw.below(tokens.len() - 259)].clone(),
        };
        let token = half(draw) + &half(draw);
        if token.chars().count() <= 6 && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    types.resize(tokens.len(), 1);
    let mut vocab = Vocab::new(VocabModel::Spm, "default", tokens);
    // Few different scores, so that there are ties.
    vocab.scores = (0..vocab.tokens.len()).map(|_| -(draw.below(9) as f32) / 2.0).collect();
    vocab.types = types;
    (vocab.unk, vocab.bos, vocab.eos) = (Some(0), Some(1), Some(2));
    vocab
}

#[test]
fn spm_is_exact_whatever_the_scores_are() {
    let mut draw = Draw(2);
    for _ in 0..400 {
        let vocab = spm_vocab(&mut draw);
        let packed = pack(&vocab);
        for _ in 0..40 {
            let text = draw.text(&["a", "b", "é", " ", "漢", "🦙"], 30);
            let ours = ids(&packed.bytes, text.as_bytes());
            assert_eq!(ours, Ok(spm(&vocab, &text)), "{text:?} {:?}", &vocab.tokens[259..]);
            let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
            let mut decoder = Decoder::at_start();
            let decoded: Vec<u8> =
                ours.unwrap().iter().flat_map(|&id| decoder.bytes(&tokenizer, id)).copied().collect();
            assert_eq!(decoded, text.as_bytes());
        }
    }
}

#[test]
fn the_mark_for_spaces_is_a_space() {
    let packed = pack(&spm_vocab(&mut Draw(3)));
    assert_eq!(ids(&packed.bytes, "a\u{2581}b".as_bytes()), ids(&packed.bytes, b"a b"));
}

/// A vocabulary with a token of every kind and length.
fn odd_vocab() -> Vocab {
    let long = "ab".repeat(200);
    let mut tokens = owned(&["<pad>", "a", "b", "ab", "<tool>", "<to", "<tool>!", "c"]);
    tokens.extend((1..8).map(|doublings| "ab".repeat(1 << doublings)));
    tokens.extend([long, "é|".to_owned(), "c".to_owned()]);
    let mut vocab = Vocab::new(VocabModel::Bpe, "gpt-2", tokens);
    vocab.types = vec![1; vocab.tokens.len()];
    vocab.types[0] = 3;
    for user in [4, 5, 6] {
        vocab.types[user] = 4;
    }
    vocab.merges = vec![("a".into(), "b".into())];
    let doubled = (0..7).map(|doublings| "ab".repeat(1 << doublings)).map(|half| (half.clone(), half));
    vocab.merges.extend(doubled);
    vocab.merges.push(("ab".repeat(128), "ab".repeat(64)));
    vocab
}

#[test]
fn user_defined_tokens_are_always_one_token() {
    let mut vocab = odd_vocab();
    vocab.merges.pop();
    vocab.tokens.retain(|token| token.len() != 400);
    vocab.types.pop();
    let packed = pack(&vocab);
    assert_eq!(ids(&packed.bytes, b"ab<tool>ab<to<tool>!<to"), Ok(vec![3, 4, 3, 5, 6, 5]));
    // A control token is not.
    assert_eq!(ids(&packed.bytes, b"ab<pad>"), Err(Error::NoToken { byte: b'<', at: 2 }));
}

#[test]
fn long_tokens_and_long_halves_are_exact() {
    let mut vocab = odd_vocab();
    assert!(refusal(&vocab).contains("which is not a token"), "{}", refusal(&vocab));
    vocab.tokens.push("ab".repeat(192));
    vocab.types.push(1);
    let packed = pack(&vocab);
    assert!(packed.notes.iter().any(|note| note.contains("text of a later token")), "{:?}", packed.notes);
    for pairs in [1, 63, 64, 127, 128, 192, 193, 256, 384, 500] {
        let text = "ab".repeat(pairs);
        assert_eq!(ids(&packed.bytes, text.as_bytes()), Ok(bpe(&vocab, &text)), "{pairs} pairs");
    }
    let tokenizer = Tokenizer::new_checked(&packed.bytes).unwrap();
    assert_eq!(tokenizer.token_bytes(14), "ab".repeat(128).as_bytes());
    assert_eq!(tokenizer.find(b"c"), Some(17), "the last of equal tokens");
    assert_eq!(tokenizer.token_bytes(7), b"c");
}

/// Every kind of table, damaged everywhere.
#[test]
fn damaged_sections_do_no_harm() {
    let mut odd = odd_vocab();
    odd.tokens.push("ab".repeat(192));
    odd.types.push(1);
    let mut accepted = 0;
    let mut draw = Draw(5);
    let sections = [pack(&odd), pack(&bpe_vocab(&mut draw, Style::Any)), pack(&spm_vocab(&mut draw))];
    for Packed { bytes: section, .. } in sections {
        for at in 0..section.len() {
            for value in [section[at] ^ 1, section[at] ^ 0x80, 0, 0xff] {
                let mut damaged = section.clone();
                damaged[at] = value;
                let Ok(tokenizer) = Tokenizer::new_checked(&damaged) else { continue };
                accepted += 1;
                let _ = tokenizer.verify();
                let options = EncodeOptions { mark_ends: true, lossy: true };
                let (mut scratch, mut out) = (vec![0; scratch_words(64)], [0; 16]);
                for text in ["ababab<tool>ababc é漢", "aaaabbbbcccc abcabc"] {
                    let _ = encode(&tokenizer, text.as_bytes(), &mut scratch, &mut out, options);
                }
            }
        }
    }
    assert!(accepted > 1000, "only {accepted} were accepted");
}

#[test]
fn what_cannot_be_packed_is_refused_with_the_reason() {
    type Break = fn(&mut Vocab);
    let bpe: [(Break, &str); 7] = [
        (
            |vocab| vocab.pre = "tekken".into(),
            "\"tekken\": supported are \"gpt-2\", \"smollm\", \"llama-bpe\", \"qwen2\"",
        ),
        (|vocab| vocab.tokens.clear(), "0 tokens"),
        (|vocab| vocab.types = vec![1], "1 token types"),
        (|vocab| vocab.types = vec![9; vocab.tokens.len()], "unknown type 9"),
        (|vocab| vocab.bos = Some(99), "the bos token is 99"),
        (|vocab| vocab.merges.push(("a".into(), "zz".into())), "needs \"zz\", which is not a token"),
        (|vocab| vocab.merges.push(("a b".into(), "c".into())), "byte-level alphabet"),
    ];
    for (change, reason) in bpe {
        let mut vocab = bpe_vocab(&mut Draw(7), Style::One);
        change(&mut vocab);
        assert!(refusal(&vocab).contains(reason), "{}", refusal(&vocab));
    }
    let spm: [(Break, &str); 4] = [
        (|vocab| vocab.scores.truncate(5), "5 scores"),
        (|vocab| vocab.scores[9] = f32::NAN, "not a number"),
        (|vocab| vocab.tokens[9] = "<0xZZ>".into(), "names no byte"),
        (|vocab| vocab.tokens[9] = "<0x05>".into(), "same byte"),
    ];
    for (change, reason) in spm {
        let mut vocab = spm_vocab(&mut Draw(7));
        change(&mut vocab);
        assert!(refusal(&vocab).contains(reason), "{}", refusal(&vocab));
    }
    assert!(Vocab::split_merge("ab").is_err());
    assert!(Vocab::split_merge("a ").is_err());
    assert!(VocabModel::from_gguf_name("rwkv").is_err());
}
