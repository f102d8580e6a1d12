//! Which tokens are control tokens: those that no text may become, whatever type the file gives them.

use std::collections::HashSet;

use super::names::Names;
use super::render::Renderer;
use super::segments::segments;
use super::vocab::{CONTROL, NORMAL, UNUSED, USER_DEFINED, Vocab};

/// What a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOf {
    /// A turn of a conversation.
    Turn,
    /// A text, or a message that another program reads.
    Text,
}

/// Names of tokens that end a generation wherever they occur.
const END_NAMES: [(&str, EndOf); 9] = [
    ("<|eot_id|>", EndOf::Turn),
    ("<|im_end|>", EndOf::Turn),
    ("<|end|>", EndOf::Turn),
    ("<end_of_turn>", EndOf::Turn),
    ("<|endoftext|>", EndOf::Text),
    ("<|end_of_text|>", EndOf::Text),
    ("<|eom_id|>", EndOf::Text),
    ("<EOT>", EndOf::Text),
    ("</s>", EndOf::Text),
];
/// Bytes of a name that is taken for a special token's without the file saying so.
const LONGEST_NAME: usize = 256;

/// What a token of this name ends, if it is a well-known one.
pub(crate) fn end_of(name: &str) -> Option<EndOf> {
    END_NAMES.iter().find(|(known, _)| *known == name).map(|&(_, end)| end)
}

impl Vocab {
    /// Makes control tokens of the special tokens that the file has under another type, so that no text becomes one
    /// and they end what they should: the tokens with a well-known name that ends a generation, those that the file
    /// names as the beginning or end of something, and those that `template`, the chat template, puts between messages.
    ///
    /// A token that merges make of text stays text, unless its name or the file leaves no doubt: Qwen 2 has a word `</s>`.
    ///
    /// Returns a note for each, to be printed and recorded. A second call changes nothing.
    pub fn mark_control(&mut self, template: Option<&str>) -> Vec<String> {
        // A list of types that does not fit the tokens is refused when the vocabulary is packed.
        if !self.types.is_empty() && self.types.len() != self.tokens.len() {
            return Vec::new();
        }
        let mut notes = Vec::new();
        let words = self.words();
        let in_template = template.map(|template| self.specials_of(template)).unwrap_or_default();
        let mut marked: HashSet<u32> = (0_u32..)
            .zip(&self.tokens)
            .filter(|(_, name)| end_of(name).is_some() || in_template.contains(*name))
            .filter(|(id, name)| is_reserved(name) || !words.contains(id))
            .map(|(id, _)| id)
            .filter(|&id| self.is_markable(id as usize))
            .collect();
        let named = [("bos", self.bos), ("eos", self.eos), ("eot", self.eot), ("eom", self.eom)];
        for (role, id) in named.into_iter().chain([("padding", self.pad)]) {
            let Some(id) = id.filter(|&id| self.is_markable(id as usize)) else { continue };
            let name = &self.tokens[id as usize];
            if words.contains(&id) && !looks_special(name) {
                notes.push(format!("the {role} token {id} {name:?} is a word of text, too: it stays one"));
            } else {
                marked.insert(id);
            }
        }
        let mut marked: Vec<u32> = marked.into_iter().collect();
        marked.sort_unstable();
        self.mark(&marked, &mut notes);
        notes
    }

    /// Whether the token exists and has a type that a special token has by mistake.
    fn is_markable(&self, id: usize) -> bool {
        id < self.tokens.len() && [NORMAL, USER_DEFINED, UNUSED].contains(&self.kind(id))
    }

    /// The normal tokens that text cannot do without: single characters, and what merges make.
    fn words(&self) -> HashSet<u32> {
        let made: HashSet<String> =
            self.merges.iter().map(|(left, right)| format!("{left}{right}")).collect();
        (0_u32..)
            .zip(&self.tokens)
            .filter(|&(id, _)| self.kind(id as usize) == NORMAL)
            .filter(|(_, name)| name.chars().count() == 1 || made.contains(*name))
            .map(|(id, _)| id)
            .collect()
    }

    /// The names of the special tokens that a chat template puts between messages. Of a template that cannot be packed,
    /// all that stand in it: a conversation may be put together by hand.
    fn specials_of(&self, template: &str) -> HashSet<String> {
        let names = Names::of(self, |id| looks_special(&self.tokens[id]));
        let segments =
            Renderer::new(template, self).and_then(|renderer| segments(&renderer, &mut Vec::new()));
        let texts = match &segments {
            Ok(segments) => segments.table.values().map(String::as_str).collect(),
            Err(_) => vec![template],
        };
        let pieces = texts.into_iter().flat_map(|text| names.pieces(text));
        pieces.filter(|(_, id)| id.is_some()).map(|(name, _)| name.to_owned()).collect()
    }

    /// Gives the tokens the type of control tokens, and takes the merges away that need them as text.
    fn mark(&mut self, ids: &[u32], notes: &mut Vec<String>) {
        if ids.is_empty() {
            return;
        }
        self.types.resize(self.tokens.len(), NORMAL);
        for &id in ids {
            self.types[id as usize] = CONTROL;
            notes.push(format!("token {id} {:?} is treated as a control token", self.tokens[id as usize]));
        }
        let mut gone: HashSet<&str> = ids.iter().map(|&id| self.tokens[id as usize].as_str()).collect();
        for (name, _) in self.tokens.iter().zip(&self.types).filter(|&(_, &kind)| kind == NORMAL) {
            gone.remove(name.as_str());
        }
        let before = self.merges.len();
        self.merges.retain(|(left, right)| {
            let made = format!("{left}{right}");
            ![left, right, &made].into_iter().any(|token| gone.contains(token.as_str()))
        });
        if self.merges.len() < before {
            notes.push(format!(
                "{} merges make or need a control token: they are left out",
                before - self.merges.len()
            ));
        }
    }
}

/// Whether a token is written as special tokens are: in angle or square brackets.
fn looks_special(name: &str) -> bool {
    let inside = |open, close| name.strip_prefix(open)?.strip_suffix(close);
    let inside = inside('<', '>').or_else(|| inside('[', ']'));
    name.len() <= LONGEST_NAME
        && inside.is_some_and(|text| !text.is_empty() && !text.contains(char::is_whitespace))
}

/// Whether a token is written as nothing but special tokens are.
fn is_reserved(name: &str) -> bool {
    name.starts_with("<|") && name.ends_with("|>")
}
