//! Receipts of a conversation: each answer is proved by itself.

mod common;
#[path = "common/receipts.rs"]
mod receipts;

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{bitnet, stderr, stdout};
use receipts::{Folder, TINY, read, record, verify};

/// What is typed, to a conversation that writes receipts.
fn talk(folder: &Path, args: &[&str], typed: &str) -> Output {
    let mut child = bitnet()
        .args(["chat", "--model", TINY, "--receipts"])
        .arg(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its options reads nothing.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn every_answer_is_proved_by_a_replay_on_another_backend() {
    let folder = Folder::new();
    let path = folder.path("new/talk");
    let typed = "who is there?\n/system be kind\nonce upon a time\n/regen\n/set max-tokens 1\nhello\n";
    let output = talk(&path, &["--temperature", "1.5"], typed);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("logit digest"), "nobody asked for it: {}", stderr(&output));
    let mut prompts = Vec::new();
    for (number, seed) in [(1, 1), (2, 2), (3, 3), (4, 4)] {
        let file = path.join(format!("answer-00{number}.json"));
        let proved = verify(&file, &["--replay", TINY, "--backend", "scalar", "--threads", "1"]);
        assert!(proved.status.success(), "{number}: {}{}", stdout(&proved), stderr(&proved));
        assert!(stdout(&proved).contains("agrees     logit digest"), "{}", stdout(&proved));
        let receipt = record(&read(&file));
        assert_eq!(receipt.config.seed, seed, "each answer has its own draws");
        prompts.push(receipt.prompt.tokens);
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 4);
    // The prompt is the whole conversation: it grows, and a question that is answered again has the same.
    assert!(prompts[0] < prompts[1] && prompts[1] == prompts[2] && prompts[2] < prompts[3], "{prompts:?}");
}

#[test]
fn what_is_not_answered_has_no_receipt() {
    let folder = Folder::new();
    let path = folder.path("talk");
    let long = "who is there? ".repeat(40);
    let output = talk(&path, &[], &format!("{long}\n/regen\nhello\n"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: the text has 560 bytes"), "{}", stderr(&output));
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["answer-001.json"]);
    assert_eq!(record(&read(&path.join("answer-001.json"))).config.seed, 1);
}

#[test]
fn what_came_into_the_folder_meanwhile_is_not_written_over() {
    let folder = Folder::new();
    let path = folder.path("talk");
    let saved = path.join("answer-002.json");
    let typed = format!("hello\n/save {}\nhello\n", saved.display());
    let output = talk(&path, &[], &typed);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("it is there already, and is not written over"), "{}", stderr(&output));
    assert!(std::fs::read_to_string(&saved).unwrap().contains("\"messages\""));
}

#[test]
fn a_folder_that_is_in_use_is_refused() {
    let folder = Folder::new();
    std::fs::write(folder.path("notes.txt"), "mine").unwrap();
    let here = folder.path("notes.txt").parent().unwrap().to_owned();
    let output = talk(&here, &[], "hello\n");
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).contains("is not empty; name a new folder"), "{}", stderr(&output));
    let output = talk(&folder.path("notes.txt"), &[], "hello\n");
    assert!(stderr(&output).contains("cannot make the folder"), "{}", stderr(&output));
    let output = talk(&folder.path("new"), &["--sign", "no-such-key"], "hello\n");
    assert!(stderr(&output).starts_with("error: --sign: "), "{}", stderr(&output));
    assert!(!folder.path("new").exists());
}
