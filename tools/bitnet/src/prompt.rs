//! Where a prompt comes from: the command line, a file, or stdin.

use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use anyhow::Result;
use bitnet_pack::report::Failure;
use clap::Args;

use crate::text_input::{read_file, read_stdin};

/// The prompt.
#[derive(Debug, Args)]
pub(crate) struct PromptArgs {
    /// The prompt; - reads it from stdin, as does a command without one whose stdin is no terminal
    #[arg(value_name = "PROMPT", conflicts_with_all = ["prompt", "file"])]
    text: Option<String>,
    /// The prompt, as an option
    #[arg(short, long, value_name = "PROMPT", conflicts_with = "file")]
    prompt: Option<String>,
    /// Read the prompt from a file; a line break at its end is not part of it
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl PromptArgs {
    /// The prompt, of whatever bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        if let Some(text) = self.prompt.as_ref().or(self.text.as_ref().filter(|text| *text != "-")) {
            return Ok(text.as_bytes().to_vec());
        }
        let text = match &self.file {
            Some(path) => read_file(path)?,
            None => self.stdin()?,
        };
        Ok(without_line_break(text))
    }

    /// The file that it is read from, if that is one with a name.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn stdin(&self) -> Result<Vec<u8>> {
        let asked_for = self.text.is_some();
        const NONE: &str = "a prompt is needed: as an argument, with --file FILE, or on stdin";
        if !asked_for && stdin().is_terminal() {
            return Err(Failure::usage(NONE));
        }
        let text = read_stdin()?;
        if text.is_empty() && !asked_for {
            return Err(Failure::usage(NONE));
        }
        Ok(text)
    }
}

/// What an editor or `echo` puts behind the last line is not a part of what was meant.
fn without_line_break(mut text: Vec<u8>) -> Vec<u8> {
    if text.pop_if(|last| *last == b'\n').is_some() {
        text.pop_if(|last| *last == b'\r');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_is_taken_away() {
        for (text, prompt) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", ""), ("\r", "\r")]
        {
            assert_eq!(without_line_break(text.into()), prompt.as_bytes());
        }
    }
}
