//! The KV cache on a CPU: storing rows, attending to them.

use core::ops::Range;

use bitnet_edge_kernels::attention::{CHUNK, Int8Rows, KvElement, Queries, RECORD_HEAD};
use bitnet_edge_kernels::{Kernels, quantize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::cpu::{MISFIT, nth, row};
use super::op::{AttendShape, Rows};
use crate::Error;
use crate::memory::{Slot, disjoint, typed};

#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) position: u32,
    pub(super) hd: usize,
    pub(super) ctx: usize,
}

impl Place {
    /// Row of the cache, `[kv_heads][context]`, for head `h` of token `t`.
    fn row(&self, h: usize, t: u32) -> Result<usize, Error> {
        let position = self.position.saturating_add(t) as usize;
        if position < self.ctx { Ok(h * self.ctx + position) } else { Err(MISFIT) }
    }
}

pub(super) fn store_float<E>(
    kernels: impl Kernels,
    arena: &mut [u8],
    slot: Slot<E>,
    from: Rows,
    at: Place,
    units: Range<u32>,
) -> Result<(), Error>
where
    E: KvElement + FromBytes + IntoBytes + KnownLayout + Immutable,
{
    let [cache, rows] = disjoint(arena, [slot.bytes(), from.slot.bytes()])?;
    let (cache, rows) = (typed::<E>(cache)?, typed(rows)?);
    for t in units {
        for (h, head) in row(rows, from, t)?.chunks_exact(at.hd.max(1)).enumerate() {
            kernels.store(head, nth(cache, at.row(h, t)?, at.hd)?)?;
        }
    }
    Ok(())
}

pub(super) fn store_i8(
    arena: &mut [u8],
    slots: (Slot<i8>, Slot<f32>),
    from: Rows,
    at: Place,
    units: Range<u32>,
) -> Result<(), Error> {
    let [cache, scales, rows] = disjoint(arena, [slots.0.bytes(), slots.1.bytes(), from.slot.bytes()])?;
    let (cache, scales, rows) = (typed::<i8>(cache)?, typed::<f32>(scales)?, typed(rows)?);
    for t in units {
        for (h, head) in row(rows, from, t)?.chunks_exact(at.hd.max(1)).enumerate() {
            let i = at.row(h, t)?;
            let (scale, _) = quantize::group(head, nth(cache, i, at.hd)?)?;
            *scales.get_mut(i).ok_or(MISFIT)? = scale;
        }
    }
    Ok(())
}

/// One call of attention: what its units share.
pub(super) struct Attend {
    pub(super) q: Rows,
    pub(super) partial: Slot<f32>,
    pub(super) shape: AttendShape,
    pub(super) position: u32,
    pub(super) chunks: u32,
}

/// A unit of attention: where its cache rows begin, how many there are, and which queries and records it has.
struct Unit {
    cache_row: usize,
    n: usize,
    token: u32,
    queries: Range<usize>,
    records: Range<usize>,
}

impl Attend {
    /// Unit `u`; `None` if the chunk lies behind what its token may see.
    fn unit(&self, u: u32) -> Option<Unit> {
        let s = &self.shape;
        let (pair, chunk) = (u.checked_div(self.chunks)?, u.checked_rem(self.chunks)?);
        let (token, kv_head) = (pair.checked_div(s.kv_heads)?, pair.checked_rem(s.kv_heads)?);
        let first = chunk.checked_mul(CHUNK as u32)?;
        let visible = self.position.checked_add(token)?.checked_add(1)?.checked_sub(first)?;
        let n = visible.min(CHUNK as u32) as usize;
        let group = s.group as usize;
        let (q, record) = (group * s.head_dim as usize, group * (RECORD_HEAD + s.head_dim as usize));
        let cache_row = kv_head as usize * s.context as usize + first as usize;
        let (kv_head, u) = (kv_head as usize, u as usize);
        (n > 0).then_some(Unit {
            cache_row,
            n,
            token,
            queries: kv_head * q..(kv_head + 1) * q,
            records: u * record..(u + 1) * record,
        })
    }

    pub(super) fn float<E, K>(
        &self,
        arena: &mut [u8],
        kernels: K,
        k: Slot<E>,
        v: Slot<E>,
        units: Range<u32>,
    ) -> Result<(), Error>
    where
        E: KvElement + FromBytes + IntoBytes + KnownLayout + Immutable,
        K: Kernels,
    {
        let hd = self.shape.head_dim as usize;
        let ranges = [self.q.slot.bytes(), self.partial.bytes(), k.bytes(), v.bytes()];
        let [q, partial, k, v] = disjoint(arena, ranges)?;
        let (q, partial) = (typed::<f32>(q)?, typed::<f32>(partial)?);
        let (k, v) = (typed::<E>(k)?, typed::<E>(v)?);
        for unit in units.filter_map(|u| self.unit(u)) {
            let (at, len) = (unit.cache_row * hd, unit.n * hd);
            let k = k.get(at..).and_then(|k| k.get(..len)).ok_or(MISFIT)?;
            let v = v.get(at..).and_then(|v| v.get(..len)).ok_or(MISFIT)?;
            let q = row(q, self.q, unit.token)?.get(unit.queries).ok_or(MISFIT)?;
            let records = partial.get_mut(unit.records).ok_or(MISFIT)?;
            kernels.attend(&Queries::of_token(q, hd), k, v, self.shape.scale, records)?;
        }
        Ok(())
    }

    pub(super) fn int8<K: Kernels>(
        &self,
        arena: &mut [u8],
        kernels: K,
        kv: [Slot<i8>; 2],
        scales: [Slot<f32>; 2],
        units: Range<u32>,
    ) -> Result<(), Error> {
        let hd = self.shape.head_dim as usize;
        let [k, v] = kv.map(|s| s.bytes());
        let [ka, va] = scales.map(|s| s.bytes());
        let [q, partial, k, v, ka, va] =
            disjoint(arena, [self.q.slot.bytes(), self.partial.bytes(), k, v, ka, va])?;
        let (q, partial) = (typed::<f32>(q)?, typed::<f32>(partial)?);
        let (k, v, ka, va) = (typed::<i8>(k)?, typed::<i8>(v)?, typed::<f32>(ka)?, typed::<f32>(va)?);
        for unit in units.filter_map(|u| self.unit(u)) {
            let rows = |q: &'_ [i8]| -> Option<Range<usize>> {
                let at = unit.cache_row.checked_mul(hd)?;
                let end = at.checked_add(unit.n.checked_mul(hd)?)?;
                (end <= q.len()).then_some(at..end)
            };
            let span = unit.cache_row..unit.cache_row + unit.n;
            let k = Int8Rows {
                q: rows(k).and_then(|r| k.get(r)).ok_or(MISFIT)?,
                scales: ka.get(span.clone()).ok_or(MISFIT)?,
            };
            let v = Int8Rows {
                q: rows(v).and_then(|r| v.get(r)).ok_or(MISFIT)?,
                scales: va.get(span).ok_or(MISFIT)?,
            };
            let q = row(q, self.q, unit.token)?.get(unit.queries.clone()).ok_or(MISFIT)?;
            let records = partial.get_mut(unit.records.clone()).ok_or(MISFIT)?;
            // Not zipped: where `zip` is not inlined, the compiler no longer sees that no chunk is empty.
            let mut records = records.chunks_exact_mut(RECORD_HEAD.saturating_add(hd));
            for q in q.chunks_exact(hd.max(1)) {
                let record = records.next().ok_or(MISFIT)?;
                let mut q8 = [0; 256];
                let q8 = q8.get_mut(..hd).ok_or(MISFIT)?;
                let (scale, _) = quantize::group(q, q8)?;
                kernels.attend_i8(q8, scale, k, v, self.shape.scale, record)?;
            }
        }
        Ok(())
    }
}
