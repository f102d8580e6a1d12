//! Pre-tokenizers: where a text is cut into words, the units within which BPE merges.
//!
//! Each is the hand-written machine of a published regular expression, and sees a text one character at a time, so
//! that a word of any length can be scanned in bounded steps:
//!
//! - GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
//! - `SmolLM`: every `\p{N}` a word, GPT-2's expression on each piece between them
//! - Llama 3: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//! - Qwen 2: Llama 3's with `\p{N}` instead of `\p{N}{1,3}`

use super::PreTokenizer;
use super::unicode::{Character, Class, first_character};

/// What the word that is being scanned consists of.
#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    /// A run of one class.
    Run(Class),
    /// Numbers, and how many more of them the word may have.
    Numbers(u8),
    /// Line breaks behind a run of `Other`.
    Breaks,
    /// White space: how many characters, where the last of them begins, and where the last line break ends.
    Space {
        count: usize,
        last: usize,
        breaks: usize,
    },
}

/// The scanner of one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    rules: PreTokenizer,
    state: State,
    /// How many bytes of the word were seen.
    seen: usize,
}

impl Words {
    pub(crate) fn new(rules: PreTokenizer) -> Self {
        Self { rules, state: State::Start, seen: 0 }
    }

    /// Looks at one more character of `text`, which begins with the word and ends where the text does.
    /// Returns the length of the word in bytes once it is known; it is above 0 unless `text` is empty.
    pub(crate) fn step(&mut self, text: &[u8]) -> Option<usize> {
        let rest = text.get(self.seen..).unwrap_or(&[]);
        let Some(next) = first_character(rest) else { return Some(self.at_end(text.len())) };
        let behind = rest.get(next.len..).unwrap_or(&[]);
        match self.state {
            State::Start => return self.start(next, behind),
            State::Run(class) if next.class == class => {}
            State::Run(Class::Other) if self.is_llama() && is_break(next) => self.state = State::Breaks,
            State::Numbers(more) if next.class == Class::Number && more > 0 => {
                self.state = State::Numbers(more.saturating_sub(1));
            }
            State::Breaks if is_break(next) => {}
            State::Space { .. } if next.class == Class::Space => self.space(next),
            State::Space { count, last, breaks } => {
                // Digits that stand alone are cut out first: white space before them is at an end.
                let at_end = self.rules == PreTokenizer::SmolLm && next.class == Class::Number;
                return Some(match breaks {
                    1.. => breaks,
                    0 if count > 1 && !at_end => last,
                    0 => self.seen,
                });
            }
            State::Run(_) | State::Numbers(_) | State::Breaks => return Some(self.seen),
        }
        self.seen = self.seen.saturating_add(next.len);
        None
    }

    /// The length of the word if the text ends behind it.
    fn at_end(&self, len: usize) -> usize {
        match self.state {
            State::Space { breaks: breaks @ 1.., .. } => breaks,
            _ => len,
        }
    }

    fn is_llama(&self) -> bool {
        matches!(self.rules, PreTokenizer::Llama3 | PreTokenizer::Qwen2)
    }

    /// The first character of a word, with what is behind it.
    fn start(&mut self, first: Character, behind: &[u8]) -> Option<usize> {
        if first.code == u32::from(b'\'')
            && let Some(len) = self.contraction(behind)
        {
            return Some(first.len.saturating_add(len));
        }
        let is_blank = first.code == u32::from(b' ');
        let next = first_character(behind).map(|character| character.class);
        self.state = match (first.class, next) {
            (Class::Letter, _) => State::Run(Class::Letter),
            (Class::Number, _) => match self.rules {
                PreTokenizer::SmolLm | PreTokenizer::Qwen2 => State::Numbers(0),
                PreTokenizer::Llama3 => State::Numbers(2),
                PreTokenizer::Gpt2 | PreTokenizer::Whole => State::Run(Class::Number),
            },
            (_, Some(Class::Letter)) if is_blank || self.is_llama() && !is_break(first) => {
                State::Run(Class::Letter)
            }
            (Class::Space, Some(Class::Other)) if is_blank => State::Run(Class::Other),
            (Class::Space, Some(Class::Number)) if is_blank && self.rules == PreTokenizer::Gpt2 => {
                State::Run(Class::Number)
            }
            (Class::Space, _) => {
                self.state = State::Space { count: 0, last: 0, breaks: 0 };
                self.space(first);
                self.state
            }
            (Class::Other, _) => State::Run(Class::Other),
        };
        self.seen = self.seen.saturating_add(first.len);
        None
    }

    /// Counts a white-space character, of which `self.seen` does not know yet.
    fn space(&mut self, next: Character) {
        if let State::Space { count, breaks, .. } = self.state {
            let is_break = self.is_llama() && is_break(next);
            self.state = State::Space {
                count: count.saturating_add(1),
                last: self.seen,
                breaks: if is_break { self.seen.saturating_add(next.len) } else { breaks },
            };
        }
    }

    /// The length of an English contraction's letters that `text` (behind an apostrophe) begins with.
    fn contraction(&self, text: &[u8]) -> Option<usize> {
        let first = first_character(text)?;
        let second = first_character(text.get(first.len..).unwrap_or(&[]));
        let fold = |character: Character| match u8::try_from(character.code) {
            Ok(byte) if self.is_llama() => byte.to_ascii_lowercase(),
            Ok(byte) => byte,
            // The long s is an s where case is ignored.
            Err(_) if self.is_llama() && character.code == 0x17f => b's',
            Err(_) => 0,
        };
        match (fold(first), second.map(fold)) {
            (b's' | b't' | b'm' | b'd', _) => Some(first.len),
            (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(2),
            _ => None,
        }
    }
}

fn is_break(character: Character) -> bool {
    character.code == u32::from(b'\n') || character.code == u32::from(b'\r')
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use fancy_regex::Regex;

    use super::*;

    const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn words(rules: PreTokenizer, text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let mut machine = Words::new(rules);
            let len = core::iter::repeat_with(|| machine.step(rest.as_bytes())).find_map(|len| len).unwrap();
            assert!(len > 0, "{rules:?} stops at {rest:?}");
            let (word, behind) = rest.split_at(len);
            words.push(word);
            rest = behind;
        }
        words
    }

    fn matches<'t>(regex: &Regex, text: &'t str) -> Vec<&'t str> {
        regex.find_iter(text).map(|word| word.unwrap().as_str()).collect()
    }

    /// Texts out of the characters at which the rules differ, as a small generator draws them.
    fn texts() -> impl Iterator<Item = String> {
        let alphabet: Vec<char> =
            "  \n\n\r\t\u{a0}\u{3000}''aZsStTrReEvVlLmMdD\u{17f}é\u{5d0}漢12345½٣.,!?-\u{301}🦙\u{200b}\0"
                .chars()
                .collect();
        let mut state = 1_u64;
        let mut draw = move |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        core::iter::repeat_with(move || (0..draw(12)).map(|_| alphabet[draw(alphabet.len())]).collect())
            .take(60_000)
    }

    #[test]
    fn words_are_those_of_the_regular_expressions() {
        let gpt2 = Regex::new(GPT2).unwrap();
        let llama3 = Regex::new(LLAMA3).unwrap();
        let qwen2 = Regex::new(&LLAMA3.replace("{1,3}", "")).unwrap();
        let number = Regex::new(r"\p{N}|\P{N}+").unwrap();
        for text in texts() {
            assert_eq!(words(PreTokenizer::Gpt2, &text), matches(&gpt2, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::Llama3, &text), matches(&llama3, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::Qwen2, &text), matches(&qwen2, &text), "{text:?}");
            let pieces = matches(&number, &text);
            let smollm: Vec<_> = pieces.iter().flat_map(|piece| matches(&gpt2, piece)).collect();
            assert_eq!(words(PreTokenizer::SmolLm, &text), smollm, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_words_too() {
        let mut machine = Words::new(PreTokenizer::Llama3);
        assert_eq!(core::iter::repeat_with(|| machine.step(b"\xff\x80a")).find_map(|len| len), Some(2));
        let mut machine = Words::new(PreTokenizer::Gpt2);
        assert_eq!(core::iter::repeat_with(|| machine.step(b" \xe2\x82 ")).find_map(|len| len), Some(3));
    }
}
