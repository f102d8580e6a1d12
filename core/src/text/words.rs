//! Pre-tokenizers: where a text is cut into words, the units within which BPE merges.
//!
//! Each is the hand-written machine of a published regular expression, and sees a text one character at a time, so
//! that a word of any length can be scanned in bounded steps:
//!
//! - GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
//! - `SmolLM`: every `\p{N}` a word, GPT-2's expression on each piece between them
//! - Llama 3: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//! - Qwen 2: Llama 3's with `\p{N}` instead of `\p{N}{1,3}`
//! - Qwen 3.5: Qwen 2's with `[\p{L}\p{M}]` instead of `\p{L}`, except in the first place of `[^\r\n\p{L}\p{N}]?`
//! - `falcon` and `deepseek` have more than one expression

#[cfg(feature = "full")]
mod deepseek;
#[cfg(feature = "full")]
mod falcon;

use super::PreTokenizer;
#[cfg(feature = "full")]
use super::unicode::is_mark;
use super::unicode::{Character, Class, first_character};

/// The letters of `DeepSeek` LLM's expression, as it lists them.
#[cfg(all(test, feature = "full"))]
pub(super) const CASED: &str = concat!(
    r"[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}",
    r"\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}",
    r"\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}",
    r"\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}",
    r"\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}",
    r"\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}",
    r"\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}",
    r"\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}",
    r"\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}",
    r"\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}",
    r"\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}",
    r"\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}",
    r"\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}",
    r"\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}",
    r"\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]",
);

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
pub(crate) enum Words {
    Plain(Plain),
    #[cfg(feature = "full")]
    Falcon(falcon::Falcon),
    #[cfg(feature = "full")]
    DeepSeek(deepseek::DeepSeek),
}

impl Words {
    pub(crate) fn new(rules: PreTokenizer) -> Self {
        match rules {
            #[cfg(feature = "full")]
            PreTokenizer::Falcon => Self::Falcon(falcon::Falcon::new()),
            #[cfg(feature = "full")]
            PreTokenizer::DeepSeekLlm => Self::DeepSeek(deepseek::DeepSeek::new(true)),
            #[cfg(feature = "full")]
            PreTokenizer::DeepSeekCoder => Self::DeepSeek(deepseek::DeepSeek::new(false)),
            _ => Self::Plain(Plain::new(rules)),
        }
    }

    /// Looks at one more character of `text`, which begins with the word and ends where the text does.
    /// Returns the length of the word in bytes once it is known; it is above 0 unless `text` is empty.
    pub(crate) fn step(&mut self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Plain(words) => words.step(text),
            #[cfg(feature = "full")]
            Self::Falcon(words) => words.step(text),
            #[cfg(feature = "full")]
            Self::DeepSeek(words) => words.step(text),
        }
    }
}

/// The scanner for a single expression, and for `SmolLM`'s two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    rules: PreTokenizer,
    state: State,
    /// How many bytes of the word were seen.
    seen: usize,
}

impl Plain {
    fn new(rules: PreTokenizer) -> Self {
        Self { rules, state: State::Start, seen: 0 }
    }

    /// As [`Words::step`].
    fn step(&mut self, text: &[u8]) -> Option<usize> {
        let rest = text.get(self.seen..).unwrap_or(&[]);
        let Some(next) = self.character(rest) else { return Some(self.at_end(text.len())) };
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
        #[cfg(feature = "full")]
        if self.rules == PreTokenizer::Qwen35 {
            return true;
        }
        matches!(self.rules, PreTokenizer::Llama3 | PreTokenizer::Qwen2)
    }

    /// The character that `text` begins with, of the class that it has for these rules.
    fn character(&self, text: &[u8]) -> Option<Character> {
        let character = first_character(text)?;
        #[cfg(feature = "full")]
        if self.rules == PreTokenizer::Qwen35 && character.class == Class::Other && is_mark(character.code) {
            return Some(Character { class: Class::Letter, ..character });
        }
        Some(character)
    }

    /// The first character of a word, with what is behind it.
    fn start(&mut self, first: Character, behind: &[u8]) -> Option<usize> {
        if first.code == u32::from(b'\'')
            && let Some(len) = self.contraction(behind)
        {
            return Some(first.len.saturating_add(len));
        }
        let is_blank = first.code == u32::from(b' ');
        let next = self.character(behind).map(|character| character.class);
        self.state = match (first.class, next) {
            (Class::Letter, _) => State::Run(Class::Letter),
            (Class::Number, _) => match self.rules {
                PreTokenizer::Llama3 => State::Numbers(2),
                PreTokenizer::Gpt2 | PreTokenizer::Whole => State::Run(Class::Number),
                _ => State::Numbers(0),
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

#[cfg(all(test, feature = "full"))]
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

    /// Every match of each expression, one after the other, is a piece, and what is between two is a piece.
    fn pieces<'t>(expressions: &[Regex], text: &'t str) -> Vec<&'t str> {
        let mut pieces = std::vec![text];
        for regex in expressions {
            let mut cut = Vec::new();
            for piece in pieces {
                let mut at = 0;
                for found in regex.find_iter(piece).map(Result::unwrap) {
                    cut.extend([&piece[at..found.start()], found.as_str()]);
                    at = found.end();
                }
                cut.push(&piece[at..]);
            }
            pieces = cut.into_iter().filter(|piece| !piece.is_empty()).collect();
        }
        pieces
    }

    /// Texts out of the characters at which the rules differ, as a small generator draws them.
    fn texts() -> impl Iterator<Item = String> {
        let alphabet: Vec<char> =
            "   \n\n\r\t\u{a0}\u{3000}\u{2003}''aZsStTrReEvVlLmMdD\u{17f}éσ\u{1d400}\u{5d0}\u{e01}漢가Ａ12345½٣०①.,!?-+$\u{b4}。！\u{2018}★\u{301}\u{302a}🦙\u{200b}\0"
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
        let letters = r"[\p{L}\p{M}]";
        let qwen35 = LLAMA3.replace("{1,3}", "").replace(r"\p{L}+", &std::format!("{letters}+"));
        let qwen35 = Regex::new(&qwen35.replace(r" ?[^\s\p{L}\p{N}]", r" ?[^\s\p{L}\p{M}\p{N}]")).unwrap();
        let all = |list: &[&str]| list.iter().map(|regex| Regex::new(regex).unwrap()).collect::<Vec<_>>();
        let falcon = all(&[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"]);
        let wide = r"[\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+";
        let marks = r"\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+";
        let cased = std::format!(r"\s?{CASED}+");
        let llm = all(&[r"[\r\n]", &cased, marks, r"\s+$", wide, r"\p{N}+"]);
        let coder = all(&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", wide, r"\p{N}"]);
        let number = Regex::new(r"\p{N}|\P{N}+").unwrap();
        for text in texts() {
            assert_eq!(words(PreTokenizer::Gpt2, &text), matches(&gpt2, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::Llama3, &text), matches(&llama3, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::Qwen2, &text), matches(&qwen2, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::Qwen35, &text), matches(&qwen35, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::Falcon, &text), pieces(&falcon, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::DeepSeekLlm, &text), pieces(&llm, &text), "{text:?}");
            assert_eq!(words(PreTokenizer::DeepSeekCoder, &text), pieces(&coder, &text), "{text:?}");
            let numbers = matches(&number, &text);
            let smollm: Vec<_> = numbers.iter().flat_map(|piece| matches(&gpt2, piece)).collect();
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
