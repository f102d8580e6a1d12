//! Messages in frames: `00`, COBS of tag, message and CRC-32, `00`.

use cobs::{DecodeResult, DecoderState};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::{Error, Message};

/// Bytes of tag and message at most.
pub const MESSAGE_BYTES: usize = 250;
/// With the checksum: as many as COBS makes one byte longer.
const DATA_BYTES: usize = MESSAGE_BYTES + CRC_BYTES;
const CRC_BYTES: usize = 4;
/// Bytes of a frame at most, with the zeros around it.
pub const FRAME_BYTES: usize = DATA_BYTES + 3;

/// Without tables: a frame is 254 bytes at most, and flash is short.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

const TOO_LONG: Error<'static> = Error::TooLong { most: MESSAGE_BYTES as u32 };

/// A frame, in the memory that is given: `00`, COBS of tag, message and checksum, `00`.
///
/// # Errors
/// [`Error::TooLong`] for a message of more than [`MESSAGE_BYTES`].
///
/// ```
/// use bitnet_edge_protocol::{Error, FRAME_BYTES, Response, encode};
/// let mut frame = [0; FRAME_BYTES];
/// let frame = encode(1, &Response::Accepted, &mut frame)?;
/// assert_eq!((frame.len(), frame.first(), frame.last()), (9, Some(&0), Some(&0)));
/// let text = "x".repeat(250);
/// let long = Response::Error(Error::Refused(&text));
/// assert_eq!(encode(1, &long, &mut [0; FRAME_BYTES]), Err(Error::TooLong { most: 250 }));
/// # Ok::<(), Error<'_>>(())
/// ```
pub fn encode<'f, M: Message + Serialize>(
    tag: u8,
    message: &M,
    frame: &'f mut [u8; FRAME_BYTES],
) -> Result<&'f [u8], Error<'static>> {
    let mut data = [0; DATA_BYTES];
    let body = data.get_mut(1..MESSAGE_BYTES).unwrap_or_default();
    let length = 1 + postcard::to_slice(message, body).map_err(|_| TOO_LONG)?.len();
    seal(tag, length, &mut data, frame).ok_or(TOO_LONG)
}

/// Tag, checksum and zeros around `length` bytes, of which the first is the tag's place.
fn seal<'f>(
    tag: u8,
    length: usize,
    data: &mut [u8; DATA_BYTES],
    frame: &'f mut [u8; FRAME_BYTES],
) -> Option<&'f [u8]> {
    *data.first_mut()? = tag;
    let sum = CRC.checksum(data.get(..length)?);
    data.get_mut(length..)?.first_chunk_mut::<CRC_BYTES>().map(|place| *place = sum.to_le_bytes())?;
    let (start, rest) = frame.split_first_mut()?;
    *start = 0;
    let coded = cobs::try_encode(data.get(..length + CRC_BYTES)?, rest).ok()?;
    *rest.get_mut(coded)? = 0;
    frame.get(..coded + 2)
}

/// The tag of a message, and the message.
///
/// # Errors
/// [`Error::UnknownMessage`] or [`Error::Malformed`], in place of the message.
///
/// ```
/// use bitnet_edge_protocol::{Error, Request, decode};
/// assert_eq!(decode::<Request>(&[9, 3]), (9, Ok(Request::Cancel)));
/// assert_eq!(decode::<Request>(&[9, 77]), (9, Err(Error::UnknownMessage { kind: 77 })));
/// assert_eq!(decode::<Request>(&[9, 2, 0]), (9, Err(Error::Malformed { kind: 2 })));
/// ```
pub fn decode<'m, M: Message + Deserialize<'m>>(message: &'m [u8]) -> (u8, Result<M, Error<'static>>) {
    let (tag, body) = match message.split_first() {
        Some((tag, body)) => (*tag, body),
        None => (0, message),
    };
    let kind = body.first().copied().unwrap_or(u8::MAX);
    let wrong = if kind < M::KINDS { Error::Malformed { kind } } else { Error::UnknownMessage { kind } };
    (tag, postcard::from_bytes(body).map_err(|_| wrong))
}

/// The protocol's version that a [`Response::Description`](crate::Response::Description) of any version states.
///
/// ```
/// use bitnet_edge_protocol::version_of;
/// assert_eq!(version_of(&[1, 0, 0x82, 1, 99]), Some(130)); // tag 1, description, a varint, and what only that version knows
/// assert_eq!(version_of(&[1, 3]), None);
/// ```
#[must_use]
pub fn version_of(message: &[u8]) -> Option<u16> {
    let body = message.get(1..)?;
    postcard::from_bytes(body).ok().filter(|(kind, _): &(u8, u16)| *kind == 0).map(|(_, version)| version)
}

/// What a byte brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is no part of a frame.
    Byte(u8),
    /// It is a part of one.
    Part,
    /// A message is complete: [`Receiver::message`].
    Message,
    /// What was between two zeros is no frame. The next one can be read.
    Broken(Error<'static>),
}

/// Finds frames in a stream of bytes.
///
/// A zero begins a frame and the next one ends it; what is outside is text. Behind what is no frame, the zero that ended it
/// may as well have begun one, so that a lost zero costs one frame and not all.
#[derive(Debug)]
pub struct Receiver {
    data: Vec<u8, DATA_BYTES>,
    cobs: DecoderState,
    /// Bytes since the zero that began a frame.
    bytes: Option<u32>,
    too_long: bool,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A receiver outside of any frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { data: Vec::new(), cobs: DecoderState::Idle, bytes: None, too_long: false }
    }

    /// Whether a frame has begun.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.bytes.is_some()
    }

    /// Tag and message of the frame that was received last; the next byte of a frame ends it.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.data.split_last_chunk::<CRC_BYTES>().map_or(&[], |(message, _)| message)
    }

    /// Takes a byte.
    pub fn push(&mut self, byte: u8) -> Received {
        match (self.bytes, byte) {
            (None, 1..) => return Received::Byte(byte),
            (None | Some(0), 0) => self.begin(),
            (Some(bytes), 0) => return self.finish(bytes),
            (Some(bytes), _) => {
                self.bytes = Some(bytes.saturating_add(1));
                if let Ok(DecodeResult::DataContinue(byte)) = self.cobs.feed(byte) {
                    self.too_long |= self.data.push(byte).is_err();
                }
            }
        }
        Received::Part
    }

    /// Leaves a frame whose end does not come: what is behind it is text. The error, if there was anything of it.
    pub fn give_up(&mut self) -> Option<Error<'static>> {
        let bytes = self.bytes.take().filter(|&bytes| bytes > 0)?;
        Some(if self.too_long { TOO_LONG } else { Error::Truncated { bytes } })
    }

    fn begin(&mut self) {
        self.data.clear();
        self.cobs = DecoderState::Idle;
        self.bytes = Some(0);
        self.too_long = false;
    }

    fn finish(&mut self, bytes: u32) -> Received {
        let result = self.check(bytes);
        match result {
            Ok(()) => {
                self.bytes = None;
                Received::Message
            }
            Err(error) => {
                self.begin();
                Received::Broken(error)
            }
        }
    }

    fn check(&mut self, bytes: u32) -> Result<(), Error<'static>> {
        if self.too_long {
            return Err(TOO_LONG);
        }
        let complete = matches!(self.cobs.feed(0), Ok(DecodeResult::DataComplete));
        let (message, sum) = self
            .data
            .split_last_chunk::<CRC_BYTES>()
            .filter(|(message, _)| complete && message.len() >= 2)
            .ok_or(Error::Truncated { bytes })?;
        let (found, computed) = (u32::from_le_bytes(*sum), CRC.checksum(message));
        if found == computed { Ok(()) } else { Err(Error::Checksum { found, computed }) }
    }
}

#[cfg(test)]
mod tests;
