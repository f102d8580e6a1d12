//! Text: tokenizers over packed tables, and streams of whole characters.
//!
//! `bitnet-pack` turns a model's vocabulary into one section of the flash image, `docs/tokenizer-format.md`;
//! [`Tokenizer`] is the checked view over it. [`Encoder`] makes tokens of text in bounded steps, [`Decoder`] makes
//! bytes of tokens, and [`Utf8Stream`] makes characters of bytes. [`ChatTemplate`] puts a conversation into the form that
//! a model was trained on.
//!
//! ```
//! use bitnet_edge_core::text::{Decoder, EncodeOptions, Tokenizer, Utf8Stream, encode, scratch_words};
//! let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
//! let tokenizer = Tokenizer::new_checked(section)?;
//! let (mut scratch, mut ids) = ([0; scratch_words(64)], [0; 16]);
//! let count = encode(&tokenizer, b"once upon a time", &mut scratch, &mut ids, EncodeOptions::default())?;
//!
//! let (mut decoder, mut stream, mut text) = (Decoder::at_start(), Utf8Stream::new(), String::new());
//! for &id in &ids[..count] {
//!     stream.feed(decoder.bytes(&tokenizer, id), |part| text.push_str(part));
//! }
//! stream.finish(|part| text.push_str(part));
//! assert_eq!(text, "once upon a time");
//! # Ok::<(), bitnet_edge_core::text::Error>(())
//! ```

mod chat;
mod cursor;
mod decode;
mod encode;
mod error;
mod find;
pub mod format;
mod kinds;
mod merge;
mod normalize;
mod piece;
mod stream;
mod tables;
mod unicode;
mod unicode_data;
#[cfg(feature = "full")]
mod unicode_more;
mod vocabulary;
mod words;

pub use chat::{ChatPieces, ChatTemplate, Ending, Message, Role};
pub use decode::Decoder;
pub use encode::{Encoder, encode};
pub use error::Error;
pub use kinds::{Model, PreTokenizer, TokenKind};
pub use piece::{EncodeOptions, Piece, Progress, scratch_words};
pub use stream::Utf8Stream;
pub use tables::Tokenizer;
