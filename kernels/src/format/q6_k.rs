//! `Q6_K` (GGUF type 14): 256 weights in groups of 16, each with an 8-bit scale, 6 bits a weight.
//!
//! | bytes | content |
//! |---|---|
//! | 0..128 | low 4 bits of the codes |
//! | 128..192 | high 2 bits of the codes |
//! | 192..208 | the scales of the 16 groups, i8 |
//! | 208..210 | the scale `d` of the block, f16 |
//!
//! The block has two halves of 128 weights, each with 64 bytes `low`, 32 bytes `high` and 8 scales. For `l`
//! in 0..32 the codes of a half are
//!
//! | weight | low 4 bits | high 2 bits |
//! |---|---|---|
//! | `l` | `low[l]`, low nibble | `high[l]`, bits 0..2 |
//! | `32 + l` | `low[32 + l]`, low nibble | `high[l]`, bits 2..4 |
//! | `64 + l` | `low[l]`, high nibble | `high[l]`, bits 4..6 |
//! | `96 + l` | `low[32 + l]`, high nibble | `high[l]`, bits 6..8 |
//!
//! A weight is `d * scale * (code - 32)`, rounded after each product.

use super::{f16_to_f32, f32_to_f16, field, half, signed_abs_max};
use crate::quantize::round_half_even;

/// Weights in a block.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::format::q6_k::BLOCK_WEIGHTS, 256);
/// ```
pub const BLOCK_WEIGHTS: usize = 256;
/// Bytes in a block.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k::{BLOCK_BYTES, BLOCK_WEIGHTS};
/// assert_eq!(8.0 * BLOCK_BYTES as f64 / BLOCK_WEIGHTS as f64, 6.5625); // bits a weight
/// ```
pub const BLOCK_BYTES: usize = 210;
/// Weights that share an 8-bit scale.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k::{BLOCK_WEIGHTS, GROUP_WEIGHTS};
/// assert_eq!(BLOCK_WEIGHTS / GROUP_WEIGHTS, 16); // scales of a block
/// ```
pub const GROUP_WEIGHTS: usize = 16;

/// Weights in half a block.
const HALF: usize = 128;
/// Weights in a quarter of a half; as many bytes hold the high bits of the half.
const QUARTER: usize = 32;
/// Below this magnitude ggml takes a group, or a block, for zeros.
const NEGLIGIBLE: f32 = 1e-15;

/// The scale `d` of a block, as the bits of an f16.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k;
/// let mut block = [0; 210];
/// block[209] = 0x3c;
/// assert_eq!(q6_k::scale(&block), 0x3c00);
/// ```
#[inline]
#[must_use]
pub const fn scale(block: &[u8; BLOCK_BYTES]) -> u16 {
    half::<208, BLOCK_BYTES>(block)
}

/// The scales of the groups: i8 in two's complement, as bytes; group `g` has the weights `16 * g..16 * g +
/// 16`.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k;
/// let mut block = [0; 210];
/// block[192] = 0xff;
/// assert_eq!(q6_k::scales(&block)[0].cast_signed(), -1);
/// ```
#[inline]
#[must_use]
pub const fn scales(block: &[u8; BLOCK_BYTES]) -> &[u8; BLOCK_WEIGHTS / GROUP_WEIGHTS] {
    field::<192, 16, BLOCK_BYTES>(block)
}

/// Writes the codes of `block`, 0 to 63 (a weight's code less 32 is its quant), to `out` in the order of the
/// weights.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k;
/// let mut codes = [0; 256];
/// let mut block = [0; 210];
/// block[1] = 0x5a; // low bits of weights 1 and 65
/// block[129] = 0b11_10_01_00; // high bits of weights 1, 33, 65, 97
/// q6_k::codes(&block, &mut codes);
/// assert_eq!((codes[1], codes[33], codes[65], codes[97]), (0x0a, 0x10, 0x25, 0x30));
/// ```
pub fn codes(block: &[u8; BLOCK_BYTES], out: &mut [u8; BLOCK_WEIGHTS]) {
    let lows = field::<0, 128, BLOCK_BYTES>(block).as_chunks::<{ HALF / 2 }>().0;
    let highs = field::<128, 64, BLOCK_BYTES>(block).as_chunks::<QUARTER>().0;
    for ((out, low), high) in out.as_chunks_mut::<HALF>().0.iter_mut().zip(lows).zip(highs) {
        // The high bits of quarter `i` stand at 2 * i. Quarters 0 and 1 have the low nibbles of the two runs
        // of low bytes, quarters 2 and 3 the high ones.
        let runs = low.as_chunks::<QUARTER>().0.iter().cycle();
        for ((quarter, out), run) in out.as_chunks_mut::<QUARTER>().0.iter_mut().enumerate().zip(runs) {
            for ((code, low), high) in out.iter_mut().zip(run).zip(high) {
                *code = (low >> (quarter / 2 * 4)) & 15 | ((high >> (quarter * 2)) & 3) << 4;
            }
        }
    }
}

/// Writes the 256 weights of `block` to `out`.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k;
/// let mut block = [0; 210]; // codes of 0
/// block[192..208].fill(2);
/// block[209] = 0x3c; // 1.0
/// let mut weights = [0.0; 256];
/// q6_k::dequantize(&block, &mut weights);
/// assert_eq!(weights, [-64.0; 256]);
/// ```
pub fn dequantize(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_WEIGHTS]) {
    let d = f16_to_f32(scale(block));
    let mut codes_of_block = [0; BLOCK_WEIGHTS];
    codes(block, &mut codes_of_block);
    let outs = out.as_chunks_mut::<GROUP_WEIGHTS>().0;
    for ((codes, out), &scale) in groups(&codes_of_block).zip(outs).zip(scales(block)) {
        let group_scale = d * f32::from(scale.cast_signed());
        for (&code, weight) in codes.iter().zip(out) {
            *weight = group_scale * f32::from(i16::from(code) - 32);
        }
    }
}

/// Quantizes 256 weights as ggml's reference quantizer does.
///
/// Each group's scale is searched for near the one that maps its largest weight to -32, to minimize the
/// squared error weighted by the squared weights; then the scales are rounded to 8 bits and the codes are
/// chosen for what remains. Weights whose magnitude is past what f16 scales can express give a block that is
/// not finite, as in ggml.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k;
/// let weights: [f32; 256] = core::array::from_fn(|i| (i as f32 - 128.0) / 64.0);
/// let mut back = [0.0; 256];
/// q6_k::dequantize(&q6_k::quantize(&weights), &mut back);
/// assert!(weights.iter().zip(back).all(|(w, b)| (w - b).abs() < 0.04));
/// ```
#[must_use]
pub fn quantize(weights: &[f32; BLOCK_WEIGHTS]) -> [u8; BLOCK_BYTES] {
    let mut codes = [0_u8; BLOCK_WEIGHTS];
    let mut found = [0.0_f32; BLOCK_WEIGHTS / GROUP_WEIGHTS];
    for ((group, codes), scale) in groups(weights).zip(groups_mut(&mut codes)).zip(&mut found) {
        *scale = search_scale(group, codes);
    }
    let largest = signed_abs_max(&found);
    if largest.abs() < NEGLIGIBLE {
        return [0; BLOCK_BYTES];
    }

    // The largest scale becomes -128, so that the full range is used whatever its sign.
    let inverse = -128.0 / largest;
    let d = f32_to_f16(1.0 / inverse);
    let mut scales = [0_u8; BLOCK_WEIGHTS / GROUP_WEIGHTS];
    for (scale, &found) in scales.iter_mut().zip(&found) {
        *scale = (round_half_even(inverse * found).min(127) as i8).cast_unsigned();
    }
    for ((group, codes), &scale) in groups(weights).zip(groups_mut(&mut codes)).zip(&scales) {
        let group_scale = f16_to_f32(d) * f32::from(scale.cast_signed());
        // A scale that rounded to zero makes zeros of its group, whatever the codes: those of the search
        // stay.
        if group_scale != 0.0 {
            for (code, &weight) in codes.iter_mut().zip(group) {
                *code = (round_half_even(weight / group_scale).clamp(-32, 31) + 32) as u8;
            }
        }
    }
    pack(&codes, &scales, d)
}

/// The parts of a block's values that belong to one scale each.
fn groups<T>(values: &[T; BLOCK_WEIGHTS]) -> impl Iterator<Item = &[T; GROUP_WEIGHTS]> {
    values.as_chunks().0.iter()
}

/// As [`groups`], to write to.
fn groups_mut<T>(values: &mut [T; BLOCK_WEIGHTS]) -> impl Iterator<Item = &mut [T; GROUP_WEIGHTS]> {
    values.as_chunks_mut().0.iter_mut()
}

/// Finds the scale of a group and writes its codes for that scale.
fn search_scale(group: &[f32; GROUP_WEIGHTS], codes: &mut [u8; GROUP_WEIGHTS]) -> f32 {
    let largest = signed_abs_max(group);
    if largest.abs() < NEGLIGIBLE {
        *codes = [0; GROUP_WEIGHTS];
        return 0.0;
    }
    let mut inverse = -32.0 / largest;
    let mut fitted = Fit::of(group, inverse);
    let mut scale = if fitted.quants == 0.0 { 0.0 } else { fitted.cross / fitted.quants };
    let mut best = scale * fitted.cross;
    let mut chosen = inverse;
    for step in (-9_i8..=9).filter(|&step| step != 0) {
        inverse = -(32.0 + 0.1_f32 * f32::from(step)) / largest;
        fitted = Fit::of(group, inverse);
        if fitted.quants > 0.0 && fitted.cross * fitted.cross > best * fitted.quants {
            scale = fitted.cross / fitted.quants;
            best = scale * fitted.cross;
            chosen = inverse;
        }
    }
    for (code, &weight) in codes.iter_mut().zip(group) {
        *code = (quant(weight, chosen) + 32) as u8;
    }
    scale
}

/// The quant, -32 to 31, of a weight for an inverse scale.
fn quant(weight: f32, inverse: f32) -> i32 {
    round_half_even(inverse * weight).clamp(-32, 31)
}

/// The two sums of a weighted least-squares fit of quants to the weights of a group; the importance of a
/// weight is its square. The best scale for these quants is `cross / quants`.
struct Fit {
    /// The sum of importance x weight x quant.
    cross: f32,
    /// The sum of importance x quant^2.
    quants: f32,
}

impl Fit {
    fn of(group: &[f32; GROUP_WEIGHTS], inverse: f32) -> Self {
        let mut fit = Self { cross: 0.0, quants: 0.0 };
        for &weight in group {
            let quant = quant(weight, inverse) as f32;
            let importance = weight * weight;
            // The order of the products is ggml's: it decides the last bit, and that can decide a comparison.
            fit.cross += importance * weight * quant;
            fit.quants += importance * quant * quant;
        }
        fit
    }
}

/// Builds the bytes of a block: the inverse of [`codes`], [`scales`] and [`scale`]. Codes are 0 to 63.
///
/// ```
/// use bitnet_edge_kernels::format::q6_k;
/// let block = q6_k::pack(&[63; 256], &[5; 16], 0x3c00);
/// let mut codes = [0; 256];
/// q6_k::codes(&block, &mut codes);
/// assert_eq!((codes, q6_k::scales(&block), q6_k::scale(&block)), ([63; 256], &[5; 16], 0x3c00));
/// ```
#[must_use]
pub fn pack(codes: &[u8; BLOCK_WEIGHTS], scales: &[u8; 16], d: u16) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let [head @ .., d0, d1] = &mut block;
    [*d0, *d1] = d.to_le_bytes();
    let (low, rest) = head.split_at_mut(128);
    let (high, tail) = rest.split_at_mut(64);
    tail.iter_mut().zip(scales).for_each(|(byte, &scale)| *byte = scale);

    let lows = low.as_chunks_mut::<{ HALF / 2 }>().0;
    let highs = high.as_chunks_mut::<QUARTER>().0;
    for ((codes, low), high) in codes.as_chunks::<HALF>().0.iter().zip(lows).zip(highs) {
        for (quarter, codes) in codes.as_chunks::<QUARTER>().0.iter().enumerate() {
            let run = low.iter_mut().skip(quarter % 2 * QUARTER);
            for ((code, low), high) in codes.iter().zip(run).zip(high.iter_mut()) {
                *low |= (code & 15) << (quarter / 2 * 4);
                *high |= (code >> 4) << (quarter * 2);
            }
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_the_inverse_of_reading() {
        let expected: [u8; BLOCK_WEIGHTS] = core::array::from_fn(|i| (i * 37 % 64) as u8);
        let group_scales: [u8; 16] = core::array::from_fn(|i| (i * 17) as u8);
        let block = pack(&expected, &group_scales, 0x1234);
        let mut read = [0; BLOCK_WEIGHTS];
        codes(&block, &mut read);
        assert_eq!(read, expected);
        assert_eq!(scales(&block), &group_scales);
        assert_eq!(scale(&block), 0x1234);
    }

    #[test]
    fn a_block_of_zeros_is_all_zero_bytes() {
        assert_eq!(quantize(&[0.0; BLOCK_WEIGHTS]), [0; BLOCK_BYTES]);
    }

    #[test]
    fn hostile_weights_do_not_panic() {
        for weight in [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-15, -f32::MAX] {
            let mut weights = [1.0; BLOCK_WEIGHTS];
            weights[7] = weight;
            weights[200] = -weight;
            let _ = quantize(&weights);
        }
    }
}
