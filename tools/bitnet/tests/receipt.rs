//! Receipts: what they say, and that a replay proves them on every backend.

mod common;
#[path = "common/board.rs"]
mod fake;
#[path = "common/receipts.rs"]
mod receipts;
#[path = "common/schema.rs"]
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use bitnet_edge_core::receipt::KernelRun;
use bitnet_edge_kernels::Kernels;
use bitnet_edge_std::{Host, Tiers};
use common::{bitnet, stderr, stdout};
use receipts::{Folder, PROMPT, TINY, edited, leaves, read, record};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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
