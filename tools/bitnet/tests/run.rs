//! `bitnet run`: where a prompt comes from, and the forms in which the answer goes.

mod common;

use std::io::Write;
use std::process::{Output, Stdio};

use common::{bitnet, stderr, stdout, success};
use serde_json::Value;

const SEED_1: &str = include_str!("data/story-seed-1.txt");
const PROMPT: &str = "once upon a time";

/// `bitnet run` with something on stdin.
fn piped(args: &[&str], input: &[u8]) -> Output {
    let mut child = bitnet()
        .arg("run")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_prompt_comes_from_a_file_or_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    for text in ["once upon a time", "once upon a time\n", "once upon a time\r\n"] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(success(&["--file", file.to_str().unwrap()]).0, SEED_1, "{text:?}");
        for args in [&[][..], &["-"]] {
            let output = piped(args, text.as_bytes());
            assert_eq!(stdout(&output), SEED_1, "{text:?} {args:?}: {}", stderr(&output));
        }
    }
    let output = piped(&["-"], b"caf\xff");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no token for the byte 0xff at offset 3"), "{}", stderr(&output));
    let output = bitnet().args(["run", "--file", "no-such-file"]).output().unwrap();
    assert_eq!(stderr(&output), "error: cannot read no-such-file: No such file or directory (os error 2)\n");
    // An empty prompt that is asked for is one.
    assert!(piped(&["-", "-n", "1"], b"").status.success());
}

#[test]
fn quiet_is_text_only() {
    for quiet in ["-q", "--quiet"] {
        let (stdout, stderr) = success(&[PROMPT, quiet, "--digest", "--context", "12"]);
        assert!(SEED_1.starts_with(stdout.strip_suffix('\n').unwrap()), "{stdout}");
        assert_eq!(stderr, "");
    }
    let output = bitnet().args(["run", "--quiet", "a", "--model", "no-such-model"]).output().unwrap();
    assert!(stderr(&output).starts_with("error: cannot open no-such-model"), "{}", stderr(&output));
}

#[test]
fn verbose_tells_what_happens() {
    let (stdout, stderr) = success(&[PROMPT, "--verbose", "--threads", "1", "--backend", "scalar"]);
    assert_eq!(stdout, SEED_1);
    for part in [
        "model the story model: ",
        "converted in memory",
        "3 layers of 256",
        "backend scalar (asked for), 1 thread",
        "memory plan: context 256, KV cache f16, batch 128",
        "  arena\n",
        "ended: the token limit was reached\n",
        "phases: open ",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn json_is_an_object_a_line() {
    let (stdout, stderr) = success(&[PROMPT, "--json", "-n", "12", "--digest", "--threads", "1"]);
    assert!(stderr.lines().count() == 2, "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, tokens) = lines.split_last().unwrap();
    assert_eq!(tokens.len(), 12);
    let mut text = String::new();
    for (token, id) in tokens.iter().zip(end["token_ids"].as_array().unwrap()) {
        assert_eq!((&token["type"], &token["id"]), (&Value::from("token"), id));
        text.push_str(token["text"].as_str().unwrap());
    }
    assert!(SEED_1.starts_with(&format!("{PROMPT}{text}")), "{text}");
    for (name, value) in [
        ("type", Value::from("end")),
        ("text", Value::from(text)),
        ("stop", Value::from("max_tokens")),
        ("stop_token", Value::Null),
        ("prompt_tokens", Value::from(5)),
        ("generated_tokens", Value::from(12)),
        ("threads", Value::from(1)),
        ("version", Value::from(env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(end[name], value, "{name}");
    }
    assert_eq!(end["config"]["seed"], 1);
    assert_eq!(end["model"]["name"], "the story model");
    let digest = stderr.lines().find_map(|line| line.strip_prefix("logit digest ")).unwrap();
    assert_eq!(end["logit_digest"], digest);
    for speed in
        ["prefill_seconds", "decode_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"]
    {
        assert!(end[speed].as_f64().unwrap() > 0.0, "{speed}");
    }
}

#[test]
fn a_choice_is_the_same_on_every_backend_and_in_any_order() {
    let choose = |args: &[&str]| -> Value {
        let all = [&[PROMPT, "-q", "--json", "--digest", "-t", "0"], args].concat();
        serde_json::from_str(&success(&all).0).unwrap()
    };
    let texts = ["--choose", ", there", "--choose", " there", "--choose", ", there was a cat"];
    let best = choose(&texts);
    let turned = choose(&[
        "--choose",
        ", there was a cat",
        "--choose",
        " there",
        "--choose=, there",
        "--threads",
        "1",
    ]);
    let scalar = choose(&[&texts[..], &["--backend", "scalar", "--kv", "f16"]].concat());
    assert_eq!((&best["text"], &best["index"]), (&Value::from(", there was a cat"), &Value::from(2)));
    assert_eq!(best["text"], turned["text"]);
    assert_eq!(turned["index"], 0);
    for field in ["choices", "logit_digest", "probability"] {
        assert_eq!(best[field], scalar[field], "{field}");
    }
    assert_eq!(best["logit_digest"], turned["logit_digest"]);
    let sum: f64 =
        best["choices"].as_array().unwrap().iter().map(|c| c["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
}

#[test]
fn an_error_is_no_json() {
    let output = bitnet().args(["run", "--json", "gr\u{fc}n"]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).starts_with("error: "));
}

#[test]
fn colours_are_for_terminals() {
    let coloured = |args: &[&str]| stderr(&bitnet().args(args).output().unwrap()).contains('\u{1b}');
    assert!(!coloured(&["run", "a", "--model", "none"]));
    assert!(coloured(&["run", "a", "--model", "none", "--color", "always"]));
    assert!(!coloured(&["run", "a", "--model", "none", "--color=never"]));
    assert!(coloured(&["run", "--wrong", "--color", "always"]));
    let help = bitnet().args(["--color", "always", "run", "--help"]).output().unwrap();
    assert!(stdout(&help).contains('\u{1b}'));
    let plain = bitnet().args(["run", "--help"]).output().unwrap();
    assert!(!stdout(&plain).contains('\u{1b}'));
}

/// Ctrl-C while the text comes: what was there stays, a line break behind it, and the exit code says so.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_text_cleanly() {
    use std::io::{BufRead, BufReader, Read};
    // All text is commas, of which 63 are held back when Ctrl-C comes.
    let almost = ",".repeat(63) + "~";
    let endless = ["run", "--model", MODEL_FILE, "--raw", "-t", "5", "--ignore-eos", "--context", "1000000"];
    let mut child = bitnet()
        .args(endless)
        .args(["-n", "1000000", "--json", "--logit-bias", "5=1000000", "--stop", &almost, "once upon a time"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"type\":\"token\""), "{first}");
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let end: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(end["stop"], "interrupted");
    let lines: Vec<Value> =
        [&*first].into_iter().chain(rest.lines()).map(|line| serde_json::from_str(line).unwrap()).collect();
    let parts = &lines[..lines.len() - 1];
    let told: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(end["text"], told.as_str());
    assert_eq!(parts[parts.len() - 1]["type"], "text", "what was held back");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stderr(&output).starts_with("note: interrupted\n"), "{}", stderr(&output));
}

/// A model of random weights with a chat template.
const MODEL_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/testdata/tiny.bpk");
