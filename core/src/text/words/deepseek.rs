//! `DeepSeek`'s pre-tokenizers: several expressions one after the other, each on the pieces that the ones before it left, where every
//! match is a piece and what is between two is a piece.
//!
//! - LLM: `[\r\n]`, `\s?[letters]+`, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+$`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}+`; the letters are [`super::CASED`]
//! - Coder: `[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`
//!
//! The third expression also sees the pieces of the second: where it has some of the letters, as LLM's has those of ASCII, it
//! cuts them from the others.

use super::super::unicode::{Class, first_character, is_cased, is_punctuation};

/// What a character is to the second and third expression, with what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Break,
    Letter,
    /// White space that a letter follows.
    BeforeLetter,
    /// In the third expression.
    Mark,
    /// White space that one of those follows.
    BeforeMark,
    /// White space, and everything else.
    Rest,
}

#[derive(Clone, Copy, Debug)]
struct Character {
    kind: Kind,
    len: usize,
    is_space: bool,
    is_number: bool,
    /// In the expression for Chinese, Japanese and Korean, which has most of what is from U+0800 on.
    is_wide: bool,
    /// In the third expression.
    is_marked: bool,
}

/// The scanner of one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeepSeek {
    /// LLM; else Coder.
    is_llm: bool,
    /// How many bytes of the word were seen.
    seen: usize,
    /// What the word consists of, and its last character; `None` at the start.
    run: Option<(Kind, Character)>,
    /// Where white space begins that reaches up to here.
    blank: Option<usize>,
    /// Where a later expression cuts this white space, unless it is at the end of its piece.
    cut: Option<usize>,
}

impl DeepSeek {
    pub(super) const fn new(is_llm: bool) -> Self {
        Self { is_llm, seen: 0, run: None, blank: None, cut: None }
    }

    /// As [`super::Words::step`].
    pub(super) fn step(&mut self, text: &[u8]) -> Option<usize> {
        let next = self.look(text.get(self.seen..).unwrap_or(&[]));
        match (self.run, next) {
            (_, None) => return Some(self.end()),
            (None, Some(first)) if first.kind == Kind::Break => return Some(first.len),
            (None, Some(first)) => {
                self.run = Some(match first.kind {
                    // White space goes with the letters, unless the third expression has it and not them.
                    Kind::BeforeLetter if !first.is_marked => {
                        let behind = self.look(text.get(first.len..).unwrap_or(&[]));
                        let is_marked = behind.is_some_and(|letter| letter.is_marked);
                        (Kind::Letter, Character { is_marked, ..first })
                    }
                    Kind::BeforeLetter => (Kind::Letter, first),
                    Kind::BeforeMark => (Kind::Mark, first),
                    kind => (kind, first),
                });
                self.add(first);
            }
            (Some((run, last)), Some(next)) => {
                if next.kind != run || run == Kind::Letter && next.is_marked != last.is_marked {
                    return Some(self.end());
                }
                if let Some(cut) = self.cut.filter(|_| !next.is_space) {
                    return Some(cut);
                }
                if self.is_cut(last, next) {
                    if !(self.is_llm && last.is_space && next.is_space) {
                        return Some(self.seen);
                    }
                    self.cut = self.cut.or(Some(self.seen));
                }
                self.run = Some((run, next));
                self.add(next);
            }
        }
        None
    }

    fn add(&mut self, next: Character) {
        self.blank = if next.is_space { self.blank.or(Some(self.seen)) } else { None };
        self.seen = self.seen.saturating_add(next.len);
    }

    /// The length of the word if the piece ends here.
    fn end(&self) -> usize {
        match (self.blank, self.cut) {
            // White space at the end of a piece is a piece.
            (Some(blank @ 1..), _) if self.is_llm => blank,
            (_, Some(cut)) => cut,
            _ => self.seen,
        }
    }

    /// Whether the last two expressions cut between two characters of a piece.
    fn is_cut(&self, last: Character, next: Character) -> bool {
        let numbers =
            if self.is_llm { last.is_number != next.is_number } else { last.is_number || next.is_number };
        numbers || last.is_wide != next.is_wide
    }

    fn is_letter(&self, code: u32, class: Class) -> bool {
        if self.is_llm { is_cased(code) } else { class == Class::Letter }
    }

    fn is_marked(&self, code: u32) -> bool {
        if self.is_llm {
            matches!(code, 0x21..=0x2f | 0x3a..=0x7e | 0x2018..=0x201f | 0x3000..=0x3002 | 0xff01..=0xff0f | 0xff1a..=0xff5e)
        } else {
            is_punctuation(code)
        }
    }

    /// The first character of `text`. Up to two behind it say what it is.
    fn look(&self, text: &[u8]) -> Option<Character> {
        let first = first_character(text)?;
        let behind = text.get(first.len..).unwrap_or(&[]);
        // What is no UTF-8 is in no expression; U+FFFD, which stands for it, is in none either.
        let (code, is_space) = (first.code, first.class == Class::Space);
        let is_marked = self.is_marked(code);
        let kind = if matches!(code, 0xa | 0xd) {
            Kind::Break
        } else if self.is_letter(code, first.class) {
            Kind::Letter
        } else if is_space && self.begins_with_letter(behind) {
            Kind::BeforeLetter
        } else if is_marked {
            Kind::Mark
        } else if is_space && self.begins_with_mark(behind) {
            Kind::BeforeMark
        } else {
            Kind::Rest
        };
        let is_wide = matches!(code, 0x800..=0x9fa5 | 0xac00..=0xd7ff);
        let is_number = first.class == Class::Number;
        Some(Character { kind, len: first.len, is_space, is_number, is_wide, is_marked })
    }

    fn begins_with_letter(&self, text: &[u8]) -> bool {
        first_character(text).is_some_and(|first| self.is_letter(first.code, first.class))
    }

    /// Whether a character of the third expression is next that does not go with letters behind it.
    fn begins_with_mark(&self, text: &[u8]) -> bool {
        first_character(text).is_some_and(|first| {
            let behind = text.get(first.len..).unwrap_or(&[]);
            self.is_marked(first.code)
                && !self.is_letter(first.code, first.class)
                && !(first.class == Class::Space && self.begins_with_letter(behind))
        })
    }
}
