//! `bitnet perplexity`: the same figures whatever computes them, and refusals. Against other engines: the workspace's tests.

mod common;

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use bitnet_edge_tests::files;
use bitnet_edge_tests::tiny::{self, Weights};
use common::{bitnet, stderr, stdout, story};
use serde_json::Value;
use tempfile::TempDir;

fn perplexity(args: &[&str]) -> Output {
    bitnet().arg("perplexity").args(args).output().unwrap()
}

fn success(args: &[&str]) -> (String, String) {
    let output = perplexity(args);
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output).to_owned(), stderr(&output).to_owned())
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&success(&[args, &["--json"]].concat()).0).unwrap()
}

/// The one line that a failure is, behind notes.
fn failure(code: i32, args: &[&str]) -> String {
    let output = perplexity(args);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    stderr(&output).lines().last().unwrap().to_owned()
}

/// A file with the beginning of the held-out stories, without the marks between them, which are no text to this model.
fn stories(bytes: usize) -> (TempDir, String) {
    let text = String::from_utf8(files::read("tests/data/val.txt")).unwrap().replace("<|endoftext|>\n", "");
    text_file(&text.as_bytes()[..bytes])
}

fn text_file(text: &[u8]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn figures_do_not_depend_on_what_computes_them() {
    let (_folder, text) = stories(4000);
    let small = ["-c", "64", "--chunks", "3"];
    let (table, said) = success(&[&[text.as_str()], &small[..]].concat());
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("window    1: perplexity ") && lines[0].contains(" +/- "), "{table}");
    assert!(lines[3].ends_with(": 93 tokens scored, 3 windows of 64"), "{table}");
    assert!(said.starts_with("192 tokens in ") && said.contains(" | backend "), "{said}");
    for other in [
        &["--batch", "5"][..],
        &["--batch", "1", "--threads", "1"],
        &["--backend", "scalar", "--threads", "2"],
        &["--kv", "f16", "--huge-pages"],
    ] {
        assert_eq!(success(&[&[text.as_str()], &small[..], other].concat()).0, table, "{other:?}");
    }
    let other = success(&[&[text.as_str()], &small[..], &["--kv", "int8"]].concat()).0;
    assert_ne!(other, table);
    // From stdin; the last line break of a text does not count.
    let mut child = bitnet()
        .args(["perplexity", "-"])
        .args(small)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&[&fs::read(&text).unwrap()[..], b"\n"].concat()).unwrap();
    assert_eq!(stdout(&child.wait_with_output().unwrap()), table);
}

#[test]
fn figures_as_json() {
    let (_folder, text) = stories(4000);
    let report = json(&[
        &text,
        "--context",
        "32",
        "--chunks",
        "2",
        "--model",
        story().to_str().unwrap(),
        "--lowercase",
    ]);
    assert_eq!((&report["context"], &report["tokens_scored"]), (&32.into(), &30.into()));
    let running = report["running"].as_array().unwrap();
    assert_eq!((running.len(), &running[1]["perplexity"]), (2, &report["perplexity"]));
    assert!(report["perplexity"].as_f64().unwrap() > 1.0 && report["standard_error"].as_f64().unwrap() > 0.0);
    assert!(report.get("against").is_none());
    // The story model that the program carries is this one.
    assert_eq!(json(&[&text, "--context", "32", "--chunks", "2"])["perplexity"], report["perplexity"]);
}

#[test]
fn a_model_is_as_far_from_itself_as_its_cache_is() {
    let (_folder, text) = stories(3000);
    let model = story();
    let model = model.to_str().unwrap();
    let args = [&text, "-c", "64", "--chunks", "2", "--lowercase", "--model", model, "--kl-against", model];
    let report = json(&args);
    let against = &report["against"];
    for figure in ["mean", "standard_error", "median", "p90", "p95", "p99", "max"] {
        assert_eq!(against["kl"][figure], 0.0, "{figure}");
    }
    assert_eq!((&against["same_top"], &against["perplexity"]), (&1.0.into(), &report["perplexity"]));
    let report = json(&[&args[..], &["--kl-kv", "int8"]].concat());
    let figure = |name: &str| report["against"]["kl"][name].as_f64().unwrap();
    assert!(figure("mean") > 0.0 && figure("mean") < 0.05, "{report}");
    assert!(figure("median") <= figure("p90") && figure("p99") <= figure("max"), "{report}");
    let (table, _) = success(&args);
    for part in [
        "KL divergence 0.000000 +/- 0.000000",
        "\nagainst ",
        "\n  maximum        0.000000",
        "same top token   100.000",
    ] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn what_an_import_costs_is_the_distance_from_the_file() {
    let (_folder, text) = stories(3000);
    let model = story();
    let model = model.to_str().unwrap();
    let manifest = files::root().join("tools/bitnet-pack/src/convert/archs/bitnet-b1.58.toml");
    let cost = |import: &[&str]| {
        let args = [&text, "-c", "64", "--chunks", "1", "--lossy", "--model", model, "--kl-against", model];
        json(&[&args[..], import].concat())["against"]["kl"]["mean"].as_f64().unwrap()
    };
    assert_eq!(cost(&["--manifest", manifest.to_str().unwrap(), "--i2s-layout", "128"]), 0.0);
    let (head, embedding) = (cost(&["--head-type", "q4_0"]), cost(&["--embedding-type", "q4_0"]));
    assert!(head > 0.0 && embedding > 0.0, "{head} {embedding}");
    // Weights in another order are another model.
    let order = cost(&["--i2s-layout", "64"]);
    assert!(order > 10.0 * head.max(embedding), "{order} {head} {embedding}");
}

#[test]
fn models_that_cannot_be_compared_are_refused() {
    let (_folder, text) = stories(3000);
    let llama = files::root().join("tests/data/models/stories260K-f32.gguf");
    let line = failure(1, &[&text, "-c", "16", "--kl-against", llama.to_str().unwrap()]);
    assert!(
        line.contains("the story model and ") && line.contains("the vocabularies differ: token 0 is "),
        "{line}"
    );
    let (_tiny, path) = text_file(&tiny::gguf("llama", Weights::Ternary).build());
    let line = failure(1, &[&text, "-c", "16", "--kl-against", &path]);
    assert!(line.ends_with("the vocabularies differ: 512 tokens and 6"), "{line}");
}

#[test]
fn what_cannot_be_is_refused() {
    let (_folder, short) = text_file(b"once upon a time");
    let (_other, text) = stories(3000);
    let (_odd, odd) = text_file(&[b"once upon a time % ".repeat(10), b"the end".to_vec()].concat());
    for (code, args, part) in [
        (2, &[][..], "required arguments were not provided: <FILE>"),
        (2, &[&text, "--chunks", "0"], "0 is not in 1.."),
        (2, &[&text, "-c", "3"], "3 is not in 4.."),
        (2, &[&text, "--kv", "int4"], "f16, f32, int8 are"),
        (2, &[&text, "--kl-kv", "f32"], "--kl-against"),
        (1, &["no-such-file"], "cannot read no-such-file: No such file or directory"),
        (
            1,
            &[&short],
            "the text is too short: a window needs at least 256 tokens, and the text has 5; --context takes less",
        ),
        (
            1,
            &[&odd, "-c", "16"],
            "no token for the byte 0x25 at offset 17 of the text; --lossy drops such bytes",
        ),
        (1, &[&text, "--lowercase"], "import options need --model"),
        (1, &[&text, "--model", "nothing.bpk"], "cannot open nothing.bpk"),
        (1, &[&text, "--kl-against", "nothing.bpk"], "cannot open nothing.bpk"),
    ] {
        let line = failure(code, args);
        assert!(line.contains(part), "{args:?}: {line}");
    }
    let (_, said) = success(&[&odd, "-c", "16", "--lossy", "--chunks", "100"]);
    assert!(
        said.starts_with("note: the text has ") && said.contains("these are scored, not 100\n"),
        "{said}"
    );
    let (_, said) = success(&[&text, "-c", "300", "--chunks", "1"]);
    assert!(
        said.starts_with("note: the model was trained on contexts of 256 tokens, not of 300\n"),
        "{said}"
    );
}
