//! Digests of logits, the same on every architecture, backend and number of threads: `tests/data/golden/digests.json` has
//! them, and whoever computes other bits fails here, without a definition at hand to compare with.

use bitnet_edge_core::generate::LogitDigest;
use bitnet_edge_core::image::{Data, Role, TensorId};
use bitnet_edge_core::model::InPlace;
use bitnet_edge_core::{Cpu, KvType, Model, Session};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::tile::{Layout, t2r4};
use bitnet_edge_std::{Arena, Bytes, Host, Pool, Tiers};
use bitnet_edge_tests::block_models::{BLOCKS, Block};
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::files;
use bitnet_edge_tests::models::{self, STORIES260K, STORY, TINY_2B4T, TINY_SILU};
use bitnet_pack::convert::{Options, convert};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    digests: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    model: String,
    kv: String,
    tokens: usize,
    digest: String,
}

/// The digests of one model, a KV cache each.
fn expected(model: &str) -> Vec<Expected> {
    let golden: Golden = files::read_json("tests/data/golden/digests.json");
    golden.digests.into_iter().filter(|digest| digest.model == model).collect()
}

fn kv(name: &str) -> KvType {
    let kinds = [KvType::F32, KvType::F16, KvType::I8];
    kinds.into_iter().find(|kv| kv.name() == name).unwrap_or_else(|| panic!("a KV cache of {name}"))
}

/// The backends of this machine, and a line for each that it cannot run.
fn backends() -> Vec<Host> {
    let named = |name| Host::by_name(name).inspect_err(|why| println!("not run: {name} ({why})")).ok();
    Host::names().filter_map(named).collect()
}

/// The digest of the logits behind each of `tokens` random tokens, `batch` of them at a time.
fn digest(image: &[u8], kv: KvType, tokens: usize, host: Host, pool: &Pool, batch: usize) -> String {
    let model = Model::new_checked(image).unwrap();
    let mut draw = Draw::new(4);
    let ids: Vec<u32> = (0..tokens).map(|_| draw.below(model.config().vocab as usize) as u32).collect();
    let plan = models::plan(&model, tokens as u32, kv, batch as u32);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::new(&model, &plan, arena.lines(), host, pool, InPlace).unwrap();
    let mut session = Session::new(&model, &plan, cpu).unwrap();
    let mut digest = LogitDigest::default();
    for pass in ids.chunks(batch) {
        session.prefill(pass, true).unwrap();
        for row in 0..pass.len() {
            digest.update(session.logits_of(row as u32).unwrap());
        }
    }
    digest.value().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every backend of this machine gives the digests of the model.
fn check(name: &str, image: &[u8]) {
    let wrong = differences(name, image);
    assert!(wrong.is_empty(), "other logits than everywhere else:\n{}", wrong.join("\n"));
}

/// What is not as expected of any backend of this machine, on one, two and three threads, with every operation in as many
/// parts as it has.
fn differences(name: &str, image: &[u8]) -> Vec<String> {
    let expected = expected(name);
    assert!(!expected.is_empty(), "no digests of {name}");
    let mut wrong = Vec::new();
    for host in backends() {
        for threads in 1..=3 {
            let pool = Pool::new(threads).unwrap().with_limits(0, 1);
            for Expected { kv: cache, tokens, digest: expected, .. } in &expected {
                let batch = [1, 3, *tokens][threads - 1];
                let found = digest(image, kv(cache), *tokens, host, &pool, batch);
                if found != *expected {
                    let backend = host.name();
                    wrong.push(format!(
                        "{name}, {cache}, {backend}, {threads} threads, batches of {batch}: {found}"
                    ));
                }
            }
        }
        println!("{name}: {}: 1, 2 and 3 threads, {} KV caches", host.name(), expected.len());
    }
    wrong
}

#[test]
fn stories260k() {
    check("stories260K", STORIES260K.image().as_slice());
}

#[test]
fn tinystories_micro() {
    check("tinystories-micro", STORY.image().as_slice());
}

#[test]
fn tiny_2b4t() {
    check("tiny-2b4t", TINY_2B4T.image().as_slice());
}

#[test]
fn tiny_2b4t_silu() {
    check("tiny-2b4t-silu", TINY_SILU.image().as_slice());
}

#[test]
fn every_type_of_blocks() {
    let model = |block: &Block| convert(&block.gguf(), &Options::default()).unwrap().image;
    let wrong = BLOCKS.iter().flat_map(|block| differences(block.layout.name(), model(block).as_slice()));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "other logits than everywhere else:\n{}", wrong.join("\n"));
}

#[cfg(feature = "fetched")]
#[test]
fn smollm2() {
    let file = files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    check("SmolLM2", convert(&files::read(file), &Options::default()).unwrap().image.as_slice());
}

/// The story model with one ternary weight more or less by one.
fn another_weight(layer: u32, role: Role, row: usize, col: usize) -> Bytes {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let tensor = model.tensor(TensorId::of(layer, role)).unwrap();
    let Data::Matrix { layout: Layout::T2r4, row_tile_bytes, tiles, .. } = tensor.data else {
        panic!("{:?} is not ternary", tensor.data)
    };
    let tile = row / 4 * row_tile_bytes;
    let at = tiles.as_ptr().addr() - image.as_slice().as_ptr().addr() + tile;
    let code = t2r4::code(&tiles[tile..], row % 4, col).unwrap();
    let mut other = Bytes::copy_of(image.as_slice());
    let other_tile = &mut other.as_mut_slice()[at..at + row_tile_bytes];
    t2r4::set_code(other_tile, row % 4, col, if code == 1 { 2 } else { 1 });
    assert_eq!(other.as_slice().iter().zip(image.as_slice()).filter(|(a, b)| a != b).count(), 1);
    other
}

/// So a digest that agrees says something, of every backend.
#[test]
fn one_weight_more_or_less_by_one_is_another_digest() {
    let expected = expected("tinystories-micro");
    let places =
        [(0, Role::Q, 0, 0), (1, Role::Up, 101, 77), (2, Role::Down, 6, 300), (1, Role::AttnOut, 90, 40)];
    for (layer, role, row, col) in places {
        let image = another_weight(layer, role, row, col);
        for host in backends() {
            let pool = Pool::new(2).unwrap();
            for Expected { kv: cache, tokens, digest: expected, .. } in &expected {
                let found = digest(image.as_slice(), kv(cache), *tokens, host, &pool, *tokens);
                assert_ne!(
                    &found,
                    expected,
                    "{} does not use weight {row}, {col} of {role:?} {layer}",
                    host.name()
                );
            }
        }
    }
}
