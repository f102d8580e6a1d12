//! The KV cache on a CPU: storing rows, attending to them.

use bitnet_edge_kernels::attention::{CHUNK, Int8Rows, KvElement, Queries, RECORD_HEAD};
use bitnet_edge_kernels::{Kernels, quantize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::cpu::{Cpu, MISFIT, nth, row};
use super::op::{AttendShape, Rows};
use super::split::{Output, Part, Split, Work, elements};
use super::weights::Weights;
use crate::Error;
use crate::memory::{KvSlots, KvType, Slot, disjoint, typed};

impl<K: Kernels, S: Split, W: Weights> Cpu<'_, K, S, W> {
    pub(super) fn store(
        &mut self,
        kv: KvSlots,
        rows: [Rows; 2],
        hd: u32,
        context: u32,
        work: &Work,
    ) -> Result<(), Error> {
        let position = self.position()? as usize;
        let (hd, context) = (hd as usize, context as usize);
        if position.saturating_add(work.units.end as usize) > context {
            return Err(MISFIT);
        }
        let place = Place { position, hd, context };
        let [k, v] = rows;
        match kv {
            KvSlots::F32 { .. } if !KvType::F32.is_built() => Err(MISFIT),
            KvSlots::F32 { k: keys, v: values } => {
                self.store_float(keys, k, place, work)?;
                self.store_float(values, v, place, work)
            }
            KvSlots::F16 { k: keys, v: values } => {
                self.store_float(keys, k, place, work)?;
                self.store_float(values, v, place, work)
            }
            KvSlots::I8 { k: keys, k_scales, v: values, v_scales } => {
                self.store_i8(keys, k_scales, k, place, work)?;
                self.store_i8(values, v_scales, v, place, work)
            }
        }
    }

    fn store_float<E>(&mut self, slot: Slot<E>, from: Rows, at: Place, work: &Work) -> Result<(), Error>
    where
        E: KvElement + FromBytes + IntoBytes + KnownLayout + Immutable + Sync,
    {
        let [cache, rows] = disjoint(self.arena, [slot.bytes(), from.slot.bytes()])?;
        let (kernels, rows): (K, &[f32]) = (self.kernels, typed(rows)?);
        self.split.run([at.output(typed::<E>(cache)?, at.hd)?], work, |part| {
            for (i, t) in part.units().enumerate() {
                for (h, head) in row(rows, from, t)?.chunks_exact(at.hd.max(1)).enumerate() {
                    kernels.store(head, nth(elements::<E>(part, h)?, i, at.hd)?)?;
                }
            }
            Ok(())
        })
    }

    fn store_i8(
        &mut self,
        slot: Slot<i8>,
        scales: Slot<f32>,
        from: Rows,
        at: Place,
        work: &Work,
    ) -> Result<(), Error> {
        let ranges = [slot.bytes(), scales.bytes(), from.slot.bytes()];
        let [cache, scales, rows] = disjoint(self.arena, ranges)?;
        let rows: &[f32] = typed(rows)?;
        let outputs = [at.output(typed::<i8>(cache)?, at.hd)?, at.output(typed::<f32>(scales)?, 1)?];
        self.split.run(outputs, work, |part| {
            for (i, t) in part.units().enumerate() {
                for (h, head) in row(rows, from, t)?.chunks_exact(at.hd.max(1)).enumerate() {
                    let [cache, scales] = part.bytes([h; 2]);
                    let (scale, _) = quantize::group(head, nth(typed(cache)?, i, at.hd)?)?;
                    *typed(scales)?.get_mut(i).ok_or(MISFIT)? = scale;
                }
            }
            Ok(())
        })
    }

    pub(super) fn attend(
        &mut self,
        kv: KvSlots,
        q: Rows,
        partial: Slot<f32>,
        shape: AttendShape,
        work: &Work,
    ) -> Result<(), Error> {
        let (tokens, position) = (self.tokens()?, self.position()?);
        let [count, chunks] = [shape.count(tokens), shape.chunks(tokens, position)];
        let job = Attend { q, partial, shape, position, tokens: count, chunks };
        match kv {
            KvSlots::F32 { .. } if !KvType::F32.is_built() => Err(MISFIT),
            KvSlots::F32 { k, v } => job.float(self, k, v, work),
            KvSlots::F16 { k, v } => job.float(self, k, v, work),
            KvSlots::I8 { k, k_scales, v, v_scales } => job.int8(self, [k, v], [k_scales, v_scales], work),
        }
    }

    pub(super) fn combine(
        &mut self,
        partial: Slot<f32>,
        y: Rows,
        s: AttendShape,
        work: &Work,
    ) -> Result<(), Error> {
        let (tokens, position, k) = (self.tokens()?, self.position()?, self.kernels);
        let (count, n) = (s.count(tokens) as usize, s.chunks(tokens, position) as usize);
        let (hd, group) = (s.head_dim as usize, s.group.max(1) as usize);
        let record = RECORD_HEAD + hd;
        // From one chunk of a head to the next, see `Attend`.
        let stride = record.saturating_mul(group).saturating_mul(count);
        let [partial, ys] = disjoint(self.arena, [partial.bytes(), y.slot.bytes()])?;
        let (partial, ys) = (typed::<f32>(partial)?, typed::<f32>(ys)?);
        let partial = &*partial;
        self.split.run([Output::rows(ys, y.stride as usize, hd)], work, |part| {
            for (i, h) in part.units().enumerate() {
                let (kv_head, member) = (h as usize / group, h as usize % group);
                for t in 0..count {
                    let token = (s.first as usize).saturating_add(t);
                    let seen = super::op::chunks(position.saturating_add(token as u32).saturating_add(1));
                    let first = (kv_head.saturating_mul(n).saturating_mul(count).saturating_add(t))
                        .saturating_mul(group)
                        .saturating_add(member);
                    let records = partial.get(first.saturating_mul(record)..).ok_or(MISFIT)?;
                    let y = nth(elements(part, token)?, i, hd)?;
                    k.combine(records, stride, seen as usize, y)?;
                }
            }
            Ok(())
        })
    }
}

#[derive(Clone, Copy)]
struct Place {
    position: usize,
    hd: usize,
    context: usize,
}

impl Place {
    /// The cache `[kv_heads][context][width]` from the first token's position on: a unit is a token, a row a head.
    fn output<'c, E: FromBytes + IntoBytes>(
        &self,
        cache: &'c mut [E],
        width: usize,
    ) -> Result<Output<'c>, Error> {
        let from = cache.get_mut(self.position.saturating_mul(width)..).ok_or(MISFIT)?;
        Ok(Output::rows(from, self.context.saturating_mul(width), width))
    }
}

/// One call of attention: what its units share. Records and units are `[kv_heads][chunks][tokens]`, so that consecutive
/// units read the same chunk of the cache.
struct Attend {
    q: Rows,
    partial: Slot<f32>,
    shape: AttendShape,
    position: u32,
    tokens: u32,
    chunks: u32,
}

/// A unit of attention: its token and KV head, the cache row of its first position, and how many positions it sees.
struct Unit {
    token: u32,
    kv_head: usize,
    cache_row: usize,
    n: usize,
}

impl Unit {
    /// Whether both see the same rows of the cache.
    const fn sees_as(&self, other: &Self) -> bool {
        self.cache_row == other.cache_row && self.n == other.n
    }

    /// The unit's rows of a cache `[kv_heads][context][width]`.
    fn rows<'c, E>(&self, cache: &'c [E], width: usize) -> Result<&'c [E], Error> {
        let (at, len) = (self.cache_row.saturating_mul(width), self.n.saturating_mul(width));
        cache.get(at..).and_then(|rows| rows.get(..len)).ok_or(MISFIT)
    }
}

/// What attention does with units that see the same rows: their queries, and the records of these. One type for all caches.
type OfUnits<'f> = dyn Fn(&Unit, &Queries<'_>, &mut [f32]) -> Result<(), Error> + Sync + 'f;

impl Attend {
    /// Unit `u`; `None` if the chunk lies behind what its token may see.
    fn unit(&self, u: u32) -> Option<Unit> {
        let s = &self.shape;
        let (pair, t) = (u.checked_div(self.tokens)?, u.checked_rem(self.tokens)?);
        let (kv_head, chunk) = (pair.checked_div(self.chunks)?, pair.checked_rem(self.chunks)?);
        let token = s.first.checked_add(t)?;
        let first = chunk.checked_mul(CHUNK as u32)?;
        let visible = self.position.checked_add(token)?.checked_add(1)?.checked_sub(first)?;
        let n = visible.min(CHUNK as u32) as usize;
        let cache_row = kv_head as usize * s.context as usize + first as usize;
        (n > 0).then_some(Unit { token, kv_head: kv_head as usize, cache_row, n })
    }

    /// Calls `f` for every unit of `work`, with its queries and their records. Units of consecutive tokens that see the same
    /// rows of the cache are one call, so that a chunk is read once for all of them.
    fn each<S: Split>(
        &self,
        split: &S,
        qs: &[f32],
        partial: &mut [f32],
        work: &Work,
        f: &OfUnits<'_>,
    ) -> Result<(), Error> {
        let (head_dim, heads) = (self.shape.head_dim as usize, self.shape.group as usize);
        let width = heads.saturating_mul(RECORD_HEAD.saturating_add(head_dim));
        let stride = self.q.stride as usize;
        split.run([Output::units_of(partial, width)], work, |part| {
            let mut units = part.units().enumerate().peekable();
            let all = elements(part, 0)?;
            while let Some((i, u)) = units.next() {
                let Some(unit) = self.unit(u) else { continue };
                let mut tokens = 1;
                while units.next_if(|&(_, u)| self.unit(u).is_some_and(|next| next.sees_as(&unit))).is_some()
                {
                    tokens += 1;
                }
                let head = unit.kv_head.saturating_mul(heads).saturating_mul(head_dim);
                let at = (unit.token as usize).saturating_mul(stride).saturating_add(head);
                let x = qs.get(at..).ok_or(MISFIT)?;
                let records = all.get_mut(i.saturating_mul(width)..).ok_or(MISFIT)?;
                let records = records.get_mut(..width.saturating_mul(tokens)).ok_or(MISFIT)?;
                f(&unit, &Queries { x, stride, tokens, heads, head_dim }, records)?;
            }
            Ok(())
        })
    }

    fn float<E, K, S, W>(
        &self,
        cpu: &mut Cpu<'_, K, S, W>,
        k: Slot<E>,
        v: Slot<E>,
        work: &Work,
    ) -> Result<(), Error>
    where
        E: KvElement + FromBytes + IntoBytes + KnownLayout + Immutable + Sync,
        K: Kernels,
        S: Split,
    {
        let (hd, scale, kernels) = (self.shape.head_dim as usize, self.shape.scale, cpu.kernels);
        let ranges = [self.q.slot.bytes(), self.partial.bytes(), k.bytes(), v.bytes()];
        let [q, partial, k, v] = disjoint(cpu.arena, ranges)?;
        let (k, v): (&[E], &[E]) = (typed(k)?, typed(v)?);
        self.each(&cpu.split, typed(q)?, typed(partial)?, work, &|unit, q, records| {
            Ok(kernels.attend(q, unit.rows(k, hd)?, unit.rows(v, hd)?, scale, records)?)
        })
    }

    fn int8<K: Kernels, S: Split, W>(
        &self,
        cpu: &mut Cpu<'_, K, S, W>,
        kv: [Slot<i8>; 2],
        scales: [Slot<f32>; 2],
        work: &Work,
    ) -> Result<(), Error> {
        let (hd, scale, kernels) = (self.shape.head_dim as usize, self.shape.scale, cpu.kernels);
        let [k, v] = kv.map(|s| s.bytes());
        let [ka, va] = scales.map(|s| s.bytes());
        let [q, partial, k, v, ka, va] =
            disjoint(cpu.arena, [self.q.slot.bytes(), self.partial.bytes(), k, v, ka, va])?;
        let (k, v): (&[i8], &[i8]) = (typed(k)?, typed(v)?);
        let (ka, va): (&[f32], &[f32]) = (typed(ka)?, typed(va)?);
        self.each(&cpu.split, typed(q)?, typed(partial)?, work, &|unit, queries, records| {
            let k = Int8Rows { q: unit.rows(k, hd)?, scales: unit.rows(ka, 1)? };
            let v = Int8Rows { q: unit.rows(v, hd)?, scales: unit.rows(va, 1)? };
            let mut q8 = [0; 256];
            let q8 = q8.get_mut(..hd).ok_or(MISFIT)?;
            // Not zipped: where `zip` is not inlined, the compiler no longer sees that no chunk is empty.
            let mut records = records.chunks_exact_mut(RECORD_HEAD.saturating_add(hd));
            for i in 0..queries.count() {
                let (q_scale, _) = quantize::group(queries.get(i).ok_or(MISFIT)?, q8)?;
                let record = records.next().ok_or(MISFIT)?;
                kernels.attend_i8(q8, q_scale, k, v, scale, record)?;
            }
            Ok(())
        })
    }
}
