//! Attention for processors with wide registers: several queries and positions at a time, the bits of the definition.
//!
//! Every sum has the order of the definition; what is different is which sums are under way together. Keys and values
//! are widened once for up to [`PASS`] queries. Scores: a tile of `Q` queries and `K` positions keeps `Q * K` sums of
//! sixteen stripes in registers, and sixteen of them are folded by one tree. Outputs: `Q` queries and `B` blocks of
//! sixteen elements keep `Q * B` sums over the positions.

use super::{CHUNK, KvElement, Queries, RECORD_HEAD, positions, softmax_parts, widen_part};
use crate::Error;
use crate::simd::{F32x16, LANES};

mod direct;

/// Most queries that share what is widened, and most blocks that they have.
const PASS: usize = 64;
const PASS_BLOCKS: usize = 512;
/// Positions whose keys are widened at a time.
const KEYS: usize = LANES;
/// Sixteen elements of a row, padded with zeros at the end of a head.
type Block = [f32; LANES];
/// Blocks of the widest head.
const BLOCKS: usize = 16;
const WIDEST: usize = BLOCKS * LANES;
/// Blocks for widened rows: all blocks of [`KEYS`] keys, or some blocks of [`CHUNK`] values.
const ROWS: usize = BLOCKS * KEYS;

/// Memory of [`blocked`], 64 KiB. What is in it does not matter.
///
/// ```
/// use bitnet_edge_kernels::attention::Scratch;
/// let scratch = Scratch::new();
/// assert_eq!(size_of_val(&scratch), 64 * 1024);
/// ```
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Scratch {
    /// Tiles of queries: `[blocks][queries of the tile]`.
    queries: [Block; PASS_BLOCKS],
    /// Keys `[groups of K][blocks][K]`, then values `[positions][B]`.
    rows: [Block; ROWS],
    /// A query's scores, then its probabilities.
    scores: [[f32; CHUNK]; PASS],
}

impl Scratch {
    /// Zeroed memory.
    ///
    /// ```
    /// static EMPTY: bitnet_edge_kernels::attention::Scratch = bitnet_edge_kernels::attention::Scratch::new();
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            queries: [[0.0; LANES]; PASS_BLOCKS],
            rows: [[0.0; LANES]; ROWS],
            scores: [[0.0; CHUNK]; PASS],
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// [`each`](super::each) for processors with wide registers; the same bits, up to ten times as fast.
///
/// # Errors
/// As there.
///
/// ```
/// use bitnet_edge_kernels::{attention::{self, Queries, Scratch}, simd::Scalar16};
/// let (q, k, v) = ([0.5; 96], [0.25; 40 * 48], [2.0; 40 * 48]); // two heads of 48, 40 positions
/// let (mut a, mut b) = ([0.0; 100], [1.0; 100]);
/// let q = Queries::of_token(&q, 48);
/// attention::each::<f32, Scalar16>(&q, &k, &v, 0.1, &mut a)?;
/// attention::blocked::<f32, Scalar16>(&q, &k, &v, 0.1, &mut b, &mut Scratch::new())?;
/// assert_eq!(a, b);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn blocked<E: KvElement, V: F32x16>(
    q: &Queries<'_>,
    k: &[E],
    v: &[E],
    c: f32,
    records: &mut [f32],
    scratch: &mut Scratch,
) -> Result<(), Error> {
    q.check(records.len())?;
    if q.head_dim > WIDEST || records.is_empty() {
        return super::each::<E, V>(q, k, v, c, records);
    }
    let n = positions(q.head_dim, k.len(), v.len())?;
    let call = Call { q, k, v, c, n, blocks: q.head_dim.div_ceil(LANES) };
    // Tiles whose sums and operands the registers hold.
    if const { V::REGISTERS >= 32 } {
        call.passes::<V, 4, 4, 4>(records, scratch)
    } else if const { V::REGISTERS >= 8 } {
        call.passes::<V, 2, 2, 2>(records, scratch)
    } else {
        call.passes::<V, 2, 1, 1>(records, scratch)
    }
}

struct Call<'a, E> {
    q: &'a Queries<'a>,
    k: &'a [E],
    v: &'a [E],
    c: f32,
    n: usize,
    blocks: usize,
}

impl<E: KvElement> Call<'_, E> {
    #[inline(always)]
    fn passes<V: F32x16, const Q: usize, const K: usize, const B: usize>(
        &self,
        records: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        // What is used once is not worth a copy.
        if self.q.count() <= Q && self.q.head_dim.is_multiple_of(LANES * B) {
            return match self.q.count() {
                1 => self.direct::<V, 1, K, B>(records, scratch),
                2 => self.direct::<V, 2, K, B>(records, scratch),
                _ => self.direct::<V, Q, K, B>(records, scratch),
            };
        }
        let pass = PASS.min(PASS_BLOCKS / self.blocks);
        for (i, records) in records.chunks_mut((RECORD_HEAD + self.q.head_dim) * pass).enumerate() {
            self.pass::<V, Q, K, B>(i * pass, records, scratch)?;
        }
        Ok(())
    }

    /// The queries from `first` on, as many as there are records, at most [`PASS`].
    #[inline(always)]
    fn pass<V: F32x16, const Q: usize, const K: usize, const B: usize>(
        &self,
        first: usize,
        records: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let width = RECORD_HEAD + self.q.head_dim;
        let count = records.len() / width;
        // Tiles of `Q` queries, then of two, then of one.
        let (whole, pairs) = (count / Q * Q, count / 2 * 2);
        let rows = &mut scratch.rows;
        let queries = parts(&mut scratch.queries, [whole, pairs, count].map(|n| n * self.blocks));
        let scores = parts(&mut scratch.scores, [whole, pairs, count]);
        let outputs = parts(records, [whole, pairs, count].map(|n| n * width));
        let ([q, q2, q1], [s, s2, s1], [o, o2, o1]) =
            (queries.ok_or(MISFIT)?, scores.ok_or(MISFIT)?, outputs.ok_or(MISFIT)?);
        self.pack::<V, Q>(first, q)?;
        self.pack::<V, 2>(first + whole, q2)?;
        self.pack::<V, 1>(first + pairs, q1)?;
        for at in (0..self.n).step_by(KEYS) {
            self.widen_keys::<V, K>(at, rows);
            self.score::<V, Q, K>(at, q, rows, s);
            self.score::<V, 2, K>(at, q2, rows, s2);
            self.score::<V, 1, K>(at, q1, rows, s1);
        }
        for (s, o) in [(&mut *s, &mut *o), (&mut *s2, &mut *o2), (&mut *s1, &mut *o1)] {
            self.softmax::<V>(s, o)?;
        }
        for group in 0..self.blocks.div_ceil(B) {
            self.widen_values::<V, B>(group, rows);
            self.weigh::<V, Q, B>(group, s, rows, o);
            self.weigh::<V, 2, B>(group, s2, rows, o2);
            self.weigh::<V, 1, B>(group, s1, rows, o1);
        }
        Ok(())
    }

    /// Scores become probabilities; maxima and sums go to the records.
    #[inline(always)]
    fn softmax<V: F32x16>(&self, scores: &mut [[f32; CHUNK]], records: &mut [f32]) -> Result<(), Error> {
        for (scores, record) in scores.iter_mut().zip(records.chunks_exact_mut(RECORD_HEAD + self.q.head_dim))
        {
            let (m, l) = softmax_parts::<V>(scores, self.n)?;
            *record.first_chunk_mut().ok_or(MISFIT)? = [m, l];
        }
        Ok(())
    }

    /// Lays out queries for tiles of `T`: `[tiles][blocks][T]`.
    #[inline(always)]
    fn pack<V: F32x16, const T: usize>(&self, first: usize, tiles: &mut [Block]) -> Result<(), Error> {
        // The last tile of a call may have fewer queries: the last of them stands for those.
        let last = self.q.count() - 1;
        for (i, tile) in tiles.chunks_exact_mut(self.blocks * T).enumerate() {
            for j in 0..T {
                let q = self.q.get(last.min(first + i * T + j)).ok_or(Queries::SHORT)?;
                for (to, x) in tile.as_chunks_mut::<T>().0.iter_mut().zip(q.chunks(LANES)) {
                    if let Some(to) = to.get_mut(j) {
                        V::load_part(x).store(to);
                    }
                }
            }
        }
        Ok(())
    }

    /// Row `i` of keys or values; empty beyond the positions.
    #[inline(always)]
    fn row<'r>(&self, rows: &'r [E], i: usize) -> &'r [E] {
        let hd = self.q.head_dim;
        rows.get(i * hd..).and_then(|rows| rows.get(..hd)).unwrap_or(&[])
    }

    /// Widens the keys of [`KEYS`] positions from `at` on: `[groups of K][blocks][K]`. Positions beyond the last are zero.
    #[inline(always)]
    fn widen_keys<V: F32x16, const K: usize>(&self, at: usize, rows: &mut [Block]) {
        for (g, group) in rows.chunks_exact_mut(self.blocks * K).take(KEYS / K).enumerate() {
            let group = group.as_chunks_mut::<K>().0;
            for j in 0..K {
                let row = self.row(self.k, at + g * K + j);
                if row.is_empty() {
                    group.iter_mut().filter_map(|to| to.get_mut(j)).for_each(|to| to.fill(0.0));
                    continue;
                }
                for (to, x) in group.iter_mut().zip(row.chunks(LANES)) {
                    if let Some(to) = to.get_mut(j) {
                        widen_part::<E, V>(x).store(to);
                    }
                }
            }
        }
    }

    /// Widens `B` blocks of the values of all positions: `[positions][B]`.
    #[inline(always)]
    fn widen_values<V: F32x16, const B: usize>(&self, group: usize, rows: &mut [Block]) {
        for (i, to) in rows.as_chunks_mut::<B>().0.iter_mut().enumerate().take(self.n) {
            let row = self.row(self.v, i);
            let mut blocks = row.get(group * B * LANES..).unwrap_or(&[]).chunks(LANES);
            for to in to {
                widen_part::<E, V>(blocks.next().unwrap_or(&[])).store(to);
            }
        }
    }

    /// Scores of the [`KEYS`] positions from `at` on, for tiles of `T` queries.
    #[inline(always)]
    fn score<V: F32x16, const T: usize, const K: usize>(
        &self,
        at: usize,
        tiles: &[Block],
        keys: &[Block],
        scores: &mut [[f32; CHUNK]],
    ) {
        for (q, scores) in tiles.chunks_exact(self.blocks * T).zip(scores.as_chunks_mut::<T>().0) {
            let mut groups = keys.chunks_exact(self.blocks * K);
            // Sixteen sums at a time: as many positions of each query.
            for at in (at..at + KEYS).step_by(LANES / T) {
                let mut sums = [V::splat(0.0); LANES];
                for r in 0..LANES / (T * K) {
                    let tile = dots::<V, T, K>(q, groups.next().unwrap_or(&[]));
                    for (sums, tile) in sums.chunks_exact_mut(LANES / T).zip(&tile) {
                        for (sum, dot) in sums.iter_mut().skip(r * K).zip(tile) {
                            *sum = *dot;
                        }
                    }
                }
                self.fold(sums, at, scores);
            }
        }
    }

    /// Folds the sums of some positions from `at` on, those of the first query first.
    #[inline(always)]
    fn fold<V: F32x16, const T: usize>(&self, sums: [V; LANES], at: usize, scores: &mut [[f32; CHUNK]; T]) {
        let mut folded = [0.0; LANES];
        V::fold16(sums).mul(V::splat(self.c)).store(&mut folded);
        for (scores, folded) in scores.iter_mut().zip(folded.chunks_exact(LANES / T)) {
            let scores = scores.get_mut(at..at + LANES / T).unwrap_or_default();
            for (s, f) in scores.iter_mut().zip(folded) {
                *s = *f;
            }
        }
    }

    /// `B` blocks of the outputs of tiles of `T` queries.
    #[inline(always)]
    fn weigh<V: F32x16, const T: usize, const B: usize>(
        &self,
        group: usize,
        weights: &[[f32; CHUNK]],
        values: &[Block],
        records: &mut [f32],
    ) {
        let width = RECORD_HEAD + self.q.head_dim;
        for (p, records) in weights.as_chunks::<T>().0.iter().zip(records.chunks_exact_mut(width * T)) {
            let mut sums = [[V::splat(0.0); B]; T];
            let values = values.as_chunks::<B>().0.iter().take(self.n);
            for (i, v) in values.enumerate().take(CHUNK) {
                let v = load::<V, B>(v);
                for (sums, p) in sums.iter_mut().zip(p) {
                    let p = V::splat(p.get(i).copied().unwrap_or(0.0));
                    for (sum, v) in sums.iter_mut().zip(&v) {
                        *sum = sum.add(p.mul(*v));
                    }
                }
            }
            self.put(group, &sums, records);
        }
    }

    /// Writes `B` blocks of outputs to the records of a tile.
    #[inline(always)]
    fn put<V: F32x16, const T: usize, const B: usize>(
        &self,
        group: usize,
        sums: &[[V; B]; T],
        records: &mut [f32],
    ) {
        for (record, sums) in records.chunks_exact_mut(RECORD_HEAD + self.q.head_dim).zip(sums) {
            let out = record.get_mut(RECORD_HEAD + group * B * LANES..).unwrap_or_default();
            for (out, sum) in out.chunks_mut(LANES).zip(sums) {
                match out.first_chunk_mut() {
                    Some(out) => sum.store(out),
                    None => sum.store_part(out),
                }
            }
        }
    }
}

const MISFIT: Error = Error::Operand("records are not 2 + head_dim a query");

/// Cuts `x` at three places, which do not fall.
#[inline(always)]
fn parts<T>(x: &mut [T], ends: [usize; 3]) -> Option<[&mut [T]; 3]> {
    let [a, b, c] = ends;
    let (first, rest) = x.split_at_mut_checked(a)?;
    let (second, rest) = rest.split_at_mut_checked(b.checked_sub(a)?)?;
    Some([first, second, rest.get_mut(..c.checked_sub(b)?)?])
}

#[inline(always)]
fn load<V: F32x16, const N: usize>(x: &[Block; N]) -> [V; N] {
    let mut lanes = [V::splat(0.0); N];
    for (lanes, x) in lanes.iter_mut().zip(x) {
        *lanes = V::load(x);
    }
    lanes
}

/// The stripes of `T` queries with `K` keys; `q`: `[blocks][T]`, `k`: `[blocks][K]`.
#[inline(always)]
fn dots<V: F32x16, const T: usize, const K: usize>(q: &[Block], k: &[Block]) -> [[V; K]; T] {
    let mut sums = [[V::splat(0.0); K]; T];
    for (q, k) in q.as_chunks::<T>().0.iter().zip(k.as_chunks::<K>().0) {
        let k = load::<V, K>(k);
        for (sums, q) in sums.iter_mut().zip(q) {
            let q = V::load(q);
            for (sum, k) in sums.iter_mut().zip(&k) {
                *sum = sum.add(q.mul(*k));
            }
        }
    }
    sums
}
