//! `TQ1_0` (GGUF type 34): 256 ternary weights with one scale, five weights a byte (1.6875 bits a weight).
//!
//! | bytes | content |
//! |---|---|
//! | 0..32 | byte `m`: weights `m`, `32 + m`, `64 + m`, `96 + m`, `128 + m` |
//! | 32..48 | byte `m`: weights `160 + m`, `176 + m`, `192 + m`, `208 + m`, `224 + m` |
//! | 48..52 | byte `j`: weights `240 + j`, `244 + j`, `248 + j`, `252 + j` |
//! | 52..54 | the scale `d`, f16 |
//!
//! A byte is a fraction of 256: read in base 3, its first digit after the point is the first code.
//! Multiplying by 3 moves the next code there. A weight is `d * (code - 1)`.

use super::{f16_to_f32, field, half};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::tq1_0::BLOCK_WEIGHTS, 256);
/// ```
pub const BLOCK_WEIGHTS: usize = 256;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::tq1_0::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 1.6875); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 54;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::tq1_0;
/// let mut block = [0; 54];
/// block[53] = 0x3c;
/// assert_eq!(tq1_0::scale(&block), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<52, BLOCK_BYTES>(block)
}

/// Writes the codes of `block`, 0 to 2 (a weight's code less 1 is its sign), to `out` in the order of the
/// weights.
///
/// Every byte decodes to codes in range, also the 13 values that no writer produces.
///
/// ```
/// use bitnet_edge_kernels::format::tq1_0;
/// let mut codes = [0; 256];
/// tq1_0::codes(&[0xff; 54], &mut codes);
/// assert_eq!(codes, [2; 256]);
/// ```
pub fn codes(block: &[u8; BLOCK_BYTES], out: &mut [u8; BLOCK_WEIGHTS]) {
    let (first, rest) = out.split_at_mut(160);
    let (second, third) = rest.split_at_mut(80);
    digits(field::<0, 32, BLOCK_BYTES>(block), first);
    digits(field::<32, 16, BLOCK_BYTES>(block), second);
    digits(field::<48, 4, BLOCK_BYTES>(block), third);
}

/// Writes digit `n` of every byte to run `n` of `out`; runs are as long as `bytes`.
fn digits<const N: usize>(bytes: &[u8; N], out: &mut [u8]) {
    let mut power = 1_u8;
    for run in out.as_chunks_mut::<N>().0 {
        for (code, byte) in run.iter_mut().zip(bytes) {
            *code = ((u16::from(byte.wrapping_mul(power)) * 3) >> 8) as u8;
        }
        power = power.wrapping_mul(3);
    }
}

/// Writes the 256 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::tq1_0;
/// let mut block = [0; 54]; // codes of 0
/// block[53] = 0x3c; // 1.0
/// let mut weights = [0.0; 256];
/// tq1_0::dequantize(&block, &mut weights);
/// assert_eq!(weights, [-1.0; 256]);
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let d = f16_to_f32(scale(block));
    let mut codes_of_block = [0; BLOCK_WEIGHTS];
    codes(block, &mut codes_of_block);
    for (&code, weight) in codes_of_block.iter().zip(out) {
        *weight = d * f32::from(i16::from(code) - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte of the given digits, most significant first, by the rounding that the format's definition
    /// states.
    fn encode(digits: [u8; 5]) -> u8 {
        let value = digits.iter().fold(0_u16, |value, &digit| value * 3 + u16::from(digit));
        (value * 256).div_ceil(243) as u8
    }

    #[test]
    fn every_five_digits_survive() {
        for value in 0..243_u16 {
            let expected = [81, 27, 9, 3, 1].map(|power| (value / power % 3) as u8);
            let mut out = [0; 5];
            digits(&[encode(expected)], &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn each_byte_holds_the_weights_of_the_table() {
        let (mut block, mut out) = ([0; BLOCK_BYTES], [0; BLOCK_WEIGHTS]);
        block[5] = encode([1, 2, 1, 2, 1]);
        block[32 + 5] = encode([2, 1, 2, 1, 2]);
        block[48 + 3] = encode([1, 1, 2, 2, 0]);
        codes(&block, &mut out);
        let mut expected = [0; BLOCK_WEIGHTS];
        for (start, step, digits) in
            [(5, 32, &[1, 2, 1, 2, 1][..]), (165, 16, &[2, 1, 2, 1, 2]), (243, 4, &[1, 1, 2, 2])]
        {
            for (n, &digit) in digits.iter().enumerate() {
                expected[start + n * step] = digit;
            }
        }
        assert_eq!(out, expected);
    }
}
