//! Packs a chat template: what it puts between messages, as pieces of text and special tokens. The layout is specified in
//! `docs/tokenizer-format.md`.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece};

use super::render::Renderer;
use super::segments::{ASSISTANT, COLUMNS, CONTENTS, ROLES, SYSTEM, Segments, USER, segments};
use super::tokenizer::Packed;
use super::vocab::{CONTROL, Vocab};

/// No segment; a special token.
const NONE: u32 = u32::MAX;

/// Packs the chat template of a model. An error says what in the template cannot be expressed: such a model is used
/// without a template.
pub fn pack_chat_template(template: &str, vocab: &Vocab) -> anyhow::Result<Packed> {
    let renderer = Renderer::new(template, vocab)?;
    let mut notes = Vec::new();
    let segments = segments(&renderer, &mut notes)?;
    let bytes = write(&segments, vocab)?;
    prove_section(&bytes, &segments, vocab)?;
    Ok(Packed { bytes, notes })
}
/// A segment as pieces: text, and the ids of the control tokens that it names.
fn pieces(segment: &str, control: &[(u32, &str)]) -> Vec<(String, Option<u32>)> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    let mut text = String::new();
    while let Some(character) = rest.chars().next() {
        let special =
            control.iter().filter(|(_, name)| rest.starts_with(name)).max_by_key(|(_, name)| name.len());
        if let Some(&(id, name)) = special {
            if !text.is_empty() {
                pieces.push((std::mem::take(&mut text), None));
            }
            pieces.push((name.to_owned(), Some(id)));
            rest = &rest[name.len()..];
        } else {
            text.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    if !text.is_empty() {
        pieces.push((text, None));
    }
    pieces
}

fn write(segments: &Segments, vocab: &Vocab) -> anyhow::Result<Vec<u8>> {
    let (mut entries, mut list, mut text) = (Vec::new(), Vec::new(), Vec::new());
    let control: Vec<(u32, &str)> = (0_u32..)
        .zip(&vocab.tokens)
        .filter(|&(id, name)| vocab.kind(id as usize) == CONTROL && !name.is_empty())
        .map(|(id, name)| (id, name.as_str()))
        .collect();
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
        for (name, special) in pieces(segment, &control) {
            list.push(match special {
                Some(id) => [NONE, id],
                None => [u32::try_from(text.len())?, u32::try_from(name.len())?],
            });
            if special.is_none() {
                text.extend(name.into_bytes());
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
