//! Lines that a person types: editing, history, completion of commands.

use std::env;
use std::fs;
use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context as _, Result};
use bitnet_pack::report::say;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, Cmd, ColorMode, Config, Context, Editor, Helper, KeyCode, KeyEvent, Modifiers};

use super::commands::COMMANDS;

/// Lines of history that are kept.
const HISTORY: usize = 1000;
/// What a text of several lines is put between.
const QUOTE: &str = "\"\"\"";

/// What a person did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Typed a text, of one line or several.
    Text(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the end of what was piped.
    End,
}

/// Reads what is typed.
pub(super) struct Lines {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    prompt: (&'static str, String),
}

impl Lines {
    /// With a history of what was typed before, and in a file, unless `keep` is false.
    pub(super) fn new(keep: bool) -> Result<Self> {
        // What is piped is read from there; an answer that goes to a file leaves the terminal for the editor.
        let on_terminal = stdin().is_terminal() && !stdout().is_terminal();
        let colours = AutoStream::choice(&stdout()) != ColorChoice::Never;
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_space(true)
            .behavior(if on_terminal { Behavior::PreferTerm } else { Behavior::Stdio })
            .color_mode(if colours { ColorMode::Enabled } else { ColorMode::Disabled })
            .build();
        let mut editor = Editor::with_config(config).context("the terminal cannot be used")?;
        editor.set_helper(Some(Assistant));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        let history = if keep && stdin().is_terminal() { history_file() } else { None };
        if let Some(path) = &history
            && path.exists()
            && let Err(error) = editor.load_history(path)
        {
            say(format_args!("note: the history {} cannot be read: {error}", path.display()));
        }
        let style = clap::builder::Styles::styled();
        let style = *style.get_literal();
        Ok(Self { editor, history, prompt: ("> ", format!("{style}>{style:#} ")) })
    }

    /// The next text.
    pub(super) fn read(&mut self) -> Result<Entry> {
        match self.editor.readline(&self.prompt) {
            Ok(text) => {
                if !text.trim().is_empty() {
                    self.remember(&text);
                }
                Ok(Entry::Text(unquoted(&text)))
            }
            Err(ReadlineError::Interrupted) => Ok(Entry::Interrupt),
            Err(ReadlineError::Eof) => Ok(Entry::End),
            Err(error) => Err(error).context("cannot read what is typed"),
        }
    }

    fn remember(&mut self, text: &str) {
        let Ok(true) = self.editor.add_history_entry(text) else { return };
        let Some(path) = &self.history else { return };
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let kept = made.map_err(ReadlineError::from).and_then(|()| self.editor.append_history(path));
        if let Err(error) = kept {
            say(format_args!("note: the history {} cannot be kept: {error}", path.display()));
            self.history = None;
        }
    }
}

/// Where the history is kept: in the folder for state of the XDG specification, or of Windows.
fn history_file() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else {
        folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))
    };
    Some(state?.join("bitnet-edge").join("chat-history"))
}

/// Whether more lines belong to a text.
fn is_incomplete(text: &str) -> bool {
    match text.trim_start().strip_prefix(QUOTE) {
        Some(rest) => !rest.trim_end().ends_with(QUOTE),
        None => text.ends_with('\\'),
    }
}

/// A text without what makes it one of several lines.
fn unquoted(text: &str) -> String {
    match text.trim().strip_prefix(QUOTE).and_then(|rest| rest.strip_suffix(QUOTE)) {
        Some(inner) => inner.strip_prefix('\n').unwrap_or(inner).trim_end_matches('\n').to_owned(),
        None => text.replace("\\\n", "\n"),
    }
}

/// What helps with a line.
struct Assistant;

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let incomplete = is_incomplete(context.input());
        Ok(if incomplete { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = line.get(..at).filter(|begun| begun.starts_with('/'));
        let names = COMMANDS.iter().map(|command| command.name);
        let fitting =
            begun.map(|begun| names.filter(|name| name.starts_with(begun)).map(str::to_owned).collect());
        Ok((0, fitting.unwrap_or_default()))
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_several_lines() {
        for (typed, text) in [
            ("a", "a"),
            ("a\\\nb", "a\nb"),
            ("\"\"\"a\nb\"\"\"", "a\nb"),
            ("\"\"\"\na\n\nb\n\"\"\"", "a\n\nb"),
            ("\"\"\"\"\"\"", ""),
        ] {
            assert!(!is_incomplete(typed), "{typed}");
            assert_eq!(unquoted(typed), text);
        }
        for typed in ["a\\", "\"\"\"", "\"\"\"a", "\"\"\"a\nb\\\n"] {
            assert!(is_incomplete(typed), "{typed}");
        }
    }
}
