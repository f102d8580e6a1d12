//! The quantizers of the block formats against those of ggml: every byte of every block.

use bitnet_edge_kernels::format::{q4_0, q6_k, q8_0};
use bitnet_edge_tests::files;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

/// 256 weights as f32, and their blocks; all as bytes in hex.
#[derive(Deserialize)]
struct Case {
    weights: String,
    q4_0: String,
    q8_0: String,
    q6_k: String,
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes().as_chunks().0.iter().map(|&[high, low]| digit(high) << 4 | digit(low)).collect()
}

/// All blocks of `WEIGHTS` weights, quantized.
fn blocks<const WEIGHTS: usize, const BYTES: usize>(
    weights: &[f32],
    quantize: fn(&[f32; WEIGHTS]) -> [u8; BYTES],
) -> Vec<u8> {
    weights.as_chunks().0.iter().flat_map(quantize).collect()
}

#[test]
fn every_block_is_the_one_that_ggml_makes() {
    let golden: Golden = files::read_json("tests/data/golden/ggml-quantize.json");
    assert_eq!(golden.cases.len(), 16);
    for (index, case) in golden.cases.iter().enumerate() {
        let weights = from_hex(&case.weights);
        let weights: Vec<f32> =
            weights.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        assert_eq!(weights.len(), 256);
        assert_eq!(blocks(&weights, q4_0::quantize), from_hex(&case.q4_0), "Q4_0, case {index}");
        assert_eq!(blocks(&weights, q8_0::quantize), from_hex(&case.q8_0), "Q8_0, case {index}");
        assert_eq!(blocks(&weights, q6_k::quantize), from_hex(&case.q6_k), "Q6_K, case {index}");
    }
}
