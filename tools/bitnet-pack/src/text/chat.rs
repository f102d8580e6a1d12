//! Packs a chat template: what it puts between messages, as pieces of text and special tokens. The layout is specified in
//! `docs/tokenizer-format.md`.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use bitnet_edge_core::text::format::NONE;
use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece};

use super::names::Names;
use super::render::Renderer;
use super::segments::{ASSISTANT, COLUMNS, CONTENTS, ROLES, SYSTEM, Segments, USER, segments};
use super::tokenizer::Packed;
use super::vocab::{CONTROL, Vocab};

/// Packs the chat template of a model. An error says what in the template cannot be expressed: such a model is used
/// without a template.
///
/// The names of control tokens in the template become these tokens: [`Vocab::mark_control`] has to be called before,
/// as some files give special tokens other types.
pub fn pack_chat_template(template: &str, vocab: &Vocab) -> anyhow::Result<Packed> {
    let mut vocab = vocab.clone();
    // The same as `pack_tokenizer` does, which prints the notes.
    vocab.mark_control(None);
    let vocab = &vocab;
    let renderer = Renderer::new(template, vocab)?;
    let mut notes = Vec::new();
    let segments = segments(&renderer, &mut notes)?;
    let bytes = write(&segments, vocab)?;
    prove_section(&bytes, &segments, vocab)?;
    Ok(Packed { bytes, notes })
}

fn write(segments: &Segments, vocab: &Vocab) -> anyhow::Result<Vec<u8>> {
    let (mut entries, mut list, mut text) = (Vec::new(), Vec::new(), Vec::<u8>::new());
    let control = Names::of(vocab, |id| vocab.kind(id) == CONTROL);
    let mut written: HashMap<&str, [u32; 2]> = HashMap::new();
    for place in (0..=ROLES.len()).flat_map(|row| (0..COLUMNS).map(move |column| (row, column))) {
        let Some(segment) = segments.table.get(&place) else {
            entries.push([NONE, 0]);
            continue;
        };
        if let Some(&entry) = written.get(segment.as_str()) {
            entries.push(entry);
            continue;
        }
        let first = u32::try_from(list.len())?;
        for (name, special) in control.pieces(segment) {
            list.push(match special {
                Some(id) => [NONE, id],
                None => [u32::try_from(text.len())?, u32::try_from(name.len())?],
            });
            if special.is_none() {
                text.extend_from_slice(name.as_bytes());
            }
        }
        let entry = [first, u32::try_from(list.len())? - first];
        written.insert(segment, entry);
        entries.push(entry);
    }
    let trims = segments.trims.iter().rev().fold(0_u16, |bits, &trim| bits << 1 | u16::from(trim));
    let mut out = Vec::from(*b"BCHT");
    out.extend(1_u16.to_le_bytes());
    out.extend(trims.to_le_bytes());
    out.extend(u32::try_from(list.len())?.to_le_bytes());
    out.extend(u32::try_from(text.len())?.to_le_bytes());
    out.extend(entries.into_iter().chain(list).flatten().flat_map(u32::to_le_bytes));
    out.extend(text);
    Ok(out)
}

/// Reads the section as a device does, and compares it with the segments.
fn prove_section(bytes: &[u8], segments: &Segments, vocab: &Vocab) -> anyhow::Result<()> {
    let template =
        ChatTemplate::new_checked(bytes).context("the packed chat template cannot be read back")?;
    for roles in [&[USER][..], &[SYSTEM, USER], &[USER, ASSISTANT, USER], &[SYSTEM, USER, ASSISTANT]] {
        for (reply, ending) in [(true, Ending::Reply), (false, Ending::Close)] {
            let contents = &CONTENTS[..roles.len()];
            let messages: Vec<Message<'_>> = roles
                .iter()
                .zip(contents)
                .map(|(&role, content)| Message { role: ROLES[role].1, content: content.as_bytes() })
                .collect();
            let ours = template.render(None, &messages, ending).ok().map(|pieces| {
                let text = pieces.flat_map(|piece| match piece {
                    Piece::Text(text) => text.to_vec(),
                    Piece::Special(id) => vocab.tokens[id as usize].clone().into_bytes(),
                });
                text.collect::<Vec<u8>>()
            });
            let theirs = segments.concatenate(roles, contents, reply).map(String::into_bytes);
            ensure!(ours == theirs, "the chat template was packed wrongly");
        }
    }
    Ok(())
}
