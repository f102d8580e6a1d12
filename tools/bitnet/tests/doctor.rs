//! `bitnet doctor`: what it prints adds up, and its exit code is what it says.

mod common;

use std::fs;
use std::process::{Command, Output};

use common::{bitnet, stderr, stdout, story, story_image};
use serde_json::Value;

fn doctor(args: &[&str]) -> Output {
    bitnet().env_remove("BITNET_BACKEND").arg("doctor").args(args).output().unwrap()
}

fn report(args: &[&str]) -> Value {
    let output = doctor(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).unwrap()
}

/// What is found of a level.
fn found<'a>(report: &'a Value, level: &str) -> Vec<&'a str> {
    let all = report["findings"].as_array().unwrap().iter();
    all.filter(|finding| finding["level"] == level).map(|finding| finding["what"].as_str().unwrap()).collect()
}

#[test]
fn a_healthy_machine() {
    let report = report(&[]);
    assert_eq!((&report["healthy"], &report["keeps_subnormals"]), (&true.into(), &true.into()));
    let tests = report["self_test"].as_array().unwrap();
    let tiers = report["backends"]["tiers"].as_array().unwrap();
    // Every tier is here and tested, or its lack is named.
    assert_eq!(tests.len(), tiers.iter().filter(|tier| tier["missing"].is_null()).count());
    assert!(
        tests.iter().all(|test| test["passed"] == true && test["cases"].as_u64() > Some(100)),
        "{tests:?}"
    );
    assert_eq!(report["backends"]["chosen"], report["backends"]["best"]);
    for run in report["bus"]["runs"].as_array().unwrap() {
        assert!(run["bytes_per_second"].as_f64() > Some(0.0), "{run}");
    }
    assert!(report["model"].is_null() && report["expected"].is_null());
    assert!(!report["machine"]["processor"]["name"].as_str().unwrap().is_empty());
    if cfg!(target_os = "linux") {
        assert!(report["machine"]["memory"]["total"].as_u64() > Some(1 << 20));
    }
    let slow = found(&report, "warning");
    assert_eq!(slow.iter().any(|what| what.contains("debug assertions")), cfg!(debug_assertions), "{slow:?}");
}

#[test]
fn the_text_says_the_same() {
    let output = doctor(&[]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "machine     ",
        "caches      ",
        "memory      ",
        "huge pages  ",
        "system      ",
        "limits      ",
        "load        ",
        "clock       ",
        "program     bitnet ",
        "backends\n",
        "\n  scalar",
        " cases agree with the definition",
        "bandwidth   ",
        "healthy",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn all_cases_are_more_than_those_of_a_boot() {
    let cases = |args: &[&str]| {
        let report = report(args);
        let tests = report["self_test"].as_array().unwrap().iter();
        tests.map(|test| test["cases"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (boot, full) = (cases(&[]), cases(&["--full"]));
    assert!(boot.iter().zip(&full).all(|(boot, full)| boot < full), "{boot:?} {full:?}");
}

#[test]
fn a_model_that_is_larger_than_the_caches_has_a_speed() {
    // By name: the file's size is all that is known of it.
    let report = report(&["--model", "bitnet-b1.58-2b-4t", "--threads", "1"]);
    let bytes = report["model"]["bytes_per_token"].as_u64().unwrap();
    assert_eq!((bytes, &report["model"]["by_file_size"]), (1_187_801_280, &true.into()));
    // Caches of 300 MB and more hold too much of it.
    if let Some(expected) = report["expected"].as_object() {
        let run = &expected["runs"][0];
        let read = report["bus"]["runs"][0]["bytes_per_second"].as_f64().unwrap();
        let at_most = run["at_most"].as_f64().unwrap();
        assert!((at_most * bytes as f64 / read - 1.0).abs() < 1e-9);
        let likely: Vec<f64> =
            run["likely"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        assert!(likely[0] < likely[1] && likely[1] < at_most, "{run}");
    }
    let text = doctor(&["--model", "bitnet-b1.58-2b-4t"]);
    assert!(stdout(&text).contains("model       bitnet-b1.58-2b-4t: at most 1.188 GB read a token"));
}

#[test]
fn a_model_file_is_measured_by_its_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("story.bpk");
    let image = story_image();
    fs::write(&path, &image).unwrap();
    let report_of = |path: &std::path::Path| report(&["--model", path.to_str().unwrap()]);
    let report = report_of(&path);
    let model = &report["model"];
    assert_eq!(model["file_bytes"].as_u64(), Some(image.len() as u64));
    assert!(model["memory_bytes"].as_u64() > model["file_bytes"].as_u64());
    assert!(model["bytes_per_token"].as_u64() > Some(400_000) && model["converted"] == false, "{model}");
    let gguf = report_of(&story());
    assert_eq!(gguf["model"]["converted"], true);
    assert!(found(&gguf, "note").iter().any(|what| what.contains("converted in memory")));
}

#[test]
fn what_is_broken_is_exit_code_1() {
    let broken = |output: Output, part: &str| {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let line = stderr(&output);
        assert!(line.starts_with("error: ") && line.contains(part), "{line}");
        let text = stdout(&output);
        assert!(text.contains("BROKEN: ") && text.ends_with("something is broken\n"), "{text}");
    };
    broken(
        doctor(&["--model", "no-such-model.bpk"]),
        "there is no such file, and no model is known by that name",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.bpk");
    fs::write(&path, &story_image()[..1000]).unwrap();
    broken(doctor(&["--model", path.to_str().unwrap()]), "the image is truncated");
    broken(doctor(&["--backend", "mmx"]), "there is no backend `mmx`");
    let output = bitnet().env("BITNET_BACKEND", "scalar,-scalar").arg("doctor").output().unwrap();
    broken(output, "contradict each other");
}

#[test]
fn a_slower_backend_is_a_warning() {
    let best = report(&[])["backends"]["best"].as_str().unwrap().to_owned();
    let report = report(&["--backend", "scalar"]);
    assert_eq!(report["backends"]["chosen"], "scalar");
    let said = found(&report, "warning").iter().any(|what| what.contains("because `scalar` is asked for"));
    assert_eq!(said, best != "scalar");
}

#[test]
fn threads_are_those_that_are_asked_for() {
    let report = report(&["--threads", "1000"]);
    assert_eq!(report["threads"], 1000);
    if cfg!(target_os = "linux") && !report["machine"]["processor"]["cores"].is_null() {
        let said = found(&report, "warning");
        assert!(said.iter().any(|what| what.contains("1000 threads")), "{said:?}");
    }
}

/// What a limit of the shell does: only Linux tells a process of it.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_addresses_is_found() {
    if std::env::var_os("BITNET_EDGE_RUNNER").is_some() {
        return; // the limit would be the emulator's
    }
    let program = env!("CARGO_BIN_EXE_bitnet");
    let limited = "ulimit -v 1000000; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, "sh", program, "doctor", "--model", "bitnet-b1.58-2b-4t"])
        .env_remove("BITNET_BACKEND")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("of addresses\n  -> raise ulimit -v"), "{}", stdout(&output));
}

#[test]
fn help_has_examples() {
    let output = doctor(&["--help"]);
    assert!(stdout(&output).contains("Examples:\n  bitnet doctor\n"));
}
