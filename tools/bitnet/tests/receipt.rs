//! Receipts: what they say, what is refused, and that a replay proves them on every backend.

mod common;
#[path = "common/board.rs"]
mod fake;
#[path = "common/receipts.rs"]
mod receipts;
#[path = "common/schema.rs"]
mod schema;
#[path = "common/strangers.rs"]
mod strangers;

use std::collections::{BTreeMap, BTreeSet};

use bitnet_edge_core::receipt::KernelRun;
use bitnet_edge_kernels::Kernels;
use bitnet_edge_std::{Host, Tiers};
use common::{bitnet, stderr, stdout};
use receipts::{Folder, TINY, edited, forged, read, record, refused, verify};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PROMPT: &str = "once upon a time";

/// Every value of a receipt, by its path.
fn leaves(value: &Value, at: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(name, value)| leaves(value, format!("{at}/{name}"), found));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(i, value)| leaves(value, format!("{at}/{i}"), found));
        }
        _ => {
            found.insert(at, value.clone());
        }
    }
}

#[test]
fn a_receipt_of_every_tier_is_proved_on_every_other() {
    let folder = Folder::new();
    let tiers: Vec<&str> = Host::available().iter().map(Kernels::name).collect();
    let of: Vec<Value> =
        tiers.iter().map(|tier| folder.run(&["--backend", tier, "-n", "12", PROMPT])).collect();
    let work = |file: &Value| -> Vec<(String, u64)> {
        record(file).kernels.into_iter().map(|run| (run.id, run.work)).collect()
    };
    for (i, (tier, file)) in tiers.iter().zip(&of).enumerate() {
        let other = tiers[(i + 1) % tiers.len()];
        assert_eq!(record(file).backend.chosen, *tier);
        assert_eq!(record(file).backend.asked.as_deref(), Some(*tier));
        let said = folder.good(file, &["--replay", "story", "--backend", other, "--threads", "1"]);
        assert!(
            said.contains("agrees     logit digest: ") && said.contains("agrees     work: of 10 kernels"),
            "{said}"
        );
        assert!(!said.contains("differs") && said.contains("not provable by replay: times"), "{said}");
        assert_eq!(work(file), work(&of[0]), "{tier}");
        assert_eq!(record(file).logits, record(&of[0]).logits, "{tier}");
    }
}

#[test]
fn the_work_does_not_depend_on_threads_batch_or_cache_and_is_that_of_the_model() {
    let folder = Folder::new();
    for (model, replay) in [(None, "story"), (Some(TINY), TINY)] {
        for options in
            [["--threads", "1"], ["--batch", "1"], ["--batch", "3"], ["--kv", "int8"], ["--kv", "f32"]]
        {
            let model = model.map_or(vec![], |model| vec!["--model", model]);
            let args = [&model[..], &options, &["-n", "7", PROMPT]].concat();
            let said = folder.good(&folder.run(&args), &["--replay", replay]);
            assert!(said.contains("is that of its program"), "{args:?}: {said}");
        }
    }
    let said = folder.good(&folder.run(&["--max-tokens", "0", PROMPT]), &["--replay", "story"]);
    assert!(said.contains("agrees     tokens: 0"), "{said}");
}

/// What a board says it did is proved here, whatever backend this machine has.
#[test]
fn a_receipt_of_a_board_is_proved_on_this_machine() {
    let folder = Folder::new();
    for (args, tokens) in
        [(&["who is there?"][..], 3), (&["--raw", "--check", "--model", TINY, "-n", "9", PROMPT], 9)]
    {
        let path = folder.path("board.json");
        let address = fake::board(|_| {});
        let device =
            bitnet().args(["device", "--tcp", &address, "--receipt"]).arg(&path).args(args).output().unwrap();
        assert!(device.status.success(), "{}", stderr(&device));
        let file = read(&path);
        let said = folder.good(&file, &["--replay", TINY]);
        assert!(said.contains("agrees     logit digest: ") && said.contains("agrees     work: "), "{said}");
        let board = record(&file);
        assert_eq!((board.machine.as_str(), board.output.tokens), ("a board of the tests", tokens));
        assert!(board.backend.self_test.is_some_and(|test| test.cases > 100 && test.failures == 0));
        assert_eq!((board.program, board.backend.budget), (None, 10_000)); // its program cannot be read
        // The same run on the host does the same work.
        let options =
            if args.contains(&"--raw") { &["--raw", "-n", "9", PROMPT][..] } else { &["who is there?"] };
        let host = record(&folder.run(&[&["--model", TINY, "--backend", "scalar"], options].concat()));
        let work = |kernels: &[KernelRun<String>]| -> Vec<_> {
            kernels.iter().map(|run| (run.id.clone(), run.work)).collect()
        };
        assert_eq!(work(&host.kernels), work(&board.kernels));
        assert_eq!((host.logits, host.prompt, host.output), (board.logits, board.prompt, board.output));
    }
}

/// Each thing that a receipt states is another where the run is another.
#[test]
fn nothing_in_a_receipt_is_a_constant() {
    let folder = Folder::new();
    let key = folder.path("key");
    assert!(bitnet().args(["receipt", "keygen"]).arg(&key).output().unwrap().status.success());
    let others: &[&[&str]] = &[
        &["--backend", "scalar", "--threads", "1", "--seed", "7", "-n", "9", "hello"],
        &[
            "--model",
            TINY,
            "--raw",
            "--kv",
            "int8",
            "--context",
            "32",
            "--batch",
            "4",
            "--ignore-eos",
            PROMPT,
        ],
        &["--strict", "-t", "0", "--top-k", "3", "--lossy", "--stop-token", "20", PROMPT],
        &["--kv", "f32", "--digest", PROMPT],
    ];
    let sampling = "--preset creative --top-p 0.9 --typical-p 0.9 --frequency-penalty 0.1 --presence-penalty 0.1 --repeat-last-n 32 \
                    --logit-bias 3=1 --stop never --special --no-bos --logprobs 2 -n 9";
    let stories = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/models/stories260K-f32.gguf");
    let other_model: Vec<&str> =
        ["--model", stories, PROMPT].into_iter().chain(sampling.split_whitespace()).collect();
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut runs = vec![folder.run(&["-n", "20", PROMPT])];
    runs.extend(others.iter().map(|args| folder.run(args)));
    runs.push(folder.run(&other_model));
    for file in &runs {
        let mut found = BTreeMap::new();
        leaves(&file["receipt"], String::new(), &mut found);
        found.into_iter().for_each(|(at, value)| {
            values.entry(at).or_default().insert(value.to_string());
        });
    }
    // What is the same in every run of one program on one machine, and what no option of these runs sets: a host backend has every
    // kernel of its own, so that only boards have fallbacks.
    let fixed = [
        "/schema",
        "/arithmetic",
        "/versions/",
        "/program",
        "/machine",
        "/config/",
        "/backend/budget",
        "/fallbacks",
    ];
    for (at, seen) in &values {
        let in_a_list = at.rsplit('/').any(|part| part.parse::<u32>().is_ok());
        let is_fixed = fixed.iter().any(|fixed| at.starts_with(fixed));
        // Absent in one run, and of several values in another.
        let is_optional = values.keys().any(|other| other.starts_with(&format!("{at}/")));
        let is_part_of_optional = at.starts_with("/backend/self_test/");
        let varies = seen.len() > 1 || is_optional || is_part_of_optional;
        assert!(varies || is_fixed || in_a_list, "{at} is always {seen:?}");
    }
    for set in [
        "max_tokens",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "penalty_window",
        "logit_bias",
        "seed",
        "stop_tokens",
        "stop_strings",
        "skip_special_tokens",
        "add_bos",
        "ignore_eos",
        "logprobs",
        "lossy",
    ] {
        let at = format!("/config/{set}");
        let seen: usize =
            values.iter().filter(|(path, _)| path.starts_with(&at)).map(|(_, seen)| seen.len()).sum();
        assert!(seen > 1, "{at} is always the same");
    }
    let program = Sha256::digest(std::fs::read(env!("CARGO_BIN_EXE_bitnet")).unwrap());
    let program: String = program.iter().map(|byte| format!("{byte:02x}")).collect();
    let first = record(&runs[0]);
    assert_eq!(first.program.unwrap().to_string(), program);
    assert_eq!(first.versions.program, concat!("bitnet ", env!("CARGO_PKG_VERSION")));
    assert_eq!(first.arithmetic, bitnet_edge_kernels::ARITHMETIC_VERSION);
    assert!(first.machine.contains(std::env::consts::ARCH));
}

#[test]
fn a_run_is_what_it_is_without_a_receipt() {
    let folder = Folder::new();
    let plain = bitnet().args(["run", "-n", "9", PROMPT]).output().unwrap();
    let path = folder.path("r.json");
    let kept = bitnet().args(["run", "-n", "9", "--receipt"]).arg(&path).arg(PROMPT).output().unwrap();
    assert_eq!(stdout(&plain), stdout(&kept));
    assert_eq!(stderr(&plain).lines().count(), stderr(&kept).lines().count(), "{}", stderr(&kept));
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing else is left behind: {left:?}");
    // A place that cannot be is said before anything runs.
    let nowhere = folder.path("no/such/folder/r.json");
    let refused = bitnet().args(["run", "--receipt"]).arg(&nowhere).arg(PROMPT).output().unwrap();
    assert_eq!((refused.status.code(), stdout(&refused)), (Some(1), ""));
    assert!(stderr(&refused).contains("--receipt: cannot write"), "{}", stderr(&refused));
}

#[test]
fn receipts_have_the_form_of_the_schema() {
    let folder = Folder::new();
    let text = include_str!("../../../docs/receipt.schema.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let key = folder.path("key");
    assert!(bitnet().args(["receipt", "keygen"]).arg(&key).output().unwrap().status.success());
    let signed = folder.run(&["--strict", "--sign", key.to_str().unwrap(), "-n", "5", PROMPT]);
    let stopped = folder.run(&["--model", TINY, PROMPT]);
    assert_eq!(stopped["receipt"]["output"]["stop"], json!({"stop": 0}));
    for file in [&signed, &stopped] {
        assert_eq!(schema::wrong(&schema, &schema, file, ""), None);
        // Each property of the schema is one of the record: the record with a property less, or with one more, is none.
        let mut more = file.clone();
        more["receipt"]["model"]["colour"] = json!("red");
        assert!(
            schema::wrong(&schema, &schema, &more, "")
                .is_some_and(|wrong| wrong.starts_with("/receipt/model"))
        );
        let mut less = file.clone();
        less["receipt"]["phases"]["prefill"].as_object_mut().unwrap().remove("us");
        assert!(schema::wrong(&schema, &schema, &less, "").is_some());
        for (stop, is_one) in [
            (Value::Null, true),
            (json!("context_full"), true),
            (json!({"stop_string": 0}), true),
            (json!("tired"), false),
            (json!({"stop": "0"}), false),
            (json!({"stop": 0, "stop_string": 0}), false),
        ] {
            let stopped = edited(file, "/receipt/output/stop", stop);
            assert_eq!(schema::wrong(&schema, &schema, &stopped, "").is_none(), is_one, "{stopped}");
        }
        let wrong = edited(file, "/receipt/logits", json!("0g"));
        assert!(schema::wrong(&schema, &schema, &wrong, "").is_some());
    }
}

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

#[test]
fn strict_runs_have_proved_their_kernels() {
    let folder = Folder::new();
    let file = folder.run(&["--strict", "-n", "3", PROMPT]);
    let test = record(&file).backend.self_test.unwrap();
    assert!(test.cases > 100 && test.failures == 0, "{test:?}");
    assert!(record(&folder.run(&["-n", "3", PROMPT])).backend.self_test.is_none());
    let path = folder.path("again.json");
    std::fs::write(&path, "what was there").unwrap();
    let output = bitnet().args(["run", "-n", "3", "--receipt"]).arg(&path).arg(PROMPT).output().unwrap();
    assert!(output.status.success());
    assert_eq!(record(&read(&path)).output.tokens, 3, "a file that is there is replaced");
}
