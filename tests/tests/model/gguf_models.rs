//! The GGUF reader on models that bitnet.cpp and llama.cpp wrote.

use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
use bitnet_edge_kernels::format::{f16_to_f32, f32_to_f16};
use bitnet_edge_tests::files;
use bitnet_pack::gguf::{Gguf, List, TensorType};
use bitnet_pack::inspect;
use serde::Deserialize;

const MICRO_I2_S: &str = "models/tinystories-micro/tinystories-micro-i2_s.gguf";
const MODELS: [&str; 6] = [
    MICRO_I2_S,
    "tests/data/models/stories260K-f32.gguf",
    "tests/data/models/tiny-2b4t-i2_s.gguf",
    "tests/data/models/tiny-2b4t-tq2_0-silu.gguf",
    "tests/data/models/tinystories-micro-tq1_0.gguf",
    "tests/data/models/tinystories-micro-tq2_0.gguf",
];

#[derive(Deserialize)]
struct Linear {
    cases: Vec<LinearCase>,
}

/// One row of activations through one ternary layer, as bitnet.cpp computed it.
#[derive(Deserialize)]
struct LinearCase {
    tensor: String,
    k: usize,
    m: usize,
    y_bits: Vec<u32>,
    s_bits: u32,
    scale_bits: u32,
    q: Vec<i32>,
    sum_q: i32,
}

#[test]
fn the_codes_of_i2_s_reproduce_the_layers_of_bitnet_cpp() {
    let bytes = files::read(MICRO_I2_S);
    let file = Gguf::parse(&bytes).unwrap();
    let golden: Linear = files::read_json("tests/data/linear-i2_s.json");
    for (index, case) in golden.cases.iter().enumerate() {
        let tensor = file.tensor(&case.tensor).unwrap();
        assert_eq!(tensor.dims(), [case.k as u64, case.m as u64]);
        let layer = I2s::new(tensor.data().unwrap(), case.k, case.m, I2sLayout::X86_128).unwrap();
        assert_eq!(layer.scale().to_bits(), case.scale_bits);
        let mut codes = vec![0; case.k];
        for (row, &expected) in case.y_bits.iter().enumerate() {
            layer.row(row, &mut codes).unwrap();
            let dot: i32 = codes.iter().zip(&case.q).map(|(&code, q)| i32::from(code) * q).sum();
            let y = (dot - case.sum_q) as f32 / f32::from_bits(case.s_bits) * layer.scale();
            assert_eq!(y.to_bits(), expected, "case {index}, row {row}");
        }
    }
}

/// Taken for another byte order, the same data give other weights and no error: why the order must be stated.
#[test]
fn the_wrong_byte_order_gives_wrong_weights() {
    let bytes = files::read(MICRO_I2_S);
    let file = Gguf::parse(&bytes).unwrap();
    let tensor = file.tensor("blk.0.attn_q.weight").unwrap();
    let [right, arm, interleaved] = I2sLayout::ALL.map(|layout| tensor.dequantize(layout).unwrap());
    assert_ne!(right, arm);
    assert_ne!(right, interleaved);
}

/// The same weights went into three files: two engines' writers, three packings, one answer.
#[test]
fn three_ternary_types_hold_the_same_weights() {
    let files = [
        files::read(MICRO_I2_S),
        files::read("tests/data/models/tinystories-micro-tq1_0.gguf"),
        files::read("tests/data/models/tinystories-micro-tq2_0.gguf"),
    ];
    let [i2_s, tq1_0, tq2_0] = files.each_ref().map(|bytes| Gguf::parse(bytes).unwrap());
    let mut compared = 0;
    for tensor in i2_s.tensors().iter().filter(|tensor| tensor.ty() == TensorType::I2_S) {
        let expected: Vec<f32> = tensor
            .dequantize(I2sLayout::X86_128)
            .unwrap()
            .into_iter()
            // The TQ types keep their scales as f16.
            .map(|weight| f16_to_f32(f32_to_f16(weight)))
            .collect();
        for (other, ty) in [(&tq1_0, TensorType::TQ1_0), (&tq2_0, TensorType::TQ2_0)] {
            let other = other.tensor(tensor.name()).unwrap();
            assert_eq!(other.ty(), ty);
            assert_eq!(other.dequantize(I2sLayout::X86_128).unwrap(), expected, "{}", tensor.name());
        }
        compared += expected.len();
    }
    assert!(compared > 1_000_000, "{compared}");
}

#[test]
fn the_models_open_and_are_described() {
    for path in MODELS {
        let bytes = files::read(path);
        let file = Gguf::parse(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        let architecture: &str = file.require("general.architecture").unwrap();
        let width: u64 = file.require(&format!("{architecture}.embedding_length")).unwrap();
        let embedding = file.tensor("token_embd.weight").unwrap();
        assert_eq!(embedding.columns(), width, "{path}");
        if let Some(tokens) = file.get::<List<'_, &str>>("tokenizer.ggml.tokens").unwrap() {
            assert_eq!(embedding.row_count(), tokens.len() as u64, "{path}");
        }
        for tensor in file.tensors() {
            let values = tensor.dequantize(I2sLayout::default()).unwrap();
            assert!(values.iter().all(|value| value.is_finite()), "{path}: {}", tensor.name());
        }

        let mut text = Vec::new();
        inspect::gguf(&file, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(architecture) && text.contains("token_embd.weight"), "{text}");
        assert!(!text.contains("problem"), "{text}");
        assert_eq!(text.contains("byte order `128`"), path.contains("i2_s"), "{text}");
    }
}
