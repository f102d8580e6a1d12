//! Why a frame or a request was refused.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What is wrong, with the numbers. It travels as [`Response::Error`](crate::Response::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error<'a> {
    /// The checksum of a frame is not that of its bytes.
    Checksum {
        /// As the frame has it.
        found: u32,
        /// As its bytes give it.
        computed: u32,
    },
    /// A frame, or what should go into one, is longer than one can be.
    TooLong {
        /// Bytes of the longest message.
        most: u32,
    },
    /// A frame ended, or fell silent, before its end.
    Truncated {
        /// Bytes that came of it.
        bytes: u32,
    },
    /// A message of a kind that this version does not know.
    UnknownMessage {
        /// The number of its kind.
        kind: u8,
    },
    /// A message of a known kind whose fields cannot be read.
    Malformed {
        /// The number of its kind.
        kind: u8,
    },
    /// An answer is being written: it must end, or be cancelled, before anything else.
    Busy,
    /// There is no answer to cancel, and none to have statistics of.
    NoAnswer,
    /// A chunk that does not continue the prompt.
    ChunkOrder {
        /// Where it says that it belongs.
        found: u32,
        /// Bytes that are there.
        have: u32,
    },
    /// The prompt is longer than the board's memory for it.
    PromptTooLong {
        /// Bytes that would be needed.
        need: u32,
        /// Bytes there are.
        have: u32,
    },
    /// A system message for a model without a chat template, or with `raw`.
    NoSystemMessage,
    /// The prompt does not fit the context.
    ContextFull {
        /// Positions that would be needed.
        need: u32,
        /// Positions there are.
        have: u32,
    },
    /// The prompt has no token.
    EmptyPrompt,
    /// The vocabulary has no token for a byte of the prompt.
    NoToken {
        /// The byte.
        byte: u8,
        /// Its offset in bytes.
        at: u32,
    },
    /// Anything else that the runtime refuses, in its words.
    Refused(&'a str),
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Checksum { found, computed } => {
                write!(f, "a frame has the checksum {found:08x} and its bytes give {computed:08x}")
            }
            Self::TooLong { most } => write!(f, "a message is longer than {most} bytes"),
            Self::Truncated { bytes } => write!(f, "a frame broke off after {bytes} bytes"),
            Self::UnknownMessage { kind } => {
                write!(f, "a message is of kind {kind}, which is not known here")
            }
            Self::Malformed { kind } => write!(f, "the fields of a message of kind {kind} cannot be read"),
            Self::Busy => f.write_str("an answer is being written"),
            Self::NoAnswer => f.write_str("there is no answer"),
            Self::ChunkOrder { found, have } => {
                write!(f, "a part of the prompt belongs behind {found} bytes, and there are {have}")
            }
            Self::PromptTooLong { need, have } => {
                write!(f, "the prompt has {need} bytes or more, and there is memory for {have}")
            }
            Self::NoSystemMessage => {
                f.write_str("a system message needs a model with a chat template, and no raw prompt")
            }
            Self::ContextFull { need, have } => {
                write!(f, "the prompt takes {need} positions and the context has {have}")
            }
            Self::EmptyPrompt => f.write_str("the prompt has no token"),
            Self::NoToken { byte, at } => {
                write!(f, "no token for the byte 0x{byte:02x} at offset {at} of the text")
            }
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for Error<'_> {}
