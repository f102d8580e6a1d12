//! The areas of the tokenizers.

use crate::opaque::{bytes, keep, number, with_ram};
use bitnet_edge_core::text::{Decoder, EncodeOptions, Error, Piece, Tokenizer, Utf8Stream, encode};

/// Tables that may hold anything, and a text that may be anything.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_encode() {
    with_ram(|ram| keep(encoded(ram)));
}

fn encoded(ram: &mut [u32]) -> Result<usize, Error> {
    let tokenizer = Tokenizer::new_checked(bytes())?;
    tokenizer.verify()?;
    keep((
        tokenizer.bos(),
        tokenizer.adds_bos(),
        tokenizer.kind(number()),
        tokenizer.control_tokens().last(),
    ));
    keep((Piece::Special(number()), tokenizer.is_end(number())));
    let options = EncodeOptions { mark_ends: number() == 1, lossy: number() == 2 };
    let Some((ids, scratch)) = ram.split_at_mut_checked(number() as usize) else { return Ok(0) };
    encode(&tokenizer, bytes(), scratch, ids, options)
}

/// Any token ids, to whole characters.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_decode() {
    let Ok(tokenizer) = Tokenizer::new_checked(bytes()) else { return };
    let mut decoder = if number() == 1 { Decoder::at_start() } else { Decoder::continuing() };
    let mut stream = Utf8Stream::new();
    for _ in 0..number() {
        stream.feed(decoder.bytes(&tokenizer, number()), |part| keep(part));
    }
    stream.finish(|part| keep(part));
}
