//! `bitnet chat` in a real terminal: a pseudo-terminal, and somebody who types and reads.
#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

/// A model of random weights with a chat template.
const MODEL_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/testdata/tiny.bpk");
/// What is waited for at most, in milliseconds: by far more than it takes.
const PATIENCE: u64 = 120_000;
/// What the line editor sends when it waits for a line: it wants what is pasted in brackets.
const READY: &str = "\u{1b}[?2004h";
/// What it sends when it has the line.
const TAKEN: &str = "\u{1b}[?2004l";
const UP: &str = "\u{1b}[A";
const LEFT: &str = "\u{1b}[D";
const QUESTION: &str = "who is there?";
const ANSWER: &str = "hello friend!";

/// `bitnet chat`, with its state in a folder.
struct Chat(PtySession);

impl Chat {
    fn new(state: &Path, args: &[&str]) -> Self {
        let mut command: Command = common::bitnet();
        command.args(["chat", "--model", MODEL_FILE, "--threads", "1", "--backend", "scalar"]).args(args);
        command.env("XDG_STATE_HOME", state).env("TERM", "xterm").env_remove("NO_COLOR");
        let mut chat = Self(spawn_command(command, Some(PATIENCE)).unwrap());
        chat.expect(READY);
        chat
    }

    fn expect(&mut self, text: &str) -> String {
        self.0.exp_string(text).unwrap_or_else(|error| panic!("{text:?} did not come: {error}"))
    }

    fn types(&mut self, keys: &str) {
        self.0.send(keys).unwrap();
        self.0.flush().unwrap();
    }

    /// Types a line, and waits for an answer and the next prompt.
    fn asks(&mut self, keys: &str, answer: &str) {
        self.types(&format!("{keys}\r"));
        self.expect(answer);
        self.expect(READY);
    }

    /// Ctrl-D.
    fn leaves(mut self) {
        self.types("\u{4}");
        self.0.exp_eof().unwrap();
        let status = self.0.process().wait().unwrap();
        assert!(matches!(status, rexpect::process::WaitStatus::Exited(_, 0)), "{status:?}");
    }
}

#[test]
fn lines_are_edited() {
    let state = tempfile::tempdir().unwrap();
    let mut chat = Chat::new(state.path(), &[]);
    chat.asks(QUESTION, ANSWER);
    // Backspace twice, the arrow, the beginning of the line.
    chat.asks("/clearxx\u{7f}\u{7f}", "begins anew");
    chat.asks(&format!("ho is thre?{LEFT}{LEFT}{LEFT}e\u{1}w"), ANSWER);
    // A command is completed.
    chat.asks("/st\t", "context: ");
    chat.leaves();
}

#[test]
fn texts_may_have_several_lines() {
    let state = tempfile::tempdir().unwrap();
    let mut chat = Chat::new(state.path(), &["--lossy"]);
    chat.types("who is\\\r");
    chat.asks(" there?", ANSWER);
    chat.asks("/clear", "begins anew");
    // Alt-Enter, and quotes.
    chat.asks("who is\u{1b}\r there?", ANSWER);
    chat.asks("/clear", "begins anew");
    chat.types("\"\"\"who\r");
    chat.asks(" is there?\"\"\"", ANSWER);
    chat.leaves();
}

#[test]
fn what_was_typed_is_found_again() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("bitnet-edge/chat-history");
    let mut chat = Chat::new(state.path(), &[]);
    chat.asks(QUESTION, ANSWER);
    chat.asks("/clear", "begins anew");
    chat.asks(&format!("{UP}{UP}"), ANSWER);
    chat.asks(" /stats", "context: ");
    chat.leaves();
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains(QUESTION) && !kept.contains("/stats"), "{kept}");
    // Another day. Ctrl-R searches.
    let mut chat = Chat::new(state.path(), &[]);
    chat.asks("\u{12}who", ANSWER);
    chat.leaves();
    // Nothing is kept where that is asked for.
    std::fs::remove_file(&file).unwrap();
    let mut chat = Chat::new(state.path(), &["--no-history"]);
    chat.asks(QUESTION, ANSWER);
    chat.leaves();
    assert!(!file.exists());
}

#[test]
fn ctrl_c_stops_the_answer_and_not_the_program() {
    let state = tempfile::tempdir().unwrap();
    let endless = ["--raw", "--temperature", "5", "--ignore-eos", "--context", "200000"];
    let mut chat = Chat::new(state.path(), &endless);
    for _ in 0..2 {
        chat.types("once upon a time\r");
        chat.expect(TAKEN);
        chat.0.exp_regex("(.|\r|\n){40}").unwrap();
        chat.types("\u{3}");
        chat.expect("note:");
        chat.expect("interrupted");
        chat.expect(READY);
    }
    chat.asks("/stats", "4 messages");
    // At the prompt it leaves nothing but the line.
    chat.types("once\u{3}");
    chat.expect("Ctrl-D or /quit leaves");
    chat.expect(READY);
    chat.asks("/stats", "4 messages");
    chat.leaves();
}

#[test]
fn colours_and_greeting_are_for_terminals() {
    let state = tempfile::tempdir().unwrap();
    let mut chat = Chat::new(state.path(), &["--color", "never", "--quiet"]);
    chat.types("/nothing\r");
    let before = chat.expect("error: there is no command /nothing");
    assert!(!before.contains("tiny.bpk"), "{before}");
    chat.leaves();
    let mut chat = Chat::new(state.path(), &[]);
    chat.types("/nothing\r");
    // The word is coloured, so that it ends before the colon's escape does.
    chat.expect("error:\u{1b}[");
    chat.leaves();
}
