//! Models whose matrices are random blocks of one type, as files of the architecture `llama` that llama.cpp loads, too.

use bitnet_edge_kernels::format::f32_to_f16;
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_kernels::tile::Layout;
use bitnet_pack::gguf::Gguf;

use crate::draw::Draw;
use crate::gguf_builder::{Builder, value};
use crate::reference::{Gate, Pairs, Scaling, Transformer};

const F32: u32 = 0;
const DIM: usize = 256;
const FFN: usize = 512;
const HEADS: usize = 8;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;

/// Tokens of the vocabulary: one to begin a text, then characters.
pub const VOCAB: usize = 61;

/// A type of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The number in a file.
    pub ty: u32,
    /// The layout in an image.
    pub layout: Layout,
    weights: usize,
    bytes: usize,
    /// Where the f16 scale and minimum stand, and what they are for weights of magnitude 1.
    halves: &'static [(usize, f64)],
}

/// Every type. Scales are such that random codes have a mean of about 0 and an rms of about 1: `w - 8` of 0 to 15 has an rms of 4.6,
/// a scale of 0 to 63 one of 37.
pub const BLOCKS: [Block; 7] = [
    Block { ty: 2, layout: Layout::Q4r4, weights: 32, bytes: 18, halves: &[(0, 1.0 / 4.6)] },
    Block { ty: 3, layout: Layout::Q4m4, weights: 32, bytes: 20, halves: &[(0, 1.0 / 4.6), (2, -7.5 / 4.6)] },
    Block { ty: 6, layout: Layout::Q5r4, weights: 32, bytes: 22, halves: &[(0, 1.0 / 9.2)] },
    Block { ty: 8, layout: Layout::Q8r4, weights: 32, bytes: 34, halves: &[(0, 1.0 / 74.0)] },
    Block {
        ty: 12,
        layout: Layout::Q4k4,
        weights: 256,
        bytes: 144,
        halves: &[(0, 1.0 / 250.0), (2, 7.5 / 250.0)],
    },
    Block {
        ty: 13,
        layout: Layout::Q5k4,
        weights: 256,
        bytes: 176,
        halves: &[(0, 1.0 / 500.0), (2, 15.5 / 500.0)],
    },
    Block { ty: 14, layout: Layout::Q6r4, weights: 256, bytes: 210, halves: &[(208, 1.0 / 1400.0)] },
];

impl Block {
    /// Random rows of `cols` columns with an rms of about `size`.
    fn rows(&self, rows: usize, cols: usize, size: f64, draw: &mut Draw) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..rows * cols / self.weights {
            let mut block: Vec<u8> = (0..self.bytes).map(|_| draw.below(256) as u8).collect();
            let spread = 1.0 + 0.5 * draw.signed();
            for &(at, of_size) in self.halves {
                block[at..at + 2]
                    .copy_from_slice(&f32_to_f16((size * spread * of_size) as f32).to_le_bytes());
            }
            bytes.extend(block);
        }
        bytes
    }

    /// The file: two layers, all matrices (embedding and head, too) of this type.
    #[must_use]
    pub fn gguf(&self) -> Vec<u8> {
        let mut draw = Draw::new(u64::from(self.ty) + 1);
        let mut file = metadata();
        for (_, name, rows, cols) in matrices() {
            let size = if name.starts_with("blk") { 1.0 / (cols as f64).sqrt() } else { 1.0 };
            let data = self.rows(rows, cols, size, &mut draw);
            file = file.tensor(&name, &[cols as u64, rows as u64], self.ty, &data);
        }
        for (_, name) in norms() {
            let data: Vec<u8> =
                (0..DIM).flat_map(|_| ((1.0 + 0.5 * draw.signed()) as f32).to_le_bytes()).collect();
            file = file.tensor(&name, &[DIM as u64], F32, &data);
        }
        file.build()
    }
}

/// What a file says, in numbers.
///
/// # Panics
/// If it is not one of [`Block::gguf`].
#[must_use]
pub fn transformer(file: &[u8]) -> Transformer {
    let gguf = Gguf::parse(file).unwrap();
    let names = matrices().into_iter().map(|(role, name, ..)| (role, name)).chain(norms());
    let tensors = names.map(|(role, name)| {
        let values = gguf.tensor(&name).unwrap().dequantize(I2sLayout::default()).unwrap();
        (role, values.into_iter().map(f64::from).collect())
    });
    Transformer {
        dim: DIM,
        layers: LAYERS,
        heads: HEADS,
        kv_heads: KV_HEADS,
        head_dim: DIM / HEADS,
        ffn: FFN,
        vocab: VOCAB,
        rope_dim: DIM / HEADS,
        rope_base: 10_000.0,
        scaling: Scaling::None,
        pairs: Pairs::Neighbours,
        gate: Gate::Silu,
        eps: f64::from(1e-5f32),
        embedding_scale: 1.0,
        attention_scale: None,
        logit_scale: 1.0,
        tensors: tensors.collect(),
    }
}

fn metadata() -> Builder {
    let words: Vec<String> = (1..VOCAB).map(|i| char::from(b'!' + i as u8).to_string()).collect();
    let tokens: Vec<&str> = std::iter::once("<s>").chain(words.iter().map(String::as_str)).collect();
    let kinds: Vec<u8> = (0..VOCAB).flat_map(|i| (if i == 0 { 3i32 } else { 1 }).to_le_bytes()).collect();
    let count = VOCAB as u64;
    [
        ("block_count", LAYERS),
        ("context_length", 128),
        ("embedding_length", DIM),
        ("feed_forward_length", FFN),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("rope.dimension_count", DIM / HEADS),
    ]
    .into_iter()
    .fold(Builder::default().str("general.architecture", "llama"), |file, (key, n)| {
        file.u32(&format!("llama.{key}"), n as u32)
    })
    .entry("llama.attention.layer_norm_rms_epsilon", value::F32, &1e-5f32.to_le_bytes())
    .str("tokenizer.ggml.model", "gpt2")
    .str("tokenizer.ggml.pre", "gpt-2")
    .strings("tokenizer.ggml.tokens", &tokens)
    .entry("tokenizer.ggml.token_type", value::ARRAY, &Builder::encode_array(value::I32, count, &kinds))
    .strings("tokenizer.ggml.merges", &[])
    .u32("tokenizer.ggml.bos_token_id", 0)
    .u32("tokenizer.ggml.eos_token_id", 0)
}

/// Names in [`Transformer::tensors`] and in the file, rows, columns.
fn matrices() -> Vec<(String, String, usize, usize)> {
    let kv = DIM / HEADS * KV_HEADS;
    let table = |role: &str, name: &str| (role.to_owned(), format!("{name}.weight"), VOCAB, DIM);
    let mut all = vec![table("embedding", "token_embd"), table("head", "output")];
    for layer in 0..LAYERS {
        all.extend(
            [
                ("q", "attn_q", DIM, DIM),
                ("k", "attn_k", kv, DIM),
                ("v", "attn_v", kv, DIM),
                ("attn_out", "attn_output", DIM, DIM),
                ("gate", "ffn_gate", FFN, DIM),
                ("up", "ffn_up", FFN, DIM),
                ("down", "ffn_down", DIM, FFN),
            ]
            .map(|(role, name, rows, cols)| {
                (format!("{layer}.{role}"), format!("blk.{layer}.{name}.weight"), rows, cols)
            }),
        );
    }
    all
}

/// Names of norms in [`Transformer::tensors`] and in the file.
fn norms() -> Vec<(String, String)> {
    let of_layer = |layer: usize| {
        ["attn_norm", "ffn_norm"]
            .map(|norm| (format!("{layer}.{norm}"), format!("blk.{layer}.{norm}.weight")))
    };
    let last = ("final_norm".to_owned(), "output_norm.weight".to_owned());
    (0..LAYERS).flat_map(of_layer).chain([last]).collect()
}
