//! Attention over one chunk of the KV cache, and the combination of chunks.
//!
//! A chunk is [`CHUNK`] absolute positions, so its result does not depend on how a prompt was batched. A chunk's
//! result is a record of `2 + head_dim` f32: local maximum `m`, sum `l`, and the unnormalized output `o`.
//! Positions that are masked are absent: a chunk is given only the positions a token may see.

mod blocked;
mod int8;
mod queries;

pub use blocked::{Scratch, blocked};
pub use int8::{Int8Rows, chunk_i8};
pub use queries::Queries;

use crate::Error;
use crate::math::exp;
use crate::quantize::abs_max;
use crate::simd::{F32x16, LANES};

/// Positions in a chunk.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::attention::CHUNK, 64);
/// ```
pub const CHUNK: usize = 64;

/// f32 values before the output in a chunk's record: `m` and `l`.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::attention::RECORD_HEAD, 2);
/// ```
pub const RECORD_HEAD: usize = 2;

/// Below this the largest of a chunk's weighted probabilities counts as zero, because `32767 / largest` would overflow:
/// `2^-112`.
///
/// ```
/// use bitnet_edge_kernels::attention::VALUE_FLOOR;
/// assert!((32767.0 / VALUE_FLOOR).is_finite());
/// ```
pub const VALUE_FLOOR: f32 = f32::from_bits(15 << 23);

/// An element of a float KV cache: `f32`, or `u16` for f16 bits.
///
/// ```
/// use bitnet_edge_kernels::attention::KvElement;
/// assert_eq!(<u16 as KvElement>::from_f32(1.0), 0x3c00);
/// ```
pub trait KvElement: Copy + Default {
    /// Widens sixteen elements.
    fn widen<V: F32x16>(x: &[Self; LANES]) -> V;
    /// Rounds sixteen values to the element's type, half to even.
    fn narrow<V: F32x16>(x: V, to: &mut [Self; LANES]);
    /// Rounds one value to the element's type, half to even.
    fn from_f32(x: f32) -> Self;
}

impl KvElement for f32 {
    #[inline(always)]
    fn widen<V: F32x16>(x: &[Self; LANES]) -> V {
        V::load(x)
    }
    #[inline(always)]
    fn narrow<V: F32x16>(x: V, to: &mut [Self; LANES]) {
        x.store(to);
    }
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        x
    }
}

impl KvElement for u16 {
    #[inline(always)]
    fn widen<V: F32x16>(x: &[Self; LANES]) -> V {
        V::from_f16(x)
    }
    #[inline(always)]
    fn narrow<V: F32x16>(x: V, to: &mut [Self; LANES]) {
        x.to_f16(to);
    }
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        crate::format::f32_to_f16(x)
    }
}

#[inline(always)]
fn widen_part<E: KvElement, V: F32x16>(x: &[E]) -> V {
    match x.first_chunk() {
        Some(x) => E::widen(x),
        None => {
            let mut lanes = [E::default(); LANES];
            for (lane, &v) in lanes.iter_mut().zip(x) {
                *lane = v;
            }
            E::widen(&lanes)
        }
    }
}

/// The order of finite floats as integers: `a < b` exactly when `order(a) < order(b)`, with -0.0 below +0.0.
///
/// ```
/// use bitnet_edge_kernels::attention::order;
/// assert!(order(-1.0) < order(-0.5) && order(-0.0) < order(0.0) && order(2.0) < order(3.0));
/// ```
#[inline(always)]
pub fn order(x: f32) -> i32 {
    let b = x.to_bits() as i32;
    b ^ ((b >> 31) as u32 >> 1) as i32
}

/// The inverse of [`order`].
#[inline(always)]
fn unorder(key: i32) -> f32 {
    f32::from_bits((key ^ ((key >> 31) as u32 >> 1) as i32) as u32)
}

#[inline(always)]
fn largest(scores: &[f32]) -> f32 {
    let key = scores.iter().fold(i32::MIN, |m, &s| m.max(order(s)));
    unorder(key)
}

/// Scores become `exp(s - m)`, those beyond `n` zero; returns `m` and the sum in sixteen stripes.
#[inline(always)]
fn softmax_parts<V: F32x16>(scores: &mut [f32; CHUNK], n: usize) -> Result<(f32, f32), Error> {
    // A copy of a score changes no maximum, and whole arrays need no tails.
    let [first, ..] = *scores;
    for s in scores.iter_mut().skip(n) {
        *s = first;
    }
    abs_max(scores)?; // minus infinity would pass as a very small score
    let m = largest(scores);
    let (groups, _) = scores.as_chunks_mut::<LANES>();
    for group in groups {
        exp(V::load(group).sub(V::splat(m))).store(group);
    }
    for p in scores.iter_mut().skip(n) {
        *p = 0.0;
    }
    let (groups, _) = scores.as_chunks::<LANES>();
    let mut l = V::splat(0.0);
    for p in groups {
        l = l.add(V::load(p));
    }
    Ok((m, l.fold()))
}

/// One query head over one chunk of a float KV cache.
///
/// `q`: `[head_dim]`; `k` and `v`: `[n][head_dim]`, n in 1..=64 positions; `c`: the score scale;
/// `record`: `[2 + head_dim]`.
///
/// # Errors
/// [`Error::NonFinite`] if a score is not finite, [`Error::Operand`] if the slices do not fit.
///
/// ```
/// use bitnet_edge_kernels::{attention, simd::Scalar16};
/// let mut record = [0.0; 4];
/// let (q, k, v) = ([1.0, 0.0], [2.0, 0.0, 2.0, 0.0], [1.0, 2.0, 3.0, 4.0]);
/// attention::chunk::<f32, Scalar16>(&q, &k, &v, 1.0, &mut record)?;
/// assert_eq!(record, [2.0, 2.0, 4.0, 6.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn chunk<E: KvElement, V: F32x16>(
    q: &[f32],
    k: &[E],
    v: &[E],
    c: f32,
    record: &mut [f32],
) -> Result<(), Error> {
    let hd = q.len();
    let (n, o) = shape(hd, k.len(), v.len(), record)?;
    let mut scores = [0.0; CHUNK];
    for (s, k) in scores.iter_mut().zip(k.chunks_exact(hd.max(1))) {
        let mut sum = V::splat(0.0);
        for (q, k) in q.chunks(LANES).zip(k.chunks(LANES)) {
            sum = sum.add(V::load_part(q).mul(widen_part::<E, V>(k)));
        }
        *s = sum.fold() * c;
    }
    let (m, l) = softmax_parts::<V>(&mut scores, n)?;
    for (block, out) in o.1.chunks_mut(LANES).enumerate() {
        let mut acc = V::splat(0.0);
        for (&p, v) in scores.iter().zip(v.chunks_exact(hd.max(1))) {
            let v = v.chunks(LANES).nth(block).unwrap_or(&[]);
            acc = acc.add(V::splat(p).mul(widen_part::<E, V>(v)));
        }
        acc.store_part(out);
    }
    *o.0 = [m, l];
    Ok(())
}

/// The query heads of `q` over one chunk of a float KV cache, one after another by [`chunk`].
///
/// `k` and `v`: `[n][head_dim]`, n in 1..=64 positions, all of which every query may see; `c`: the score scale;
/// `records`: `[tokens][heads][2 + head_dim]`.
///
/// # Errors
/// [`Error::NonFinite`] if a score is not finite, [`Error::Operand`] if the slices do not fit.
///
/// ```
/// use bitnet_edge_kernels::{attention::{self, Queries}, simd::Scalar16};
/// let mut records = [0.0; 8];
/// let (q, k, v) = ([1.0, 0.0, 0.0, 2.0], [2.0, 1.0], [1.0, 2.0]); // two heads of two, one position
/// attention::each::<f32, Scalar16>(&Queries::of_token(&q, 2), &k, &v, 1.0, &mut records)?;
/// assert_eq!(records, [2.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn each<E: KvElement, V: F32x16>(
    q: &Queries<'_>,
    k: &[E],
    v: &[E],
    c: f32,
    records: &mut [f32],
) -> Result<(), Error> {
    q.check(records.len())?;
    for (i, record) in records.chunks_exact_mut(RECORD_HEAD.saturating_add(q.head_dim)).enumerate() {
        chunk::<E, V>(q.get(i).ok_or(Queries::SHORT)?, k, v, c, record)?;
    }
    Ok(())
}

/// Positions of `k` and `v` elements, rows of a head.
#[inline(always)]
fn positions(hd: usize, k: usize, v: usize) -> Result<usize, Error> {
    let n = k.checked_div(hd).unwrap_or(0);
    if n == 0 || n > CHUNK || n.wrapping_mul(hd) != k || v != k {
        return Err(Error::Operand("k and v are not 1 to 64 rows of a head"));
    }
    Ok(n)
}

type Record<'a> = (&'a mut [f32; RECORD_HEAD], &'a mut [f32]);

fn shape(hd: usize, k: usize, v: usize, record: &mut [f32]) -> Result<(usize, Record<'_>), Error> {
    let n = positions(hd, k, v)?;
    let o = record.split_first_chunk_mut().filter(|o| o.1.len() == hd);
    Ok((n, o.ok_or(Error::Operand("record is not 2 + head_dim"))?))
}

/// Combines the chunks of one head in order: weights `exp(m_c - m)`, then one division by the sum.
///
/// `records`: `n` records of `2 + head_dim`, `stride` f32 apart; `y`: `[head_dim]`.
///
/// # Errors
/// [`Error::Operand`] if the records do not fit.
///
/// ```
/// use bitnet_edge_kernels::{attention, simd::Scalar16};
/// let mut y = [0.0];
/// attention::combine::<Scalar16>(&[0.0, 1.0, 2.0, 0.0, 3.0, 6.0], 3, 2, &mut y)?;
/// assert_eq!(y, [2.0]); // (2 + 6) / (1 + 3)
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn combine<V: F32x16>(records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> Result<(), Error> {
    let short = Error::Operand("records are fewer than the chunks");
    let size = RECORD_HEAD.saturating_add(y.len());
    let record =
        |i: usize| records.get(i.checked_mul(stride)?..)?.get(..size)?.split_first_chunk::<RECORD_HEAD>();
    let mut key = i32::MIN;
    for i in 0..n {
        let ([m, _], _) = record(i).ok_or(short)?;
        key = key.max(order(*m));
    }
    let m = unorder(key);
    y.fill(0.0);
    let (y16, y_tail) = y.as_chunks_mut::<LANES>();
    let mut sum = 0.0;
    for i in 0..n {
        let ([m_c, l_c], o) = record(i).ok_or(short)?;
        let w = exp(V::splat(m_c - m));
        let mut lanes = [0.0; LANES];
        w.mul(V::splat(*l_c)).store(&mut lanes);
        sum += lanes[0];
        let (o16, o_tail) = o.as_chunks::<LANES>();
        for (y, o) in y16.iter_mut().zip(o16) {
            V::load(y).add(w.mul(V::load(o))).store(y);
        }
        V::load_part(y_tail).add(w.mul(V::load_part(o_tail))).store_part(y_tail);
    }
    for y in y16 {
        V::load(y).div(V::splat(sum)).store(y);
    }
    V::load_part(y_tail).div(V::splat(sum)).store_part(y_tail);
    Ok(())
}

/// Rounds a row into a float KV cache; `x` and `row` have one length.
///
/// # Errors
/// [`Error::Operand`] if the lengths differ.
///
/// ```
/// use bitnet_edge_kernels::{attention, simd::Scalar16};
/// let mut row = [0u16; 2];
/// attention::store::<u16, Scalar16>(&[1.0, -2.0], &mut row)?;
/// assert_eq!(row, [0x3c00, 0xc000]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn store<E: KvElement, V: F32x16>(x: &[f32], row: &mut [E]) -> Result<(), Error> {
    if x.len() != row.len() {
        return Err(Error::Operand("a row and its place in the cache differ in length"));
    }
    let (x16, x_tail) = x.as_chunks::<LANES>();
    let (row16, row_tail) = row.as_chunks_mut::<LANES>();
    for (x, row) in x16.iter().zip(row16) {
        E::narrow(V::load(x), row);
    }
    for (x, row) in x_tail.iter().zip(row_tail) {
        *row = E::from_f32(*x);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Scalar16;

    #[test]
    fn scores_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..3 {
                let mut k = [1.0f32; 3];
                k[at] = bad;
                let result = chunk::<f32, Scalar16>(&[1.0], &k, &[1.0; 3], 1.0, &mut [0.0; 3]);
                assert_eq!(result, Err(Error::NonFinite), "{bad} at {at}");
                let (q, scales) = (&[1i8; 3][..], &k[..]);
                let (k, v) = (Int8Rows { q, scales }, Int8Rows { q, scales: &[1.0; 3] });
                let result = chunk_i8::<Scalar16>(&[1], 1.0, k, v, 1.0, &mut [0.0; 3]);
                assert_eq!(result, Err(Error::NonFinite), "int8: {bad} at {at}");
            }
        }
    }

    #[test]
    fn the_smallest_value_scales_neither_overflow_nor_vanish() {
        // 32767 / 2^-112 is just below 2^127; one step lower counts as zero.
        for (scale, want) in [(VALUE_FLOOR, 100.0 * VALUE_FLOOR), (VALUE_FLOOR / 2.0, 0.0), (0.0, 0.0)] {
            let k = Int8Rows { q: &[0], scales: &[0.0] };
            let v = Int8Rows { q: &[100], scales: &[scale] };
            let mut record = [9.0; 3];
            chunk_i8::<Scalar16>(&[0], 0.0, k, v, 1.0, &mut record).unwrap();
            assert_eq!(record[..2], [0.0, 1.0]);
            assert!((record[2] - want).abs() <= want * 1e-6, "{} is not {want}", record[2]);
        }
    }
}
