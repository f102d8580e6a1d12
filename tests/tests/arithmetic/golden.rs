//! Our logits against those of other engines, on the golden tokens.

use bitnet_edge_core::model::{InPlace, OneThread};
use bitnet_edge_core::{Cpu, MemoryPlan, Model, PlanOptions, Session};
use bitnet_edge_std::{Arena, Host, Tiers};
use bitnet_edge_tests::files;
use bitnet_edge_tests::golden::{Distances, Golden};
use bitnet_pack::convert::{Options, convert};

/// Compares and prints; `median` and `max` are the bounds in percent.
fn check(model: &str, golden: &str, median: f64, max: f64) {
    let image = convert(&files::read(model), &Options::default()).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let mut arena = Arena::new(plan.bytes());
    // All backends have the bits of the definition: the fastest will do.
    let cpu = Cpu::new(&model, &plan, arena.lines(), Host::best(), OneThread, InPlace).unwrap();
    let mut session = Session::new(&model, &plan, cpu).unwrap();
    let golden: Golden = files::read_json(format!("tests/data/golden/{golden}"));
    let d = Distances::of(&golden, &mut session, max / 100.0);
    println!(
        "{}: {} steps, median {:.4} %, max {:.4} % (allowed {median} / {max})",
        golden.engine,
        d.all.len(),
        d.median() * 100.0,
        d.max() * 100.0
    );
    assert!(d.wrong.is_empty(), "{:#?}", d.wrong);
    assert!(d.median() * 100.0 <= median, "median {}", d.median());
    assert!(d.max() * 100.0 <= max, "max {}", d.max());
}

#[test]
fn stories260k_is_llama_cpps() {
    check("tests/data/models/stories260K-f32.gguf", "stories260K-f32.json", 0.1, 1.0);
}

#[test]
fn tinystories_micro_is_bitnet_cpps() {
    let model = "models/tinystories-micro/tinystories-micro-i2_s.gguf";
    check(model, "tinystories-micro-i2_s.json", 2.0, 12.0);
}

#[test]
fn tiny_2b4t_is_bitnet_cpps() {
    check("tests/data/models/tiny-2b4t-i2_s.gguf", "tiny-2b4t-i2_s.json", 7.0, 15.0);
}

#[test]
fn tiny_2b4t_with_silu_is_llama_cpps() {
    check("tests/data/models/tiny-2b4t-tq2_0-silu.gguf", "tiny-2b4t-tq2_0-silu.json", 8.0, 20.0);
}

#[cfg(feature = "fetched")]
#[test]
fn smollm2_is_llama_cpps() {
    let model = files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    check(model.to_str().unwrap(), "smollm2-135m-q4_1.json", 10.0, 30.0);
}
