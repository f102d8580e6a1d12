//! Whole models on every tier of this machine, on one, two and three threads: the logits of every token have the bits that
//! the definition gives, one token at a time on one thread. What differs between tiers is speed.

use bitnet_edge_core::model::{InPlace, OneThread, Split};
use bitnet_edge_core::{Cpu, KvType, Model, Session};
use bitnet_edge_kernels::{Kernels, Scalar};
use bitnet_edge_std::{Arena, Bytes, Host, Pool, Tiers};
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::models::{self, STORIES260K, STORY, TINY_2B4T, TINY_SILU};

/// A prompt that fills two chunks of attention and goes beyond: several tokens then see the same whole chunk.
const LONG: usize = 150;

/// The bits of the logits behind every token of `ids`, of which `batch` go through the model at once.
fn logits<K: Kernels, S: Split>(
    model: &Model<'_>,
    ids: &[u32],
    kv: KvType,
    batch: usize,
    kernels: K,
    split: S,
) -> Vec<Vec<u32>> {
    let plan = models::plan(model, ids.len() as u32, kv, batch as u32);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::new(model, &plan, arena.lines(), kernels, split, InPlace).unwrap();
    let mut session = Session::new(model, &plan, cpu).unwrap();
    let mut all = Vec::new();
    for pass in ids.chunks(batch) {
        session.prefill(pass, true).unwrap();
        for row in 0..pass.len() {
            let logits = session.logits_of(row as u32).unwrap();
            all.push(logits.iter().map(|l| l.to_bits()).collect());
        }
    }
    all
}

fn check(image: &Bytes, name: &str, tokens: usize) {
    let model = Model::new_checked(image.as_slice()).unwrap();
    let mut draw = Draw::new(3);
    let ids: Vec<u32> = (0..tokens).map(|_| draw.below(model.config().vocab as usize) as u32).collect();
    for kv in [KvType::F32, KvType::F16, KvType::I8] {
        let expected = logits(&model, &ids, kv, 1, Scalar, OneThread);
        for tier in Host::names() {
            let kernels = match Host::by_name(tier) {
                Ok(kernels) => kernels,
                Err(why) => {
                    println!("not run: {tier} ({why})");
                    continue;
                }
            };
            // As pools are; and every operation in as small parts as it can be cut into, whatever it costs.
            let pool = |threads| Pool::new(threads).unwrap();
            let eager = |threads| pool(threads).with_limits(0, 1);
            let runs = [
                (pool(2), 16),
                (eager(1), 1),
                (eager(2), 7),
                (eager(3), 1),
                (eager(3), 40),
                (eager(3), tokens),
            ];
            for (pool, batch) in &runs {
                let found = logits(&model, &ids, kv, *batch, kernels, pool);
                let token = found.iter().zip(&expected).position(|(found, expected)| found != expected);
                assert_eq!(
                    (token, found.len()),
                    (None, expected.len()),
                    "{name}, KV cache {}, {tier}, {pool:?}, batches of {batch}: first token that differs",
                    kv.name()
                );
            }
        }
    }
}

#[test]
fn stories260k() {
    check(&STORIES260K.image(), "stories260K", LONG);
}

#[test]
fn tinystories_micro() {
    check(&STORY.image(), "tinystories-micro", LONG);
}

#[test]
fn tiny_2b4t() {
    check(&TINY_2B4T.image(), "tiny-2b4t", 21);
}

#[test]
fn tiny_2b4t_silu() {
    check(&TINY_SILU.image(), "tiny-2b4t-silu", 21);
}

#[cfg(feature = "fetched")]
#[test]
fn smollm2() {
    use bitnet_edge_tests::files;
    use bitnet_pack::convert::{Options, convert};
    let file = files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let image = convert(&files::read(file), &Options::default()).unwrap().image;
    check(&image, "SmolLM2", 9);
}
