//! Rotary position embedding, half-split style: pair `i` of a head is elements `i` and `i + pairs`.

use crate::Error;
use crate::math::cos_sin_turns;

/// Cosine and sine of a position: `angles[2i]` and `angles[2i + 1]` for pair i, both times `factor`.
///
/// `turns[i]` is the frequency of pair i in turns a position, as a fraction of `2^64`; the phase is the wrapping
/// product with the position, which is exact.
///
/// # Errors
/// [`Error::Operand`] if `angles` is shorter than two values a pair.
///
/// ```
/// use bitnet_edge_kernels::rope;
/// let mut angles = [0.0; 2];
/// rope::angles(&[1 << 62], 2, 1.0, &mut angles)?; // a quarter turn a position: position 2 is half a turn
/// assert_eq!(angles, [-1.0, 0.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn angles(turns: &[u64], position: u32, factor: f32, angles: &mut [f32]) -> Result<(), Error> {
    let (pairs, _) = angles.as_chunks_mut::<2>();
    if pairs.len() < turns.len() {
        return Err(Error::Operand("angles are shorter than two values a pair"));
    }
    for (out, &turn) in pairs.iter_mut().zip(turns) {
        let (c, s) = cos_sin_turns(turn.wrapping_mul(u64::from(position)));
        *out = [c * factor, s * factor];
    }
    Ok(())
}

/// Rotates one head in place: `a' = a*cos - b*sin`, `b' = a*sin + b*cos`; elements beyond the pairs stay.
///
/// # Errors
/// [`Error::Operand`] if the head is shorter than `angles` (two values a pair).
///
/// ```
/// use bitnet_edge_kernels::rope;
/// let mut head = [1.0, 2.0];
/// rope::rotate(&mut head, &[0.0, 1.0])?; // a quarter turn
/// assert_eq!(head, [-2.0, 1.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn rotate(head: &mut [f32], angles: &[f32]) -> Result<(), Error> {
    let (pairs, _) = angles.as_chunks::<2>();
    let short = Error::Operand("head is shorter than the rotated pairs");
    let (first, rest) = head.split_at_mut_checked(pairs.len()).ok_or(short)?;
    let second = rest.get_mut(..pairs.len()).ok_or(short)?;
    for ((a, b), [c, s]) in first.iter_mut().zip(second).zip(pairs) {
        let (x, y) = (*a, *b);
        *a = x * c - y * s;
        *b = x * s + y * c;
    }
    Ok(())
}
