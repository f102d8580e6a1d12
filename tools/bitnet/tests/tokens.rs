//! `bitnet tokenize` and `bitnet detokenize`.

mod common;

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use bitnet_edge_tests::files;
use bitnet_edge_tests::tiny::{self, Weights};
use common::{bitnet, stderr, stdout, story_image};
use serde_json::{Value, json};

/// Runs the program with `input` on stdin.
fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = bitnet()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn success(args: &[&str]) -> String {
    let output = with_input(args, b"");
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).to_owned()
}

fn failure(args: &[&str]) -> String {
    let output = with_input(args, b"");
    assert!(!output.status.success());
    stderr(&output).trim_end().to_owned()
}

fn ids(args: &[&str]) -> String {
    success(&[&["tokenize", "--ids"], args].concat()).trim_end().to_owned()
}

#[test]
fn a_text_in_columns() {
    let text = success(&["tokenize", "Once upon a time"]);
    let expected = concat!(
        "      0              -  \"<|endoftext|>\"  control\n",
        "    193           0..4  \"once\"\n",
        "    212           4..9  \" upon\"\n",
        "     52          9..11  \" a\"\n",
        "    169         11..16  \" time\"\n",
    );
    assert_eq!(text, expected);
}

#[test]
fn the_token_that_begins_a_text() {
    assert_eq!(ids(&["once"]), "0 193");
    assert_eq!(ids(&["once", "--bos"]), "0 193");
    assert_eq!(ids(&["once", "--no-bos"]), "193");
    assert_eq!(ids(&["", "--no-bos"]), "");
    let llama = files::root().join("tests/data/models/stories260K-f32.gguf");
    let llama = llama.to_str().unwrap();
    assert_eq!(ids(&["a", "--model", llama]).split(' ').next(), Some("1"));
    // A vocabulary that has none.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no-bos.gguf");
    let file = tiny::gguf("llama", Weights::Ternary).build();
    let at = file.windows(12).position(|part| part == b"bos_token_id").unwrap();
    let file = [&file[..at], b"boo_token_id", &file[at + 12..]].concat();
    fs::write(&path, file).unwrap();
    let line = failure(&["tokenize", "a", "--bos", "--model", path.to_str().unwrap()]);
    assert!(line.ends_with("--bos: the vocabulary has no token that begins a text"), "{line}");
}

#[test]
fn names_of_control_tokens() {
    let text = "a<|endoftext|>b";
    assert_eq!(ids(&["--special", "--no-bos", "a<|endoftext|>b"]).split(' ').nth(1), Some("0"));
    let json: Value =
        serde_json::from_str(&success(&["tokenize", "--special", "--no-bos", "--json", text])).unwrap();
    assert_eq!(json["count"], 3);
    assert_eq!(
        json["tokens"][1],
        json!({"id": 0, "piece": "<|endoftext|>", "start": 1, "end": 14, "kind": "control"})
    );
    assert_eq!(json["tokens"][2]["start"], 14);
    // Without --special the name is text, and this vocabulary has no < for it.
    let line = failure(&["tokenize", text]);
    assert!(
        line.contains("no token for the byte 0x3c at offset 1 of the text; --lossy drops such bytes"),
        "{line}"
    );
    // An offset counts from the start of the text, not of its part.
    let line = failure(&["tokenize", "--special", "<|endoftext|>a%"]);
    assert!(line.contains("no token for the byte 0x25 at offset 14"), "{line}");
}

#[test]
fn places_of_dropped_and_changed_bytes() {
    let places = |args: &[&str]| {
        let json = success(&[&["tokenize", "--json", "--no-bos"], args].concat());
        let json: Value = serde_json::from_str(&json).unwrap();
        let tokens = json["tokens"].as_array().unwrap().clone();
        tokens.iter().map(|t| (t["start"].as_u64().unwrap(), t["end"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    // ONCE is put in lower case, % is dropped.
    assert_eq!(places(&["%ONCE %upon", "--lossy"]).first(), Some(&(1, 5)));
    // What SentencePiece puts before a text is not part of it; a character of several bytes has a place in bytes.
    let llama = files::root().join("tests/data/models/stories260K-f32.gguf");
    let found = places(&["h\u{e9}llo", "--model", llama.to_str().unwrap()]);
    assert_eq!((found.first().unwrap().0, found.last().unwrap().1), (0, 6));
    assert!(found.is_sorted());
    // In lower case U+0130 is shorter by a byte, the others are as long.
    let found = places(&["\u{130}\u{c9}A", "--lowercase", "--model", llama.to_str().unwrap()]);
    assert_eq!((found.first().unwrap().0, found.last().unwrap()), (0, &(4, 5)));
    assert!(found.iter().any(|place| place.1 == 2) && found.iter().any(|place| place.0 == 2), "{found:?}");
}

#[test]
fn texts_come_from_arguments_files_and_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    fs::write(&path, "once upon").unwrap();
    let path = path.to_str().unwrap();
    let expected = "0 193 212\n";
    assert_eq!(success(&["tokenize", "once upon", "--ids"]), expected);
    assert_eq!(success(&["tokenize", "--file", path, "--ids"]), expected);
    for args in [&["tokenize", "--ids"][..], &["tokenize", "--ids", "--file", "-"]] {
        assert_eq!(stdout(&with_input(args, b"once upon")), expected);
    }
    let line = failure(&["tokenize", "--file", "no-such-file"]);
    assert_eq!(line, "error: cannot read no-such-file: No such file or directory (os error 2)");
    assert!(failure(&["tokenize", "a", "--file", path]).contains("cannot be used with"));
    assert!(failure(&["tokenize", "a", "--bos", "--no-bos"]).contains("cannot be used with"));
    assert!(failure(&["tokenize", "a", "--ids", "--json"]).contains("cannot be used with"));
}

#[test]
fn models_are_images_and_gguf_files() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("story.bpk");
    fs::write(&image, story_image()).unwrap();
    let image = image.to_str().unwrap();
    let gguf = common::story();
    let gguf = gguf.to_str().unwrap();
    assert_eq!(ids(&["Once", "--model", image]), "0 193");
    assert_eq!(ids(&["Once", "--model", gguf, "--lowercase"]), "0 193");
    assert_ne!(with_input(&["tokenize", "Once", "--model", gguf, "--ids"], b"").stdout, b"0 193\n");
    let line = failure(&["tokenize", "a", "--model", image, "--lowercase"]);
    assert!(line.ends_with("is a flash image: --lowercase is for GGUF files"), "{line}");
    assert!(failure(&["tokenize", "a", "--lowercase"]).contains("--lowercase needs --model"));
    assert!(failure(&["tokenize", "a", "--model", "nothing.bpk"]).contains("cannot open nothing.bpk"));
}

#[test]
fn tokens_become_text_again() {
    assert_eq!(success(&["detokenize", "0", "193", "212", "52", "169"]), "<|endoftext|>once upon a time");
    assert_eq!(success(&["detokenize", "--skip-special", "[0, 193,", "212]"]), "once upon");
    assert_eq!(stdout(&with_input(&["detokenize", "--skip-special"], b"0 193\n212")), "once upon");
    let llama = files::root().join("tests/data/models/stories260K-f32.gguf");
    let llama = llama.to_str().unwrap();
    let text = "Tom said: h\u{e9}llo, \u{1f642}!";
    let ids = ids(&[text, "--model", llama]);
    assert_eq!(success(&["detokenize", "--skip-special", "--model", llama, &ids]), text);
    assert_eq!(failure(&["detokenize", "512"]), "error: the vocabulary has no token with id 512");
    assert_eq!(
        failure(&["detokenize", "1", "x"]),
        "error: \"x\" is not the id of a token: invalid digit found in string"
    );
}
