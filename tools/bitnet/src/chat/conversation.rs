//! A conversation, and the file that it is kept in.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::{Message, Role};
use bitnet_pack::output::Destination;
use serde::{Deserialize, Serialize};

/// The version of the file; a reader refuses others.
const VERSION: u32 = 1;

/// Whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    System,
    User,
    Assistant,
}

impl From<Who> for Role {
    fn from(who: Who) -> Self {
        match who {
            Who::System => Self::System,
            Who::User => Self::User,
            Who::Assistant => Self::Assistant,
        }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    pub(super) role: Who,
    pub(super) content: String,
}

impl Turn {
    /// As a template takes it.
    pub(super) fn message(&self) -> Message<'_> {
        Message { role: self.role.into(), content: self.content.as_bytes() }
    }
}

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    /// Who wrote it.
    program: String,
    /// Digest of the image that answered.
    model: String,
    messages: Vec<Turn>,
}

/// Writes a conversation to a file, which is whole or as it was.
pub(super) fn save(path: &Path, model: &str, messages: &[Turn]) -> Result<()> {
    let program = format!("bitnet {}", env!("CARGO_PKG_VERSION"));
    let saved = Saved { version: VERSION, program, model: model.to_owned(), messages: messages.to_vec() };
    let mut text = serde_json::to_vec_pretty(&saved)?;
    text.push(b'\n');
    Destination::new(path, Path::new(""))?.write(&text)
}

/// Reads a conversation, and the digest of the image that answered in it.
pub(super) fn load(path: &Path) -> Result<(Vec<Turn>, String)> {
    let shown = path.display();
    let text = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    // The version first: what else is in the file depends on it.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let none = || format!("{shown} is not a conversation that `/save` wrote");
    let Versioned { version } = serde_json::from_slice(&text).with_context(none)?;
    if version != VERSION {
        bail!("{shown} has version {version} of the conversation format and this program reads {VERSION}");
    }
    let saved: Saved = serde_json::from_slice(&text).with_context(none)?;
    if let Some(at) = saved.messages.iter().skip(1).position(|turn| turn.role == Who::System) {
        bail!("{shown}: message {} is a system message, which only the first can be", at + 2);
    }
    Ok((saved.messages, saved.model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: Who, content: &str) -> Turn {
        Turn { role, content: content.to_owned() }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let messages =
            [turn(Who::System, "be kind"), turn(Who::User, "é\n\"\u{1}"), turn(Who::Assistant, "")];
        for _ in 0..2 {
            save(&path, "abc", &messages).unwrap();
            assert_eq!(load(&path).unwrap(), (messages.to_vec(), "abc".to_owned()));
        }
        // Nothing else is left in the folder.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = save(&folder.path().join("none/a.json"), "", &messages).unwrap_err();
        assert!(format!("{nowhere:#}").contains("cannot write"), "{nowhere:#}");
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (text, part) in [
            ("", "is not a conversation"),
            ("{}", "is not a conversation"),
            (r#"{"version": 2}"#, "has version 2 of the conversation format and this program reads 1"),
            (r#"{"version": 1, "messages": []}"#, "is not a conversation"),
            (
                r#"{"version": 1, "program": "", "model": "", "messages": [{"role": "user", "content": ""},
                    {"role": "system", "content": ""}]}"#,
                "message 2 is a system message",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", load(&path).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
