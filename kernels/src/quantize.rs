//! Activation quantization: f32 to int8, by token or in groups.
//!
//! The rounding is half to even by adding [`ROUND`]. `|x * s|` is at most `127 * (1 + 2^-23)`, so a
//! quantized value lies in -127 ..= 127: -128 never occurs, and every i16 and i32 bound of the kernels rests on that.

use crate::Error;
use crate::math::ROUND;

/// The floor of the largest magnitude of a token (bitnet.cpp and the models' training have it).
///
/// ```
/// assert_eq!(bitnet_edge_kernels::quantize::TOKEN_FLOOR, 1e-5);
/// ```
pub const TOKEN_FLOOR: f32 = 1e-5;

/// Below this a group counts as zero, because `127 / amax` would overflow: `2^-120`.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::quantize::GROUP_FLOOR, 2f32.powi(-120));
/// ```
pub const GROUP_FLOOR: f32 = f32::from_bits(7 << 23);

/// The largest magnitude, as the u32 maximum of the bits without sign.
///
/// # Errors
/// [`Error::NonFinite`] if any value is NaN or infinite.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::quantize::abs_max(&[-3.0, 2.0]), Ok(3.0));
/// ```
#[inline(always)]
pub fn abs_max(x: &[f32]) -> Result<f32, Error> {
    let bits = x.iter().fold(0, |m: u32, v| m.max(v.to_bits() & 0x7fff_ffff));
    if bits >= 0x7f80_0000 { Err(Error::NonFinite) } else { Ok(f32::from_bits(bits)) }
}

/// Rounds `x`, half to even, for `|x| < 2^22`.
///
/// ```
/// use bitnet_edge_kernels::quantize::round_half_even;
/// assert_eq!([0.5, 1.5, -2.5, 126.6].map(round_half_even), [0, 2, -2, 127]);
/// ```
#[inline(always)]
pub fn round_half_even(x: f32) -> i32 {
    ((x + ROUND).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

#[inline(always)]
fn scaled(x: &[f32], s: f32, q: &mut [i8]) -> i32 {
    let mut sum = 0i32;
    for (q, &x) in q.iter_mut().zip(x) {
        let v = round_half_even(x * s);
        *q = v as i8;
        // At most 127 a value; a checked addition would not be vectorized.
        sum = sum.wrapping_add(v);
    }
    sum
}

/// Quantizes one token for ternary weights: `s = 127 / max(|x|max, 1e-5)`, `q = round_half_even(x * s)`.
///
/// `q[x.len()..]` is set to zero: activations are padded to whole tiles. Returns `s` and the sum of `q`.
///
/// # Errors
/// [`Error::NonFinite`] for NaN and infinity, [`Error::Operand`] if `q` is shorter than `x`.
///
/// ```
/// let mut q = [9i8; 4];
/// let (s, sum) = bitnet_edge_kernels::quantize::token(&[1.0, -0.5, 0.0], &mut q)?;
/// assert_eq!((s, sum, q), (127.0, 63, [127, -64, 0, 0])); // 63.5 rounds to 64
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn token(x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error> {
    let amax = abs_max(x)?;
    let s = 127.0 / if amax > TOKEN_FLOOR { amax } else { TOKEN_FLOOR };
    let (q, padding) = q.split_at_mut_checked(x.len()).ok_or(Error::Operand("q is shorter than x"))?;
    let sum = scaled(x, s, q);
    padding.fill(0);
    Ok((s, sum))
}

/// Quantizes one token in groups of `N`: scale `a = amax / 127`, `q = round_half_even(x * (127 / amax))`.
///
/// A group whose largest magnitude is below [`GROUP_FLOOR`] gets `q = 0` and `a = 0`. `scales[b]` and `sums[b]` are
/// group b's `a` and sum of `q`. The last group may be partial; `q[x.len()..]` is set to zero.
///
/// # Errors
/// [`Error::NonFinite`] for NaN and infinity, [`Error::Operand`] if an output is too short.
///
/// ```
/// let (mut q, mut a, mut sum) = ([0i8; 32], [0f32; 1], [0i32; 1]);
/// bitnet_edge_kernels::quantize::groups::<32>(&[12.7; 32], &mut q, &mut a, &mut sum)?;
/// assert_eq!((q[0], a[0], sum[0]), (127, 0.1, 32 * 127));
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn groups<const N: usize>(
    x: &[f32],
    q: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    let n = x.len().div_ceil(const { if N == 0 { 1 } else { N } });
    if scales.len() < n || sums.len() < n {
        return Err(Error::Operand("scales or sums are shorter than the groups of x"));
    }
    let (q, padding) = q.split_at_mut_checked(x.len()).ok_or(Error::Operand("q is shorter than x"))?;
    let out = q.chunks_mut(N).zip(scales).zip(sums);
    for (x, ((q, a), sum)) in x.chunks(N).zip(out) {
        (*a, *sum) = group(x, q)?;
    }
    padding.fill(0);
    Ok(())
}

/// Quantizes one group; returns its scale `a` and the sum of `q`. See [`groups`].
///
/// # Errors
/// [`Error::NonFinite`] for NaN and infinity.
///
/// ```
/// let mut q = [0i8; 2];
/// assert_eq!(bitnet_edge_kernels::quantize::group(&[0.0, 1e-40], &mut q), Ok((0.0, 0)));
/// ```
#[inline(always)]
pub fn group(x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error> {
    let amax = abs_max(x)?;
    if amax < GROUP_FLOOR {
        q.fill(0);
        return Ok((0.0, 0));
    }
    Ok((amax / 127.0, scaled(x, 127.0 / amax, q)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantized_values_never_reach_minus_128() {
        // The worst case of the lemma: the largest magnitude itself, for every mantissa at several exponents.
        for exponent in [1u32, 7, 20, 127, 200, 254] {
            for mantissa in (0..1 << 23).step_by(97) {
                let x = -f32::from_bits(exponent << 23 | mantissa);
                let mut q = [0i8; 1];
                group(&[x], &mut q).unwrap();
                assert!(q[0] == -127 || (q[0] == 0 && exponent < 7), "{x:e} gave {}", q[0]);
                token(&[x], &mut q).unwrap();
                assert!(q[0] >= -127);
            }
        }
    }

    #[test]
    fn infinities_and_nans_are_refused_wherever_they_stand() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xff80_0001)] {
            for at in 0..40 {
                let mut x = [1.0f32; 40];
                x[at] = bad;
                assert_eq!(token(&x, &mut [0; 64]), Err(Error::NonFinite));
                assert_eq!(groups::<32>(&x, &mut [0; 64], &mut [0.0; 2], &mut [0; 2]), Err(Error::NonFinite));
            }
        }
    }
}
