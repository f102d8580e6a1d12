//! Products with the block layouts: one float term a group, in four stripes.

use core::mem::MaybeUninit;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS};

use crate::vector::Vector;
use crate::{GROUP_ROWS, GROUP_TILES, balanced, whole_tiles};

/// Row tiles whose weights stay in the second cache while the tokens pass, when there are many.
const STAY: usize = 64;
/// Most tokens of a register block.
pub const BLOCK: usize = 8;
/// Columns that there is room for on the stack when they are prepared, a whole number of times four panels; wider matrices are
/// gone through in blocks of so many.
pub const MOST_COLUMNS: usize = 16_384;
/// The same, of matrices that are gone through in blocks of columns: they are rare, and code for each number is long.
const WIDE_TOKENS: usize = 2;
/// Row tiles between two times that the results of one token are put.
const BATCH: usize = 16;

/// A block layout.
pub trait Blocks {
    /// Columns of a group.
    const GROUP: usize;
    /// What is made of the activations of up to eight tokens before their products.
    type Prepared;

    fn row_tile_bytes(cols: usize) -> usize;

    /// Bytes from the beginning of a row tile to what it has of the column `cols`, which is the first of four panels.
    fn column_bytes(cols: usize) -> usize {
        Self::row_tile_bytes(cols)
    }

    /// Most tokens of a register block.
    #[inline(always)]
    fn tokens<S: Vector>() -> usize {
        S::BLOCK_TOKENS
    }

    /// Room for what [`prepare`](Self::prepare) makes.
    fn room() -> Self::Prepared;

    /// # Safety
    /// The `count` tokens are readable; the features of `S` are there.
    unsafe fn prepare<S: Vector>(tokens: &Tokens, count: usize, prepared: &mut Self::Prepared);

    /// Adds the terms of the tokens' groups to the stripes of the `NT` vectors of a row tile for `T` tokens: in each lane, those
    /// of its row.
    ///
    /// # Safety
    /// The row tile, with the tokens' first column at `w`, and the tokens are readable, and were prepared; the features of `S`
    /// are there.
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        prepared: &Self::Prepared,
        stripes: [[S::V; NT]; T],
    ) -> [[S::V; NT]; T];
}

/// Some tokens of activations, or some columns of them.
#[derive(Clone, Copy)]
pub struct Tokens {
    /// `[tokens][stride]`, as all below from the first group on.
    pub q: *const u8,
    pub stride: usize,
    /// `[tokens][row]`
    pub scales: *const f32,
    /// `[tokens][row]`
    pub sums: *const i32,
    /// The first token.
    pub token: usize,
    /// Which of a token's groups is the first, and how many there are.
    pub first: usize,
    pub groups: usize,
    /// All groups of a token.
    pub row: usize,
}

impl Tokens {
    /// Groups `first..end`, of `group` columns, from token `t` on.
    ///
    /// # Safety
    /// They exist.
    unsafe fn new(acts: &Int8Acts<'_>, t: usize, group: usize, first: usize, end: usize) -> Self {
        let at = t * acts.groups + first;
        // SAFETY: as promised.
        unsafe {
            Self {
                q: acts.q.as_ptr().add(t * acts.stride + first * group).cast(),
                stride: acts.stride,
                token: t,
                scales: acts.scales.as_ptr().add(at),
                sums: acts.sums.as_ptr().add(at),
                first,
                groups: end - first,
                row: acts.groups,
            }
        }
    }
}

impl Tokens {
    /// In every lane, the scales of groups `b..b + n` of token `t`, up to four, and zeros behind them.
    ///
    /// # Safety
    /// These are groups of the token; the features of `S` are there.
    #[inline(always)]
    pub unsafe fn scales<S: Vector>(&self, t: usize, b: usize, n: usize) -> S::V {
        // SAFETY: as promised.
        unsafe {
            let p = self.scales.add(t * self.row + b);
            if n == 4 {
                return S::spread(p.cast());
            }
            let mut four = [0.0; 4];
            for (j, a) in four.iter_mut().enumerate().take(n) {
                *a = *p.add(j);
            }
            S::spread(four.as_ptr().cast())
        }
    }
}

/// Fetches into the second cache, for a single token, the `bytes` of weights that are wanted soon after those at `p`. For the
/// other layouts less or nothing ahead was better.
#[inline(always)]
pub fn prefetch<S: Vector, const T: usize>(p: *const u8, bytes: usize) {
    const AHEAD: usize = 10 << 10;
    if T == 1 {
        for line in (0..bytes).step_by(64) {
            S::fetch_second(p.wrapping_add(AHEAD + line));
        }
    }
}

/// The f16 of groups `0..n`, up to four, of `[4][4 rows]` at `p`, for the rows of vector `v`; zeros behind them, whatever is
/// there.
///
/// # Safety
/// All four are readable; the features of `S` are there.
#[inline(always)]
pub unsafe fn halves<S: Vector>(p: *const u8, v: usize, n: usize) -> S::V {
    const FIRST: [[i32; 4]; 5] = [[0; 4], [-1, 0, 0, 0], [-1, -1, 0, 0], [-1, -1, -1, 0], [-1; 4]];
    // SAFETY: as promised.
    unsafe {
        let all = S::halves(p, v);
        if n == 4 { all } else { S::and(all, S::spread(FIRST[n].as_ptr().cast())) }
    }
}

/// The product. `NT` vectors are a row tile.
///
/// # Safety
/// The caller runs with the features of `S`.
#[inline(always)]
pub unsafe fn matmul<S: Vector, B: Blocks, const NT: usize, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let groups = acts.groups;
    acts.check(tokens, groups.saturating_mul(B::GROUP), groups)?;
    let row_tile = B::row_tile_bytes(groups * B::GROUP);
    let tiles = whole_tiles(w, row_tile)?;
    let mut product = Product::<B> { w: w.as_ptr(), row_tile, prepared: B::room() };
    if groups > MOST_COLUMNS / B::GROUP {
        // SAFETY: row tiles `0..tiles` and tokens `0..tokens` are those of the checked slices.
        unsafe { product.wide::<S, NT>(tiles, tokens, acts, out) };
        return Ok(());
    }
    let alone = Carried { sums: core::ptr::null_mut(), first: true, last: true };
    // SAFETY: as above.
    unsafe {
        if tokens == 1 {
            let all = Tokens::new(acts, 0, B::GROUP, 0, groups);
            B::prepare::<S>(&all, 1, &mut product.prepared);
            let mut first = 0;
            while first < tiles {
                let n = BATCH.min(tiles - first);
                product.put::<S, NT, 1, BATCH, { BATCH * TILE_ROWS }, false>(&all, first, n, alone, out);
                first += n;
            }
            return Ok(());
        }
        let mut first = 0;
        while first < tiles {
            let end = tiles.min(first + STAY);
            let mut token = 0;
            while token < tokens {
                let count = balanced(tokens - token, B::tokens::<S>());
                let some = Tokens::new(acts, token, B::GROUP, 0, groups);
                B::prepare::<S>(&some, count, &mut product.prepared);
                let mut tile = first;
                while tile < end {
                    let n = GROUP_TILES.min(end - tile);
                    product.group::<S, NT, false>(&some, count, tile, n, alone, out);
                    tile += n;
                }
                token += count;
            }
            first = end;
        }
    }
    Ok(())
}

/// Stripes that are carried from one block of columns to the next, if there are several.
#[derive(Clone, Copy)]
struct Carried<V> {
    /// Those of each row tile and token, written and read where the block is not the only one.
    sums: *mut V,
    /// Whether the block is the first, and the last.
    first: bool,
    last: bool,
}

struct Product<B: Blocks> {
    w: *const u8,
    row_tile: usize,
    prepared: B::Prepared,
}

impl<B: Blocks> Product<B> {
    /// The product with a matrix that is gone through in blocks of columns.
    ///
    /// # Safety
    /// The row tiles and the tokens exist; the features of `S` are there.
    #[inline(always)]
    unsafe fn wide<S: Vector, const NT: usize>(
        &mut self,
        tiles: usize,
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut impl Results,
    ) {
        let (groups, most) = (acts.groups, MOST_COLUMNS / B::GROUP);
        let mut sums = MaybeUninit::<[[[S::V; NT]; STAY]; WIDE_TOKENS]>::uninit();
        let sums = sums.as_mut_ptr().cast::<S::V>();
        for first in (0..tiles).step_by(STAY) {
            let end = tiles.min(first + STAY);
            let mut token = 0;
            while token < tokens {
                let count = balanced(tokens - token, WIDE_TOKENS);
                for from in (0..groups).step_by(most) {
                    let to = groups.min(from + most);
                    // SAFETY: as promised; there is room for the sums of `STAY` row tiles and `WIDE_TOKENS` tokens.
                    unsafe {
                        let some = Tokens::new(acts, token, B::GROUP, from, to);
                        B::prepare::<S>(&some, count, &mut self.prepared);
                        for tile in (first..end).step_by(GROUP_TILES) {
                            let sums = sums.add((tile - first) * count * NT);
                            let carried = Carried { sums, first: from == 0, last: to == groups };
                            let n = GROUP_TILES.min(end - tile);
                            self.group::<S, NT, true>(&some, count, tile, n, carried, out);
                        }
                    }
                }
                token += count;
            }
        }
    }

    /// Puts the results of `n` row tiles, up to a group, for `count` tokens.
    ///
    /// # Safety
    /// As for [`Blocks::stripes`].
    #[inline(always)]
    unsafe fn group<S: Vector, const NT: usize, const WIDE: bool>(
        &self,
        some: &Tokens,
        count: usize,
        tile: usize,
        n: usize,
        carried: Carried<S::V>,
        out: &mut impl Results,
    ) {
        // SAFETY: as promised.
        unsafe {
            match count {
                1 => self.put::<S, NT, 1, GROUP_TILES, GROUP_ROWS, WIDE>(some, tile, n, carried, out),
                2 => self.put::<S, NT, 2, GROUP_TILES, GROUP_ROWS, WIDE>(some, tile, n, carried, out),
                3 if !WIDE => {
                    self.put::<S, NT, 3, GROUP_TILES, GROUP_ROWS, false>(some, tile, n, carried, out);
                }
                4 if !WIDE => {
                    self.put::<S, NT, 4, GROUP_TILES, GROUP_ROWS, false>(some, tile, n, carried, out);
                }
                5 if !WIDE && S::BLOCK_TOKENS >= 5 => {
                    self.put::<S, NT, 5, GROUP_TILES, GROUP_ROWS, false>(some, tile, n, carried, out);
                }
                6 if !WIDE && S::BLOCK_TOKENS >= 6 => {
                    self.put::<S, NT, 6, GROUP_TILES, GROUP_ROWS, false>(some, tile, n, carried, out);
                }
                7 if !WIDE && S::BLOCK_TOKENS >= 7 => {
                    self.put::<S, NT, 7, GROUP_TILES, GROUP_ROWS, false>(some, tile, n, carried, out);
                }
                8 if !WIDE && S::BLOCK_TOKENS >= 8 => {
                    self.put::<S, NT, 8, GROUP_TILES, GROUP_ROWS, false>(some, tile, n, carried, out);
                }
                _ => unreachable!("a register block has at most {} tokens", S::BLOCK_TOKENS),
            }
        }
    }

    /// Puts the results of `n` of up to `N` row tiles, which have `ROWS` rows, for `T` tokens.
    #[inline(always)]
    unsafe fn put<
        S: Vector,
        const NT: usize,
        const T: usize,
        const N: usize,
        const ROWS: usize,
        const WIDE: bool,
    >(
        &self,
        some: &Tokens,
        first: usize,
        n: usize,
        carried: Carried<S::V>,
        out: &mut impl Results,
    ) {
        // SAFETY: as promised for `group`.
        unsafe {
            let sums = carried.sums.cast::<[[[S::V; NT]; N]; T]>();
            let mut all = [[[S::zero(); NT]; N]; T];
            if WIDE && !carried.first {
                all = sums.read();
            }
            let columns = if WIDE { self.w.add(B::column_bytes(some.first * B::GROUP)) } else { self.w };
            for tile in 0..n {
                let w = columns.add((first + tile) * self.row_tile);
                let mut before = [[S::zero(); NT]; T];
                if WIDE {
                    for (before, all) in before.iter_mut().zip(&all) {
                        *before = all[tile];
                    }
                }
                let stripes = B::stripes::<S, NT, T>(w, some, &self.prepared, before);
                // By index: an iterator over the array would copy it first.
                for (t, all) in all.iter_mut().enumerate() {
                    all[tile] = stripes[t];
                }
            }
            if WIDE && !carried.last {
                sums.write(all);
                return;
            }
            for (t, all) in all.iter().enumerate() {
                let mut y = [0.0f32; ROWS];
                let rows = y.chunks_exact_mut(4 * S::LANES);
                for (rows, &v) in rows.zip(all.as_flattened().as_chunks().0).take((n * NT).div_ceil(4)) {
                    S::store_rows(S::fold4_float(v), rows.as_mut_ptr().cast());
                }
                out.put(some.token + t, first * TILE_ROWS, &y[..n * TILE_ROWS]);
            }
        }
    }
}
