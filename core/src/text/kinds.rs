//! What a vocabulary is made of.

use super::Error;

/// How a text is cut and merged into tokens.
///
/// ```
/// # use bitnet_edge_core::text::{Model, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// assert_eq!(Tokenizer::new_checked(section)?.model(), Model::Bpe);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Byte-level byte-pair encoding: words first, then merges of bytes.
    Bpe,
    /// `SentencePiece`, as Llama 2 uses it: merges of characters over the whole text, with byte fallback.
    Spm,
}

/// How byte-level BPE cuts a text into words before it merges. A build without the feature `full` has the first five.
///
/// ```
/// # use bitnet_edge_core::text::{PreTokenizer, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// assert_eq!(Tokenizer::new_checked(section)?.pre_tokenizer(), PreTokenizer::Gpt2);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreTokenizer {
    /// None: the whole text is one word (`SentencePiece`).
    Whole,
    /// GPT-2's.
    Gpt2,
    /// GPT-2's, with every digit a word (`SmolLM`).
    SmolLm,
    /// Llama 3's: up to three digits a word, line breaks kept together.
    Llama3,
    /// Qwen 2's: Llama 3's with every digit a word.
    Qwen2,
    /// Qwen 3.5's: Qwen 2's with marks as letters.
    #[cfg(feature = "full")]
    Qwen35,
    /// Falcon's: GPT-2's between runs of punctuation, with three digits a word.
    #[cfg(feature = "full")]
    Falcon,
    /// `DeepSeek` LLM's: letters that have case, punctuation, and Chinese, Japanese and Korean apart.
    #[cfg(feature = "full")]
    DeepSeekLlm,
    /// `DeepSeek` Coder's: the same with all letters and every digit a word.
    #[cfg(feature = "full")]
    DeepSeekCoder,
}

/// What a token stands for.
///
/// ```
/// # use bitnet_edge_core::text::{TokenKind, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// assert_eq!(Tokenizer::new_checked(section)?.kind(0), TokenKind::Control);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text.
    Normal,
    /// The token for what has none.
    Unknown,
    /// A mark such as the beginning of a text; its name is never text.
    Control,
    /// A piece of text that is always one token.
    UserDefined,
    /// A token that is never produced.
    Unused,
    /// One byte of a character that has no token of its own.
    Byte,
}

pub(super) fn model(value: u8) -> Result<Model, Error> {
    match value {
        1 => Ok(Model::Bpe),
        2 => Ok(Model::Spm),
        _ => Err(Error::Unsupported { field: "model", value: value.into() }),
    }
}

pub(super) fn pre_tokenizer(value: u8) -> Result<PreTokenizer, Error> {
    match value {
        0 => Ok(PreTokenizer::Whole),
        1 => Ok(PreTokenizer::Gpt2),
        2 => Ok(PreTokenizer::SmolLm),
        3 => Ok(PreTokenizer::Llama3),
        4 => Ok(PreTokenizer::Qwen2),
        #[cfg(feature = "full")]
        5 => Ok(PreTokenizer::Qwen35),
        #[cfg(feature = "full")]
        6 => Ok(PreTokenizer::Falcon),
        #[cfg(feature = "full")]
        7 => Ok(PreTokenizer::DeepSeekLlm),
        #[cfg(feature = "full")]
        8 => Ok(PreTokenizer::DeepSeekCoder),
        _ => Err(Error::Unsupported { field: "pre-tokenizer", value: value.into() }),
    }
}

pub(super) fn kind_of(value: u32) -> Option<TokenKind> {
    Some(match value {
        1 => TokenKind::Normal,
        2 => TokenKind::Unknown,
        3 => TokenKind::Control,
        4 => TokenKind::UserDefined,
        5 => TokenKind::Unused,
        6 => TokenKind::Byte,
        _ => return None,
    })
}
