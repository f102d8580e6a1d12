//! The forward pass against a textbook transformer in f64 (`bitnet_edge_tests::reference`), on random models with f32
//! weights that have everything a model may have.

use std::collections::BTreeMap;

use bitnet_edge_core::{Cpu, KvType, Model, Session};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_std::{Arena, Bytes};
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::files;
use bitnet_edge_tests::models::{self, STORIES260K};
use bitnet_edge_tests::reference::{Gate, Pairs, Scaling, Transformer, distance};
use bitnet_edge_tests::synthetic::{self, Parts};
use bitnet_pack::convert::{Manifest, Options, convert};
use bitnet_pack::gguf::Gguf;

/// Tokens of a text: it crosses the border of attention's first chunk.
const TOKENS: usize = 70;

/// Largest distance allowed by type of KV cache: f32 sums; one rounding of keys and values to 11 bits; to 8 bits.
const BOUNDS: [(KvType, f64); 3] = [(KvType::F32, 1e-5), (KvType::F16, 5e-3), (KvType::I8, 1e-1)];

/// A model of one head width; every other dimension is odd or not a multiple of 4.
fn model(head_dim: usize, rope_dim: usize) -> Transformer {
    Transformer {
        dim: 37,
        layers: 2,
        heads: 8,
        kv_heads: 2,
        head_dim,
        ffn: 51,
        vocab: 29,
        rope_dim,
        rope_base: 10_000.0,
        scaling: Scaling::None,
        pairs: Pairs::Halves,
        gate: Gate::Silu,
        eps: f64::from(1e-5f32),
        embedding_scale: 1.0,
        attention_scale: None,
        logit_scale: 1.0,
        tensors: BTreeMap::new(),
    }
}

fn image(t: &Transformer) -> Bytes {
    let manifest = Some(Manifest::parse(&synthetic::manifest(t)).unwrap());
    convert(&synthetic::gguf_f32(t), &Options { manifest, ..Options::default() }).unwrap().image
}

/// The largest distance over all tokens, for each type of KV cache.
fn compare(name: &str, t: &Transformer, image: &[u8]) {
    let model = Model::new_checked(image).unwrap();
    let mut draw = Draw::new(9);
    let ids: Vec<u32> = (0..TOKENS).map(|_| draw.below(t.vocab) as u32).collect();
    let theirs = t.logits(&ids);
    for (kv, bound) in BOUNDS {
        let plan = models::plan(&model, TOKENS as u32, kv, 6);
        let mut arena = Arena::new(plan.bytes());
        let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
        let mut session = Session::new(&model, &plan, cpu).unwrap();
        let mut worst = 0.0;
        for (pass, theirs) in ids.chunks(6).zip(theirs.chunks(6)) {
            session.prefill(pass, true).unwrap();
            for (row, theirs) in theirs.iter().enumerate() {
                worst = distance(theirs, session.logits_of(row as u32).unwrap()).max(worst);
            }
        }
        println!("{name}, KV cache {}: {worst:.2e}", kv.name());
        assert!(worst <= bound, "{name}, KV cache {}: {worst:e} exceeds {bound:e}", kv.name());
    }
}

fn check(name: &str, mut t: Transformer, parts: Parts) {
    synthetic::fill(&mut t, parts, name.len() as u64);
    compare(name, &t, image(&t).as_slice());
}

#[test]
fn everything_with_neighbours_and_linear_scaling() {
    let t = Transformer {
        pairs: Pairs::Neighbours,
        scaling: Scaling::Linear(4.0),
        embedding_scale: 1.5,
        attention_scale: Some(0.25),
        logit_scale: 0.5,
        ..model(48, 20)
    };
    check("all parts, neighbours, linear, heads of 48", t, Parts::ALL);
}

#[test]
fn everything_with_halves_and_yarn() {
    let t = Transformer {
        scaling: Scaling::Yarn { factor: 8.0, original: 256.0 },
        gate: Gate::Relu2,
        embedding_scale: 0.75,
        logit_scale: 2.0,
        ..model(100, 64)
    };
    check("all parts, halves, yarn, heads of 100", t, Parts { head: false, ..Parts::ALL });
}

#[test]
fn everything_with_neighbours_and_llama3_factors() {
    let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 128.0 };
    let t = Transformer { pairs: Pairs::Neighbours, scaling, rope_base: 500_000.0, ..model(128, 128) };
    check("all parts, neighbours, llama3, heads of 128", t, Parts::ALL);
}

#[test]
fn narrow_heads_in_which_only_one_pair_turns() {
    check("heads of 8, one pair", model(8, 2), Parts::LLAMA);
    let t = Transformer { pairs: Pairs::Neighbours, kv_heads: 8, ..model(8, 6) };
    check("heads of 8, a key head for each", t, Parts { head: true, ..Parts::LLAMA });
}

#[test]
fn post_norms_alone_and_no_norm_at_all() {
    let norms = &["attn_post_norm", "ffn_post_norm", "q_norm", "k_norm"];
    check("post-norms alone", model(16, 16), Parts { norms, ..Parts::LLAMA });
    let t = Transformer { layers: 1, ..model(16, 0) };
    check("no norm, no RoPE", t, Parts { norms: &[], biases: true, ..Parts::LLAMA });
    check(
        "sub-norms alone",
        model(16, 16),
        Parts { norms: &["attn_sub_norm", "ffn_sub_norm"], ..Parts::ALL },
    );
}

#[test]
fn yarn_at_its_ends_and_with_a_long_original_context() {
    for (factor, original, base) in
        [(4.0, 32_768.0, 1_000_000.0), (2.0, 16.0, 10_000.0), (40.0, 4096.0, 10_000.0)]
    {
        let t = Transformer {
            scaling: Scaling::Yarn { factor, original },
            rope_base: base,
            layers: 1,
            ..model(64, 64)
        };
        check(&format!("yarn x{factor} of {original}"), t, Parts::LLAMA);
    }
}

/// A trained Llama: what it computes is no noise, and its tensors have llama.cpp's names.
#[test]
fn stories260k() {
    let file = files::read(STORIES260K.file);
    let gguf = Gguf::parse(&file).unwrap();
    let number = |key: &str| gguf.require::<u32>(&format!("llama.{key}")).unwrap() as usize;
    let (dim, heads) = (number("embedding_length"), number("attention.head_count"));
    let mut t = Transformer {
        dim,
        layers: number("block_count"),
        heads,
        kv_heads: number("attention.head_count_kv"),
        ffn: number("feed_forward_length"),
        vocab: gguf.tensor("token_embd.weight").unwrap().row_count() as usize,
        eps: f64::from(gguf.require::<f32>("llama.attention.layer_norm_rms_epsilon").unwrap()),
        pairs: Pairs::Neighbours,
        ..model(dim / heads, number("rope.dimension_count"))
    };
    let of_model =
        [("embedding", "token_embd.weight"), ("head", "output.weight"), ("final_norm", "output_norm.weight")];
    let of_layer = [
        ("attn_norm", "attn_norm"),
        ("q", "attn_q"),
        ("k", "attn_k"),
        ("v", "attn_v"),
        ("attn_out", "attn_output"),
        ("ffn_norm", "ffn_norm"),
        ("gate", "ffn_gate"),
        ("up", "ffn_up"),
        ("down", "ffn_down"),
    ];
    let mut names: Vec<(String, String)> = of_model.map(|(to, from)| (to.to_owned(), from.to_owned())).into();
    for layer in 0..t.layers {
        names.extend(
            of_layer.map(|(to, from)| (format!("{layer}.{to}"), format!("blk.{layer}.{from}.weight"))),
        );
    }
    for (to, from) in names {
        if let Some(tensor) = gguf.tensor(&from) {
            let values = tensor.dequantize(I2sLayout::default()).unwrap();
            t.tensors.insert(to, values.into_iter().map(f64::from).collect());
        }
    }
    compare("stories260K", &t, STORIES260K.image().as_slice());
}
