//! Finds the names of tokens in a text.

use std::cmp::Reverse;

use super::vocab::Vocab;

/// Names of tokens, to be found in texts.
pub(crate) struct Names<'a> {
    /// By name; of tokens with the same name the last first, as that one counts.
    sorted: Vec<(&'a str, Reverse<u32>)>,
}

impl<'a> Names<'a> {
    /// The names of the tokens that are `wanted`.
    pub(crate) fn of(vocab: &'a Vocab, wanted: impl Fn(usize) -> bool) -> Self {
        let mut sorted: Vec<_> = (0_u32..)
            .zip(&vocab.tokens)
            .filter(|&(id, name)| !name.is_empty() && wanted(id as usize))
            .map(|(id, name)| (name.as_str(), Reverse(id)))
            .collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// A text as pieces: text, and names with their tokens, each the longest that begins where it stands.
    pub(crate) fn pieces<'t>(&self, text: &'t str) -> Vec<(&'t str, Option<u32>)> {
        let mut pieces = Vec::new();
        // What is not in a piece yet begins at `start`.
        let (mut start, mut at) = (0, 0);
        while let Some(character) = text[at..].chars().next() {
            let Some((len, id)) = self.longest_prefix(&text[at..]) else {
                at += character.len_utf8();
                continue;
            };
            if start < at {
                pieces.push((&text[start..at], None));
            }
            pieces.push((&text[at..at + len], Some(id)));
            at += len;
            start = at;
        }
        if start < at {
            pieces.push((&text[start..], None));
        }
        pieces
    }

    /// The longest name that `text` begins with: its length and its token. A binary search for every byte, for as long
    /// as there are names that go on alike.
    fn longest_prefix(&self, text: &str) -> Option<(usize, u32)> {
        let mut alike = &self.sorted[..];
        let mut longest = None;
        for (at, byte) in text.bytes().enumerate() {
            // Names that are over are the first, as `None` is less than any byte.
            let byte_at = |name: &str| name.as_bytes().get(at).copied();
            let end = alike.partition_point(|(name, _)| byte_at(name) <= Some(byte));
            let begin = alike.partition_point(|(name, _)| byte_at(name) < Some(byte));
            alike = &alike[begin..end];
            match alike.first() {
                Some(&(name, Reverse(id))) if name.len() == at + 1 => longest = Some((name.len(), id)),
                Some(_) => {}
                None => break,
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::VocabModel;

    #[test]
    fn finds_the_longest_name_and_of_equal_ones_the_last() {
        let tokens = ["<a>", "<a", "<", "<a>b", "<a", "", "é>", "text"].map(str::to_owned).to_vec();
        let vocab = Vocab::new(VocabModel::Bpe, "gpt-2", tokens);
        let names = Names::of(&vocab, |id| id != 7);
        let pieces = names.pieces("x<a>b<a>é><ac<é text");
        let expected = [
            ("x", None),
            ("<a>b", Some(3)),
            ("<a>", Some(0)),
            ("é>", Some(6)),
            ("<a", Some(4)),
            ("c", None),
            ("<", Some(2)),
            ("é text", None),
        ];
        assert_eq!(pieces, expected);
        assert_eq!(names.pieces(""), []);
        assert_eq!(Names::of(&vocab, |_| false).pieces("<a>"), [("<a>", None)]);
    }

    /// A long text and 100,000 names take no time to speak of.
    #[test]
    fn many_names_and_a_long_text_are_quick() {
        let tokens = (0..100_000).map(|number| format!("<|{number}|>")).collect();
        let vocab = Vocab::new(VocabModel::Bpe, "gpt-2", tokens);
        let text = "<|99999|><|".repeat(10_000);
        let pieces = Names::of(&vocab, |_| true).pieces(&text);
        assert_eq!(pieces.len(), 20_000);
        assert_eq!(pieces[0], ("<|99999|>", Some(99_999)));
    }
}
