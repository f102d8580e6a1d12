//! `Q5_K` (GGUF type 13): 256 weights in sub-blocks of 32, each with a 6-bit scale and minimum, 5 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..16 | scales and minima: [`k_head`](super::k_head) |
//! | `16 + l`, `l` in 0..32 | bit `s`: the fifth bit of weight `32s + l` |
//! | `48 + 32k + l`, `k` in 0..4 | the low four bits of weight `64k + l` in the low nibble, of weight `64k + 32 + l` in the high one |
//!
//! A weight is `(d * scale) * code - dmin * minimum`, each operation rounded.

use super::field;
use super::k_head::{HEAD_BYTES, Head, SUB_WEIGHTS, widen};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q5_k::BLOCK_WEIGHTS, 256);
/// ```
pub const BLOCK_WEIGHTS: usize = 256;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q5_k::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 5.5); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 176;

/// The first bytes of a block, which hold its scales and minima; [`Head`] reads them.
///
/// ```
/// use bitnet_edge_kernels::format::q5_k;
/// assert_eq!(q5_k::head(&[7; 176]), &[7; 16]);
/// ```
#[inline]
#[must_use]
pub const fn head(block: &[u8; BLOCK_BYTES]) -> &[u8; HEAD_BYTES] {
    field::<0, HEAD_BYTES, BLOCK_BYTES>(block)
}

/// Writes the codes of `block`, 0 to 31, to `out` in the order of the weights.
///
/// ```
/// use bitnet_edge_kernels::format::q5_k;
/// let mut block = [0; 176];
/// block[16 + 1] = 0b1000; // the fifth bit of weight 97
/// block[48 + 33] = 0x5a; // the low bits of weights 65 and 97
/// let mut codes = [0; 256];
/// q5_k::codes(&block, &mut codes);
/// assert_eq!((codes[65], codes[97]), (0x0a, 0x15));
/// ```
pub fn codes(block: &[u8; BLOCK_BYTES], out: &mut [u8; BLOCK_WEIGHTS]) {
    let upper = field::<HEAD_BYTES, 32, BLOCK_BYTES>(block);
    let runs = field::<48, 128, BLOCK_BYTES>(block).as_chunks::<32>().0;
    let runs = runs.iter().flat_map(|run| [(run, 0), (run, 4)]);
    for (s, (out, (run, shift))) in out.as_chunks_mut::<SUB_WEIGHTS>().0.iter_mut().zip(runs).enumerate() {
        for ((code, low), upper) in out.iter_mut().zip(run).zip(upper) {
            *code = low >> shift & 15 | (upper >> s & 1) << 4;
        }
    }
}

/// Writes the 256 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q5_k;
/// let mut block = [0x22; 176];
/// block[..4].copy_from_slice(&[0x00, 0x38, 0x00, 0x3c]); // d = 0.5, dmin = 1
/// block[4..8].fill(3); // scales of sub-blocks 0 to 3
/// block[8..12].fill(5); // and their minima
/// block[16..48].fill(0x01); // fifth bits of sub-block 0
/// let mut weights = [0.0; 256];
/// q5_k::dequantize(&block, &mut weights);
/// assert_eq!((weights[0], weights[32]), (0.5 * 3.0 * 18.0 - 5.0, 0.5 * 3.0 * 2.0 - 5.0));
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let mut of_block = [0; BLOCK_WEIGHTS];
    codes(block, &mut of_block);
    widen(&Head::read(head(block)), &of_block, out);
}

/// Builds the bytes of a block: the inverse of [`codes`] and [`head`]. Codes are 0 to 31.
///
/// ```
/// use bitnet_edge_kernels::format::q5_k;
/// let block: [u8; 176] = core::array::from_fn(|i| (i * 7) as u8);
/// let mut codes = [0; 256];
/// q5_k::codes(&block, &mut codes);
/// assert_eq!(q5_k::pack(&codes, q5_k::head(&block)), block);
/// ```
#[must_use]
pub fn pack(codes: &[u8; BLOCK_WEIGHTS], head: &[u8; HEAD_BYTES]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let (first, rest) = block.split_at_mut(HEAD_BYTES);
    let (upper, nibbles) = rest.split_at_mut(32);
    first.copy_from_slice(head);
    for (s, codes) in codes.as_chunks::<SUB_WEIGHTS>().0.iter().enumerate() {
        let run = nibbles.iter_mut().skip(s / 2 * 32);
        for ((code, low), upper) in codes.iter().zip(run).zip(upper.iter_mut()) {
            *low |= (code & 15) << (s % 2 * 4);
            *upper |= (code >> 4 & 1) << s;
        }
    }
    block
}
