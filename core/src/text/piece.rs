//! What an encoder takes and gives.

/// The longest text between two special tokens that the scratch memory may be sized for.
const MAX_TEXT_BYTES: usize = (1 << 30) - 1;

/// How many words of scratch memory a text of `max_text_bytes` bytes takes (13 bytes of memory a byte of text).
/// With pieces of text and special tokens mixed, the text between two special tokens counts.
///
/// ```
/// use bitnet_edge_core::text::scratch_words;
/// const WORDS: usize = scratch_words(256);
/// assert_eq!(WORDS, 836);
/// ```
pub const fn scratch_words(max_text_bytes: usize) -> usize {
    // One more for the space that some tokenizers put before a text.
    let bytes = max_text_bytes.saturating_add(1);
    bytes.div_ceil(4).saturating_add(bytes.saturating_mul(3))
}

/// How many bytes of text, the space before it included, that many words of scratch memory are good for.
pub(super) const fn text_capacity(words: usize) -> usize {
    let bytes = (words / 13).saturating_mul(4) + words % 13 * 4 / 13;
    if bytes > MAX_TEXT_BYTES { MAX_TEXT_BYTES } else { bytes }
}

/// A piece of what is to be encoded.
///
/// ```
/// use bitnet_edge_core::text::Piece;
/// assert_eq!(Piece::from("once"), Piece::Text(b"once"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text. Whatever it says, it never becomes a control token. Adjacent pieces of text are encoded as one text.
    /// It need not be UTF-8: a byte that is not is encoded as a byte.
    Text(&'a [u8]),
    /// The id of a token, which is taken as it is.
    Special(u32),
}

impl<'a> From<&'a str> for Piece<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.as_bytes())
    }
}

/// What an encoder is to do besides.
///
/// ```
/// use bitnet_edge_core::text::EncodeOptions;
/// let options = EncodeOptions { lossy: true, ..EncodeOptions::default() };
/// assert!(!options.mark_ends);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Put the token that begins a text before, and the one that ends it behind, where the vocabulary asks for it.
    /// Not for conversations: a chat template has these tokens where they belong.
    pub mark_ends: bool,
    /// Drop bytes that have no token instead of refusing the text.
    pub lossy: bool,
}

/// How far an encoder is.
///
/// ```
/// # use bitnet_edge_core::text::{EncodeOptions, Encoder, Piece, Progress, Tokenizer, scratch_words};
/// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// # let tokenizer = Tokenizer::new_checked(section)?;
/// # let (mut scratch, mut ids) = ([0; scratch_words(64)], [0; 16]);
/// # let text = [Piece::from("once upon a time")].into_iter();
/// let mut encoder = Encoder::new(&tokenizer, text, &mut scratch, &mut ids, EncodeOptions::default());
/// let tokens = loop {
///     match encoder.step(100)? {
///         Progress::More => {} // a board feeds its watchdog here
///         Progress::Done { tokens } => break tokens,
///     }
/// };
/// assert_eq!(tokens, 4);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do: call [`Encoder::step`](super::Encoder::step) again.
    More,
    /// The text is encoded.
    Done {
        /// How many tokens were written.
        tokens: usize,
    },
}
