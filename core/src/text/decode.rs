//! Tokens to text.

use super::{Model, TokenKind, Tokenizer};

/// Decodes tokens, one after the other, to bytes.
///
/// ```
/// use bitnet_edge_core::text::{Decoder, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// let tokenizer = Tokenizer::new_checked(section)?;
/// let mut decoder = Decoder::at_start();
/// let text: Vec<u8> = [0, 193, 212, 52, 169].iter().flat_map(|&id| decoder.bytes(&tokenizer, id)).copied().collect();
/// assert_eq!(text, b"once upon a time");
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// No text yet: the space that encoding put before a text is taken away again.
    at_start: bool,
    show_special: bool,
}

impl Decoder {
    /// A decoder of a text from its first token on.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{Decoder, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// # let tokenizer = Tokenizer::new_checked(section)?;
    /// // In a SentencePiece vocabulary it drops the space before the first word, which encoding added. Here there is none.
    /// let (once, upon) = (tokenizer.find(b"once").unwrap_or(0), tokenizer.find(b" upon").unwrap_or(0));
    /// let mut decoder = Decoder::at_start();
    /// assert_eq!([once, upon].map(|id| decoder.bytes(&tokenizer, id)).concat(), b"once upon");
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn at_start() -> Self {
        Self { at_start: true, show_special: false }
    }

    /// A decoder of what follows a text, such as what a model generates behind a prompt.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{Decoder, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// # let tokenizer = Tokenizer::new_checked(section)?;
    /// let upon = tokenizer.find(b" upon").unwrap_or(0);
    /// assert_eq!(Decoder::continuing().bytes(&tokenizer, upon), b" upon"); // behind the prompt "once"
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn continuing() -> Self {
        Self { at_start: false, show_special: false }
    }

    /// The same decoder, which writes the names of control tokens instead of nothing.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{Decoder, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// # let tokenizer = Tokenizer::new_checked(section)?;
    /// assert_eq!(Decoder::at_start().with_special().bytes(&tokenizer, 0), b"<|endoftext|>");
    /// assert_eq!(Decoder::at_start().bytes(&tokenizer, 0), b"");
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn with_special(mut self) -> Self {
        self.show_special = true;
        self
    }

    /// The bytes that the token `id` adds to the text; none for an id that the vocabulary does not have. They are not
    /// UTF-8 by themselves: [`Utf8Stream`](super::Utf8Stream) makes characters of them.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{Decoder, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// # let tokenizer = Tokenizer::new_checked(section)?;
    /// assert_eq!(Decoder::continuing().bytes(&tokenizer, 212), b" upon");
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn bytes<'t>(&mut self, tokenizer: &Tokenizer<'t>, id: u32) -> &'t [u8] {
        let bytes = tokenizer.token_bytes(id);
        match tokenizer.kind(id) {
            TokenKind::Control | TokenKind::Unknown | TokenKind::Unused if self.show_special => bytes,
            TokenKind::Control | TokenKind::Unknown | TokenKind::Unused => &[],
            TokenKind::Normal | TokenKind::UserDefined | TokenKind::Byte => {
                let was_at_start = core::mem::replace(&mut self.at_start, false);
                match bytes {
                    [b' ', rest @ ..]
                        if was_at_start
                            && tokenizer.model() == Model::Spm
                            && tokenizer.adds_space_prefix() =>
                    {
                        rest
                    }
                    _ => bytes,
                }
            }
        }
    }
}
