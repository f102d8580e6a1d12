//! The area of the device protocol: frames of a host that may send anything, and the answers.

use crate::opaque::{bytes, keep, number, text};
use bitnet_edge_protocol::{
    Chunk, Error, FRAME_BYTES, Received, Receiver, Request, Response, Statistics, decode, encode, version_of,
};

/// What a board hears, and what it says.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_protocol() {
    let mut receiver = Receiver::new();
    for &byte in bytes() {
        match receiver.push(byte) {
            Received::Message => {
                let message = receiver.message();
                keep((decode::<Request>(message), decode::<Response>(message), version_of(message)));
            }
            other => keep(other),
        }
    }
    let mut frame = [0; FRAME_BYTES];
    let tag = number() as u8;
    let statistics = Statistics { prompt: number(), generated: number(), ..Statistics::default() };
    let prompt =
        Chunk { at: number(), system: number() == 1, raw: number() == 2, last: number() == 3, text: bytes() };
    keep(encode(tag, &Response::Error(Error::Refused(text())), &mut frame));
    keep(encode(tag, &Response::Statistics(statistics), &mut frame));
    keep(encode(tag, &Response::Token { index: number(), id: number(), bytes: bytes() }, &mut frame));
    keep(encode(tag, &Request::Prompt(prompt), &mut frame));
}
