//! `Q8_0` (GGUF type 8): 32 weights with one scale, 8 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..2 | the scale `d`, f16 |
//! | 2..34 | the quants, i8, in order |
//!
//! A weight is `d * quant`.

use super::{f16_to_f32, f32_to_f16, field, half, signed_abs_max};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q8_0::BLOCK_WEIGHTS, 32);
/// ```
pub const BLOCK_WEIGHTS: usize = 32;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q8_0::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 8.5); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 34;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::q8_0;
/// assert_eq!(q8_0::scale(&q8_0::quantize(&[127.0; 32])), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<0, BLOCK_BYTES>(block)
}

/// The quants of a block: i8 in two's complement, as bytes, in the order of the weights.
///
/// ```
/// use bitnet_edge_kernels::format::q8_0;
/// assert_eq!(q8_0::quants(&q8_0::quantize(&[-1.0; 32])), &[0x81; 32]);
/// ```
#[inline]
#[must_use]
pub const fn quants(block: &[u8; BLOCK_BYTES]) -> &[u8; 32] {
    field::<2, 32, BLOCK_BYTES>(block)
}

/// Writes the 32 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q8_0;
/// let mut block = [0x80; 34]; // quants of -128
/// block[..2].copy_from_slice(&[0x00, 0x38]); // 0.5
/// let mut weights = [0.0; 32];
/// q8_0::dequantize(&block, &mut weights);
/// assert_eq!(weights, [-64.0; 32]);
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let d = f16_to_f32(scale(block));
    for (&quant, weight) in quants(block).iter().zip(out) {
        *weight = d * f32::from(quant.cast_signed());
    }
}

/// Quantizes 32 weights as ggml's reference quantizer does: `d` is the largest magnitude over 127, quants are
/// rounded with ties away from zero.
///
/// ```
/// use bitnet_edge_kernels::format::q8_0;
/// let mut weights = [0.5; 32];
/// weights[0] = -127.0;
/// let block = q8_0::quantize(&weights);
/// assert_eq!(q8_0::quants(&block)[..2], [0x81, 1]);
/// ```
#[must_use]
pub fn quantize(weights: &[f32; BLOCK_WEIGHTS]) -> [u8; BLOCK_BYTES] {
    let d = signed_abs_max(weights).abs() / 127.0;
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };

    let mut block = [0; BLOCK_BYTES];
    let [scale0, scale1, quants @ ..] = &mut block;
    [*scale0, *scale1] = f32_to_f16(d).to_le_bytes();
    for (quant, &weight) in quants.iter_mut().zip(weights) {
        *quant = (libm::roundf(weight * inverse) as i8).cast_unsigned();
    }
    block
}
