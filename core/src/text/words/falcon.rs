//! Falcon's pre-tokenizer, three expressions one after the other: ``[\p{P}\$\+<=>\^~\|`]+``, each match a piece and what is between
//! two a piece; GPT-2's on each piece; `[0-9][0-9][0-9]` on each of those.

use super::super::unicode::{Character, Class, first_character, is_punctuation};

/// What the word that is being scanned consists of.
#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Run(Kind),
    /// Numbers, the last so many of which are ASCII digits.
    Numbers(usize),
    /// White space: how many characters, and where the last of them begins.
    Space {
        count: usize,
        last: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Punctuation,
    Other,
}

fn kind(character: Character) -> Kind {
    match character.class {
        Class::Letter => Kind::Letter,
        Class::Number => Kind::Number,
        Class::Space => Kind::Space,
        // All of ASCII that is left: the first expression names the symbols.
        Class::Other if (0x21..0x7f).contains(&character.code) => Kind::Punctuation,
        Class::Other if character.code >= 0x80 && is_punctuation(character.code) => Kind::Punctuation,
        Class::Other => Kind::Other,
    }
}

/// The scanner of one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Falcon {
    state: State,
    /// How many bytes of the word were seen.
    seen: usize,
}

impl Falcon {
    pub(super) const fn new() -> Self {
        Self { state: State::Start, seen: 0 }
    }

    /// As [`super::Words::step`].
    pub(super) fn step(&mut self, text: &[u8]) -> Option<usize> {
        let rest = text.get(self.seen..).unwrap_or(&[]);
        let Some(next) = first_character(rest) else { return Some(text.len()) };
        match (self.state, kind(next)) {
            (State::Start, first) => self.start(first, next, rest.get(next.len..).unwrap_or(&[])),
            (State::Run(run), kind) if run == kind => {}
            (State::Numbers(digits), Kind::Number) => {
                let digits = if next.code < 0x80 { digits.saturating_add(1) } else { 0 };
                self.state = State::Numbers(digits);
                if digits == 3 {
                    // What is before the three digits is a word of its own.
                    return Some(if self.seen == 2 { 3 } else { self.seen.saturating_sub(2) });
                }
            }
            (State::Space { count, .. }, Kind::Space) => {
                self.state = State::Space { count: count.saturating_add(1), last: self.seen };
            }
            // A piece ends before punctuation, and white space at an end is one word.
            (State::Space { count: 2.., last }, kind) if kind != Kind::Punctuation => return Some(last),
            _ => return Some(self.seen),
        }
        self.seen = self.seen.saturating_add(next.len);
        None
    }

    fn start(&mut self, kind_of_first: Kind, first: Character, behind: &[u8]) {
        let next = first_character(behind).map(kind);
        let is_blank = first.code == u32::from(b' ');
        self.state = match (kind_of_first, next) {
            (Kind::Number, _) => State::Numbers((first.code < 0x80).into()),
            (Kind::Space, Some(Kind::Number)) if is_blank => State::Numbers(0),
            (Kind::Space, Some(next @ (Kind::Letter | Kind::Other))) if is_blank => State::Run(next),
            (Kind::Space, _) => State::Space { count: 1, last: 0 },
            (run, _) => State::Run(run),
        };
    }
}
