//! The error of the text layer.

use core::fmt;

/// What can go wrong with a tokenizer section, a chat-template section, or a text to encode.
///
/// ```
/// use bitnet_edge_core::text::{Error, Tokenizer};
/// assert_eq!(Tokenizer::new_checked(&[]).err(), Some(Error::Truncated));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The section ends before its header or one of its tables does.
    Truncated,
    /// The section does not begin with the magic number of its kind.
    NotASection,
    /// The section has a layout version, model, pre-tokenizer or flag that this version does not know.
    Unsupported {
        /// The header field in question.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// A table of the section contradicts the rest of the section.
    Malformed {
        /// The table in question, as `docs/tokenizer-format.md` names it.
        table: &'static str,
    },
    /// A token id that the vocabulary does not have.
    UnknownToken {
        /// The id.
        id: u32,
    },
    /// A byte of the text for which the vocabulary has no token.
    NoToken {
        /// The byte.
        byte: u8,
        /// Its offset in bytes since the last special token (or the start), after normalization.
        at: u32,
    },
    /// The text between two special tokens is longer than the scratch memory was sized for.
    TextTooLong {
        /// Bytes of text, at least.
        need: u32,
        /// Bytes of text that the scratch memory is good for.
        have: u32,
    },
    /// The output slice is shorter than the encoded text.
    OutputTooSmall {
        /// Tokens in the encoded text.
        need: u32,
        /// Tokens that the output slice holds.
        have: u32,
    },
    /// The chat template does not allow this role at this place of a conversation.
    RoleNotAllowed {
        /// The index of the message; the number of messages if the end of the conversation is what is not allowed.
        message: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated => f.write_str("the text section ends too early"),
            Self::NotASection => f.write_str("this is not a text section: its magic number is wrong"),
            Self::Unsupported { field, value } => {
                write!(f, "the text section has {field} {value}, which this version does not know")
            }
            Self::Malformed { table } => write!(f, "the text section has a damaged table: {table}"),
            Self::UnknownToken { id } => write!(f, "the vocabulary has no token with id {id}"),
            Self::NoToken { byte, at } => {
                write!(f, "no token for the byte 0x{byte:02x} at offset {at} of the text")
            }
            Self::TextTooLong { need, have } => {
                write!(f, "the text has {need} bytes or more, the scratch memory is good for {have}")
            }
            Self::OutputTooSmall { need, have } => {
                write!(f, "the text encodes to {need} tokens, the output holds {have}")
            }
            Self::RoleNotAllowed { message } => {
                write!(f, "the chat template does not allow message {message} where it stands")
            }
        }
    }
}

impl core::error::Error for Error {}
