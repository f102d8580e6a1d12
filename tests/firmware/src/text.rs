//! The area of text: tokenizers, chat templates, streams of characters.

use crate::opaque::{bytes, keep, number};
use bitnet_edge_core::text::{
    ChatTemplate, Decoder, EncodeOptions, Encoder, Ending, Error, Message, Progress, Role, Tokenizer, Utf8Stream,
    encode,
};

const WORDS: usize = 4096;

/// Encodes and decodes with tables that are not known.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_text() {
    keep(text());
}

fn text() -> Result<(), Error> {
    let tokenizer = Tokenizer::new_checked(bytes())?;
    keep(tokenizer.verify());
    let options = EncodeOptions { mark_ends: number() & 1 != 0, lossy: number() & 1 != 0 };
    let (mut scratch, mut ids) = ([number(); WORDS], [number(); WORDS]);
    let (scratch, ids) = (lend(&mut scratch), lend(&mut ids));
    let count = encode(&tokenizer, bytes(), scratch, ids, options)?;

    let template = ChatTemplate::new_checked(bytes())?;
    let roles = [Role::System, Role::User, Role::Assistant];
    let role = || roles.get(number() as usize).copied();
    let messages = [role(), role(), role()].map(|role| Message { role: role.unwrap_or(Role::User), content: bytes() });
    let ending = if number() & 1 == 0 { Ending::Reply } else { Ending::Close };
    let pieces = template.render(role(), messages.get(..number() as usize).unwrap_or(&[]), ending)?;
    let mut encoder = Encoder::new(&tokenizer, pieces, scratch, ids, options);
    while encoder.step(number())? == Progress::More {}

    let mut decoder = Decoder::at_start();
    let mut stream = Utf8Stream::new();
    for &id in ids.iter().take(count) {
        stream.feed(decoder.bytes(&tokenizer, id), |part| keep(part.len()));
        keep((tokenizer.kind(id), tokenizer.is_end(id), tokenizer.merge(id, number())));
    }
    stream.finish(|part| keep(part.len()));
    keep((tokenizer.find_special(bytes()), tokenizer.bos(), tokenizer.eos(), tokenizer.eot()));
    Ok(())
}

/// A part of `words` whose length is not known.
fn lend(words: &mut [u32]) -> &mut [u32] {
    words.get_mut(..number() as usize).unwrap_or_default()
}
