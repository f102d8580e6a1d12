//! The story model's tokenizer, and a text for it.

use bitnet_edge_core::text::{EncodeOptions, Error, Tokenizer, encode, scratch_words};

const SECTION: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/testdata/story.tok"));
const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her \
                     friends. One day, she saw a big, red ball. \"Can I play with it?\" she asked. ";

/// The tokenizer.
///
/// # Panics
/// If the committed section is damaged.
#[must_use]
pub fn tokenizer() -> Tokenizer<'static> {
    Tokenizer::new_checked(SECTION).expect("the committed section is whole")
}

/// A text of so many bytes.
#[must_use]
pub fn story(bytes: usize) -> String {
    STORY.chars().cycle().take(bytes).collect()
}

/// Encodes texts of up to so many bytes.
#[derive(Debug)]
pub struct Encoding {
    scratch: Vec<u32>,
    ids: Vec<u32>,
}

impl Encoding {
    /// Memory for texts of `bytes` bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { scratch: vec![0; scratch_words(bytes)], ids: vec![0; bytes + 2] }
    }

    /// The number of tokens of a text.
    ///
    /// # Errors
    /// The tokenizer's; there are none for [`story`].
    pub fn run(&mut self, tokenizer: &Tokenizer<'_>, text: &str) -> Result<usize, Error> {
        encode(tokenizer, text.as_bytes(), &mut self.scratch, &mut self.ids, EncodeOptions::default())
    }

    /// The tokens of the last text, and what was there before them.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// How many of some tokens end a generation: the check that every sampled token goes through, with a stop token of the user's.
#[must_use]
pub fn ends(tokenizer: &Tokenizer<'_>, stop_tokens: &[u32], ids: &[u32]) -> usize {
    ids.iter().filter(|id| stop_tokens.contains(id) || tokenizer.is_end(**id)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_has_tokens() {
        let tokenizer = tokenizer();
        let mut encoding = Encoding::new(1000);
        let tokens = encoding.run(&tokenizer, &story(1000)).unwrap();
        assert!((100..1000).contains(&tokens), "{tokens}");
        let ids = encoding.ids()[..tokens].to_vec();
        assert_eq!(ends(&tokenizer, &[], &ids), 0);
        assert_eq!(ends(&tokenizer, &ids[..1], &ids), ids.iter().filter(|&&id| id == ids[0]).count());
    }
}
