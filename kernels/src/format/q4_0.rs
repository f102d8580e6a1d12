//! `Q4_0` (GGUF type 2): 32 weights with one scale, 4 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..2 | the scale `d`, f16 |
//! | 2..18 | byte `j`: the quant of weight `j` in the low nibble, of weight `16 + j` in the high one |
//!
//! A weight is `d * (quant - 8)`.

use super::{f16_to_f32, f32_to_f16, field, half, signed_abs_max};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q4_0::BLOCK_WEIGHTS, 32);
/// ```
pub const BLOCK_WEIGHTS: usize = 32;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q4_0::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 4.5); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 18;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::q4_0;
/// assert_eq!(q4_0::scale(&q4_0::quantize(&[-8.0; 32])), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<0, BLOCK_BYTES>(block)
}

/// The quants of a block: weight `j` in the low nibble of byte `j`, weight `16 + j` in the high one.
///
/// ```
/// use bitnet_edge_kernels::format::q4_0;
/// assert_eq!(q4_0::nibbles(&q4_0::quantize(&[-8.0; 32])), &[0x00; 16]);
/// ```
#[inline]
#[must_use]
pub const fn nibbles(block: &[u8; BLOCK_BYTES]) -> &[u8; 16] {
    field::<2, 16, BLOCK_BYTES>(block)
}

/// Writes the 32 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q4_0;
/// let mut weights = [0.0; 32];
/// let mut block = [0x9f; 18]; // weights 0..16 have quant 15, weights 16..32 quant 9
/// block[..2].copy_from_slice(&[0x00, 0x38]); // 0.5
/// q4_0::dequantize(&block, &mut weights);
/// assert_eq!((weights[0], weights[16]), (3.5, 0.5));
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let d = f16_to_f32(scale(block));
    let (low, high) = out.split_at_mut(BLOCK_WEIGHTS / 2);
    for ((byte, low), high) in nibbles(block).iter().zip(low).zip(high) {
        *low = d * f32::from(i16::from(byte & 15) - 8);
        *high = d * f32::from(i16::from(byte >> 4) - 8);
    }
}

/// Quantizes 32 weights as ggml's reference quantizer does: the weight of largest magnitude becomes quant 0
/// (that is -8), the others are rounded half up and limited to 15.
///
/// ```
/// use bitnet_edge_kernels::format::q4_0;
/// let weights: [f32; 32] = core::array::from_fn(|i| i as f32 / 4.0 - 4.0); // -4.0 to 3.75
/// let mut back = [0.0; 32];
/// q4_0::dequantize(&q4_0::quantize(&weights), &mut back);
/// assert_eq!((back[0], back[16], back[31]), (-4.0, 0.0, 3.5));
/// ```
#[must_use]
pub fn quantize(weights: &[f32; BLOCK_WEIGHTS]) -> [u8; BLOCK_BYTES] {
    let d = signed_abs_max(weights) / -8.0;
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
    // Never negative for finite weights, since |weight * inverse| <= 8: the cast truncates, + 0.5 makes that
    // rounding.
    let quant = |weight: f32| ((weight * inverse + 8.5) as i8).min(15) as u8 & 15;
    let (low, high) = weights.split_at(BLOCK_WEIGHTS / 2);

    let mut block = [0; BLOCK_BYTES];
    let [scale0, scale1, nibbles @ ..] = &mut block;
    [*scale0, *scale1] = f32_to_f16(d).to_le_bytes();
    for ((byte, &low), &high) in nibbles.iter_mut().zip(low).zip(high) {
        *byte = quant(low) | quant(high) << 4;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_zeros_is_quant_eight_with_scale_zero() {
        let block = quantize(&[0.0; BLOCK_WEIGHTS]);
        // 0 / -8 is -0.0, and ggml stores it so.
        assert_eq!(scale(&block), 0x8000);
        assert_eq!(nibbles(&block), &[0x88; 16]);
    }

    #[test]
    fn nibbles_stand_half_a_block_apart() {
        let mut block = [0x88; BLOCK_BYTES];
        (block[0], block[1]) = (0x00, 0x3c);
        block[2 + 3] = 0xf1;
        let mut out = [0.0; BLOCK_WEIGHTS];
        dequantize(&block, &mut out);
        for (index, weight) in out.into_iter().enumerate() {
            let expected = match index {
                3 => -7.0,
                19 => 7.0,
                _ => 0.0,
            };
            assert_eq!(weight, expected, "weight {index}");
        }
    }
}
