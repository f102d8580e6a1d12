//! A model as small as one can be, so that a test can try every bit of its image.

use bitnet_edge_std::Bytes;
use bitnet_pack::convert::{Options, convert};

use crate::draw::Draw;
use crate::gguf_builder::{Builder, value};

/// Width of the residual stream and of everything else that a block type must divide.
pub const DIM: u32 = 32;
/// Tokens, one of which begins a text.
pub const TOKENS: [&str; 6] = ["<s>", "a", "b", "ab", "c", "\u{120}"];

const F32: u32 = 0;

/// What the matrices of a tiny model hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// -1, 0 and 1 times a scale: the image packs them.
    Ternary,
    /// Any numbers: they stay f32.
    Float,
}

/// A GGUF file of one layer: two query heads, one key head, a vocabulary of six tokens.
#[must_use]
pub fn gguf(architecture: &str, weights: Weights) -> Builder {
    let key = |name: &str| format!("{architecture}.{name}");
    let mut draw = Draw::new(1);
    let mut number = move || draw.signed() as f32;
    let kinds: Vec<u8> = [3i32, 1, 1, 1, 1, 1].iter().flat_map(|kind| kind.to_le_bytes()).collect();
    let mut file = Builder::default()
        .str("general.architecture", architecture)
        .entry(&key("attention.layer_norm_rms_epsilon"), value::F32, &1e-5f32.to_le_bytes())
        .u32(&key("block_count"), 1)
        .u32(&key("context_length"), 16)
        .u32(&key("embedding_length"), DIM)
        .u32(&key("feed_forward_length"), DIM)
        .u32(&key("attention.head_count"), 2)
        .u32(&key("attention.head_count_kv"), 1)
        .str("tokenizer.ggml.model", "gpt2")
        .str("tokenizer.ggml.pre", "gpt-2")
        .strings("tokenizer.ggml.tokens", &TOKENS)
        .entry("tokenizer.ggml.token_type", value::ARRAY, &Builder::encode_array(value::I32, 6, &kinds))
        .strings("tokenizer.ggml.merges", &["a b"])
        .u32("tokenizer.ggml.bos_token_id", 0)
        .entry("tokenizer.ggml.add_bos_token", value::BOOL, &[1]);
    let dim = u64::from(DIM);
    let mut tensor = |file: Builder, name: &str, rows: u64, ternary: bool| {
        let values = (0..dim * rows).map(|_| if ternary { number().signum() * 0.125 } else { number() });
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let dims = if rows == 1 { vec![dim] } else { vec![dim, rows] };
        file.tensor(name, &dims, F32, &bytes)
    };
    file = tensor(file, "token_embd.weight", TOKENS.len() as u64, false);
    let ternary = weights == Weights::Ternary;
    for (name, rows) in [
        ("attn_q", 32),
        ("attn_k", 16),
        ("attn_v", 16),
        ("attn_output", 32),
        ("ffn_gate", 32),
        ("ffn_up", 32),
    ] {
        file = tensor(file, &format!("blk.0.{name}.weight"), rows, ternary);
    }
    file = tensor(file, "blk.0.ffn_down.weight", dim, ternary);
    for name in ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"] {
        file = tensor(file, name, 1, false);
    }
    file
}

/// The image of [`gguf`].
///
/// # Panics
/// If it cannot be converted.
#[must_use]
pub fn image(weights: Weights) -> Bytes {
    convert(&gguf("llama", weights).build(), &Options::default()).unwrap().image
}
