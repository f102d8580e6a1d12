//! Small GGUF files, right and wrong.

use bitnet_pack::gguf::TensorType;

const F32: u32 = 0;
const Q4_0: u32 = 2;
const Q4_1: u32 = 3;
const Q5_0: u32 = 6;
const Q8_0: u32 = 8;
const Q4_K: u32 = 12;
const Q5_K: u32 = 13;
const Q6_K: u32 = 14;
const TQ2_0: u32 = 35;
const I2_S: u32 = 36;

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = vec![
        ("every-value", Writer::new(3).every_value().file(4096)),
        ("version-2", Writer::new(2).every_value().file(64)),
        ("nested-arrays", Writer::new(3).nested_arrays(5).file(0)),
        ("bad-alignment", Writer::new(3).entry("general.alignment", 4, &3_u32.to_le_bytes()).file(0)),
        // Its product wraps to a small number: it crashed an engine that multiplied before it checked.
        (
            "shape-overflow",
            Writer::new(3).tensor("w", &[18_436_137_873_095_478_032, 1_212_696_576], F32).file(64),
        ),
        ("overlap", Writer::new(3).tensor("a", &[32, 1], Q8_0).tensor_at("b", &[32, 1], Q8_0, 0).file(64)),
        ("model", Writer::new(3).model(Q8_0).whole_file()),
    ];
    for (name, ty) in [
        ("f32", F32),
        ("q4-1", Q4_1),
        ("q5-0", Q5_0),
        ("q8-0", Q8_0),
        ("q4-k", Q4_K),
        ("q5-k", Q5_K),
        ("q6-k", Q6_K),
        ("tq2-0", TQ2_0),
        ("i2-s", I2_S),
    ] {
        assert!(TensorType::from_id(ty).is_supported(), "{name}");
        cases.push((name, Writer::new(3).tensor("w", &[256, 4], ty).file(1 << 13)));
    }
    cases
}

/// Models that can be converted, in the types that the runtime keeps apart.
pub fn models() -> Vec<(&'static str, Vec<u8>)> {
    [("q4-0", Q4_0), ("q4-1", Q4_1), ("q5-0", Q5_0), ("q8-0", Q8_0)]
        .map(|(name, ty)| (name, Writer::new(3).model(ty).whole_file()))
        .to_vec()
}

/// What all tensor data consist of: small numbers as f16 and f32, codes that exist as ternary weights.
const DATA: u8 = 0x29;

/// The least width of a model: a block of the types above.
const WIDTH: u64 = 32;

/// Writes the parts of a file one after the other, and nothing that is not asked for.
struct Writer {
    version: u32,
    entries: (u64, Vec<u8>),
    tensors: (u64, Vec<u8>),
    offset: u64,
}

impl Writer {
    fn new(version: u32) -> Self {
        Self { version, entries: (0, Vec::new()), tensors: (0, Vec::new()), offset: 0 }
    }

    fn entry(mut self, key: &str, ty: u32, value: &[u8]) -> Self {
        self.entries.0 += 1;
        self.entries.1.extend([&string(key)[..], &ty.to_le_bytes(), value].concat());
        self
    }

    /// A tensor whose data follow those of the tensors before it.
    fn tensor(mut self, name: &str, dims: &[u64], ty: u32) -> Self {
        let offset = self.offset;
        self.offset += 4096;
        self.tensor_at(name, dims, ty, offset)
    }

    fn tensor_at(mut self, name: &str, dims: &[u64], ty: u32, offset: u64) -> Self {
        self.tensors.0 += 1;
        let out = &mut self.tensors.1;
        out.extend(string(name));
        out.extend((dims.len() as u32).to_le_bytes());
        out.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
        out.extend(ty.to_le_bytes());
        out.extend(offset.to_le_bytes());
        self
    }

    /// An entry of each type.
    fn every_value(mut self) -> Self {
        for (ty, bytes) in [1, 1, 2, 2, 4, 4, 4, 1].into_iter().enumerate() {
            self = self.entry(&format!("number.{ty}"), ty as u32, &1_u64.to_le_bytes()[..bytes]);
        }
        for ty in 10..13 {
            self = self.entry(&format!("number.{ty}"), ty, &1_u64.to_le_bytes());
        }
        self.entry("string", 8, &string("text")).entry(
            "array",
            9,
            &array(8, 2, &[string("a"), string("b")].concat()),
        )
    }

    fn nested_arrays(self, depth: usize) -> Self {
        let value = (0..depth).fold(array(0, 1, &[7]), |inner, _| array(9, 1, &inner));
        self.entry("nested", 9, &value)
    }

    /// A llama of one layer and the least width, with matrices of type `ty`.
    fn model(mut self, ty: u32) -> Self {
        let vocabulary: Vec<u8> = ["<s>", "</s>", "a", "b"].into_iter().flat_map(string).collect();
        self = self
            .entry("general.architecture", 8, &string("llama"))
            .entry("llama.attention.layer_norm_rms_epsilon", 6, &1e-5_f32.to_le_bytes())
            .entry("tokenizer.ggml.model", 8, &string("gpt2"))
            .entry("tokenizer.ggml.pre", 8, &string("gpt-2"))
            .entry("tokenizer.ggml.tokens", 9, &array(8, 4, &vocabulary))
            .entry(
                "tokenizer.ggml.token_type",
                9,
                &array(5, 4, &[3_u32, 3, 1, 1].map(u32::to_le_bytes).concat()),
            )
            .entry("tokenizer.ggml.merges", 9, &array(8, 0, &[]));
        for (key, value) in [("block_count", 1), ("context_length", 16), ("attention.head_count", 1)] {
            self = self.entry(&format!("llama.{key}"), 4, &u32::to_le_bytes(value));
        }
        let width = WIDTH as u32;
        for (key, value) in
            [("embedding_length", width), ("feed_forward_length", width), ("rope.dimension_count", width)]
        {
            self = self.entry(&format!("llama.{key}"), 4, &value.to_le_bytes());
        }
        self = self.tensor("token_embd.weight", &[WIDTH, 4], ty).tensor("output_norm.weight", &[WIDTH], F32);
        for name in ["attn_norm", "ffn_norm"] {
            self = self.tensor(&format!("blk.0.{name}.weight"), &[WIDTH], F32);
        }
        for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
            self = self.tensor(&format!("blk.0.{name}.weight"), &[WIDTH, WIDTH], ty);
        }
        self
    }

    /// The whole file, with data for every tensor.
    fn whole_file(self) -> Vec<u8> {
        let data = self.offset as usize;
        self.file(data)
    }

    /// The whole file, with so many bytes of tensor data.
    fn file(self, data: usize) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensors.0.to_le_bytes());
        out.extend(self.entries.0.to_le_bytes());
        out.extend(self.entries.1);
        out.extend(self.tensors.1);
        out.resize(out.len().next_multiple_of(32) + data, DATA);
        out
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn array(ty: u32, len: u64, elements: &[u8]) -> Vec<u8> {
    [&ty.to_le_bytes()[..], &len.to_le_bytes(), elements].concat()
}
