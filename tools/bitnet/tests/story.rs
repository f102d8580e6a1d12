//! `bitnet run` where all is well: exact text, exact digests.

mod common;

use std::fs;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_std::{Host, Tiers, physical_cores};
use bitnet_edge_tests::files;
use bitnet_edge_tests::golden::Golden;
use bitnet_pack::cli::PlanArgs;
use common::{story, story_image, success};

const SEED_1: &str = include_str!("data/story-seed-1.txt");
const GREEDY: &str = include_str!("data/story-greedy.txt");
const SEED_1_DIGEST: &str = include_str!("data/story-seed-1.digest").trim_ascii();
const GREEDY_DIGEST: &str = "b79c9e16790c400c646365431cd2356ea8cc5cb6f1e6d1c024c9b577f4c2f26a";
const PROMPT: &str = "once upon a time";

/// The line of statistics with its speeds, which differ, replaced.
fn statistics(stderr: &str) -> String {
    let line = stderr.lines().last().unwrap();
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len() {
        if words[at].starts_with("tokens/s") {
            let speed: f64 = words[at - 1].parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(speed > 0.0);
            words[at - 1] = "?";
        }
    }
    words.join(" ")
}

fn statistics_of(prompt: u32, generated: u32, arena: usize, seed: u64) -> String {
    format!(
        "{prompt} prompt tokens, {generated} generated | prefill ? tokens/s, decode ? tokens/s | \
         arena {arena} bytes | backend scalar (asked for), 1 thread | seed {seed}"
    )
}

fn digest(stderr: &str) -> &str {
    stderr.lines().find_map(|line| line.strip_prefix("logit digest ")).unwrap()
}

/// What a plan of this image takes, from its own tables.
fn planned(args: &PlanArgs) -> usize {
    let image = bitnet_edge_std::Bytes::copy_of(&story_image());
    let model = bitnet_edge_core::Model::new_checked(image.as_slice()).unwrap();
    args.plan(&model, 0, 128).unwrap().bytes()
}

#[test]
fn the_story_is_the_same_everywhere() {
    let (stdout, stderr) = success(&[PROMPT, "--backend", "scalar", "--threads", "1"]);
    assert_eq!(stdout, SEED_1);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(statistics(&stderr), statistics_of(5, 200, planned(&PlanArgs::default()), 1));
    // The defaults, spelled out.
    let defaults = ["-n", "200", "-t", "0.7", "--top-k", "40", "-s", "1", "--kv", "f16", "--batch", "128"];
    let (stdout, stderr) = success(&[&[PROMPT, "--context", "256", "--digest"], &defaults[..]].concat());
    assert_eq!((&*stdout, digest(&stderr)), (SEED_1, SEED_1_DIGEST));
}

#[test]
fn the_story_is_the_readmes() {
    let readme = String::from_utf8(files::read("README.md")).unwrap();
    let shown = readme.split_once(&format!("run \"{PROMPT}\"\n")).unwrap().1.split_once("\n…").unwrap().0;
    // The model ends a line with a space, which an editor of the README takes away.
    let told: Vec<&str> = SEED_1.lines().take(2).map(str::trim_end).collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), told);
}

#[test]
fn backends_and_threads_change_nothing() {
    for host in Host::available() {
        for threads in ["1", "2", "5"] {
            let args = [PROMPT, "--digest", "--backend", host.name(), "--threads", threads];
            let (stdout, stderr) = success(&args);
            assert_eq!((&*stdout, digest(&stderr)), (SEED_1, SEED_1_DIGEST), "{args:?}");
            let engine = format!(" | backend {} (asked for), {threads} thread", host.name());
            assert!(stderr.contains(&engine), "{stderr}");
        }
    }
    let engine = format!(" | backend {}, {} thread", Host::select(None).unwrap(), physical_cores());
    let (_, stderr) = success(&[PROMPT, "-n", "1"]);
    assert!(stderr.contains(&engine), "{stderr}");
}

#[test]
fn the_greedy_story_is_bitnet_cpps_first() {
    let (stdout, stderr) = success(&["--prompt", PROMPT, "--temperature", "0", "--digest"]);
    assert_eq!((&*stdout, digest(&stderr)), (GREEDY, GREEDY_DIGEST));
    // It begins with what bitnet.cpp generates, up to a choice that rounding can turn.
    let golden: Golden = files::read_json("tests/data/golden/tinystories-micro-i2_s.json");
    let case = golden.cases.iter().find(|case| case.prompt == PROMPT).unwrap();
    let image = bitnet_edge_std::Bytes::copy_of(&story_image());
    let tokenizer = bitnet_edge_core::Model::new_checked(image.as_slice()).unwrap().tokenizer().unwrap();
    let text = case.steps.iter().take(16).flat_map(|step| tokenizer.token_bytes(step.id)).copied().collect();
    let text = format!("{PROMPT}{}", String::from_utf8(text).unwrap());
    assert!(stdout.starts_with(&text), "{text}");
}

#[test]
fn an_image_and_its_source_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("story.bpk");
    fs::write(&image, story_image()).unwrap();
    let image = image.to_str().unwrap();
    let (stdout, stderr) = success(&[PROMPT, "--digest", "--verify", "--model", image]);
    assert_eq!((&*stdout, digest(&stderr)), (SEED_1, SEED_1_DIGEST));
    if cfg!(target_os = "linux") {
        let (stdout, stderr) = success(&[PROMPT, "--digest", "--huge-pages", "--model", image]);
        assert_eq!((&*stdout, digest(&stderr)), (SEED_1, SEED_1_DIGEST));
    }
    assert_eq!(stderr.lines().count(), 2, "{stderr}");

    let gguf = story();
    let (stdout, stderr) = success(&[PROMPT, "--digest", "--lowercase", "--model", gguf.to_str().unwrap()]);
    assert_eq!((&*stdout, digest(&stderr)), (SEED_1, SEED_1_DIGEST));
    let told: Vec<&str> = stderr.lines().collect();
    assert!(told[0].contains("tinystories-micro-i2_s.gguf: converted in memory"), "{stderr}");
    assert_eq!(told[1], "note: I2_S byte order 128 (assumed; --i2s-layout changes it)");
    assert_eq!(told.len(), 4, "{stderr}");
}

#[test]
fn seeds_and_lengths_are_kept() {
    let (one, _) = success(&[PROMPT, "--seed", "2", "-n", "20"]);
    let (two, _) = success(&[PROMPT, "--seed", "2", "-n", "20"]);
    assert_eq!(one, two);
    assert!(!SEED_1.starts_with(one.trim_end()), "{one}");
    let (shorter, stderr) = success(&[PROMPT, "-n", "20", "--backend", "scalar", "--threads", "1"]);
    assert!(SEED_1.starts_with(shorter.strip_suffix('\n').unwrap()), "{shorter}");
    assert_eq!(statistics(&stderr), statistics_of(5, 20, planned(&PlanArgs::default()), 1));
    let (quiet, _) = success(&[PROMPT, "-n", "20", "--no-echo"]);
    assert_eq!(format!("{PROMPT}{quiet}"), shorter);
    let (none, stderr) = success(&[PROMPT, "-n", "0"]);
    assert_eq!(none, format!("{PROMPT}\n"));
    // The prompt went through the model all the same.
    assert!(stderr.starts_with("5 prompt tokens, 0 generated | prefill "), "{stderr}");
    assert!(!stderr.contains("prefill - ") && stderr.contains("decode - tokens/s"), "{stderr}");
    // A stop token ends the text before it: here the comma behind the prompt.
    let (stopped, _) = success(&[PROMPT, "-t", "0", "--stop-token", &id_of(",").to_string()]);
    assert_eq!(stopped, format!("{PROMPT}\n"));
}

fn id_of(text: &str) -> u32 {
    let image = bitnet_edge_std::Bytes::copy_of(&story_image());
    let tokenizer = bitnet_edge_core::Model::new_checked(image.as_slice()).unwrap().tokenizer().unwrap();
    tokenizer.find(text.as_bytes()).unwrap()
}

#[test]
fn every_cache_tells_a_story() {
    let mut digests = vec![];
    for kv in ["f16", "f32", "int8"] {
        let (stdout, stderr) = success(&[PROMPT, "-t", "0", "-n", "40", "--digest", "--kv", kv]);
        // Greedy choices of a good margin do not hang on the cache's rounding.
        assert!(
            stdout.starts_with("once upon a time, there was a little girl named lily."),
            "{kv}: {stdout}"
        );
        digests.push(digest(&stderr).to_owned());
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 3, "each rounds in its own way");
}

#[test]
fn batches_and_context_change_nothing() {
    let prompt = "the little dog ran to the park with lily and tom , and they saw a big red ball";
    let (_, stderr) = success(&[prompt, "-n", "10", "--digest"]);
    let expected = digest(&stderr).to_owned();
    for args in [["--batch", "1"], ["--batch", "3"], ["--batch", "64"], ["--context", "100"]] {
        let (_, stderr) = success(&[&[prompt, "-n", "10", "--digest"], &args[..]].concat());
        assert_eq!(digest(&stderr), expected, "{args:?}");
    }
}

#[test]
fn text_ends_where_the_context_does() {
    let (stdout, stderr) = success(&[PROMPT, "--context", "12"]);
    // 7 tokens fit behind the 5 of the prompt, and the last one needs no place.
    assert!(SEED_1.starts_with(stdout.strip_suffix('\n').unwrap()), "{stdout}");
    assert!(
        stderr.starts_with("note: the text ends because the context of 12 positions is full"),
        "{stderr}"
    );
    assert!(stderr.contains("\n5 prompt tokens, 8 generated | "), "{stderr}");
    // The shortest context holds the token that begins a text, and nothing else.
    let (stdout, stderr) = success(&["", "--context", "1"]);
    assert!(stdout.len() > 1, "{stdout}");
    assert!(stderr.contains("\n1 prompt tokens, 1 generated | "), "{stderr}");
}

#[test]
fn prompts_are_lowered_and_bytes_without_a_token_dropped_on_request() {
    let (lower, _) = success(&["the dog", "-n", "8", "--no-echo"]);
    let (upper, _) = success(&["The DOG", "-n", "8", "--no-echo"]);
    assert_eq!(lower, upper);
    let (lossy, _) = success(&["the dog\u{1f415}", "-n", "8", "--no-echo", "--lossy"]);
    assert_eq!(lossy, lower);
}
