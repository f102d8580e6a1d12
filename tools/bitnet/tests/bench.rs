//! `bitnet bench`: what it reports adds up. How fast anything is, no test says.

mod common;

use std::fs;

use common::{bitnet, stderr, stdout, story_image};
use serde_json::Value;

const QUICK: [&str; 8] = ["--threads", "1", "--prefill", "3,5", "--decode", "4", "--repetitions", "3"];

fn bench(args: &[&str]) -> (String, String) {
    let output = bitnet().arg("bench").args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output).to_owned(), stderr(&output).to_owned())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Three repetitions, the median among them.
fn check_samples(value: &Value) {
    let all: Vec<f64> = value["all"].as_array().unwrap().iter().map(number).collect();
    let [min, median, max] = ["min", "median", "max"].map(|key| number(&value[key]));
    assert!(
        all.len() == 3 && all.contains(&median) && 0.0 < min && min <= median && median <= max,
        "{value}"
    );
}

#[test]
fn a_report_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let image = story_image();
    fs::write(path("story.bpk"), &image).unwrap();
    let files = ["--model", &path("story.bpk"), "--json", &path("report.json"), "--plot", &path("chart.svg")];
    let (table, notes) = bench(&[&QUICK[..], &["--backend", "scalar"], &files].concat());
    assert_eq!(notes, "");
    let report: Value = serde_json::from_str(&fs::read_to_string(path("report.json")).unwrap()).unwrap();
    assert_eq!((&report["backend"], number(&report["model_bytes"])), (&"scalar".into(), image.len() as f64));
    assert_eq!(report["problems"].as_array().unwrap().len(), 0);
    // Every weight is read but those of the embedding, of which it is a row: the head is the same tensor here.
    let bytes = number(&report["bytes_per_token"]);
    assert!(0.9 * (image.len() as f64) < bytes && bytes < 1.01 * image.len() as f64, "{bytes}");
    let run = &report["runs"][0];
    for (place, tokens) in [3, 5].into_iter().enumerate() {
        assert_eq!(run["prefill"][place]["tokens"], tokens);
        check_samples(&run["prefill"][place]);
    }
    check_samples(&run["decode"]);
    assert!(
        run["bandwidth"]["bytes_per_second"].as_object().unwrap().values().all(|speed| number(speed) > 0.0)
    );
    let load = &report["load"];
    assert!(number(&load["open_s"]) <= number(&load["first_token_s"]));
    if cfg!(target_os = "linux") {
        let peak = number(&report["memory"]["peak_beyond_model_bytes"]);
        assert!(peak > number(&report["memory"]["plan_bytes"]), "{peak}");
    }
    assert!(table.contains("prefill 5") && table.contains("decode 4"), "{table}");
    let chart = fs::read_to_string(path("chart.svg")).unwrap();
    assert!(chart.starts_with("<svg ") && chart.trim_end().ends_with("</svg>") && chart.contains("Prefill"));
}

#[test]
fn a_report_is_not_written_over_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("story.bpk");
    fs::write(&path, story_image()).unwrap();
    let file = path.to_str().unwrap();
    let output = bitnet().arg("bench").args(QUICK).args(["--model", file, "--json", file]).output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("it is the model that is read"), "{}", stderr(&output));
    assert_eq!(fs::read(&path).unwrap(), story_image());
}

#[test]
fn what_does_not_fit_is_left_out_aloud() {
    let (json, notes) = bench(&[
        "--threads",
        "1",
        "--prefill",
        "4,300",
        "--decode",
        "2",
        "--repetitions",
        "1",
        "--json",
        "-",
    ]);
    assert_eq!(notes, "left out: prompts of [300] tokens, for the model's context is 256\n");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["runs"][0]["prefill"].as_array().unwrap().len(), 1);
    assert_eq!(report["model"], "the story model");
    let output = bitnet().args(["bench", "--prefill", "300", "--decode", "0"]).output().unwrap();
    assert!(stderr(&output).contains("nothing to measure"), "{}", stderr(&output));
    assert!(!output.status.success());
}
