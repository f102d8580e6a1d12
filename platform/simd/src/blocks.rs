//! Products with the block layouts: one float term a group, in four stripes.

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS};

use crate::vector::Vector;
use crate::{GROUP_ROWS, GROUP_TILES, balanced, whole_tiles};

/// Row tiles whose weights stay in the second cache while the tokens pass, when there are many.
const STAY: usize = 64;
/// Most tokens of a register block.
pub const BLOCK: usize = 8;
/// Columns up to which there is room for what is prepared; wider matrices take the definition.
pub const MOST_COLUMNS: usize = crate::MOST_GROUPED_COLUMNS as usize;
/// Row tiles between two times that the results of one token are put.
const BATCH: usize = 16;

/// A block layout.
pub trait Blocks {
    /// Columns of a group.
    const GROUP: usize;
    /// What is made of the activations of up to eight tokens before their products.
    type Prepared;

    fn row_tile_bytes(cols: usize) -> usize;

    fn definition(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut impl Results) -> Result<(), Error>;

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

    /// The stripes of the `NT` vectors of a row tile for `T` tokens: in each lane, those of its row.
    ///
    /// # Safety
    /// The row tile at `w` and the tokens are readable, and were prepared; the features of `S` are there.
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        prepared: &Self::Prepared,
    ) -> [[S::V; NT]; T];
}

/// Some tokens of activations.
#[derive(Clone, Copy)]
pub struct Tokens {
    /// `[tokens][stride]`
    pub q: *const u8,
    pub stride: usize,
    /// `[tokens][groups]`
    pub scales: *const f32,
    /// `[tokens][groups]`
    pub sums: *const i32,
    pub groups: usize,
}

impl Tokens {
    /// # Safety
    /// Token `t` exists.
    unsafe fn new(acts: &Int8Acts<'_>, t: usize) -> Self {
        // SAFETY: as promised.
        unsafe {
            Self {
                q: acts.q.as_ptr().add(t * acts.stride).cast(),
                stride: acts.stride,
                scales: acts.scales.as_ptr().add(t * acts.groups),
                sums: acts.sums.as_ptr().add(t * acts.groups),
                groups: acts.groups,
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
            let p = self.scales.add(t * self.groups + b);
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
    let cols = acts.groups.saturating_mul(B::GROUP);
    if cols > MOST_COLUMNS {
        return B::definition(w, tokens, acts, out);
    }
    acts.check(tokens, cols, acts.groups)?;
    let row_tile = B::row_tile_bytes(cols);
    let tiles = whole_tiles(w, row_tile)?;
    let mut product = Product::<B> { w: w.as_ptr(), row_tile, prepared: B::room() };
    // SAFETY: row tiles `0..tiles` and tokens `0..tokens` are those of the checked slices.
    unsafe {
        if tokens == 1 {
            let all = Tokens::new(acts, 0);
            B::prepare::<S>(&all, 1, &mut product.prepared);
            let mut first = 0;
            while first < tiles {
                let n = BATCH.min(tiles - first);
                product.put::<S, NT, 1, BATCH, { BATCH * TILE_ROWS }>(&all, 0, first, n, out);
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
                let some = Tokens::new(acts, token);
                B::prepare::<S>(&some, count, &mut product.prepared);
                let mut tile = first;
                while tile < end {
                    let n = GROUP_TILES.min(end - tile);
                    product.group::<S, NT>(&some, count, token, tile, n, out);
                    tile += n;
                }
                token += count;
            }
            first = end;
        }
    }
    Ok(())
}

struct Product<B: Blocks> {
    w: *const u8,
    row_tile: usize,
    prepared: B::Prepared,
}

impl<B: Blocks> Product<B> {
    /// Puts the results of `n` row tiles, up to a group, for `count` tokens from `token` on.
    ///
    /// # Safety
    /// As for [`Blocks::stripes`].
    #[inline(always)]
    unsafe fn group<S: Vector, const NT: usize>(
        &self,
        some: &Tokens,
        count: usize,
        token: usize,
        tile: usize,
        n: usize,
        out: &mut impl Results,
    ) {
        // SAFETY: as promised.
        unsafe {
            match count {
                1 => self.put::<S, NT, 1, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out),
                2 => self.put::<S, NT, 2, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out),
                3 => self.put::<S, NT, 3, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out),
                4 => self.put::<S, NT, 4, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out),
                5 if S::BLOCK_TOKENS >= 5 => {
                    self.put::<S, NT, 5, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out);
                }
                6 if S::BLOCK_TOKENS >= 6 => {
                    self.put::<S, NT, 6, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out);
                }
                7 if S::BLOCK_TOKENS >= 7 => {
                    self.put::<S, NT, 7, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out);
                }
                8 if S::BLOCK_TOKENS >= 8 => {
                    self.put::<S, NT, 8, GROUP_TILES, GROUP_ROWS>(some, token, tile, n, out);
                }
                _ => unreachable!("a register block has at most {} tokens", S::BLOCK_TOKENS),
            }
        }
    }

    /// Puts the results of `n` of up to `N` row tiles, which have `ROWS` rows, for `T` tokens.
    #[inline(always)]
    unsafe fn put<S: Vector, const NT: usize, const T: usize, const N: usize, const ROWS: usize>(
        &self,
        some: &Tokens,
        token: usize,
        first: usize,
        n: usize,
        out: &mut impl Results,
    ) {
        // SAFETY: as promised for `group`.
        unsafe {
            let mut all = [[[S::zero(); NT]; N]; T];
            for tile in 0..n {
                let w = self.w.add((first + tile) * self.row_tile);
                let stripes = B::stripes::<S, NT, T>(w, some, &self.prepared);
                // By index: an iterator over the array would copy it first.
                for (t, all) in all.iter_mut().enumerate() {
                    all[tile] = stripes[t];
                }
            }
            for (t, all) in all.iter().enumerate() {
                let mut y = [0.0f32; ROWS];
                let rows = y.chunks_exact_mut(4 * S::LANES);
                for (rows, &v) in rows.zip(all.as_flattened().as_chunks().0).take((n * NT).div_ceil(4)) {
                    S::store_rows(S::fold4_float(v), rows.as_mut_ptr().cast());
                }
                out.put(token + t, first * TILE_ROWS, &y[..n * TILE_ROWS]);
            }
        }
    }
}
