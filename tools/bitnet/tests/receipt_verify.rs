//! Receipts that `bitnet receipt verify` refuses, and why.

mod common;
#[path = "common/receipts.rs"]
mod receipts;
#[path = "common/strangers.rs"]
mod strangers;

use std::collections::BTreeMap;

use common::{bitnet, stderr, stdout};
use receipts::{Folder, PROMPT, TINY, edited, forged, leaves, record, refused, verify};
use serde_json::{Value, json};

#[test]
fn what_cannot_be_a_receipt_is_refused_by_name() {
    let folder = Folder::new();
    let file = folder.run(&["-n", "5", PROMPT]);
    let path = folder.path("part.json");
    let refuse = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        refused(&verify(&path, &[]))
    };
    let whole = serde_json::to_vec(&file).unwrap();
    assert!(
        refuse(&whole[..whole.len() / 2]).starts_with("schema: it is truncated"),
        "{}",
        refuse(&whole[..99])
    );
    assert!(refuse(b"").starts_with("schema: it is truncated"));
    assert!(refuse(b"a receipt").starts_with("schema: it is not JSON"));
    assert_eq!(refuse(b"{}"), "schema: it has no schema version: it is not a receipt");
    let later = folder.bad(&edited(&file, "/receipt/schema", json!(2)), &[]);
    assert_eq!(later, "schema: unknown schema version 2: this program knows 1");
    let mut more = file.clone();
    more["receipt"]["plan"]["colour"] = json!("red");
    assert!(
        folder
            .bad(&more, &[])
            .starts_with("schema: it does not have the form of a receipt: unknown field `colour`")
    );
    let mut less = file.clone();
    less["receipt"].as_object_mut().unwrap().remove("phases");
    assert!(folder.bad(&less, &[]).contains("missing field `phases`"));
    let missing = verify(&folder.path("none.json"), &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).starts_with("error: cannot read the receipt "), "{}", stderr(&missing));
}

/// An edit that leaves the hash as it was is seen, wherever it is.
#[test]
fn every_field_is_in_the_hash() {
    let folder = Folder::new();
    let file = folder.run(&["--strict", "-n", "5", PROMPT]);
    let mut found = BTreeMap::new();
    leaves(&file["receipt"], "/receipt".to_owned(), &mut found);
    let mut checked = 0;
    for (at, value) in found.iter().filter(|(at, _)| *at != "/receipt/schema") {
        let other = match value {
            Value::Number(n) if n.is_u64() => json!(n.as_u64().unwrap() ^ 1),
            Value::Number(n) => json!(n.as_f64().unwrap() + 1.0),
            Value::Bool(b) => json!(!b),
            Value::String(text) if text.len() == 64 => json!("0".repeat(64)),
            Value::String(text) if text == "max_tokens" => json!("context_full"),
            Value::String(text) if text == "f16" => json!("int8"),
            Value::String(text) => json!(format!("{text}!")),
            _ => continue,
        };
        let edited = edited(&file, at, other);
        assert_ne!(record(&edited).digest().to_string(), file["sha256"].as_str().unwrap(), "{at}");
        checked += 1;
    }
    assert!(checked > 80, "{checked}");
    let edit = edited(&file, "/receipt/config/seed", json!(2));
    assert!(folder.bad(&edit, &[]).starts_with("hash: the record was changed: its SHA-256 is "));
}

#[test]
fn hygiene_is_checked_before_anything_is_believed() {
    let folder = Folder::new();
    let file = folder.run(&["-n", "5", PROMPT]);
    let id = |id: &str| folder.bad(&forged(&file, "/receipt/kernels/0/id", json!(id)), &[]);
    assert_eq!(id(""), "hygiene: an id is empty");
    assert_eq!(id(&"x".repeat(129)), "hygiene: an id has 129 bytes: at most 128 are allowed");
    assert!(id("a\u{1b}[2J").starts_with("hygiene: the id "));
    assert!(id(&"x".repeat(128)).starts_with("consistency: there is no kernel xxx"));
    assert!(id("a\u{202e}b").starts_with("hygiene: the id "), "text that runs backwards");
    let many = vec![file["receipt"]["kernels"][0].clone(); 10_001];
    let many = folder.bad(&forged(&file, "/receipt/kernels", json!(many)), &[]);
    assert_eq!(many, "hygiene: 10001 kernels: at most 10000 are allowed");
}

/// Forgeries that have the right hash.
#[test]
fn what_contradicts_itself_is_refused() {
    let folder = Folder::new();
    let file = folder.run(&["--backend", "scalar", "-n", "5", PROMPT]);
    let refuse = |at: &str, value: Value| folder.bad(&forged(&file, at, value), &[]);
    let kernels = file["receipt"]["kernels"].as_array().unwrap();
    let place = |id: &str| kernels.iter().position(|run| run["id"] == id).unwrap();
    for id in ["matmul_t2r4_i8t", "matmul_q8r4_i8g32", "gate", "attend"] {
        let at = format!("/receipt/kernels/{}", place(id));
        let work = file.pointer(&at).unwrap()["work"].as_u64().unwrap();
        let said = refuse(&format!("{at}/work"), json!(work + 1));
        assert!(said.starts_with(&format!("consistency: {id} did work of {}", work + 1)), "{said}");
    }
    let product = format!("/receipt/kernels/{}", place("matmul_t2r4_i8t"));
    let renamed = refuse(&format!("{product}/id"), json!("matmul_f32_f32"));
    assert!(
        renamed.starts_with("consistency: matmul_t2r4_i8t did work of 0"),
        "the quantized path: {renamed}"
    );
    let by = refuse(&format!("{product}/by"), json!("avx2"));
    assert_eq!(by, "consistency: matmul_t2r4_i8t ran by avx2, which is not the backend chosen");
    assert!(refuse("/receipt/backend/chosen", json!("avx2")).contains("which the list of fallbacks denies"));
    assert!(refuse("/receipt/fallbacks", json!(["rope"])).contains("which the list of fallbacks denies"));
    assert!(refuse("/receipt/fallbacks", json!(["attend_i8"])).contains("a fallback did not run: attend_i8"));
    assert!(refuse("/receipt/prompt/ids/0", json!(1)).contains("the prompt's digest is not that of its ids"));
    assert!(refuse("/receipt/prompt/ids/0", json!(512)).contains("token 512 of 512"));
    assert!(refuse("/receipt/prompt/tokens", json!(4)).contains("5 ids for 4 tokens"));
    assert!(refuse("/receipt/output/tokens", json!(4)).contains("5 steps were sampled for 4 tokens"));
    assert!(refuse("/receipt/config/max_tokens", json!(4)).contains("at most 4 were asked for"));
    assert!(refuse("/receipt/plan/context", json!(8)).contains("9 positions in a context of 8"));
    assert!(refuse("/receipt/config/digest", json!(false)).contains("has no logit digest"));
    assert!(refuse("/receipt/plan/arena_bytes", json!(64)).contains("does not fit the arena of 64"));
    assert!(
        refuse("/receipt/phases/decode/milli_tokens_per_second", json!(7))
            .contains("the speed of the decode")
    );
    assert!(refuse("/receipt/phases/decode/tokens", json!(7)).contains("said to have had 7"));
    assert!(refuse("/receipt/model/weights/0/layout", json!("t1r1")).contains("there is no layout t1r1"));
    // What only the model can tell.
    let rope = format!("/receipt/kernels/{}/work", place("rope"));
    let forgery = forged(&file, &rope, json!(9_999_999));
    folder.good(&forgery, &[]);
    let said = folder.bad(&forgery, &["--model", common::story().to_str().unwrap()]);
    assert!(said.starts_with("model: "), "{said}");
}

#[test]
fn a_replay_finds_what_no_other_check_can() {
    let folder = Folder::new();
    let file = folder.run(&["-n", "5", PROMPT]);
    for (at, value, what) in [
        ("/receipt/logits", json!("0".repeat(64)), "logit digest: 0000"),
        ("/receipt/output/digest", json!("0".repeat(64)), "token digest: 0000"),
        ("/receipt/config/seed", json!(9), "token digest: "),
        ("/receipt/arithmetic", json!(9), "arithmetic version: 9 in the receipt, 1 here"),
        ("/receipt/output/stop", json!("context_full"), "end: the context is full in the receipt"),
    ] {
        let forgery = forged(&file, at, value);
        folder.good(&forgery, &[]);
        let said = folder.bad(&forgery, &["--replay", "story"]);
        assert!(said.starts_with("replay: "), "{said}");
        assert!(said.contains(what), "{at}: {said}");
    }
    let other = folder.bad(&file, &["--replay", TINY]);
    assert!(other.starts_with("model: it is of another model: its image has the digest "), "{other}");
}

#[test]
fn a_signature_tells_who_has_written_it() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let [mine, other] = [path("mine"), path("other")];
    for key in [&mine, &other] {
        assert!(bitnet().args(["receipt", "keygen", key]).output().unwrap().status.success());
    }
    let over = bitnet().args(["receipt", "keygen", &mine]).output().unwrap();
    assert_eq!(over.status.code(), Some(1), "a key is not written over");
    let [my_public, other_public] = [format!("{mine}.pub"), format!("{other}.pub")];
    let signed = folder.run(&["--sign", &mine, "-n", "5", PROMPT]);
    let said = folder.good(&signed, &["--key", &my_public]);
    assert!(said.contains("signature    good, by the key "), "{said}");
    assert!(folder.good(&signed, &[]).contains("which may be anyone's"));
    let wrong = folder.bad(&signed, &["--key", &other_public]);
    assert!(wrong.starts_with("signature: it is by the key "), "{wrong}");
    // Edited, with the right hash, under the old signature.
    let forgery = forged(&signed, "/receipt/machine", json!("another"));
    let said = folder.bad(&forgery, &[]);
    assert_eq!(said, "signature: it is not one of this hash by this key");
    let mut stripped = signed.clone();
    stripped.as_object_mut().unwrap().remove("signature");
    assert!(folder.good(&stripped, &[]).contains("signature    none: the hash catches accidents"));
    let said = folder.bad(&stripped, &["--key", &my_public]);
    assert_eq!(said, "signature: it has none, and --key asks for one");
    // Keys in hexadecimal; the public one is in the receipt.
    let public = signed["signature"]["public_key"].as_str().unwrap();
    std::fs::write(folder.path("hex.pub"), public).unwrap();
    folder.good(&signed, &["--key", &path("hex.pub")]);
    std::fs::write(folder.path("hex"), "11".repeat(32)).unwrap();
    folder.good(&folder.run(&["--sign", &path("hex"), "-n", "2", PROMPT]), &[]);
    std::fs::write(folder.path("bad"), "11").unwrap();
    let bad =
        bitnet().args(["run", "--receipt", &path("x"), "--sign", &path("bad"), PROMPT]).output().unwrap();
    assert_eq!((bad.status.code(), stdout(&bad)), (Some(1), ""));
    assert!(stderr(&bad).contains("is not an ed25519 key"), "{}", stderr(&bad));
    assert!(!folder.path("x").exists());
}
