//! What can be typed besides a message: words behind a slash.

use std::fmt::Write;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Help,
    Clear,
    System,
    Regenerate,
    Save,
    Load,
    Set,
    Statistics,
    Quit,
}

/// A command and how it is described.
pub(super) struct Command {
    pub(super) name: &'static str,
    action: Action,
    arguments: &'static str,
    about: &'static str,
}

const fn command(
    name: &'static str,
    action: Action,
    arguments: &'static str,
    about: &'static str,
) -> Command {
    Command { name, action, arguments, about }
}

/// All of them, in the order of `/help`.
pub(super) const COMMANDS: [Command; 9] = [
    command("/help", Action::Help, "", "show this"),
    command("/clear", Action::Clear, "", "begin anew; the system message stays"),
    command("/system", Action::System, "[TEXT]", "set the system message; without TEXT, take it away"),
    command("/regen", Action::Regenerate, "", "another answer to the last question"),
    command("/save", Action::Save, "FILE", "write the conversation to a file"),
    command("/load", Action::Load, "FILE", "go on with the conversation in a file"),
    command(
        "/set",
        Action::Set,
        "[NAME [VALUE]]",
        "change an option of generation, such as temperature; VALUE off takes it back",
    ),
    command("/stats", Action::Statistics, "", "show what the last answer took, and how full the context is"),
    command("/quit", Action::Quit, "", "leave; Ctrl-D does so, too"),
];

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed<'t> {
    /// Words for the model.
    Message(&'t str),
    /// A command and the rest of the line.
    Command(Action, &'t str),
    /// A word behind a slash that is no command.
    Unknown(&'t str),
}

/// Tells commands from messages. Two slashes begin a message with one; white space before a command does not matter.
pub(super) fn parse(message: &str) -> Typed<'_> {
    let text = message.trim_start();
    let Some(rest) = text.strip_prefix('/') else { return Typed::Message(message) };
    if rest.starts_with('/') {
        return Typed::Message(rest);
    }
    let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => Typed::Command(command.action, arguments.trim()),
        None => Typed::Unknown(name),
    }
}

/// What `/help` prints.
pub(super) fn help() -> String {
    let mut text = String::new();
    for Command { name, arguments, about, .. } in &COMMANDS {
        let typed = format!("{name} {arguments}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{typed:<22}  {about}");
    }
    text.push_str(
        "\nEverything else is a message; // begins one with a slash. A line goes on behind \\ or Alt-Enter, or between \"\"\" \
         and \"\"\".\nCtrl-C stops the answer. The arrow keys edit the line and find earlier ones, Ctrl-R searches them, Tab \
         completes commands.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_messages() {
        assert_eq!(parse("hello /help"), Typed::Message("hello /help"));
        assert_eq!(parse("  hello"), Typed::Message("  hello"));
        assert_eq!(parse(" /help"), Typed::Command(Action::Help, ""));
        assert_eq!(parse("//help"), Typed::Message("/help"));
        assert_eq!(parse("/help"), Typed::Command(Action::Help, ""));
        assert_eq!(parse("/save  a b.json "), Typed::Command(Action::Save, "a b.json"));
        assert_eq!(parse("/system two\nlines"), Typed::Command(Action::System, "two\nlines"));
        assert_eq!(parse("/helpme now"), Typed::Unknown("/helpme"));
        assert_eq!(parse("/"), Typed::Unknown("/"));
    }

    #[test]
    fn help_has_every_command() {
        assert!(COMMANDS.iter().all(|command| help().contains(command.name)));
    }
}
