//! Very many tokens: tables of sums instead of products.
//!
//! A byte of a tile is the codes of four columns, of which 81 are possible. For four columns and as many tokens as a vector has
//! 16-bit elements, a table has all 81 sums of `weight * q`, a vector each: then a row takes one load and one addition for
//! four columns, half the operations that products take, and no byte is multiplied. A table pays for itself when some hundred
//! rows use it.
//!
//! The tables of half a tile's columns, eight of them, stay in the first cache while rows pass, whose 16-bit sums come from
//! the second one and go back. They go to 32 bits when the activations say that they might not fit.

mod finish;

use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, t2r4};

use super::{Product, TILE};
use crate::balanced;
use crate::vector::Vector;

/// Vectors with what tables need; of one or two lanes.
#[allow(clippy::missing_safety_doc, reason = "as for `Vector`")]
pub trait Tables: Vector {
    /// As many bytes from `p` on as a vector has 16-bit elements, sign-extended to them.
    unsafe fn widen8(p: *const u8) -> Self::V;
    unsafe fn store(v: Self::V, p: *mut u8);
    /// Lane by lane: bytes of the lower halves in turns, `a[0], b[0], a[1], b[1]` and so on, and those of the upper halves.
    unsafe fn zip8(a: Self::V, b: Self::V) -> [Self::V; 2];
}

/// Tokens whose activations are transposed together.
const SIXTEEN: usize = 16;
/// Most tokens that share the indices of a pass.
const TOKENS: usize = 128;
/// Most rows of a pass.
const ROWS: usize = 3456;
/// Fewest tokens for which tables are worth it.
pub const FEWEST_TOKENS: usize = 12;

/// Possible codes of four columns.
const SUMS: usize = 81;
/// Tables of half a tile's columns.
const HALF: usize = 8;

/// Memory of a product by tables. What is in it does not matter.
#[repr(C, align(64))]
pub struct Scratch {
    /// `[tables][sums]` vectors
    tables: [[i16; SIXTEEN]; HALF * SUMS],
    /// Bytes of a column tile of sixteen tokens, `[columns][tokens]`, columns as [`column`] says.
    columns: [[u8; SIXTEEN]; t2r4::TILE_COLUMNS],
    /// Where in its table a row's sum is, in bytes: `[halves][rows][tables]`.
    indices: [[[u16; HALF]; ROWS]; 2],
    /// Sums of `code - 1` times activation: `[blocks of tokens][rows][tokens of a vector]`.
    sums: [i16; TOKENS * ROWS],
    /// Those that came before: the same, in each row those of the tokens with even numbers first.
    totals: [i32; TOKENS * ROWS],
}

/// Whether tables are worth it: there are many tokens, and as many rows as a tier says.
#[must_use]
#[inline]
pub fn takes_tables(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, rows: usize) -> bool {
    tokens >= FEWEST_TOKENS && w.len() / acts.stride.max(1) * TILE_ROWS >= rows
}

/// Tokens of a vector.
const fn width<S: Tables>() -> usize {
    assert!(S::LANES <= 2);
    8 * S::LANES
}

/// Column `16 * plane + i` of a transposed column tile.
const fn column<S: Tables>(plane: usize, i: usize) -> usize {
    (plane / S::LANES * 16 + i) * S::LANES + plane % S::LANES
}

impl Product<'_> {
    /// The product for tokens `0..tokens`, by tables of vectors `T`, and by products with blocks of `NV` vectors `S` where tables
    /// do not serve.
    ///
    /// # Safety
    /// The row tiles and tokens are readable; the features of `T` and `S` are there.
    #[inline(always)]
    pub(crate) unsafe fn by_tables<T: Tables, S: Vector, const NV: usize>(
        &self,
        tokens: usize,
        scratch: &mut Scratch,
        out: &mut impl Results,
    ) {
        // A few tokens more than whole vectors are better without tables.
        let rest = tokens % width::<T>();
        let all = if rest <= width::<T>() / 2 { tokens - rest } else { tokens };
        let mut first = 0;
        while first < self.tiles {
            let n = balanced(self.tiles - first, ROWS / TILE_ROWS);
            let part = self.part(first, n);
            let mut token = 0;
            // SAFETY: as promised.
            unsafe {
                while token < all {
                    let count = TOKENS.min(all - token);
                    let mut pass = Pass { product: part, scratch: &mut *scratch, token, count };
                    if !pass.run::<T>(out) {
                        part.many::<S, NV>(token..token + count, out);
                    }
                    token += count;
                }
                if all < tokens {
                    part.many::<S, NV>(all..tokens, out);
                }
            }
            first += n;
        }
    }
}

/// Some row tiles, up to [`ROWS`] rows, and up to [`TOKENS`] tokens.
struct Pass<'a> {
    product: Product<'a>,
    scratch: &'a mut Scratch,
    /// The first token.
    token: usize,
    count: usize,
}

/// What is known of the sums of a block of tokens.
#[derive(Clone, Copy)]
struct Bounds {
    /// The largest magnitude that 16-bit sums of a token may have by now.
    most: [u32; SIXTEEN],
    /// The sum of a token's activations.
    sums: [i32; SIXTEEN],
}

impl Pass<'_> {
    /// Puts all results; `false`, and none is put, if there is a code 3, which the tables have no sums for.
    #[inline(always)]
    unsafe fn run<S: Tables>(&mut self, out: &mut impl Results) -> bool {
        let blocks = self.count.div_ceil(width::<S>());
        let rows = self.product.tiles * TILE_ROWS;
        let used = blocks * rows * width::<S>();
        self.scratch.sums[..used].fill(0);
        self.scratch.totals[..used].fill(0);
        let mut bounds = [Bounds { most: [0; SIXTEEN], sums: [0; SIXTEEN] }; TOKENS / 8];
        // SAFETY: the row tiles and tokens are there, and rows and tokens fit the scratch memory.
        unsafe {
            let mut threes = S::zero();
            for k in 0..self.product.columns {
                threes = self.indices::<S>(k, threes);
                let mut next = self.next_column(k, blocks);
                for (block, bounds) in bounds.iter_mut().enumerate().take(blocks) {
                    if (block * width::<S>()).is_multiple_of(SIXTEEN) {
                        self.transpose::<S>(block * width::<S>(), k);
                    }
                    if self.grow::<S>(block, k, bounds) {
                        self.widen::<S>(block);
                    }
                    for half in 0..2 {
                        self.tables::<S>(block * width::<S>() % SIXTEEN, half);
                        self.rows::<S>(block, half, &mut next);
                    }
                }
            }
            if any_three::<S>(threes) {
                return false;
            }
            for (block, bounds) in bounds.iter().enumerate().take(blocks) {
                self.widen::<S>(block);
                self.put::<S>(block, bounds, out);
            }
        }
        true
    }

    /// The weights of the next column tile, to be fetched meanwhile.
    #[inline(always)]
    fn next_column(&self, k: usize, blocks: usize) -> Next {
        let ahead = if k + 1 < self.product.columns { (k + 1) * TILE } else { 0 };
        Next { at: self.product.w.wrapping_add(ahead), step: self.product.row_tile, every: 2 * blocks }
    }

    /// Writes where in the tables of column tile `k` the sums of each row are. Returns `threes` with bits where a code is 3.
    #[inline(always)]
    unsafe fn indices<S: Tables>(&mut self, k: usize, mut threes: S::V) -> S::V {
        // Codes a, b of the bits 0bba: a + 3b, and nine times that. For a 3 anything that is in the table.
        const ONES: [u8; 16] = [0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 6, 7, 8, 8];
        const NINES: [u8; 16] = [0, 9, 18, 18, 27, 36, 45, 45, 54, 63, 72, 72, 54, 63, 72, 72];
        let entry: i32 = if S::LANES == 2 { 5 } else { 4 };
        // SAFETY: rows fit the scratch memory; weights are readable.
        unsafe {
            let (ones, nines) = (S::spread(ONES.as_ptr()), S::spread(NINES.as_ptr()));
            let (nibble, wide) = (S::splat8(15), S::splat16(0xff << entry));
            let [even, odd] = &mut self.scratch.indices;
            let (mut even, mut odd) = (even.as_mut_ptr().cast::<u8>(), odd.as_mut_ptr().cast::<u8>());
            let mut w = self.product.w.add(k * TILE);
            for _ in 0..self.product.tiles {
                for v in 0..TILE_ROWS / S::LANES {
                    let codes = S::load(w.add(v * S::LANES * 16));
                    threes = S::or_and(threes, codes, S::shr16(codes, 1));
                    let low = S::shuffle8(ones, S::and(codes, nibble));
                    let high = S::shuffle8(nines, S::and(S::shr16(codes, 4), nibble));
                    let index = S::add16(low, high);
                    S::store(S::and(S::shl16(index, entry), wide), even);
                    S::store(S::and(S::shr16(index, 8 - entry), wide), odd);
                    even = even.add(S::LANES * 16);
                    odd = odd.add(S::LANES * 16);
                }
                w = w.wrapping_add(self.product.row_tile);
            }
            threes
        }
    }

    /// Writes the activations of column tile `k` of sixteen tokens, from `at` of the pass on.
    #[inline(always)]
    unsafe fn transpose<S: Tables>(&mut self, at: usize, k: usize) {
        static NONE: [u8; TILE] = [0; TILE];
        // SAFETY: the tokens are readable.
        unsafe {
            let acts = self.product.acts;
            let mut q = [NONE.as_ptr(); SIXTEEN];
            for (t, q) in q.iter_mut().enumerate().take(self.count - at) {
                *q = acts.q.as_ptr().add((self.token + at + t) * acts.stride + k * t2r4::TILE_COLUMNS).cast();
            }
            let mut to = self.scratch.columns.as_mut_ptr().cast::<u8>();
            for part in 0..4 / S::LANES {
                let mut v = [S::zero(); SIXTEEN];
                for (v, q) in v.iter_mut().zip(q) {
                    *v = S::load(q.add(part * S::LANES * 16));
                }
                // Four times: what is apart by eight comes together.
                for _ in 0..4 {
                    let mut next = v;
                    for i in 0..8 {
                        [next[2 * i], next[2 * i + 1]] = S::zip8(v[i], v[i + 8]);
                    }
                    v = next;
                }
                for v in v {
                    S::store(v, to);
                    to = to.add(S::LANES * 16);
                }
            }
        }
    }

    /// Adds column tile `k` to the bounds. Whether the sums might not fit 16 bits with it, and are to be widened before.
    #[inline(always)]
    fn grow<S: Tables>(&self, block: usize, k: usize, bounds: &mut Bounds) -> bool {
        let acts = self.product.acts;
        let first = block * width::<S>();
        let mut added = [0; SIXTEEN];
        let tokens = added.iter_mut().zip(&mut bounds.sums).take(width::<S>().min(self.count - first));
        for (t, (added, all)) in tokens.enumerate() {
            let at = (self.token + first + t) * acts.stride + k * t2r4::TILE_COLUMNS;
            let q: &[i8; t2r4::TILE_COLUMNS] = acts.q[at..].first_chunk().unwrap_or(&[0; t2r4::TILE_COLUMNS]);
            // 64 times 128 at most.
            *added = q.iter().fold(0, |sum: u16, q| sum.wrapping_add(u16::from(q.unsigned_abs()))).into();
            let sum = q.iter().fold(0, |sum: i16, &q| sum.wrapping_add(i16::from(q)));
            *all = all.wrapping_add(sum.into());
        }
        let full = bounds.most.iter().zip(added).any(|(most, added)| most + added > i16::MAX as u32);
        for (most, added) in bounds.most.iter_mut().zip(added) {
            *most = if full { added } else { *most + added };
        }
        full
    }

    /// Writes the tables of half the columns of the transposed tile: those with even numbers, or those with odd ones.
    #[inline(always)]
    unsafe fn tables<S: Tables>(&mut self, at: usize, half: usize) {
        // SAFETY: the tables have room for 81 vectors each.
        unsafe {
            let columns = &self.scratch.columns;
            let mut to = self.scratch.tables.as_mut_ptr().cast::<u8>();
            for i in (half..16).step_by(2) {
                let mut q = [S::zero(); 4];
                for (plane, q) in q.iter_mut().enumerate() {
                    *q = S::widen8(columns[column::<S>(plane, i)].as_ptr().add(at));
                }
                let [a, b, c, d] = q;
                let mut base_d = S::sub16(S::sub16(S::zero(), d), S::add16(b, c));
                for _ in 0..3 {
                    let mut base_c = base_d;
                    for _ in 0..3 {
                        let mut base = base_c;
                        for _ in 0..3 {
                            S::store(S::sub16(base, a), to);
                            S::store(base, to.add(S::LANES * 16));
                            S::store(S::add16(base, a), to.add(2 * S::LANES * 16));
                            to = to.add(3 * S::LANES * 16);
                            base = S::add16(base, b);
                        }
                        base_c = S::add16(base_c, c);
                    }
                    base_d = S::add16(base_d, d);
                }
            }
        }
    }

    /// Adds to the sums of all rows what the tables have for them.
    #[inline(always)]
    unsafe fn rows<S: Tables>(&mut self, block: usize, half: usize, next: &mut Next) {
        /// Rows between fetches.
        const STEP: usize = 64;
        let rows = self.product.tiles * TILE_ROWS;
        let bytes = S::LANES * 16;
        // SAFETY: indices are those of the rows, each within its table.
        unsafe {
            let tables = self.scratch.tables.as_ptr().cast::<u8>();
            let mut sums = self.scratch.sums.as_mut_ptr().add(block * rows * width::<S>()).cast::<u8>();
            let mut indices = self.scratch.indices[half].as_ptr().cast::<u64>();
            let mut row = 0;
            while row < rows {
                let n = STEP.min(rows - row);
                next.fetch::<S>(n);
                for _ in 0..n / TILE_ROWS {
                    for _ in 0..TILE_ROWS {
                        let mut sum = S::load(sums);
                        for four in 0..2 {
                            // Volatile: as one load of four indices, which the compiler would take apart to four loads.
                            let all = indices.add(four).read_volatile().to_le();
                            for i in 0..4 {
                                let at = (all >> (16 * i)) as usize & 0xffff;
                                sum = S::add16(sum, S::load(tables.add(at + (4 * four + i) * SUMS * bytes)));
                            }
                        }
                        S::store(sum, sums);
                        sums = sums.add(bytes);
                        indices = indices.add(2);
                    }
                }
                row += n;
            }
        }
    }
}

/// Lines that are fetched a few at a time.
struct Next {
    at: *const u8,
    step: usize,
    /// One line for so many row tiles.
    every: usize,
}

impl Next {
    /// Fetches what falls to `rows` rows.
    #[inline(always)]
    fn fetch<S: Vector>(&mut self, rows: usize) {
        for _ in 0..(rows / TILE_ROWS).div_ceil(self.every) {
            S::fetch_second(self.at);
            self.at = self.at.wrapping_add(self.step);
        }
    }
}

/// Whether both bits of a code are ones: `threes` has the codes, each with its upper bit moved to the lower one.
#[inline(always)]
unsafe fn any_three<S: Tables>(threes: S::V) -> bool {
    let mut words = [0u64; 4];
    // SAFETY: a vector has at most two lanes.
    unsafe { S::store(S::and(threes, S::splat8(0x55)), words.as_mut_ptr().cast()) };
    words != [0; 4]
}
