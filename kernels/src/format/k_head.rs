//! What `Q4_K` and `Q5_K` blocks begin with: two f16 scales, and a 6-bit scale and minimum for each of eight sub-blocks.
//!
//! | bytes | content |
//! |---|---|
//! | 0..2 | the scale `d`, f16 |
//! | 2..4 | the scale of the minima `dmin`, f16 |
//! | `4 + s`, `s` in 0..4 | bits 0..6: the scale of sub-block `s`; bits 6..8: bits 4..6 of the scale of sub-block `4 + s` |
//! | `8 + s` | bits 0..6: the minimum of sub-block `s`; bits 6..8: bits 4..6 of the minimum of sub-block `4 + s` |
//! | `12 + s` | bits 0..4 of the scale (low nibble) and of the minimum (high nibble) of sub-block `4 + s` |

use super::f16_to_f32;

/// Bytes of a head.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::k_head::HEAD_BYTES, 16);
/// ```
pub const HEAD_BYTES: usize = 16;
/// Sub-blocks of a block.
///
/// ```
/// use bitnet_edge_kernels::format::{k_head::{SUB_BLOCKS, SUB_WEIGHTS}, q4_k};
/// assert_eq!(SUB_BLOCKS * SUB_WEIGHTS, q4_k::BLOCK_WEIGHTS);
/// ```
pub const SUB_BLOCKS: usize = 8;
/// Weights of a sub-block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::k_head::SUB_WEIGHTS, 32);
/// ```
pub const SUB_WEIGHTS: usize = 32;

/// A head, read.
///
/// ```
/// use bitnet_edge_kernels::format::k_head::Head;
/// let head = Head::read(&[0; 16]);
/// assert_eq!(head, Head { d: 0.0, dmin: 0.0, scales: [0; 8], minima: [0; 8] });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Head {
    /// The factor of the scales.
    pub d: f32,
    /// The factor of the minima.
    pub dmin: f32,
    /// The scales of the sub-blocks, 0 to 63.
    pub scales: [u8; SUB_BLOCKS],
    /// The minima of the sub-blocks, 0 to 63.
    pub minima: [u8; SUB_BLOCKS],
}

impl Head {
    /// Reads a head.
    ///
    /// ```
    /// use bitnet_edge_kernels::format::k_head::Head;
    /// let mut bytes = [0; 16];
    /// bytes[1] = 0x3c; // d = 1
    /// bytes[5] = 0b01_000011; // the scale of sub-block 1 is 3; of sub-block 5 bit 4 is set
    /// bytes[13] = 0x72; // the low bits of its scale, 2, and of its minimum, 7
    /// let head = Head::read(&bytes);
    /// assert_eq!((head.d, head.scales[1], head.scales[5], head.minima[5]), (1.0, 3, 0x12, 7));
    /// ```
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8; HEAD_BYTES]) -> Self {
        let [d0, d1, m0, m1, packed @ ..] = *bytes;
        let [d, dmin] = [[d0, d1], [m0, m1]].map(|half| f16_to_f32(u16::from_le_bytes(half)));
        let [s0, s1, s2, s3, m0, m1, m2, m3, l0, l1, l2, l3] = packed;
        // A byte with two bits of a value of the second half on top, and the byte with its low four bits.
        let upper = |top: u8, low: u8| low & 15 | top >> 6 << 4;
        let scales =
            [s0 & 63, s1 & 63, s2 & 63, s3 & 63, upper(s0, l0), upper(s1, l1), upper(s2, l2), upper(s3, l3)];
        let minima = [
            m0 & 63,
            m1 & 63,
            m2 & 63,
            m3 & 63,
            upper(m0, l0 >> 4),
            upper(m1, l1 >> 4),
            upper(m2, l2 >> 4),
            upper(m3, l3 >> 4),
        ];
        Self { d, dmin, scales, minima }
    }
}

/// Writes the weights `(d * scale) * code - dmin * minimum` of a block.
pub(crate) fn widen(head: &Head, codes: &[u8; 256], out: &mut [f32; 256]) {
    let parts = codes.as_chunks::<SUB_WEIGHTS>().0.iter().zip(out.as_chunks_mut::<SUB_WEIGHTS>().0);
    for ((codes, out), (&scale, &minimum)) in parts.zip(head.scales.iter().zip(&head.minima)) {
        let (scale, minimum) = (head.d * f32::from(scale), head.dmin * f32::from(minimum));
        for (weight, &code) in out.iter_mut().zip(codes) {
            *weight = scale * f32::from(code) - minimum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a head, written by the table.
    fn write(scales: [u8; SUB_BLOCKS], minima: [u8; SUB_BLOCKS]) -> [u8; HEAD_BYTES] {
        let mut bytes = [0x00, 0x3c, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for s in 0..4 {
            bytes[4 + s] = scales[s] | (scales[4 + s] >> 4) << 6;
            bytes[8 + s] = minima[s] | (minima[4 + s] >> 4) << 6;
            bytes[12 + s] = scales[4 + s] & 15 | (minima[4 + s] & 15) << 4;
        }
        bytes
    }

    #[test]
    fn every_six_bits_of_every_sub_block_are_read() {
        for at in 0..SUB_BLOCKS {
            for value in 0..64 {
                let mut head = Head { d: 1.0, dmin: -2.0, ..Head::default() };
                (head.scales[at], head.minima[at]) = (value, 63 - value);
                assert_eq!(Head::read(&write(head.scales, head.minima)), head);
            }
        }
    }
}
