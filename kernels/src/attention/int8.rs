//! Attention over an int8 KV cache.

use super::{CHUNK, VALUE_FLOOR, shape, softmax_parts};
use crate::Error;
use crate::quantize::{abs_max, round_half_even};
use crate::simd::{F32x16, LANES};

/// One query head over one chunk of an int8 KV cache.
///
/// `q`: `[head_dim]` with scale `q_scale`; `k`, `v`: `[n][head_dim]` with a scale a row in `k_scales`, `v_scales`.
/// Scores are exact integer sums times `(q_scale * k_scale)`, then times `c`. Probabilities times value scales are
/// rounded to i16 by the chunk's largest, so that the weighted sum of values is an exact integer, too.
///
/// # Errors
/// As [`each`](super::each).
///
/// ```
/// use bitnet_edge_kernels::{attention, simd::Scalar16};
/// let mut record = [0.0; 4];
/// let row = attention::Int8Rows { q: &[127, 0], scales: &[1.0] };
/// attention::chunk_i8::<Scalar16>(&[127, 0], 0.5, row, row, 1.0, &mut record)?;
/// assert_eq!(record, [127.0 * 127.0 * 0.5, 1.0, 127.0, 0.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn chunk_i8<V: F32x16>(
    q: &[i8],
    q_scale: f32,
    k: Int8Rows<'_>,
    v: Int8Rows<'_>,
    c: f32,
    record: &mut [f32],
) -> Result<(), Error> {
    let hd = q.len();
    let (n, o) = shape(hd, k.q.len(), v.q.len(), record)?;
    let v_scales = v.scales.get(..n).ok_or(Error::Operand("a value scale a position is needed"))?;
    if k.scales.len() < n {
        return Err(Error::Operand("a key scale a position is needed"));
    }
    let mut scores = [0.0; CHUNK];
    for ((s, k), &ka) in scores.iter_mut().zip(k.q.chunks_exact(hd.max(1))).zip(k.scales) {
        let sum: i32 = q.iter().zip(k).fold(0, |s, (&a, &b)| s + i32::from(a) * i32::from(b));
        *s = sum as f32 * (q_scale * ka) * c;
    }
    let (m, l) = softmax_parts::<V>(&mut scores, n)?;
    for (p, &va) in scores.iter_mut().zip(v_scales) {
        *p *= va;
    }
    let largest = abs_max(&scores)?;
    let mut weights = [0i16; CHUNK];
    let mut unit = 0.0;
    if largest >= VALUE_FLOOR {
        let scale = 32767.0 / largest;
        unit = largest / 32767.0;
        for (w, &p) in weights.iter_mut().zip(&scores) {
            *w = round_half_even(p * scale) as i16;
        }
    }
    for (block, out) in o.1.chunks_mut(LANES).enumerate() {
        let mut acc = [0i32; LANES];
        for (&w, v) in weights.iter().zip(v.q.chunks_exact(hd.max(1))) {
            for (acc, &v) in acc.iter_mut().zip(v.chunks(LANES).nth(block).unwrap_or(&[])) {
                *acc += i32::from(w) * i32::from(v);
            }
        }
        for (out, acc) in out.iter_mut().zip(acc) {
            *out = acc as f32 * unit;
        }
    }
    *o.0 = [m, l];
    Ok(())
}

/// Rows of int8 with a scale each.
///
/// ```
/// let rows = bitnet_edge_kernels::attention::Int8Rows { q: &[1, 2], scales: &[0.5] };
/// assert_eq!(rows.scales.len(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Int8Rows<'a> {
    /// `[n][head_dim]`.
    pub q: &'a [i8],
    /// `[n]`: a row is `q * scale`.
    pub scales: &'a [f32],
}
