//! The weight formats of GGUF files: their byte layouts, and the conversion of a block to and from f32.
//!
//! One file a format. A *block* is the unit a format repeats along the columns of a matrix: `BLOCK_WEIGHTS`
//! consecutive weights of a row in `BLOCK_BYTES` bytes, little-endian, without padding. Every block format
//! offers `dequantize`, the exact f32 values that ggml computes from the block, and accessors to its parts,
//! which is what a lossless change of layout needs. Where the project writes a format itself there is
//! `quantize`, which gives the bytes that ggml's reference quantizer gives.
//!
//! `I2_S` has no blocks of its own: [`i2_s`] views a whole tensor.
//!
//! ```
//! use bitnet_edge_kernels::format::q8_0;
//!
//! let weights: [f32; q8_0::BLOCK_WEIGHTS] = core::array::from_fn(|i| i as f32);
//! let block: [u8; q8_0::BLOCK_BYTES] = q8_0::quantize(&weights);
//! let mut back = [0.0; q8_0::BLOCK_WEIGHTS];
//! q8_0::dequantize(&block, &mut back);
//! assert_eq!(back[0], 0.0);
//! assert!((back[31] - 31.0).abs() < 0.01);
//! ```

mod float;
pub mod i2_s;
pub mod k_head;
pub mod q4_0;
pub mod q4_1;
pub mod q4_k;
pub mod q5_0;
pub mod q5_k;
pub mod q6_k;
pub mod q8_0;
pub mod tq1_0;
pub mod tq2_0;

pub use float::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

/// The `LEN` bytes of `block` that start at byte `START`.
///
/// The layout is checked when the call is compiled, so neither fallback below is ever taken.
const fn field<const START: usize, const LEN: usize, const BYTES: usize>(block: &[u8; BYTES]) -> &[u8; LEN] {
    const { assert!(START + LEN <= BYTES, "the field must lie inside the block") };
    match block.split_at_checked(START) {
        Some((_, tail)) => match tail.first_chunk() {
            Some(field) => field,
            None => const { &[0; LEN] },
        },
        None => const { &[0; LEN] },
    }
}

/// The little-endian u16 at byte `START` of `block`: the bits of an f16.
const fn half<const START: usize, const BYTES: usize>(block: &[u8; BYTES]) -> u16 {
    u16::from_le_bytes(*field::<START, 2, BYTES>(block))
}

/// The value of largest magnitude in `values`, with its sign; the first one if several tie; +0.0 for none.
fn signed_abs_max(values: &[f32]) -> f32 {
    let mut found = 0.0_f32;
    for &value in values {
        if value.abs() > found.abs() {
            found = value;
        }
    }
    found
}
