//! The areas of text: tokenizers, chat templates, streams of characters.

use crate::opaque::{bytes, keep, number, with_ram};
use bitnet_edge_core::text::{
    ChatTemplate, Decoder, EncodeOptions, Encoder, Ending, Error, Message, Progress, Role, Tokenizer,
    Utf8Stream, encode,
};

/// Tables that may hold anything, and a text that may be anything.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_encode() {
    with_ram(|ram| keep(encoded(ram)));
}

fn encoded(ram: &mut [u32]) -> Result<usize, Error> {
    let tokenizer = Tokenizer::new_checked(bytes())?;
    keep((tokenizer.verify(), tokenizer.find_special(bytes()), tokenizer.control_tokens().last()));
    keep((tokenizer.bos(), tokenizer.eos(), tokenizer.eot(), tokenizer.adds_bos()));
    let (ids, scratch) = ram.split_at_mut_checked(number() as usize).unwrap_or_default();
    encode(&tokenizer, bytes(), scratch, ids, options())
}

fn options() -> EncodeOptions {
    EncodeOptions { mark_ends: number() & 1 != 0, lossy: number() & 1 != 0 }
}

/// A conversation, encoded in steps.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_chat() {
    with_ram(|ram| keep(conversation(ram)));
}

fn conversation(ram: &mut [u32]) -> Result<(), Error> {
    let tokenizer = Tokenizer::new_checked(bytes())?;
    let template = ChatTemplate::new_checked(bytes())?;
    let roles = [Role::System, Role::User, Role::Assistant];
    let role = || roles.get(number() as usize).copied();
    let messages =
        [role(), role(), role()].map(|role| Message { role: role.unwrap_or(Role::User), content: bytes() });
    let messages = messages.get(..number() as usize).unwrap_or_default();
    let ending = if number() & 1 == 0 { Ending::Reply } else { Ending::Close };
    let pieces = template.render(role(), messages, ending)?;
    let (ids, scratch) = ram.split_at_mut_checked(number() as usize).unwrap_or_default();
    let mut encoder = Encoder::new(&tokenizer, pieces, scratch, ids, options());
    while encoder.step(number())? == Progress::More {}
    Ok(())
}

/// Any token ids, to whole characters.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_decode() {
    let Ok(tokenizer) = Tokenizer::new_checked(bytes()) else { return };
    let mut decoder = if number() == 1 { Decoder::at_start() } else { Decoder::continuing() };
    let mut stream = Utf8Stream::new();
    for _ in 0..number() {
        let id = number();
        keep((tokenizer.kind(id), tokenizer.is_end(id), tokenizer.merge(id, number())));
        stream.feed(decoder.bytes(&tokenizer, id), |part| keep(part));
    }
    stream.finish(|part| keep(part));
}
