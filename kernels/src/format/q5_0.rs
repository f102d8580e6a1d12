//! `Q5_0` (GGUF type 6): 32 weights with one scale, 5 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..2 | the scale `d`, f16 |
//! | 2..6 | the fifth bits: bit `j` of the little-endian u32 belongs to weight `j` |
//! | 6..22 | byte `j`: the low four bits of weight `j` in the low nibble, of weight `16 + j` in the high one |
//!
//! A weight is `d * (quant - 16)`.

use super::{f16_to_f32, field, half};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q5_0::BLOCK_WEIGHTS, 32);
/// ```
pub const BLOCK_WEIGHTS: usize = 32;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 5.5); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 22;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0;
/// let mut block = [0; 22];
/// block[1] = 0x3c;
/// assert_eq!(q5_0::scale(&block), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<0, BLOCK_BYTES>(block)
}

/// The fifth bits of a block: that of weight `j` is bit `j`.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0;
/// let mut block = [0; 22];
/// block[4] = 0x01;
/// assert_eq!(q5_0::upper(&block), 1 << 16);
/// ```
#[inline]
#[must_use]
pub const fn upper(block: &[u8; BLOCK_BYTES]) -> u32 {
    u32::from_le_bytes(*field::<2, 4, BLOCK_BYTES>(block))
}

/// The low four bits of the quants: weight `j` in the low nibble of byte `j`, weight `16 + j` in the high one.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0;
/// assert_eq!(q5_0::nibbles(&[0x5a; 22]), &[0x5a; 16]);
/// ```
#[inline]
#[must_use]
pub const fn nibbles(block: &[u8; BLOCK_BYTES]) -> &[u8; 16] {
    field::<6, 16, BLOCK_BYTES>(block)
}

/// Writes the quants of `block`, 0 to 31 (a weight is its quant less 16, times the scale), to `out` in the order of the
/// weights.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0;
/// let mut block = [0; 22];
/// block[2] = 0b10; // the fifth bit of weight 1
/// block[7] = 0x5a; // the low bits of weights 1 and 17
/// let mut codes = [0; 32];
/// q5_0::codes(&block, &mut codes);
/// assert_eq!((codes[1], codes[17]), (0x1a, 0x05));
/// ```
pub fn codes(block: &[u8; BLOCK_BYTES], out: &mut [u8; BLOCK_WEIGHTS]) {
    let (low, high) = out.split_at_mut(BLOCK_WEIGHTS / 2);
    for ((byte, low), high) in nibbles(block).iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    let upper = upper(block);
    for (j, code) in out.iter_mut().enumerate() {
        *code |= ((upper >> j & 1) as u8) << 4;
    }
}

/// Writes the 32 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0;
/// let mut block = [0xf0; 22]; // the low bits of weights 0..16 are 0, of weights 16..32 15
/// block[..6].copy_from_slice(&[0x00, 0x38, 0, 0, 0xff, 0xff]); // d = 0.5; fifth bits of weights 16..32
/// let mut weights = [0.0; 32];
/// q5_0::dequantize(&block, &mut weights);
/// assert_eq!((weights[0], weights[31]), (-8.0, 7.5));
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let d = f16_to_f32(scale(block));
    let mut quants = [0; BLOCK_WEIGHTS];
    codes(block, &mut quants);
    for (weight, quant) in out.iter_mut().zip(quants) {
        *weight = d * f32::from(i16::from(quant) - 16);
    }
}

/// Builds the bytes of a block: the inverse of [`codes`] and [`scale`]. Codes are 0 to 31.
///
/// ```
/// use bitnet_edge_kernels::format::q5_0;
/// let block = q5_0::pack(&[31; 32], 0x3c00);
/// let mut codes = [0; 32];
/// q5_0::codes(&block, &mut codes);
/// assert_eq!((codes, q5_0::scale(&block)), ([31; 32], 0x3c00));
/// ```
#[must_use]
pub fn pack(codes: &[u8; BLOCK_WEIGHTS], d: u16) -> [u8; BLOCK_BYTES] {
    let upper = codes.iter().rev().fold(0u32, |bits, code| bits << 1 | u32::from(code >> 4 & 1));
    let (low, high) = codes.split_at(BLOCK_WEIGHTS / 2);
    let mut block = [0; BLOCK_BYTES];
    let [d0, d1, u0, u1, u2, u3, nibbles @ ..] = &mut block;
    [*d0, *d1] = d.to_le_bytes();
    [*u0, *u1, *u2, *u3] = upper.to_le_bytes();
    for ((byte, low), high) in nibbles.iter_mut().zip(low).zip(high) {
        *byte = low & 15 | high << 4;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_the_inverse_of_reading() {
        let expected: [u8; BLOCK_WEIGHTS] = core::array::from_fn(|i| (i * 11 % 32) as u8);
        let block = pack(&expected, 0x1234);
        let mut read = [0; BLOCK_WEIGHTS];
        codes(&block, &mut read);
        assert_eq!((read, scale(&block)), (expected, 0x1234));
    }
}
