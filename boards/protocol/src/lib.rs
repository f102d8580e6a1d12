//! What a board and its host say to each other: [`Request`] and [`Response`], in frames.
//!
//! A message is postcard behind a tag, with a CRC-32, in a COBS frame between two zero bytes, so that frames share a line with
//! plain text: [`encode`] makes one, a [`Receiver`] finds them again in whatever bytes come, and [`decode`] reads what they
//! hold. `docs/device-protocol.md` is the specification, byte by byte. Nothing here allocates or panics, and what cannot be
//! read is an [`Error`] that says how.
//!
//! ```
//! use bitnet_edge_protocol::{FRAME_BYTES, Received, Receiver, Request, decode, encode};
//!
//! let mut frame = [0; FRAME_BYTES];
//! let frame = encode(7, &Request::Describe, &mut frame)?;
//! assert_eq!(frame, [0, 2, 7, 5, 0x38, 0x84, 0x98, 0x0e, 0]); // what travels
//!
//! let mut receiver = Receiver::new();
//! for &byte in [b"> ", frame].concat().iter() {
//!     match receiver.push(byte) {
//!         Received::Byte(text) => print!("{}", text as char), // not a part of a frame
//!         Received::Part => {}
//!         Received::Message => {
//!             assert_eq!(decode::<Request>(receiver.message()), (7, Ok(Request::Describe)));
//!         }
//!         Received::Broken(error) => panic!("{error}"),
//!     }
//! }
//! # Ok::<(), bitnet_edge_protocol::Error<'_>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(test)]
extern crate std;

mod error;
mod frame;
mod message;

pub use error::Error;
pub use frame::{FRAME_BYTES, MESSAGE_BYTES, Received, Receiver, decode, encode, version_of};
pub use message::{
    Chunk, Description, KvCache, MAX_BIASES, MAX_LOGPROBS, MAX_STOP_TOKENS, Message, Request, Response,
    Sampling, Settings, Statistics, Stop,
};

/// Version of the protocol: another number is another protocol. Messages and fields that are added at the end do not change it.
pub const VERSION: u16 = 1;

/// Bytes of text in a [`Chunk`] or of a token in one frame at most.
pub const CHUNK_BYTES: usize = 200;

/// Microseconds of silence in the middle of a frame after which it is given up.
pub const SILENCE_US: u64 = 1_000_000;
