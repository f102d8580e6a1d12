//! How the programs speak: results on stdout, all else on stderr, one line an error.

use std::fmt::{self, Display};
use std::io::{self, Write, stderr};
use std::process::{ExitCode, exit};

use anyhow::{Error, Result};
use bitnet_edge_core::Error as CoreError;
use bitnet_edge_core::text::Error as TextError;
use bitnet_edge_kernels::Error as KernelError;
use clap::Parser;
use clap::error::ErrorKind;

/// Exit code of a command line that cannot be understood; what is understood and fails exits with 1.
const USAGE: i32 = 2;

/// The command line. Prints help where that is asked for; a mistake is one line and ends the program.
#[must_use]
pub fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
        if let DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand = error.kind() {
            error.exit();
        }
        say(usage_line(&error.render().to_string()));
        exit(USAGE)
    })
}

/// What clap says about a mistake, without its list of options, in one line.
fn usage_line(text: &str) -> String {
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|part| text.find(part)).min();
    format!("{} (--help lists the options)", one_line(&text[..end.unwrap_or(text.len())]))
}

/// An error with an exit code of its own.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    /// Nothing where all is said already.
    error: Option<Error>,
}

impl Failure {
    /// An error that exits with `code`.
    #[must_use]
    pub fn new(code: u8, error: impl Into<Error>) -> Error {
        Self { code, error: Some(error.into()) }.into()
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.as_ref().map_or(Ok(()), |error| write!(f, "{error:#}"))
    }
}

impl std::error::Error for Failure {}

/// The exit code of a program; an error is printed. A reader of stdout that has seen enough is not one.
#[must_use]
pub fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(one_line(&format!("error: {error:#}")));
            error.downcast_ref::<Failure>().map_or(ExitCode::FAILURE, |failure| failure.code.into())
        }
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a line on stderr. Where stderr cannot be written to, nobody is left to be told.
pub fn say(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Several lines as one, and no control character of a file's name or content for the terminal to obey.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push_str(if line.ends_with([':', ',', ';']) { " " } else { "; " });
        }
        for c in part.chars() {
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
    }
    line
}

/// An error of the runtime, and what can be done about it on the command line.
pub fn advised(error: CoreError) -> Error {
    let advice = match error {
        CoreError::NotAnImage => "`bitnet-pack convert` makes an image of a GGUF file",
        CoreError::ImageTruncated { .. }
        | CoreError::ImageDamaged(_)
        | CoreError::SectionDamaged(_)
        | CoreError::SectionMissing(_)
        | CoreError::TensorMissing { .. }
        | CoreError::TensorShape { .. }
        | CoreError::Vocabulary { .. } => "copy the image again, or convert the model again",
        CoreError::SectionEncoding { .. } | CoreError::UnknownLayout { .. } => {
            "convert the model with the bitnet-pack of this version"
        }
        CoreError::ArenaTooSmall { .. } | CoreError::PlanTooLarge => {
            "a smaller --context, a smaller --batch or --kv int8 takes less"
        }
        CoreError::ContextFull { .. } => "shorten the prompt, or give --context more",
        CoreError::EmptyPrompt => "this model needs text to begin with",
        CoreError::Text(TextError::NoToken { .. }) => "--lossy drops such bytes",
        CoreError::Kernel(KernelError::NonFinite) => {
            "`bitnet-pack verify` tells whether the image is damaged; if not, the model's numbers are"
        }
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_on_the_command_line_are_one_line() {
        let text = "error: the following required arguments were not provided:\n  <PROMPT>\n\nUsage: bitnet run \
                    <PROMPT>\n\nFor more information, try '--help'.\n";
        let line =
            "error: the following required arguments were not provided: <PROMPT> (--help lists the options)";
        assert_eq!(usage_line(text), line);
    }

    #[test]
    fn what_a_file_says_cannot_move_the_cursor() {
        assert_eq!(one_line("error: a\n  b\u{1b}[2J\r\n"), "error: a; b\\u{1b}[2J");
    }
}
