//! What every command of a program must have: an example in its help, a transcript, and a test case for each option.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

/// The sources of tests in which the options of a command are used, besides its transcript.
pub type Tests<'t> = &'t [(&'t str, &'t [&'t str])];

/// What is missing, a line each. `transcripts` is a folder with a file `COMMAND.md` for each command; `tests` names files below
/// `sources`.
#[must_use]
pub fn missing(program: Command, transcripts: &Path, sources: &Path, tests: Tests<'_>) -> Vec<String> {
    let name = program.get_name().to_owned();
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut missing = Vec::new();
    let mut used = Vec::new();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let file = transcripts.join(format!("{}.md", command.get_name()));
        let named = tests.iter().filter(|(of, _)| *of == command.get_name()).flat_map(|(_, files)| *files);
        let literals: Vec<String> = named.flat_map(|file| literals_of(&sources.join(file))).collect();
        for (called, command) in leaves(&name, command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if !help.lines().any(|line| line.starts_with("  ") && line.contains(&called)) {
                missing.push(format!("{called}: its help has no example"));
            }
            let words = words_of(&called, &file, &mut missing);
            for option in command.get_arguments().filter(|option| is_own(option)) {
                let spelled = spellings(option);
                if !spelled.iter().any(|spelling| is_used(spelling, &words) || is_used(spelling, &literals)) {
                    missing.push(format!("{called}: no test case has {}", spelled.join(" or ")));
                }
            }
            used.extend(words);
        }
    }
    for option in program.get_arguments().filter(|option| option.is_global_set()) {
        if !spellings(option).iter().any(|spelling| is_used(spelling, &used)) {
            missing.push(format!("{name}: no transcript has {}", spellings(option).join(" or ")));
        }
    }
    missing
}

/// The commands that do something, with what is typed for them: those below a command instead of it.
fn leaves<'c>(before: &str, command: &'c Command) -> Vec<(String, &'c Command)> {
    let called = format!("{before} {}", command.get_name());
    let mut below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help").peekable();
    if below.peek().is_none() {
        return vec![(called, command)];
    }
    below.flat_map(|below| leaves(&called, below)).collect()
}

/// Whether it is an option of this command: not a name, not one of every command.
fn is_own(option: &Arg) -> bool {
    !option.is_positional()
        && !option.is_global_set()
        && !["help", "version"].contains(&option.get_id().as_str())
}

fn spellings(option: &Arg) -> Vec<String> {
    let long = option.get_long().map(|long| format!("--{long}"));
    long.into_iter().chain(option.get_short().map(|short| format!("-{short}"))).collect()
}

fn is_used(spelling: &str, words: &[String]) -> bool {
    words
        .iter()
        .any(|word| word.strip_prefix(spelling).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
}

/// The words of the lines of a transcript in which the command is typed.
fn words_of(called: &str, transcript: &PathBuf, missing: &mut Vec<String>) -> Vec<String> {
    let text = fs::read_to_string(transcript).unwrap_or_default().replace("\\\n", " ");
    let typed = text.lines().filter_map(|line| line.strip_prefix("$ ")).filter(|line| line.contains(called));
    let words: Vec<String> = typed.flat_map(str::split_whitespace).map(str::to_owned).collect();
    if words.is_empty() {
        missing.push(format!("{called}: {} does not show it", transcript.display()));
    }
    words
}

/// The string literals of a source that can be options.
fn literals_of(source: &Path) -> Vec<String> {
    let text = fs::read_to_string(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    text.split('"').filter(|part| part.starts_with('-')).map(str::to_owned).collect()
}
