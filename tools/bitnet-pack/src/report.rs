//! How the programs speak: results on stdout, all else on stderr, one line an error.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{ColorChoice, stderr};
use anyhow::{Context, Error, Result};
use bitnet_edge_core::Error as CoreError;
use bitnet_edge_core::text::Error as TextError;
use bitnet_edge_kernels::Error as KernelError;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Parser, ValueEnum};

/// Exit code of a command line that cannot be understood; what is understood and fails exits with 1.
pub const USAGE: u8 = 2;
/// Exit code of what Ctrl-C ended, as shells know it.
pub const INTERRUPTED: u8 = 130;

/// How a program speaks: options of every command.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// When to use colours; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// What `--color` says, if the command line, which may be wrong elsewhere, has it.
fn color(words: &[OsString]) -> Option<ColorChoice> {
    let words = words.iter().take_while(|word| *word != "--");
    let mut found = None;
    let mut is_next = false;
    for word in words.filter_map(|word| word.to_str()) {
        let value = if is_next { Some(word) } else { word.strip_prefix("--color=") };
        found = value.and_then(|value| Color::from_str(value, false).ok()).or(found);
        is_next = word == "--color";
    }
    found.map(|color| match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    })
}

/// The command line. Prints help where that is asked for; a mistake is one line and ends the program.
#[must_use]
pub fn parse<P: Parser>() -> P {
    parse_with_matches().0
}

/// As [`parse`], with the matches that tell what was given and what is a default.
#[must_use]
pub fn parse_with_matches<P: Parser>() -> (P, ArgMatches) {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(color) = color(&words) {
        color.write_global();
    }
    let mut command = P::command();
    let matches = command.try_get_matches_from_mut(words);
    let parsed = matches.and_then(|matches| {
        let parsed = P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        Ok((parsed, matches))
    });
    parsed.unwrap_or_else(|error| {
        use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
        if let DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand = error.kind() {
            error.exit();
        }
        complain(usage_line(&error.render().to_string()));
        exit(USAGE.into())
    })
}

/// What clap says about a mistake, without its list of options, in one line.
#[must_use]
pub fn usage_line(text: &str) -> String {
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
    pub fn error(code: u8, error: impl Into<Error>) -> Error {
        Self { code, error: Some(error.into()) }.into()
    }

    /// Exits with `code` and prints nothing.
    #[must_use]
    pub fn silent(code: u8) -> Error {
        Self { code, error: None }.into()
    }

    /// A mistake on the command line that the parser cannot see.
    #[must_use]
    pub fn usage(text: &str) -> Error {
        Self::error(USAGE, anyhow::anyhow!("{text} (--help lists the options)"))
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
            let failure = error.downcast_ref::<Failure>();
            if failure.is_none_or(|failure| failure.error.is_some()) {
                complain_of(&error);
            }
            failure.map_or(ExitCode::FAILURE, |failure| failure.code.into())
        }
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

static QUIET: AtomicBool = AtomicBool::new(false);

/// From here on only errors are printed on stderr, and no progress is shown.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
    crate::progress::hide();
}

/// Prints results, at once.
///
/// # Errors
/// Where stdout takes them not.
pub fn print(bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes.as_ref()).and_then(|()| out.flush()).context("cannot write to stdout")
}

/// Prints a line on stderr, unless the user wants it quiet. Where stderr cannot be written to, nobody is left to be told.
pub fn say(line: impl Display) {
    if !QUIET.load(Ordering::Relaxed) {
        complain(line);
    }
}

/// Prints an error on stderr, in one line.
pub fn complain_of(error: &Error) {
    complain(one_line(&format!("error: {error:#}")));
}

/// Prints a line on stderr. Its first word, as that of a note, is coloured where stderr has colours.
fn complain(line: impl Display) {
    let line = line.to_string();
    let styles = clap::builder::Styles::styled();
    let kinds = [("error:", *styles.get_error()), ("note:", *styles.get_valid())];
    let mut out = stderr().lock();
    let _ = match kinds.iter().find_map(|(kind, style)| Some((kind, style, line.strip_prefix(kind)?))) {
        Some((kind, style, rest)) => writeln!(out, "{style}{kind}{style:#}{rest}"),
        None => writeln!(out, "{line}"),
    };
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
    fn colours_are_chosen_before_the_command_line_is_understood() {
        let choice = |words: &[&str]| color(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(choice(&["bitnet", "run", "a"]), None);
        assert_eq!(choice(&["bitnet", "run", "--color", "never", "--wrong"]), Some(ColorChoice::Never));
        assert_eq!(choice(&["bitnet", "--color=always", "run"]), Some(ColorChoice::Always));
        assert_eq!(choice(&["bitnet", "--color=red", "--", "--color=always"]), None);
    }

    #[test]
    fn what_a_file_says_cannot_move_the_cursor() {
        assert_eq!(one_line("error: a\n  b\u{1b}[2J\r\n"), "error: a; b\\u{1b}[2J");
    }
}
