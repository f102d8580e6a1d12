//! `Q4_K` (GGUF type 12): 256 weights in sub-blocks of 32, each with a 6-bit scale and minimum, 4 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..16 | scales and minima: [`k_head`](super::k_head) |
//! | `16 + 32k + l`, `k` in 0..4, `l` in 0..32 | the code of weight `64k + l` in the low nibble, of weight `64k + 32 + l` in the high one |
//!
//! A weight is `(d * scale) * code - dmin * minimum`, each operation rounded.

use super::field;
use super::k_head::{HEAD_BYTES, Head, widen};

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q4_k::BLOCK_WEIGHTS, 256);
/// ```
pub const BLOCK_WEIGHTS: usize = 256;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q4_k::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 4.5); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 144;

/// The first bytes of a block, which hold its scales and minima; [`Head`] reads them.
///
/// ```
/// use bitnet_edge_kernels::format::q4_k;
/// assert_eq!(q4_k::head(&[7; 144]), &[7; 16]);
/// ```
#[inline]
#[must_use]
pub const fn head(block: &[u8; BLOCK_BYTES]) -> &[u8; HEAD_BYTES] {
    field::<0, HEAD_BYTES, BLOCK_BYTES>(block)
}

/// Writes the codes of `block`, 0 to 15, to `out` in the order of the weights.
///
/// ```
/// use bitnet_edge_kernels::format::q4_k;
/// let mut block = [0; 144];
/// block[16 + 33] = 0x5a;
/// let mut codes = [0; 256];
/// q4_k::codes(&block, &mut codes);
/// assert_eq!((codes[65], codes[97]), (0x0a, 0x05));
/// ```
pub fn codes(block: &[u8; BLOCK_BYTES], out: &mut [u8; BLOCK_WEIGHTS]) {
    let runs = field::<HEAD_BYTES, 128, BLOCK_BYTES>(block).as_chunks::<32>().0;
    for (out, run) in out.as_chunks_mut::<64>().0.iter_mut().zip(runs) {
        let (low, high) = out.split_at_mut(32);
        for ((byte, low), high) in run.iter().zip(low).zip(high) {
            (*low, *high) = (byte & 15, byte >> 4);
        }
    }
}

/// Writes the 256 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q4_k;
/// let mut block = [0x22; 144]; // codes of 2
/// block[..4].copy_from_slice(&[0x00, 0x38, 0x00, 0x3c]); // d = 0.5, dmin = 1
/// block[4..8].fill(3); // scales of sub-blocks 0 to 3
/// block[8..12].fill(5); // and their minima
/// let mut weights = [0.0; 256];
/// q4_k::dequantize(&block, &mut weights);
/// assert_eq!(weights[0], 0.5 * 3.0 * 2.0 - 5.0);
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let mut of_block = [0; BLOCK_WEIGHTS];
    codes(block, &mut of_block);
    widen(&Head::read(head(block)), &of_block, out);
}

/// Builds the bytes of a block: the inverse of [`codes`] and [`head`]. Codes are 0 to 15.
///
/// ```
/// use bitnet_edge_kernels::format::q4_k;
/// let block: [u8; 144] = core::array::from_fn(|i| (i * 7) as u8);
/// let mut codes = [0; 256];
/// q4_k::codes(&block, &mut codes);
/// assert_eq!(q4_k::pack(&codes, q4_k::head(&block)), block);
/// ```
#[must_use]
pub fn pack(codes: &[u8; BLOCK_WEIGHTS], head: &[u8; HEAD_BYTES]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let (first, nibbles) = block.split_at_mut(HEAD_BYTES);
    first.copy_from_slice(head);
    for (run, codes) in nibbles.as_chunks_mut::<32>().0.iter_mut().zip(codes.as_chunks::<64>().0) {
        let (low, high) = codes.split_at(32);
        for ((byte, low), high) in run.iter_mut().zip(low).zip(high) {
            *byte = low & 15 | high << 4;
        }
    }
    block
}
