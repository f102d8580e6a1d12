//! The model of the documentation's examples: small enough for every example to run it, and made by hand so that what it
//! says follows from its weights. See [`next`].

use bitnet_edge_core::generate::random;
use bitnet_edge_kernels::format::q8_0;

use crate::gguf_builder::{Builder, value};

/// Width of the residual stream: the embedding gives every token an element of its own.
const DIM: usize = 64;
const LAYERS: usize = 2;
const FFN: usize = 128;
const HEAD_DIM: usize = 32;
const KV_DIM: usize = 32;
const CONTEXT: u32 = 64;

const CONTROL: [&str; 4] = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"];

/// What the model says, in the order in which it says it; the first token of each is what it follows.
const SAYINGS: [&[&str]; 3] = [
    &[
        " time", ",", " there", " lived", " one", " model", " so", " small", " that", " it", " fit", " on",
        " every", " board", ".",
    ],
    &["<|assistant|>", "hello", " friend", "!"],
    &[
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
        "u", "v", "w", "x", "y", "z",
    ],
];

/// Tokens that only a prompt has.
const PROMPT: [&str; 8] = ["once", " upon", " a", " ", "?", "'", "-", "\n"];

const TEMPLATE: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
                        {% if add_generation_prompt %}<|assistant|>{% endif %}";

/// The vocabulary. Words are tokens of their own (`llama-bpe` never merges what is one), other text is spelled.
#[must_use]
pub fn tokens() -> Vec<&'static str> {
    let mut tokens = CONTROL.to_vec();
    tokens.extend(SAYINGS.concat().into_iter().filter(|token| !CONTROL.contains(token)));
    tokens.extend(PROMPT);
    tokens
}

/// The token that follows `id`, whatever stands before it; the end token behind the last one of a saying.
#[must_use]
pub fn next(id: usize) -> usize {
    let tokens = tokens();
    let pairs = SAYINGS.iter().flat_map(|saying| saying.windows(2));
    let follower = pairs.into_iter().find(|pair| Some(&pair[0]) == tokens.get(id)).map(|pair| pair[1]);
    follower.and_then(|next| tokens.iter().position(|token| *token == next)).unwrap_or(0)
}

/// The model as a GGUF file, of an architecture of the `BitNet` family with squared `ReLU`.
///
/// The feed-forward of the last layer maps a token's element to that of the token that follows it. All other matrices
/// are arbitrary, at scales too small to change that, so that no part of a pass is without effect.
#[must_use]
pub fn gguf(architecture: &str) -> Vec<u8> {
    let mut file =
        metadata(architecture).tensor("token_embd.weight", &[64, tokens().len() as u64], 8, &embedding());
    file = vector(file, "output_norm.weight", DIM, 4.0);
    for layer in 0..LAYERS {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        for (tensor, len) in
            [("attn_norm", DIM), ("attn_sub_norm", DIM), ("ffn_norm", DIM), ("ffn_sub_norm", FFN)]
        {
            file = vector(file, &name(tensor), len, 1.0);
        }
        file = matrix(file, &name("attn_q"), [DIM, DIM], 0.125, noise(layer, 0));
        file = matrix(file, &name("attn_k"), [KV_DIM, DIM], 0.125, noise(layer, 1));
        file = matrix(file, &name("attn_v"), [KV_DIM, DIM], 0.125, noise(layer, 2));
        file = matrix(file, &name("attn_output"), [DIM, DIM], 0.0078125, noise(layer, 3));
        if layer + 1 < LAYERS {
            file = matrix(file, &name("ffn_gate"), [FFN, DIM], 0.125, noise(layer, 4));
            file = matrix(file, &name("ffn_up"), [FFN, DIM], 0.125, noise(layer, 5));
            file = matrix(file, &name("ffn_down"), [DIM, FFN], 0.0078125, noise(layer, 6));
        } else {
            let same = |row, col| i8::from(row == col);
            file = matrix(file, &name("ffn_gate"), [FFN, DIM], 1.0, same);
            file = matrix(file, &name("ffn_up"), [FFN, DIM], 1.0, same);
            let follows = |row, col| i8::from(col < DIM && next(col) == row);
            file = matrix(file, &name("ffn_down"), [DIM, FFN], 1.0, follows);
        }
    }
    file.build()
}

fn metadata(architecture: &str) -> Builder {
    let key = |name: &str| format!("{architecture}.{name}");
    // The byte-level alphabet writes a space as U+0120 and a line feed as U+010A.
    let spelled: Vec<String> =
        tokens().iter().map(|token| token.replace(' ', "\u{120}").replace('\n', "\u{10a}")).collect();
    let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
    let kinds: Vec<u8> =
        (0..spelled.len()).flat_map(|id| if id < CONTROL.len() { 3_i32 } else { 1 }.to_le_bytes()).collect();
    let kinds = Builder::encode_array(value::I32, spelled.len() as u64, &kinds);
    Builder::default()
        .str("general.architecture", architecture)
        .str("general.name", "tiny")
        .str("general.license", "MIT OR Apache-2.0")
        .u32(&key("context_length"), CONTEXT)
        .u32(&key("embedding_length"), DIM as u32)
        .u32(&key("block_count"), LAYERS as u32)
        .u32(&key("feed_forward_length"), FFN as u32)
        .u32(&key("attention.head_count"), (DIM / HEAD_DIM) as u32)
        .u32(&key("attention.head_count_kv"), (KV_DIM / HEAD_DIM) as u32)
        .entry(&key("attention.layer_norm_rms_epsilon"), value::F32, &1e-5_f32.to_le_bytes())
        .str("tokenizer.ggml.model", "gpt2")
        .str("tokenizer.ggml.pre", "llama-bpe")
        .strings("tokenizer.ggml.tokens", &spelled)
        .entry("tokenizer.ggml.token_type", value::ARRAY, &kinds)
        .strings("tokenizer.ggml.merges", &[])
        .u32("tokenizer.ggml.eos_token_id", 0)
        .entry("tokenizer.ggml.add_bos_token", value::BOOL, &[0])
        .str("tokenizer.chat_template", TEMPLATE)
}

/// Element `id` of row `id` is one.
fn embedding() -> Vec<u8> {
    let row = |id| -> [f32; DIM] { std::array::from_fn(|i| if i == id { 1.0 } else { 0.0 }) };
    let blocks = (0..tokens().len()).flat_map(|id| row(id).as_chunks().0.to_vec());
    blocks.flat_map(|block| q8_0::quantize(&block)).collect()
}

fn vector(file: Builder, name: &str, len: usize, weight: f32) -> Builder {
    let data: Vec<u8> = (0..len).flat_map(|_| weight.to_le_bytes()).collect();
    file.tensor(name, &[len as u64], 0, &data)
}

/// A ternary matrix as f32, which is how a file holds one whose rows are shorter than a block of the ternary types.
/// `code` gives a weight's code by row and column.
fn matrix(
    file: Builder,
    name: &str,
    [rows, cols]: [usize; 2],
    scale: f32,
    code: impl Fn(usize, usize) -> i8,
) -> Builder {
    let weights = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
    let data: Vec<u8> =
        weights.flat_map(|(row, col)| (f32::from(code(row, col)) * scale).to_le_bytes()).collect();
    file.tensor(name, &[cols as u64, rows as u64], 0, &data)
}

/// Arbitrary codes for a layer's matrix of this number.
fn noise(layer: usize, number: usize) -> impl Fn(usize, usize) -> i8 {
    let seed = (layer << 8 | number) as u64;
    move |row, col| (random(seed, (row << 16 | col) as u64) % 3) as i8 - 1
}
