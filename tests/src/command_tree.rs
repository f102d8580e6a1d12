//! What every command of a program must have: an example in its help, and a transcript with each of its options.

use std::fs;
use std::path::Path;

use clap::{Arg, Command};

/// What is missing, a line each. `transcripts` is a folder with a file `COMMAND.md` for each command. The commands in it run in a
/// test: an option that stands in one is tested.
#[must_use]
pub fn missing(program: Command, transcripts: &Path) -> Vec<String> {
    let name = program.get_name().to_owned();
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut missing = Vec::new();
    let mut used = Vec::new();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let file = transcripts.join(format!("{}.md", command.get_name()));
        for (called, command) in leaves(&name, command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if !help.lines().any(|line| line.starts_with("  ") && line.contains(&called)) {
                missing.push(format!("{called}: its help has no example"));
            }
            let words = words_of(&called, &file);
            if words.is_empty() {
                missing.push(format!("{called}: {} does not show it", file.display()));
            }
            for option in command.get_arguments().filter(|option| is_own(option)) {
                let spelled = spellings(option);
                if !spelled.iter().any(|spelling| is_used(spelling, &words)) {
                    let spelled = spelled.join(" or ");
                    missing.push(format!("{called}: {} does not show {spelled}", file.display()));
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
    let mut below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
        .peekable();
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

/// The words of a transcript that are typed for a command, without those in quotes.
fn words_of(called: &str, transcript: &Path) -> Vec<String> {
    let text = fs::read_to_string(transcript).unwrap_or_default().replace("\\\n", " ");
    let typed = text.lines().filter_map(|line| line.strip_prefix("$ ")).flat_map(calls);
    let names: Vec<&str> = called.split(' ').collect();
    typed.filter(|call| call.windows(names.len()).any(|words| words == names)).flatten().collect()
}

/// The commands of a line that is typed to a shell, each with its words, without what is in quotes.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = vec![Vec::new()];
    let (mut word, mut open, mut before) = (String::new(), None, ' ');
    for c in line.chars().chain([' ']) {
        match open {
            Some(quote) if c == quote && before != '\\' => open = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => open = Some(c),
            // The & of 2>&1 ends no command.
            None if " |;&".contains(c) && !(c == '&' && before == '>') => {
                let word = std::mem::take(&mut word);
                if let Some(call) = calls.last_mut().filter(|_| !word.is_empty()) {
                    call.push(word);
                }
                if c != ' ' {
                    calls.push(Vec::new());
                }
            }
            None => word.push(c),
        }
        before = c;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn each_command_of_a_line_has_its_own_words() {
        let words = calls(
            r#"echo "a | b -n" > x && A=1 bitnet run -q --stop "\"-z" --choose="c" 2>&1 | grep -e x; ls"#,
        );
        let bitnet = ["A=1", "bitnet", "run", "-q", "--stop", "--choose=", "2>&1"];
        let others: [&[&str]; 5] = [&["echo", ">", "x"], &[], &bitnet, &["grep", "-e", "x"], &["ls"]];
        assert_eq!(words, others);
    }

    /// A program
    #[derive(Parser)]
    #[command(name = "tool")]
    enum Tool {
        /// Go
        #[command(after_help = "Examples:\n  tool go")]
        Go {
            #[arg(short = 'n', long)]
            number: bool,
            #[arg(long)]
            other: Option<u32>,
        },
    }

    #[test]
    fn an_option_of_another_command_in_the_line_does_not_count() {
        use clap::CommandFactory;
        let folder = tempfile::tempdir().unwrap();
        let of = |transcript: &str| {
            fs::write(folder.path().join("go.md"), transcript).unwrap();
            let missing = missing(Tool::command(), folder.path()).join("\n");
            missing.replace(&format!("{}/", folder.path().display()), "")
        };
        let both = "tool go: go.md does not show --number or -n\ntool go: go.md does not show --other";
        assert_eq!(of("$ tool go -n --other=1\n"), "");
        assert_eq!(of("$ tool go --number \\\n  | cat\n$ tool go --other 1"), "");
        assert_eq!(of("$ tool go | sort -n --other\n$ tool go \"-n --other\"\n--other -n"), both);
        assert_eq!(of("$ tool gone -n --other"), format!("tool go: go.md does not show it\n{both}"));
    }
}
