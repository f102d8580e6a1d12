//! What a receipt costs: to make it and to write it, and to read its program's digest, which happens beside the run.
#![allow(dead_code)] // of the program's modules, a part

use std::path::Path;

use bitnet_edge_core::model::{InPlace, OneThread};
use bitnet_edge_core::{
    Cpu, Event, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
};
use bitnet_edge_kernels::{Counted, Counts, Scalar};
use bitnet_pack::output::Destination;
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../src/receipt/file.rs"]
mod file;
#[path = "../src/receipt/form.rs"]
mod form;
#[path = "../src/receipt/keys.rs"]
mod keys;

static MODEL: &[u8] = include_image!("../../../core/testdata/tiny.bpk");

/// The file of a run that a user made.
fn sample(ids: usize) -> file::File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/receipt.json");
    let mut receipt = file::File::read(&std::fs::read(path).unwrap()).unwrap().receipt;
    receipt.prompt.ids = (0..ids as u32).map(|id| id % receipt.model.vocab).collect();
    file::File::new(receipt, None)
}

fn receipts(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let to = Destination::new(&folder.path().join("receipt.json"), Path::new("")).unwrap();
    let key = keys::SigningKey::generate().unwrap();
    for ids in [5, 4096] {
        let receipt = sample(ids).receipt;
        c.bench_function(
            &format!("receipt, {ids} prompt tokens: hash, JSON, read back, write, rename"),
            |b| {
                b.iter(|| file::File::new(receipt.clone(), None).write(&to).unwrap());
            },
        );
        c.bench_function(&format!("receipt, {ids} prompt tokens: the same, signed"), |b| {
            b.iter(|| file::File::new(receipt.clone(), Some(&key)).write(&to).unwrap());
        });
    }
}

/// The cost of counting where it is largest: a model of 31 KB, whose kernels have next to nothing to do.
fn counting(c: &mut Criterion) {
    let model = Model::new_checked(MODEL).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let config = || GenerationConfig { max_tokens: 50, ignore_eos: true, ..GenerationConfig::default() };
    let counts = Counts::new();
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    c.bench_function("50 tokens of a tiny model, kernels as they are", |b| {
        b.iter(|| {
            let cpu = Cpu::new(&model, &plan, &mut arena, Scalar, OneThread, InPlace).unwrap();
            let mut generator = Generator::new(&model, &plan, cpu, config()).unwrap();
            generator.prompt("once upon a time").unwrap();
            while !matches!(generator.step(u32::MAX).unwrap(), Event::Done(_)) {}
        });
    });
    c.bench_function("50 tokens of a tiny model, kernels counted", |b| {
        b.iter(|| {
            let kernels = Counted::new(Scalar, &counts);
            let cpu = Cpu::new(&model, &plan, &mut arena, kernels, OneThread, InPlace).unwrap();
            let mut generator = Generator::new(&model, &plan, cpu, config()).unwrap();
            generator.prompt("once upon a time").unwrap();
            while !matches!(generator.step(u32::MAX).unwrap(), Event::Done(_)) {}
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(1000);
    targets = receipts
}
criterion_group!(cost, counting);
criterion_main!(benches, cost);
