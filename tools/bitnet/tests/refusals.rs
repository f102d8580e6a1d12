//! `bitnet run` where something is wrong: one line on stderr that says what, and what to do.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::process::{Output, Stdio};

use bitnet_edge_core::image::SectionKind;
use bitnet_edge_tests::image_edit::{Part, Parts};
use bitnet_edge_tests::tiny::{self, Weights};
use common::{bitnet, run, stderr, stdout, story, story_image, success};
use tempfile::TempDir;

/// The one line that a failure is, without `error: `; nothing else is printed.
fn failure<S: AsRef<OsStr>>(code: i32, args: &[S]) -> String {
    failure_of(code, &run(args))
}

/// As [`failure`], of a run that is over.
fn failure_of(code: i32, output: &Output) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert_eq!(stdout(output), "");
    let line = stderr(output).strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// A folder with a file in it, and that file's path.
fn file(name: &str, bytes: &[u8]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// What `run` says about a model file, without its name.
fn refused(bytes: &[u8]) -> String {
    let (_folder, path) = file("model.bpk", bytes);
    let line = failure(1, &["once", "--model", &path]);
    let (before, after) = line.split_once(&path).unwrap_or_else(|| panic!("{line} does not name {path}"));
    format!("{before}FILE{after}")
}

/// The story image with changed parts.
fn changed(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let image = bitnet_edge_std::Bytes::copy_of(&story_image());
    let mut parts = Parts::of(image.as_slice());
    change(&mut parts);
    parts.build().as_slice().to_vec()
}

#[test]
fn files_that_are_no_model() {
    let line = failure(1, &["once", "--model", "no-such-model.bpk"]);
    assert_eq!(line, "cannot open no-such-model.bpk: No such file or directory (os error 2)");
    let folder = tempfile::tempdir().unwrap();
    let line = failure(1, &["once", "--model", folder.path().to_str().unwrap()]);
    assert!(line.ends_with(": it is a directory"), "{line}");
    assert_eq!(
        failure(1, &["once", "--model", "/dev/null"]),
        "cannot open /dev/null: it is not a regular file, which alone can be mapped"
    );
    assert_eq!(refused(b""), "cannot open FILE: the file is empty");
    assert_eq!(
        refused(b"Once upon a time"),
        "FILE: neither a flash image (.bpk) nor a GGUF file: it starts with \"Once upo\""
    );
    // What a name could do to a terminal.
    let line = failure(1, &["once", "--model", "a\u{1b}[2Jb\nc"]);
    assert!(line.starts_with("cannot open a\\u{1b}[2Jb; c: "), "{line}");
}

#[test]
fn files_cut_short() {
    let image = story_image();
    for len in [8, 40, 63, 64, 500, 10_000, image.len() - 1] {
        let need = if len < 64 { 64 } else { image.len() };
        assert_eq!(
            refused(&image[..len]),
            format!(
                "FILE: the image is truncated: it has {len} bytes and needs {need}; copy the image again, or convert \
                 the model again"
            )
        );
    }
    let gguf = fs::read(story()).unwrap();
    for len in [4, 24, 1000, 100_000, gguf.len() - 1] {
        let line = refused(&gguf[..len]);
        assert!(line.starts_with("FILE: the file is cut short"), "{len}: {line}");
    }
}

#[test]
fn images_of_other_versions() {
    let newer = refused(&changed(|parts| parts.major = 2));
    assert_eq!(
        newer,
        "FILE: the image has major version 2 and this reader supports 1: convert the model again"
    );
    let other = refused(&changed(|parts| parts.arithmetic = 9));
    assert!(other.starts_with("FILE: the image was made for version 9 of the arithmetic"), "{other}");
    let encoding = refused(&changed(|parts| parts.section(SectionKind::Tokenizer).encoding = 2));
    assert!(
        encoding.contains("section kind 3 has encoding 2, which this reader does not know"),
        "{encoding}"
    );
}

#[test]
fn a_newer_minor_version_tells_the_same_story() {
    let newer = changed(|parts| {
        parts.minor = 3;
        parts.header_len = 192;
        parts.sections.insert(0, Part { kind: 77, encoding: 1, alignment: 64, bytes: vec![1; 1000] });
    });
    let (_folder, path) = file("newer.bpk", &newer);
    let (stdout, _) = success(&["once upon a time", "--verify", "--model", &path]);
    assert_eq!(stdout, include_str!("data/story-seed-1.txt"));
}

#[test]
fn damaged_images() {
    let mut image = story_image();
    let middle = image.len() / 2;
    image[middle] ^= 4;
    let (_folder, path) = file("damaged.bpk", &image);
    let line = failure(1, &["once", "--verify", "--model", &path]);
    assert!(line.contains("its tensors section does not have the checksums of the table"), "{line}");
    image[100] ^= 1;
    let line = refused(&image);
    assert!(line.contains("the checksum of header and section table is wrong"), "{line}");
    // A weight that is no number: refused when it is met, not written as text.
    let tiny = tiny::image(Weights::Float);
    let mut parts = Parts::of(tiny.as_slice());
    parts.section(SectionKind::Tensors).bytes[128..132].copy_from_slice(&f32::NAN.to_le_bytes());
    let (_folder, path) = file("nan.bpk", parts.build().as_slice());
    let output = run(&["a", "--no-echo", "--model", &path]);
    let line = failure_of(1, &output);
    assert!(
        line.starts_with("a value is NaN or infinite (damaged weights?); `bitnet-pack verify`"),
        "{line}"
    );
    let bare = changed(|parts| parts.sections.retain(|part| part.kind != SectionKind::Tokenizer as u32));
    assert!(refused(&bare).starts_with("FILE has no tokenizer, which a prompt needs"));
}

#[test]
fn prompts_that_cannot_be() {
    let long = "once upon a time ".repeat(100);
    let line = failure(1, &[&long]);
    assert!(
        line.contains("positions are needed and it has 256; shorten the prompt, or give --context"),
        "{line}"
    );
    let line = failure(1, &["once upon a time", "--context", "4"]);
    assert!(line.contains("the context is full: 5 positions are needed and it has 4"), "{line}");
    let line = failure(1, &["gr\u{fc}n"]);
    assert!(
        line.ends_with("no token for the byte 0xc3 at offset 2 of the text; --lossy drops such bytes"),
        "{line}"
    );
    // An empty prompt is a prompt where the vocabulary begins a text itself, and only there.
    success(&["", "-n", "1"]);
    let image = tiny::gguf("llama", Weights::Ternary).build();
    let at = image.windows(13).position(|part| part == b"add_bos_token").unwrap() + 13 + 4;
    let mut image = image;
    image[at] = 0;
    let (_folder, path) = file("no-bos.gguf", &image);
    let output = run(&["", "--model", &path]);
    let line = stderr(&output).lines().last().unwrap();
    assert!(line.ends_with("the prompt has no token; this model needs text to begin with"), "{line}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn options_that_cannot_be() {
    for (args, part) in [
        (&[][..], "a prompt is needed: as an argument, with --file FILE, or on stdin"),
        (&["a", "--file", "b"], "cannot be used with"),
        (&["a", "--quiet", "--verbose"], "cannot be used with"),
        (&["a", "--color", "red"], "invalid value 'red'"),
        (&["a", "b"], "unexpected argument 'b'"),
        (&["a", "--prompt", "b"], "cannot be used with"),
        (&["a", "--temperatur", "1"], "unexpected argument '--temperatur'"),
        (&["a", "-t", "-1"], "a number from 0 to 1000 is needed"),
        (&["a", "-t", "NaN"], "a number from 0 to 1000 is needed"),
        (&["a", "-t", "inf"], "a number from 0 to 1000 is needed"),
        (&["a", "-n", "-1"], "invalid value '-1'"),
        (&["a", "--seed", "x"], "invalid value 'x'"),
        (&["a", "--kv", "int4"], "f16, f32, int8 are"),
        (&["a", "--batch", "0"], "0 is not in 1..=4096"),
        (&["a", "--threads", "0"], "a number from 1 to 1024 is needed"),
        (&["a", "--arena", "64Q"], "a number of bytes is needed, such as 65536 or 64K"),
        (&["a", "--i2s-layout", "32"], "is not a byte order of I2_S; "),
    ] {
        let line = failure(2, args);
        assert!(line.contains(part), "{args:?}: {line}");
        assert!(line.ends_with("(--help lists the options)"), "{line}");
    }
    for (args, part) in [
        (&["a", "--context", "0"][..], "context must be at least 1"),
        (&["a", "--context", "16777217"], "at most 16777216 positions"),
        (&["a", "--stop-token", "512"], "token 512 is not in the vocabulary of 512 tokens"),
        (&["a", "--lowercase"], "import options need --model"),
        (&["a", "--backend", "mmx"], "there is no backend `mmx`; known are auto, "),
        (&["a", "--backend", "scalar,-scalar"], "`scalar` and `-scalar` contradict each other"),
        (&["a", "--system", "b"], "needs a model with a chat template"),
        (
            &["a", "--arena", "100K", "--batch", "8"],
            "the arena has 102400 bytes and the memory plan needs 283712; a smaller --context",
        ),
    ] {
        let line = failure(1, args);
        assert!(line.contains(part), "{args:?}: {line}");
    }
    let output = bitnet().env("BITNET_BACKEND", "mmx").args(["run", "a"]).output().unwrap();
    assert!(failure_of(1, &output).contains("there is no backend `mmx`"));
    success(&["a", "-n", "1", "--arena", "100K", "--context", "32", "--batch", "2"]);
}

#[test]
fn help_is_no_error() {
    for args in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let output = bitnet().args(args).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty() && !output.stdout.is_empty(), "{args:?}");
    }
    let output = bitnet().output().unwrap();
    assert!(output.stdout.is_empty() && stderr(&output).contains("Usage: bitnet"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child =
        bitnet().args(["run", "once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = bitnet().args(["run", "once"]).stdout(full()).output().unwrap();
    let line = failure_of(1, &output);
    assert_eq!(line, "cannot write to stdout: No space left on device (os error 28)");
    // Where nothing can be told, nothing is, and the result is the same.
    let output = bitnet().args(["run", "once", "-n", "5"]).stderr(full()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    let output = bitnet().args(["run", "once", "--model", "nothing"]).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_is_not_there_is_an_error() {
    // The arena of the longest context is 15 GB; the process may have 1.
    let limited = "ulimit -v 1000000; exec \"$@\"";
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            limited,
            "sh",
            env!("CARGO_BIN_EXE_bitnet"),
            "run",
            "once",
            "--context",
            "16777216",
            "--batch",
            "8",
        ])
        .output()
        .unwrap();
    let line = failure_of(1, &output);
    assert!(
        line.starts_with("the system has no 15166655552 bytes for the arena; a smaller --context"),
        "{line}"
    );
}
