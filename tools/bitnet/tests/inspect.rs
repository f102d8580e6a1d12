//! `bitnet inspect`: statistics, gates, rules.

mod common;

use std::fs;
use std::process::Output;

use bitnet_edge_core::image::SectionKind;
use bitnet_edge_tests::files;
use bitnet_edge_tests::gguf_builder::Builder;
use bitnet_edge_tests::image_edit::Parts;
use bitnet_pack::gguf::Gguf;
use common::{bitnet, stderr, stdout, story, story_image};
use serde_json::Value;

/// Exit code of a violation.
const VIOLATION: i32 = 8;

fn inspect(args: &[&str]) -> Output {
    bitnet().arg("inspect").args(args).output().unwrap()
}

/// What is printed where all is well.
fn success(args: &[&str]) -> String {
    let output = inspect(args);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output).to_owned()
}

/// The one line that a failure with `code` is.
fn failure(code: i32, args: &[&str]) -> String {
    let output = inspect(args);
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    stderr(&output).trim_end().to_owned()
}

fn path_of(model: &str) -> String {
    files::root().join(model).to_str().unwrap().to_owned()
}

/// What `--gate auto` says about a model file.
fn gate(bytes: &[u8]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    fs::write(&path, bytes).unwrap();
    let output = inspect(&[path.to_str().unwrap(), "--stats", "--gate", "auto", "--json"]);
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output))),
    )
}

/// The violations of a model: tensor, what is wrong, what was found, what is allowed.
fn violations(bytes: &[u8]) -> Vec<[String; 4]> {
    let (code, report) = gate(bytes);
    let list = report["gate"]["violations"].as_array().unwrap();
    assert_eq!(code, Some(if list.is_empty() { 0 } else { VIOLATION }));
    let field = |violation: &Value, name: &str| violation[name].as_str().unwrap().to_owned();
    list.iter().map(|v| ["tensor", "what", "found", "allowed"].map(|name| field(v, name))).collect()
}

/// A model with the bytes of a tensor changed.
fn doctored(model: &str, tensor: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change_tensor(files::read(model), tensor, change)
}

fn change_tensor(mut file: Vec<u8>, tensor: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let gguf = Gguf::parse(&file).unwrap();
    let data = gguf.tensor(tensor).unwrap().data().unwrap();
    let (at, len) = (data.as_ptr().addr() - file.as_ptr().addr(), data.len());
    change(&mut file[at..at + len]);
    file
}

/// Multiplies f32 weights.
fn times(factor: f32) -> impl FnOnce(&mut [u8]) {
    move |bytes| {
        for value in bytes.as_chunks_mut::<4>().0 {
            *value = (f32::from_le_bytes(*value) * factor).to_le_bytes();
        }
    }
}

/// Replaces the scale of an `I2_S` tensor.
fn scale(scale: f32) -> impl FnOnce(&mut [u8]) {
    move |bytes| {
        let at = bytes.len() - 32;
        bytes[at..at + 4].copy_from_slice(&scale.to_le_bytes());
    }
}

/// Makes all `I2_S` weights the one of this code.
fn codes(byte: u8) -> impl FnOnce(&mut [u8]) {
    move |bytes| {
        let end = bytes.len() - 32;
        bytes[..end].fill(byte);
    }
}

const STORY: &str = "models/tinystories-micro/tinystories-micro-i2_s.gguf";
const LLAMA: &str = "tests/data/models/stories260K-f32.gguf";

fn one(bytes: &[u8]) -> [String; 4] {
    let found = violations(bytes);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn the_models_that_there_are_pass() {
    let of_set = |model: &[u8]| {
        let (code, report) = gate(model);
        assert_eq!(code, Some(0), "{}", report["gate"]);
        assert_eq!(report["gate"]["unchecked"], 0);
        report["gate"]["set"].as_str().unwrap().to_owned()
    };
    for (model, set) in [
        (STORY, "bitnet-ternary"),
        (LLAMA, "float"),
        ("tests/data/models/tiny-2b4t-i2_s.gguf", "bitnet-ternary"),
        ("tests/data/models/tiny-2b4t-tq2_0-silu.gguf", "bitnet-ternary"),
        ("tests/data/models/tinystories-micro-tq1_0.gguf", "bitnet-ternary"),
        ("tests/data/models/tinystories-micro-tq2_0.gguf", "bitnet-ternary"),
    ] {
        assert_eq!(of_set(&files::read(model)), set, "{model}");
    }
    assert_eq!(of_set(&story_image()), "bitnet-ternary");
}

#[test]
fn an_image_has_the_statistics_of_its_source() {
    let stats = |bytes: &[u8]| gate(bytes).1["tensors"].as_array().unwrap().clone();
    let (source, image) = (stats(&files::read(STORY)), stats(&story_image()));
    assert_eq!(source.len(), image.len());
    for (source, image) in source.iter().zip(&image) {
        for field in ["role", "kind", "class", "rows", "columns", "zeros", "scale"] {
            assert_eq!(source[field], image[field], "{field} of {source}");
        }
        let [a, b] = [source, image].map(|tensor| tensor["rms"].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 1e-9, "{source} {image}");
    }
    let roles: Vec<_> = source.iter().map(|tensor| tensor["role"].as_str().unwrap()).collect();
    assert_eq!(roles[..3], ["embedding", "0.attn_norm", "0.q"]);
    assert_eq!(roles.last(), Some(&"final_norm"));
}

#[test]
fn ternary_tensors_that_cannot_be_right_are_named() {
    fn wrong(change: impl FnOnce(&mut [u8])) -> (String, String, String) {
        let name = "blk.1.ffn_up.weight";
        let [tensor, what, found, allowed] = one(&doctored(STORY, name, change));
        assert_eq!(tensor, name);
        (what, found, allowed)
    }
    let is = |what: &str, found: &str, allowed: &str| (what.to_owned(), found.to_owned(), allowed.to_owned());
    let scales = "1.000e-5 to 100";
    assert_eq!(wrong(scale(f32::NAN)), is("scale", "NaN", scales));
    assert_eq!(wrong(scale(f32::INFINITY)), is("scale", "inf", scales));
    assert_eq!(wrong(scale(0.0)), is("scale", "0", scales));
    assert_eq!(wrong(scale(-0.1)), is("scale", "-0.1", scales));
    assert_eq!(wrong(scale(1e30)), is("scale", "1.000e30", scales));
    // All zeros, none, and a code that no weight has.
    assert_eq!(wrong(codes(0x55)), is("zeros", "1", "0.15 to 0.65"));
    assert_eq!(wrong(codes(0xaa)), is("zeros", "0", "0.15 to 0.65"));
    let (what, found, _) = wrong(codes(0xff));
    assert_eq!((what.as_str(), found.starts_with("it contains the code 3")), ("data", true));
}

#[test]
fn norms_that_cannot_be_right_are_named() {
    for (name, factor, found, allowed) in [
        ("blk.0.attn_norm.weight", 0.001, "7.181e-4", "0.01 to 10"),
        ("blk.0.attn_norm.weight", 50.0, "35.90", "0.01 to 10"),
        ("blk.2.ffn_sub_norm.weight", 0.01, "0.01346", "0.05 to 10"),
        ("output_norm.weight", 0.1, "0.13073", "0.25 to 20"),
        ("output_norm.weight", f32::NAN, "NaN", "0.25 to 20"),
    ] {
        let [tensor, what, is, range] = one(&doctored(STORY, name, times(factor)));
        assert_eq!([tensor.as_str(), what.as_str(), range.as_str()], [name, "rms", allowed]);
        assert!(is.starts_with(found.trim_end_matches('0')), "{name} x {factor}: {is}");
    }
    let [tensor, what, ..] = one(&doctored(LLAMA, "blk.3.ffn_norm.weight", times(0.0)));
    assert_eq!([tensor.as_str(), what.as_str()], ["blk.3.ffn_norm.weight", "rms"]);
}

#[test]
fn float_matrices_that_cannot_be_right_are_named() {
    for name in ["blk.4.attn_q.weight", "token_embd.weight"] {
        for factor in [0.0, 1e-4, 1e4, f32::INFINITY] {
            let [tensor, what, ..] = one(&doctored(LLAMA, name, times(factor)));
            assert_eq!([tensor.as_str(), what.as_str()], [name, "rms"], "{factor}");
        }
    }
}

/// The numbers of types.
const F32: u32 = 0;
const Q8_0: u32 = 8;
const I2_S: u32 = 36;

/// A small model whose projections have type `ty`; the weights of the tensor `broken` are all 0.
fn small(architecture: &str, ty: u32, broken: &str) -> Vec<u8> {
    let weights = |ty: u32, count: usize| match ty {
        // A scale of 1/16 as f16, and codes of 16.
        Q8_0 => [&[0x00, 0x2c][..], &[16; 32]].concat().repeat(count / 32),
        I2_S => [&[0b10_01_00_01; 1].repeat(count / 4)[..], &0.5_f32.to_le_bytes(), &[0; 28]].concat(),
        _ => 0.5_f32.to_le_bytes().repeat(count),
    };
    let mut file = Builder::default()
        .str("general.architecture", architecture)
        .u32(&format!("{architecture}.block_count"), 1);
    for (name, ty, rows) in [
        ("token_embd.weight", F32, 8),
        ("blk.0.attn_norm.weight", F32, 1),
        ("blk.0.attn_q.weight", ty, 32),
        ("blk.0.ffn_norm.weight", F32, 1),
        ("blk.0.ffn_down.weight", ty, 32),
        ("output_norm.weight", F32, 1),
        ("output.weight", F32, 8),
    ] {
        let mut bytes = weights(ty, 32 * rows);
        if name == broken {
            bytes.fill(0);
        }
        let dims = [32, rows as u64];
        file = file.tensor(name, if rows == 1 { &dims[..1] } else { &dims }, ty, &bytes);
    }
    file.build()
}

#[test]
fn every_set_of_rules_finds_what_is_broken() {
    for (architecture, ty, set) in [
        ("bitnet-25", I2_S, "bitnet-ternary"),
        ("bitnet", F32, "bitnet-float"),
        ("llama", I2_S, "ternary"),
        ("llama", Q8_0, "block"),
        ("llama", F32, "float"),
        // Not an architecture that the runtime knows.
        ("qwen9", F32, "float"),
    ] {
        let (code, report) = gate(&small(architecture, ty, ""));
        assert_eq!(
            (code, report["gate"]["set"].as_str(), &report["gate"]["unchecked"]),
            (Some(0), Some(set), &0.into())
        );
        for broken in [
            "token_embd.weight",
            "blk.0.attn_norm.weight",
            "blk.0.attn_q.weight",
            "blk.0.ffn_norm.weight",
            "blk.0.ffn_down.weight",
            "output_norm.weight",
            "output.weight",
        ] {
            let found = violations(&small(architecture, ty, broken));
            assert!(
                !found.is_empty() && found.iter().all(|violation| violation[0] == broken),
                "{set}: {broken}: {found:?}"
            );
        }
    }
    // A file without projections, and one whose projections have a type that cannot be read.
    let of = |weight: f32, ty: u32| {
        let norm = weight.to_le_bytes().repeat(32);
        let file = Builder::default().str("general.architecture", "llama").tensor(
            "output_norm.weight",
            &[32],
            F32,
            &norm,
        );
        file.tensor("blk.0.attn_q.weight", &[32], ty, &norm).build()
    };
    assert_eq!(gate(&of(1.0, F32)).1["gate"]["set"], "any");
    assert_eq!(one(&of(1.0, 999))[..2], ["blk.0.attn_q.weight", "data"]);
    assert_eq!(one(&of(1e-6, F32))[..2], ["output_norm.weight", "rms"]);
    assert_eq!(violations(&of(f32::NAN, F32)).len(), 2);
}

#[test]
fn an_image_is_checked_as_a_gguf_file_is() {
    let image = bitnet_edge_std::Bytes::copy_of(&story_image());
    let mut parts = Parts::of(image.as_slice());
    // The scale of layer 0's Q: entry 8 + 1 of the table.
    let at = 9 * 48 + 12;
    parts.section(SectionKind::TensorTable).bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let [tensor, what, found, _] = one(parts.build().as_slice());
    assert_eq!([tensor.as_str(), what.as_str(), found.as_str()], ["0.q", "scale", "NaN"]);
}

#[test]
fn a_quantized_norm_is_an_error_of_its_writer() {
    // A scale of 1/16 as f16, and codes of 16.
    let norm = [&[0x00, 0x2c][..], &[16; 32]].concat();
    let ternary = [[0b10_01_00_01; 32 * 32 / 4].as_slice(), &0.5_f32.to_le_bytes(), &[0; 28]].concat();
    let file = Builder::default()
        .str("general.architecture", "bitnet-b1.58")
        .u32("bitnet-b1.58.block_count", 1)
        .tensor("blk.0.attn_norm.weight", &[32], Q8_0, &norm)
        .tensor("blk.0.attn_q.weight", &[32, 32], I2_S, &ternary)
        .build();
    let [tensor, what, found, allowed] = one(&file);
    assert_eq!(
        [tensor.as_str(), what.as_str(), found.as_str(), allowed.as_str()],
        ["blk.0.attn_norm.weight", "stored", "Q8_0", "float"]
    );
}

#[test]
fn every_violation_is_named_in_the_table_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let file = doctored(STORY, "blk.0.attn_norm.weight", times(0.0));
    fs::write(&path, change_tensor(file, "blk.1.attn_q.weight", codes(0x55))).unwrap();
    let path = path.to_str().unwrap();
    let output = inspect(&[path, "--stats", "--gate", "auto"]);
    assert_eq!(output.status.code(), Some(VIOLATION));
    let end = concat!(
        "\nrules bitnet-ternary: 35 tensors checked, 2 violations\n",
        "  blk.0.attn_norm.weight: rms is 0; allowed: 0.01 to 10 (rule norm *.attn_norm)\n",
        "  blk.1.attn_q.weight: zeros is 1; allowed: 0.15 to 0.65 (rule projection *)\n",
    );
    assert!(stdout(&output).ends_with(end), "{}", stdout(&output));
    assert_eq!(stderr(&output).trim_end(), format!("error: {path}: 2 violations of the rules, listed above"));
    // Without a gate the same model is only described.
    assert!(!success(&[path, "--stats"]).contains("violation"));
    assert!(!success(&[path, "--stats", "--gate", "none"]).contains("violation"));
}

#[test]
fn rules_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    let model = story().to_str().unwrap().to_owned();
    let with = |text: &str| {
        fs::write(&rules, text).unwrap();
        inspect(&[&model, "--stats", "--gate", "policy", "--policy", rules.to_str().unwrap()])
    };
    // The first set that the model fits counts, and in it the first rule that a tensor fits.
    let text = "[[set]]\nname = \"others\"\narchitectures = [\"llama*\"]\n[[set.rule]]\nrms = [9, 10]\n\
        [[set]]\nname = \"mine\"\ntypes = [\"i2_s\"]\n[[set.rule]]\ntensors = [\"blk.0.*\", \"1.q\"]\n\
        [[set.rule]]\nkind = \"projection\"\nzeros = [0.33, 0.34]\n[[set]]\nname = \"last\"\n[[set.rule]]\nrms = [9, 10]\n";
    let output = with(text);
    assert_eq!(output.status.code(), Some(VIOLATION));
    let printed = stdout(&output);
    assert!(printed.contains("rules mine: 25 tensors checked, no rule for 10, "), "{printed}");
    assert!(printed.contains("blk.1.attn_k.weight: zeros is 0.35"), "{printed}");
    assert!(
        !printed.contains("blk.0.attn_q.weight: ") && !printed.contains("blk.1.attn_q.weight: "),
        "{printed}"
    );
    // Rules that fit no model, and rules that are none.
    let output =
        with("[[set]]\nname = \"others\"\narchitectures = [\"llama\"]\n[[set.rule]]\nrms = [0, 1]\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output).trim_end(),
        "error: no set of rules is for architecture \"bitnet-b1.58\" with weights of type I2_S; the sets are others"
    );
    let output = with("[[sets]]\n");
    assert!(
        stderr(&output).contains("rules.toml: the rules cannot be read: line 1: "),
        "{}",
        stderr(&output)
    );
    // The program's own, printed and read back, say the same.
    let output = with(&success(&["--print-rules"]));
    assert_eq!(stdout(&output), success(&[&model, "--stats", "--gate", "auto"]));
}

#[test]
fn a_gate_that_checks_nothing_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, "[[set]]\nname = \"mine\"\n[[set.rule]]\ntensors = [\"layer.*\"]\nrms = [0, 1]\n")
        .unwrap();
    let model = path_of(STORY);
    let policy = [&model, "--stats", "--gate", "policy", "--policy", rules.to_str().unwrap()];
    assert_eq!(
        failure(VIOLATION, &policy),
        format!("error: {model}: nothing was checked: the rules mine have none for any of the 35 tensors")
    );
    let empty = folder.path().join("empty.gguf");
    fs::write(&empty, Builder::default().str("general.architecture", "llama").build()).unwrap();
    let empty = empty.to_str().unwrap();
    assert_eq!(
        failure(VIOLATION, &[empty, "--stats", "--gate", "auto"]),
        format!("error: {empty}: nothing was checked: the model has no tensors")
    );
}

#[test]
fn without_statistics_it_is_the_summary_of_bitnet_pack() {
    let text = success(&[&path_of(STORY)]);
    assert!(text.starts_with("GGUF version 3, ") && text.contains("\ntotals by type\n"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("story.bpk");
    fs::write(&path, story_image()).unwrap();
    assert!(success(&[path.to_str().unwrap()]).starts_with("flash image, "));
}

#[test]
fn what_cannot_be_is_refused() {
    let model = path_of(STORY);
    for (code, args, part) in [
        (2, &[][..], "required arguments were not provided"),
        (2, &[&model, "--gate", "auto"], "--stats"),
        (2, &[&model, "--json"], "--stats"),
        (2, &[&model, "--stats", "--gate", "strict"], "[possible values: none, auto, policy]"),
        (1, &[&model, "--stats", "--gate", "policy"], "--gate policy needs the rules: --policy FILE.toml"),
        (1, &[&model, "--stats", "--policy", "x.toml"], "--policy is for --gate policy"),
        (1, &[&model, "--stats", "--gate", "policy", "--policy", "none.toml"], "cannot read none.toml: "),
        (1, &["no-such.gguf", "--stats"], "cannot open no-such.gguf: No such file or directory"),
        (1, &["/dev/null"], "it is not a regular file"),
    ] {
        let line = failure(code, args);
        assert!(line.contains(part) && line.lines().count() == 1, "{args:?}: {line}");
    }
}
