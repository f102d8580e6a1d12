//! What a receipt costs: to make it and to write it, and to read its program's digest, which happens beside the run.
#![allow(dead_code)] // of the program's modules, a part

use std::path::Path;

use bitnet_edge_core::model::{InPlace, OneThread, Split};
use bitnet_edge_core::{
    Backend, Cpu, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, include_image,
};
use bitnet_edge_kernels::{Counted, Counts, Kernels, Scalar};
use bitnet_edge_std::{Arena, Host, Pool, Tiers};
use bitnet_pack::convert::{Options, convert};
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

/// Fifty tokens, with kernels as they are and counted.
fn counting<K: Kernels + Copy, S: Split + Copy>(
    c: &mut Criterion,
    name: &str,
    image: &[u8],
    kernels: K,
    split: S,
) {
    let model = Model::new_checked(image).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let counts = Counts::new();
    let mut group = c.benchmark_group(name);
    group.bench_function("as they are", |b| {
        b.iter(|| {
            told(Cpu::new(&model, &plan, arena.lines(), kernels, split, InPlace).unwrap(), &model, &plan);
        });
    });
    group.bench_function("counted", |b| {
        b.iter(|| {
            let counted = Counted::new(kernels, &counts);
            told(Cpu::new(&model, &plan, arena.lines(), counted, split, InPlace).unwrap(), &model, &plan);
        });
    });
    group.finish();
}

fn told<'m>(cpu: impl Backend, model: &'m Model<'m>, plan: &'m MemoryPlan) {
    let config = GenerationConfig { max_tokens: 50, ignore_eos: true, ..GenerationConfig::default() };
    let mut generator = Generator::new(model, plan, cpu, config).unwrap();
    generator.prompt("once upon a time").unwrap();
    while !matches!(generator.step(u32::MAX).unwrap(), Event::Done(_)) {}
}

/// The cost of counting where it is largest: a model of 31 KB, whose kernels have next to nothing to do; and where it is shared by
/// threads: the story model, whose operations are spread over two.
fn costs(c: &mut Criterion) {
    counting(c, "50 tokens of a tiny model, scalar", MODEL, Scalar, OneThread);
    let story = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/tinystories-micro/tinystories-micro-i2_s.gguf");
    let options = Options { lowercase: true, ..Options::default() };
    let story = convert(&std::fs::read(story).unwrap(), &options).unwrap().image;
    let host = Host::select(None).unwrap().backend;
    for threads in [1, 2] {
        let pool = Pool::new(threads).unwrap();
        let name = format!("50 tokens of the story, {}, {threads} threads", host.name());
        counting(c, &name, story.as_slice(), host, &pool);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(1000);
    targets = receipts
}
criterion_group!(cost, costs);
criterion_main!(benches, cost);
