// What the examples of `receipt` begin with: a run of the tiny model, and its receipt.

use bitnet_edge_core::model::{InPlace, OneThread};
use bitnet_edge_core::receipt as r;
use bitnet_edge_core::{Cpu, Error, Event, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions};
use bitnet_edge_kernels::{Counted, Counts, Kernels as _, Scalar};

pub fn image() -> Model<'static> {
    static IMAGE: &[u8] = bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    Model::new_checked(IMAGE).expect("the model is whole")
}

pub fn plan(model: &Model<'_>) -> Result<MemoryPlan, Error> {
    MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))
}

/// Of a run that generates so many tokens behind a prompt of four.
pub fn receipt(model: &Model<'_>, tokens: u32) -> Result<r::Receipt<r::Borrowed<'static>>, Error> {
    let (plan, counts) = (plan(model)?, Counts::new());
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::new(model, &plan, &mut arena, Counted::new(Scalar, &counts), OneThread, InPlace)?;
    let config = GenerationConfig { max_tokens: tokens, digest: true, ..GenerationConfig::default() };
    let mut generator = Generator::new(model, &plan, cpu, config.clone())?;
    let given = generator.prompt("once upon a time")?;
    let ids = generator.given(given).expect("the prompt is there").to_vec();
    let mut transcript = r::Transcript::new(&ids);
    let stop = loop {
        match generator.step(u32::MAX)? {
            Event::Working | Event::Text(_) => {}
            Event::Token { id, .. } => transcript.token(id),
            Event::Done(reason) => break reason,
        }
    };
    Ok(r::Receipt {
        schema: r::SCHEMA_VERSION,
        arithmetic: bitnet_edge_kernels::ARITHMETIC_VERSION,
        versions: r::Versions { program: "example", runtime: r::Versions::RUNTIME },
        program: None,
        machine: "example",
        model: r::ModelFacts::of(model, &*r::weights(model).to_vec().leak()),
        plan: r::PlanFacts::of(&plan, Line::count(plan.bytes()) * size_of::<Line>()),
        config,
        prompt: transcript.prompt(&*ids.leak()),
        output: transcript.output(generator.sampled(), Some(stop)),
        logits: r::Digest(generator.digest().expect("it was asked for")),
        backend: r::BackendFacts {
            asked: Some("scalar"),
            chosen: Scalar.name(),
            why: "asked for",
            threads: 1,
            budget: u32::MAX,
            self_test: None,
        },
        kernels: r::runs(&counts, Scalar.name(), Scalar.own()).to_vec().leak(),
        fallbacks: r::fallbacks(&counts, Scalar.own()).to_vec().leak(),
        phases: r::Phases { load_us: 1, prefill: r::Phase::new(2, given), decode: r::Phase::new(3, tokens - 1) },
    })
}
