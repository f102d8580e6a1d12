//! What a chat template puts between messages: found by rendering, and proved by rendering.
//!
//! Conversations whose contents are marks are rendered, and the results cut at the marks. Then every conversation of up
//! to [`PROOF_LENGTH`] messages, with contents that try a template's handling of text, is rendered both ways: a template
//! for which a segment depends on more than the roles on its two sides is refused.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use bitnet_edge_core::text::Role;

use super::render::Renderer;

pub(crate) const ROLES: [(&str, Role); 3] =
    [("system", Role::System), ("user", Role::User), ("assistant", Role::Assistant)];
pub(crate) const SYSTEM: usize = 0;
pub(crate) const USER: usize = 1;
pub(crate) const ASSISTANT: usize = 2;
/// What follows the last message.
const REPLY: usize = 3;
const CLOSE: usize = 4;
pub(crate) const COLUMNS: usize = 5;
const MARK: &str = "qzmark";
const PROOF_LENGTH: u32 = 5;
/// Bytes of a segment. Real ones, default system messages included, take a few hundred.
const LONGEST_SEGMENT: usize = 1 << 16;
/// Contents that a template might not leave as they are.
pub(crate) const CONTENTS: [&str; 4] =
    ["Hello", "two\nlines", " \n padded\t ", "{{ 1 }} 'q' \"d\" \\ & <b> É [INST]"];

/// The segments of a template: what stands before the message (or ending) of a column, by the row of what is before
/// it: 0 nothing, 1 and up a message of that role.
#[derive(Default)]
pub(crate) struct Segments {
    pub(crate) table: HashMap<(usize, usize), String>,
    pub(crate) trims: [bool; 3],
}

/// The content of a message that no template has in its text.
fn mark(index: usize) -> String {
    format!("{MARK}{index}zq")
}

/// Renders a conversation of marks; `None` where the template refuses it.
fn render_marks(renderer: &Renderer, roles: &[usize], reply: bool) -> Result<String, minijinja::Error> {
    let marks: Vec<String> = (0..roles.len()).map(mark).collect();
    let messages: Vec<_> =
        roles.iter().zip(&marks).map(|(&role, mark)| (ROLES[role].0, mark.as_str())).collect();
    renderer.render(&messages, reply)
}

/// Cuts what was rendered at the marks: one more part than there are messages.
fn cut(rendered: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = rendered;
    for index in 0..count {
        let (part, behind) = rest
            .split_once(&mark(index))
            .context("the chat template changes, moves or drops the content of a message")?;
        parts.push(part.to_owned());
        rest = behind;
    }
    parts.push(rest.to_owned());
    ensure!(
        !parts.iter().any(|part| part.contains(MARK)),
        "the chat template repeats or moves the content of a message"
    );
    Ok(parts)
}

/// The segments of a template, proved.
pub(crate) fn segments(renderer: &Renderer, notes: &mut Vec<String>) -> anyhow::Result<Segments> {
    let mut segments = derive(renderer)?;
    if let Some(segment) = segments.table.values().find(|segment| segment.len() > LONGEST_SEGMENT) {
        bail!(
            "the chat template puts {} bytes between two messages: at most {LONGEST_SEGMENT} can be packed",
            segment.len()
        );
    }
    segments.trims = trims(renderer, &segments)?;
    prove(renderer, &mut segments, notes)?;
    if !segments.table.contains_key(&(0, SYSTEM)) {
        notes.push("the chat template has no system message".to_owned());
    }
    Ok(segments)
}

/// Finds every segment in the shortest conversation that has it.
fn derive(renderer: &Renderer) -> anyhow::Result<Segments> {
    let mut segments = Segments::default();
    // What a conversation of two needs must be there; anything else is not allowed where the template refuses it or
    // drops a message.
    for (roles, reply) in [(&[USER][..], false), (&[USER], true), (&[USER, ASSISTANT, USER], false)] {
        let rendered = render_marks(renderer, roles, reply)
            .map_err(|error| anyhow::anyhow!("the chat template fails on a plain conversation: {error:#}"))?;
        segments.insert(roles, reply, &cut(&rendered, roles.len())?);
    }
    let leads: [&[usize]; 4] = [&[], &[SYSTEM], &[USER], &[USER, ASSISTANT]];
    let nexts: [&[usize]; 4] = [&[], &[SYSTEM], &[USER], &[ASSISTANT]];
    let system: [&[usize]; 1] = [&[SYSTEM, USER]];
    let conversations = leads.iter().flat_map(|lead| nexts.iter().map(move |next| [*lead, *next].concat()));
    for roles in
        system.iter().map(|roles| roles.to_vec()).chain(conversations).filter(|roles| !roles.is_empty())
    {
        for reply in [false, true] {
            let rendered = render_marks(renderer, &roles, reply);
            if let Some(parts) = rendered.ok().and_then(|rendered| cut(&rendered, roles.len()).ok()) {
                segments.insert(&roles, reply, &parts);
            }
        }
    }
    Ok(segments)
}

/// Whether the template takes the white space around the content of each role away.
fn trims(renderer: &Renderer, segments: &Segments) -> anyhow::Result<[bool; 3]> {
    let mut trims = [false; 3];
    for (role, lead) in [(SYSTEM, &[SYSTEM, USER][..]), (USER, &[USER]), (ASSISTANT, &[USER, ASSISTANT])] {
        let contents: Vec<&str> =
            lead.iter().map(|&one| if one == role { " \n padded\t " } else { "plain" }).collect();
        let messages: Vec<_> = lead.iter().zip(&contents).map(|(&one, &text)| (ROLES[one].0, text)).collect();
        let mut candidate = Segments { table: segments.table.clone(), trims: [false; 3] };
        let Some(untouched) = candidate.concatenate(lead, &contents, false) else { continue };
        let Ok(rendered) = renderer.render(&messages, false) else { continue };
        candidate.trims[role] = true;
        trims[role] = match rendered {
            rendered if rendered == untouched => false,
            rendered if Some(&rendered) == candidate.concatenate(lead, &contents, false).as_ref() => true,
            _ => bail!("the chat template changes the content of a {} message", ROLES[role].0),
        };
    }
    Ok(trims)
}

impl Segments {
    /// Records the parts of a conversation that are not known from an earlier one.
    fn insert(&mut self, roles: &[usize], reply: bool, parts: &[String]) {
        let rows = std::iter::once(0).chain(roles.iter().map(|role| role + 1));
        let columns = roles.iter().copied().chain([if reply { REPLY } else { CLOSE }]);
        for (place, part) in rows.zip(columns).zip(parts) {
            self.table.entry(place).or_insert_with(|| part.clone());
        }
    }

    /// What the segments make of a conversation; `None` if one of them does not exist.
    pub(crate) fn concatenate(&self, roles: &[usize], contents: &[&str], reply: bool) -> Option<String> {
        let mut text = String::new();
        let mut row = 0;
        for (&role, content) in roles.iter().zip(contents) {
            text += self.table.get(&(row, role))?;
            text += if self.trims[role] { content.trim() } else { content };
            row = role + 1;
        }
        text += self.table.get(&(row, if reply { REPLY } else { CLOSE }))?;
        Some(text)
    }
}

/// Renders every short conversation both ways. A segment that no usual conversation has is dropped where it does not
/// fit; the usual ones must.
fn prove(renderer: &Renderer, segments: &mut Segments, notes: &mut Vec<String>) -> anyhow::Result<()> {
    let mut compared = 0;
    for length in 1..=PROOF_LENGTH {
        for code in 0..3_usize.pow(length) {
            let roles: Vec<usize> = (0..length).map(|place| code / 3_usize.pow(place) % 3).collect();
            for reply in [false, true] {
                let contents: Vec<&str> =
                    (0..roles.len()).map(|index| CONTENTS[(index + code) % CONTENTS.len()]).collect();
                let messages: Vec<_> =
                    roles.iter().zip(&contents).map(|(&role, &text)| (ROLES[role].0, text)).collect();
                let Some(ours) = segments.concatenate(&roles, &contents, reply) else { continue };
                let theirs = renderer.render(&messages, reply);
                match theirs {
                    Ok(theirs) if theirs == ours => compared += 1,
                    Ok(theirs) if is_usual(&roles) => {
                        bail!(
                            "in the chat template, what stands between two messages depends on more than their roles: \
                             for {messages:?} it makes {theirs:?}, its segments make {ours:?}"
                        );
                    }
                    Err(error) if is_usual(&roles) => {
                        bail!("the chat template refuses the conversation {messages:?}: {error:#}");
                    }
                    _ => drop_unusual(segments, &roles, notes),
                }
            }
        }
    }
    ensure!(compared > 0, "the chat template accepts no conversation");
    Ok(())
}

/// Whether the conversation is one that people have: perhaps a system message, then user and assistant by turns.
fn is_usual(roles: &[usize]) -> bool {
    let turns = roles.strip_prefix(&[SYSTEM]).unwrap_or(roles);
    turns.iter().enumerate().all(|(index, &role)| role == [USER, ASSISTANT][index % 2])
}

/// Removes the segments of `roles` that no usual conversation has.
fn drop_unusual(segments: &mut Segments, roles: &[usize], notes: &mut Vec<String>) {
    let mut row = 0;
    for &role in roles {
        let usual = matches!((row, role), (0, SYSTEM | USER) | (1, USER) | (2, ASSISTANT) | (3, USER));
        if !usual && segments.table.remove(&(row, role)).is_some() {
            let before = row.checked_sub(1).map_or("the beginning", |before| ROLES[before].0);
            notes.push(format!(
                "the chat template does not treat {} after {before} alike everywhere: not allowed",
                ROLES[role].0
            ));
        }
        row = role + 1;
    }
}
