//! Receipts as strangers may write them, and what happens around them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::{self, bitnet, stderr, stdout};
use crate::receipts::{Folder, PROMPT, edited, forged, leaves, record, refused, verify};

/// A receipt prints no line but its own: whatever text a stranger wrote, nothing of it is printed.
#[test]
fn no_text_of_a_receipt_can_draw_a_line_of_the_verifier() {
    let folder = Folder::new();
    let file = folder.run(&["--backend", "scalar", "-n", "5", PROMPT]);
    let drawn = "x86_64\nsignature    good, by the key 00\u{1b}[8m";
    for (at, what) in [
        ("machine", "machine"),
        ("versions/program", "program's version"),
        ("versions/runtime", "runtime's version"),
        ("backend/why", "reason for the backend"),
        ("backend/asked", "backend asked for"),
    ] {
        let at = format!("/receipt/{at}");
        for (text, wrong) in [
            (drawn.to_owned(), "has control characters"),
            (String::new(), "is empty"),
            ("x".repeat(257), "has 257 bytes: at most 256 are allowed"),
        ] {
            let output = folder.verify(&forged(&file, &at, json!(text)), &[]);
            let line = refused(&output);
            assert!(
                line.starts_with(&format!("hygiene: the {what} ")) && line.contains(wrong),
                "{at}: {line}"
            );
            assert!(!stdout(&output).contains("signature") && !stderr(&output).contains('\u{1b}'), "{at}");
        }
    }
}

/// Of a run that was cut short the counts are those of its steps, and at most of one pass more.
#[test]
fn a_run_that_was_cut_short_is_bounded_by_its_steps() {
    let folder = Folder::new();
    let whole = folder.run(&["--backend", "scalar", "-n", "5", PROMPT]);
    let longer = folder.run(&["--backend", "scalar", "-n", "6", PROMPT]);
    let cut = forged(&whole, "/receipt/output/stop", Value::Null);
    let said = folder.good(&cut, &["--replay", "story", "--backend", "scalar"]);
    assert!(said.contains("cut short") && said.contains("t2r4, q8r4 as integers"), "{said}");
    assert!(said.contains("agrees     work: of 10 kernels, at least that of these 5 steps"), "{said}");
    let place = |id: &str| record(&cut).kernels.iter().position(|run| run.id == id).unwrap();
    for id in ["matmul_t2r4_i8t", "attend", "rope"] {
        let at = format!("/receipt/kernels/{}/work", place(id));
        let work = |file: &Value| file.pointer(&at).unwrap().as_u64().unwrap();
        let (least, most) = (work(&cut), work(&longer));
        folder.good(&forged(&cut, &at, json!(most)), &["--replay", "story", "--backend", "scalar"]);
        for wrong in [least - 1, most + 1] {
            let said =
                folder.bad(&forged(&cut, &at, json!(wrong)), &["--model", common::story().to_str().unwrap()]);
            let wanted = format!("{id} did work of {wrong}, and ");
            assert!(
                said.contains(&wanted) && said.contains(&format!("{least} to {most}")) || id == "rope",
                "{said}"
            );
        }
    }
    let renamed = format!("/receipt/kernels/{}/id", place("matmul_t2r4_i8t"));
    let said = folder.bad(&forged(&cut, &renamed, json!("matmul_f32_f32")), &[]);
    assert!(said.starts_with("consistency: matmul_t2r4_i8t did work of 0"), "the quantized path: {said}");
    // Before its first step: nothing is there to be replayed.
    let none = folder.run(&["--max-tokens", "0", PROMPT]);
    let none = forged(&none, "/receipt/output/stop", Value::Null);
    let said = folder.good(&none, &["--replay", "story"]);
    assert!(said.contains("nothing was replayed") && !said.contains("agrees"), "{said}");
    let said = folder.bad(&forged(&none, "/receipt/logits", json!("0".repeat(64))), &["--replay", "story"]);
    assert!(said.starts_with("replay: logit digest: 0000"), "{said}");
}

/// What a key of the record would be taken to say if it were not there is not what its writer signed.
#[test]
fn every_key_of_the_record_must_be_there() {
    let folder = Folder::new();
    let file = folder.run(&["--strict", "-n", "5", PROMPT]);
    let mut found = BTreeMap::new();
    leaves(&file["receipt"], String::new(), &mut found);
    let keys = found.keys().filter_map(|at| at.rsplit_once('/'));
    let mut checked = 0;
    for (inside, key) in keys.filter(|(_, key)| key.parse::<u32>().is_err()) {
        let mut less = file.clone();
        let object = less["receipt"].pointer_mut(inside).unwrap().as_object_mut().unwrap();
        object.remove(key).unwrap();
        let path = folder.path("less.json");
        std::fs::write(&path, serde_json::to_vec(&less).unwrap()).unwrap();
        let said = refused(&verify(&path, &[]));
        assert!(
            said.starts_with("schema: ") && (said.contains(key) || key == "schema"),
            "{inside}/{key}: {said}"
        );
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

/// Only what is wrong with the receipt is said to be.
#[test]
fn what_is_not_the_fault_of_the_receipt_is_an_error_like_any_other() {
    let folder = Folder::new();
    let file = folder.run(&["--kv", "f32", "-n", "5", PROMPT]);
    let path = folder.path("run.json");
    std::fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    let none = folder.path("none.pub");
    let no_key = verify(&path, &["--key", none.to_str().unwrap()]);
    assert_eq!(no_key.status.code(), Some(1), "{}", stderr(&no_key));
    assert!(stderr(&no_key).starts_with("error: cannot read the key "), "{}", stderr(&no_key));
}

/// Nobody that reads the output is no reason to say that all is well.
#[cfg(unix)]
#[test]
fn a_closed_pipe_changes_no_verdict() {
    let folder = Folder::new();
    let good = folder.run(&["-n", "5", PROMPT]);
    let bad = edited(&good, "/receipt/config/seed", json!(2));
    for (file, code) in [(&good, 0), (&bad, 10)] {
        let path = folder.path("closed.json");
        std::fs::write(&path, serde_json::to_vec(file).unwrap()).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut verify = bitnet();
        let output = verify.args(["receipt", "verify"]).arg(&path).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
    }
}

/// A receipt takes the place of nothing that is read.
#[test]
fn a_receipt_does_not_replace_its_key_or_its_prompt() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let [key, prompt] = [path("key"), path("prompt.txt")];
    assert!(bitnet().args(["receipt", "keygen", &key]).output().unwrap().status.success());
    std::fs::write(&prompt, PROMPT).unwrap();
    let again = folder.path(".").join("key");
    for (file, args) in
        [(again.to_str().unwrap(), ["--sign", &key, PROMPT].as_slice()), (&prompt, &["--file", &prompt])]
    {
        let before = std::fs::read(file).unwrap();
        let output = bitnet().args(["run", "-n", "2", "--receipt", file]).args(args).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{args:?}");
        assert!(stderr(&output).contains("which is read; name another file"), "{}", stderr(&output));
        assert_eq!(std::fs::read(file).unwrap(), before);
    }
    // A public key that is there is not written over, and then there is no secret one either.
    std::fs::write(path("other.pub"), "mine").unwrap();
    let output = bitnet().args(["receipt", "keygen", &path("other")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.path("other").exists(), "{}", stderr(&output));
}
