//! `Q4_1` (GGUF type 3): 32 weights with a scale and a minimum, 4 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..2 | the scale `d`, f16 |
//! | 2..4 | the minimum `m`, f16 |
//! | 4..20 | byte `j`: the quant of weight `j` in the low nibble, of weight `16 + j` in the high one |
//!
//! A weight is `d * quant + m`, rounded after the product and after the sum.

use super::{f16_to_f32, field, half};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q4_1::BLOCK_WEIGHTS, 32);
/// ```
pub const BLOCK_WEIGHTS: usize = 32;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q4_1::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 5.0); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 20;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::q4_1;
/// let mut block = [0; 20];
/// block[1] = 0x3c;
/// assert_eq!(q4_1::scale(&block), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<0, BLOCK_BYTES>(block)
}

/// The minimum `m` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::q4_1;
/// let mut block = [0; 20];
/// block[3] = 0xbc;
/// assert_eq!(q4_1::minimum(&block), 0xbc00);
/// ```
#[inline]
#[must_use]
pub const fn minimum(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<2, BLOCK_BYTES>(block)
}

/// The quants of a block: weight `j` in the low nibble of byte `j`, weight `16 + j` in the high one.
///
/// ```
/// use bitnet_edge_kernels::format::q4_1;
/// assert_eq!(q4_1::nibbles(&[0x5a; 20]), &[0x5a; 16]);
/// ```
#[inline]
#[must_use]
pub const fn nibbles(block: &[u8; BLOCK_BYTES]) -> &[u8; 16] {
    field::<4, 16, BLOCK_BYTES>(block)
}

/// Writes the 32 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q4_1;
/// let mut block = [0xf0; 20]; // weights 0..16 have quant 0, weights 16..32 quant 15
/// block[..4].copy_from_slice(&[0x00, 0x38, 0x00, 0xbc]); // d = 0.5, m = -1
/// let mut weights = [0.0; 32];
/// q4_1::dequantize(&block, &mut weights);
/// assert_eq!((weights[0], weights[31]), (-1.0, 6.5));
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let (d, m) = (f16_to_f32(scale(block)), f16_to_f32(minimum(block)));
    let (low, high) = out.split_at_mut(BLOCK_WEIGHTS / 2);
    for ((byte, low), high) in nibbles(block).iter().zip(low).zip(high) {
        *low = d * f32::from(byte & 15) + m;
        *high = d * f32::from(byte >> 4) + m;
    }
}
