//! Random models: a [`Transformer`], the GGUF file that holds it, and the manifest that describes the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::draw::Draw;
use crate::gguf_builder::{Builder, value};
use crate::reference::{Gate, Pairs, Scaling, Transformer};

/// The type number of f32 in GGUF.
pub const F32: u32 = 0;

/// `general.architecture` of the files.
pub const ARCHITECTURE: &str = "synthetic";

/// Matrices of a layer: role, rows, columns.
fn matrices(t: &Transformer) -> [(&'static str, usize, usize); 7] {
    let (q, kv) = (t.heads * t.head_dim, t.kv_heads * t.head_dim);
    [
        ("q", q, t.dim),
        ("k", kv, t.dim),
        ("v", kv, t.dim),
        ("attn_out", t.dim, q),
        ("gate", t.ffn, t.dim),
        ("up", t.ffn, t.dim),
        ("down", t.dim, t.ffn),
    ]
}

/// Norms of a layer: role and width.
fn norms(t: &Transformer) -> [(&'static str, usize); 8] {
    [
        ("attn_norm", t.dim),
        ("ffn_norm", t.dim),
        ("q_norm", t.head_dim),
        ("k_norm", t.head_dim),
        ("attn_sub_norm", t.heads * t.head_dim),
        ("ffn_sub_norm", t.ffn),
        ("attn_post_norm", t.dim),
        ("ffn_post_norm", t.dim),
    ]
}

/// What a model has besides its matrices.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Norms of a layer, by role.
    pub norms: &'static [&'static str],
    /// A bias on every matrix.
    pub biases: bool,
    /// A factor on every matrix's product.
    pub scales: bool,
    /// A head of its own.
    pub head: bool,
}

impl Parts {
    /// Everything that there is.
    pub const ALL: Self = Self {
        norms: &[
            "attn_norm",
            "ffn_norm",
            "q_norm",
            "k_norm",
            "attn_sub_norm",
            "ffn_sub_norm",
            "attn_post_norm",
            "ffn_post_norm",
        ],
        biases: true,
        scales: true,
        head: true,
    };
    /// What a Llama has.
    pub const LLAMA: Self =
        Self { norms: &["attn_norm", "ffn_norm"], biases: false, scales: false, head: false };
}

/// Gives `t` random weights that are f32 numbers.
pub fn fill(t: &mut Transformer, parts: Parts, seed: u64) {
    let mut draw = Draw::new(seed);
    let mut random = |n: usize, middle: f64, spread: f64| -> Vec<f64> {
        (0..n).map(|_| f64::from((middle + spread * draw.signed()) as f32)).collect()
    };
    let mut tensors = BTreeMap::new();
    tensors.insert("embedding".to_owned(), random(t.vocab * t.dim, 0.0, 1.0));
    tensors.insert("final_norm".to_owned(), random(t.dim, 1.0, 0.5));
    if parts.head {
        tensors.insert("head".to_owned(), random(t.vocab * t.dim, 0.0, 1.0));
    }
    for layer in 0..t.layers {
        for (role, rows, cols) in matrices(t) {
            tensors.insert(format!("{layer}.{role}"), random(rows * cols, 0.0, 2.0 / (cols as f64).sqrt()));
            if parts.biases {
                tensors.insert(format!("{layer}.{role}_bias"), random(rows, 0.0, 0.5));
            }
            if parts.scales {
                tensors.insert(format!("{layer}.{role}.scale"), random(1, 1.0, 0.5));
            }
        }
        for (role, cols) in norms(t).into_iter().filter(|(role, _)| parts.norms.contains(role)) {
            tensors.insert(format!("{layer}.{role}"), random(cols, 1.0, 0.5));
        }
    }
    t.tensors = tensors;
}

/// The little-endian bytes of f32 numbers.
pub fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect()
}

/// The name in the file, behind `blk.N.` where the tensor belongs to a layer.
#[must_use]
pub fn file_name(name: &str, shape: usize) -> String {
    let suffix = if shape == 2 { ".weight" } else { "" };
    match name.split_once('.') {
        Some((layer, role)) => format!("blk.{layer}.{role}{suffix}"),
        None => format!("{name}{suffix}"),
    }
}

/// The file. `encode` may give a tensor another type than f32, by its name in [`Transformer::tensors`].
pub fn gguf(t: &Transformer, mut encode: impl FnMut(&str, &[f64]) -> (u32, Vec<u8>)) -> Vec<u8> {
    let key = |name: &str| format!("{ARCHITECTURE}.{name}");
    let float = |b: Builder, name: &str, v: f64| b.entry(&key(name), value::F32, &(v as f32).to_le_bytes());
    let mut b = Builder::default().str("general.architecture", ARCHITECTURE);
    for (name, n) in [
        ("context_length", 4096),
        ("embedding_length", t.dim),
        ("block_count", t.layers),
        ("feed_forward_length", t.ffn),
        ("attention.head_count", t.heads),
        ("attention.head_count_kv", t.kv_heads),
        ("attention.key_length", t.head_dim),
        ("attention.value_length", t.head_dim),
        ("rope.dimension_count", t.rope_dim),
    ] {
        b = b.u32(&key(name), n as u32);
    }
    b = float(b, "attention.layer_norm_rms_epsilon", t.eps);
    b = float(b, "rope.freq_base", t.rope_base);
    match t.scaling {
        Scaling::None => {}
        Scaling::Linear(factor) => {
            b = float(b.str(&key("rope.scaling.type"), "linear"), "rope.scaling.factor", factor);
        }
        Scaling::Yarn { factor, original } => {
            b = float(b.str(&key("rope.scaling.type"), "yarn"), "rope.scaling.factor", factor);
            b = b.u32(&key("rope.scaling.original_context_length"), original as u32);
        }
        Scaling::Llama3 { .. } => {
            // As llama.cpp's converter writes them: divisors of the plain frequencies.
            let plain = Transformer { scaling: Scaling::None, ..t.clone() }.frequencies().0;
            let divisors: Vec<f64> = plain.iter().zip(t.frequencies().0).map(|(p, f)| p / f).collect();
            b = b.tensor("rope_factors", &[divisors.len() as u64], F32, &bytes(&divisors));
        }
    }
    for (name, values) in &t.tensors {
        let (ty, data) = encode(name, values);
        let cols = columns(t, name);
        b = match cols {
            Some(cols) => {
                let dims = [cols as u64, (values.len() / cols) as u64];
                b.tensor(&file_name(name, 2), &dims, ty, &data)
            }
            None => b.tensor(&file_name(name, 1), &[values.len() as u64], ty, &data),
        };
    }
    b.build()
}

/// Columns of a matrix; `None` for a vector.
#[must_use]
pub fn columns(t: &Transformer, name: &str) -> Option<usize> {
    match name.split_once('.') {
        None => (name != "final_norm").then_some(t.dim),
        Some((_, role)) => matrices(t).into_iter().find(|m| m.0 == role).map(|m| m.2),
    }
}

/// The file with every tensor as f32.
#[must_use]
pub fn gguf_f32(t: &Transformer) -> Vec<u8> {
    gguf(t, |_, values| (F32, bytes(values)))
}

/// The manifest of the file.
#[must_use]
pub fn manifest(t: &Transformer) -> String {
    let mut text = format!("architecture = [\"{ARCHITECTURE}\"]\n");
    let activation = if t.gate == Gate::Silu { "silu" } else { "relu2" };
    let rope = if t.pairs == Pairs::Neighbours { "norm" } else { "neox" };
    let head = if t.tensors.contains_key("head") { "own-or-tied" } else { "tied" };
    writeln!(text, "activation = \"{activation}\"\nrope = \"{rope}\"\nhead = \"{head}\"").unwrap();
    writeln!(text, "embedding_scale = {:?}\nlogit_scale = {:?}", t.embedding_scale, t.logit_scale).unwrap();
    if let Some(scale) = t.attention_scale {
        writeln!(text, "attention_scale = {scale:?}").unwrap();
    }
    text +=
        "[model]\nembedding = \"embedding.weight\"\nhead = \"head.weight\"\nfinal_norm = \"final_norm\"\n";
    text += "rope_factors = \"rope_factors\"\n[layer]\n";
    for (role, ..) in matrices(t) {
        writeln!(text, "{role} = \"blk.{{}}.{role}.weight\"").unwrap();
    }
    text += "[optional]\n";
    for (role, _) in norms(t) {
        writeln!(text, "{role} = \"blk.{{}}.{role}\"").unwrap();
    }
    for (role, ..) in matrices(t) {
        writeln!(text, "{role}_bias = \"blk.{{}}.{role}_bias\"").unwrap();
    }
    text
}
