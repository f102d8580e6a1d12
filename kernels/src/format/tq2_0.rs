//! `TQ2_0` (GGUF type 35): 256 ternary weights with one scale, 2 bits a weight (2.0625 with the scale).
//!
//! | bytes | content |
//! |---|---|
//! | 0..32 | byte `m`: the codes of weights `m`, `32 + m`, `64 + m`, `96 + m`, from bits 0..2 up |
//! | 32..64 | the same for weights 128..256 |
//! | 64..66 | the scale `d`, f16 |
//!
//! A weight is `d * (code - 1)`. Code 3 has no meaning, but a damaged block can hold it: see [`codes`].

use super::{f16_to_f32, field, half};
use crate::tile::t2r4::has_code_3;

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::tq2_0::BLOCK_WEIGHTS, 256);
/// ```
pub const BLOCK_WEIGHTS: usize = 256;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::tq2_0::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 2.0625); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 66;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::tq2_0;
/// let mut block = [0; 66];
/// block[65] = 0x3c;
/// assert_eq!(tq2_0::scale(&block), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<64, BLOCK_BYTES>(block)
}

/// Writes the codes of `block` (a weight's code less 1 is its sign) to `out` in the order of the weights, and
/// returns whether all are ternary. If not, `out` holds 3 wherever the block does, and the block must be
/// refused.
///
/// ```
/// use bitnet_edge_kernels::format::tq2_0;
/// let mut codes = [0; 256];
/// let mut block = [0; 66];
/// block[32] = 0b10_01_00_10;
/// assert!(tq2_0::codes(&block, &mut codes));
/// assert_eq!([codes[128], codes[160], codes[192], codes[224]], [2, 0, 1, 2]);
/// block[33] = 0b11;
/// assert!(!tq2_0::codes(&block, &mut codes));
/// ```
#[must_use]
pub fn codes(block: &[u8; BLOCK_BYTES], out: &mut [u8; BLOCK_WEIGHTS]) -> bool {
    let packed = field::<0, 64, BLOCK_BYTES>(block);
    for (out, bytes) in out.as_chunks_mut::<128>().0.iter_mut().zip(packed.as_chunks::<32>().0) {
        for (plane, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (code, byte) in out.iter_mut().zip(bytes) {
                *code = byte >> (2 * plane) & 3;
            }
        }
    }
    !has_code_3(packed)
}

/// Writes the 256 weights of `block` to `out`. As in ggml, a code of 3 gives `2 * d`; [`codes`] detects it.
///
/// ```
/// use bitnet_edge_kernels::format::tq2_0;
/// let mut block = [0b01_10_01_00; 66];
/// block[64..].copy_from_slice(&[0x00, 0x3c]); // 1.0
/// let mut weights = [0.0; 256];
/// tq2_0::dequantize(&block, &mut weights);
/// assert_eq!([weights[0], weights[32], weights[64], weights[96]], [-1.0, 0.0, 1.0, 0.0]);
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let d = f16_to_f32(scale(block));
    let mut codes_of_block = [0; BLOCK_WEIGHTS];
    // The values of a damaged block are ggml's; whether it is damaged is for the caller of `codes` to ask.
    let _ternary = codes(block, &mut codes_of_block);
    for (&code, weight) in codes_of_block.iter().zip(out) {
        *weight = d * f32::from(i16::from(code) - 1);
    }
}
