//! `matmul_t2r4_i8t`: ternary weights, int8 activations with one scale a token.

mod few;
mod many;
mod tables;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};

use crate::vector::Vector;
use crate::whole_tiles;
pub use tables::{FEWEST_TOKENS, Scratch, Tables, takes_tables};

const TILE: usize = t2r4::TILE_BYTES;

/// The product. `NV` vectors, whole row tiles but no more than a group, are the rows of a register block; `NT` are a row tile.
///
/// # Safety
/// The caller runs with the features of `S`.
#[inline(always)]
pub unsafe fn matmul<S: Vector, const NV: usize, const NT: usize, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let product = Product::new(w, tokens, acts, scale)?;
    // SAFETY: the row tiles are those of `w`, the tokens are there; the features are the caller's promise.
    unsafe {
        match tokens {
            0 => {}
            1 => product.few::<S, NT, 1>(out),
            2 if S::FEW >= 2 => product.few::<S, NT, 2>(out),
            3 if S::FEW >= 3 => product.few::<S, NT, 3>(out),
            4 if S::FEW >= 4 => product.few::<S, NT, 4>(out),
            _ => product.many::<S, NV>(0..tokens, out),
        }
    }
    Ok(())
}

/// The product for one token. `NT` as in [`matmul`].
///
/// # Safety
/// The caller runs with the features of `S`.
#[inline(always)]
pub unsafe fn matmul_one<S: Vector, const NT: usize, R: Results>(
    w: &[u8],
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let product = Product::new(w, 1, acts, scale)?;
    // SAFETY: the row tiles are those of `w`, the token is there; the features are the caller's promise.
    unsafe { product.few::<S, NT, 1>(out) };
    Ok(())
}

/// The product with tables of sums in vectors `T`, where [`takes_tables`] says so. `NV` as in [`matmul`].
///
/// # Safety
/// The caller runs with the features of `T` and `S`.
#[inline(always)]
pub unsafe fn matmul_by_tables<T: Tables, S: Vector, const NV: usize, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    scratch: &mut Scratch,
    out: &mut R,
) -> Result<(), Error> {
    let product = Product::new(w, tokens, acts, scale)?;
    // SAFETY: the row tiles are those of `w`, the tokens are there; the features are the caller's promise.
    unsafe { product.by_tables::<T, S, NV>(tokens, scratch, out) };
    Ok(())
}

/// Checked operands.
#[derive(Clone, Copy)]
struct Product<'a> {
    w: *const u8,
    /// Row tiles of the call before `w`.
    before: usize,
    /// Row tiles.
    tiles: usize,
    /// Bytes of a row tile.
    row_tile: usize,
    /// Column tiles.
    columns: usize,
    acts: &'a Int8Acts<'a>,
    scale: TernaryScale<'a>,
}

impl<'a> Product<'a> {
    #[inline(always)]
    fn new(w: &[u8], tokens: usize, acts: &'a Int8Acts<'a>, scale: TernaryScale<'a>) -> Result<Self, Error> {
        acts.check(tokens, acts.stride, 1)?;
        let row_tile = t2r4::row_tile_bytes(acts.stride);
        Ok(Self {
            w: w.as_ptr(),
            before: 0,
            tiles: whole_tiles(w, row_tile)?,
            row_tile,
            columns: acts.stride / t2r4::TILE_COLUMNS,
            acts,
            scale,
        })
    }

    /// Up to `tiles` row tiles from `first` on.
    #[inline(always)]
    fn part(&self, first: usize, tiles: usize) -> Self {
        let w = self.w.wrapping_add(first * self.row_tile);
        Self { w, before: self.before + first, tiles: tiles.min(self.tiles - first), ..*self }
    }

    /// Puts the results of `tiles` row tiles from `first` on for one token.
    #[inline(always)]
    fn put<const ROWS: usize>(
        &self,
        sums: &[i32; ROWS],
        scales: &RowScales<ROWS>,
        token: usize,
        first: usize,
        tiles: usize,
        out: &mut impl Results,
    ) {
        let at = token * self.acts.groups;
        // Both are there: the operands were checked.
        let (Some(&s), Some(&sum)) = (self.acts.scales.get(at), self.acts.sums.get(at)) else { return };
        let mut y = [0.0; ROWS];
        for ((y, &acc), &scale) in y.iter_mut().zip(sums).zip(&scales.0) {
            *y = acc.wrapping_sub(sum) as f32 / s * scale;
        }
        out.put(token, (self.before + first) * TILE_ROWS, &y[..tiles * TILE_ROWS]);
    }
}

/// The scales of some rows.
struct RowScales<const ROWS: usize>([f32; ROWS]);

impl<const ROWS: usize> RowScales<ROWS> {
    #[inline(always)]
    fn new(scale: TernaryScale<'_>) -> Self {
        Self([scale.row(0); ROWS])
    }

    /// Moves to rows `first..`.
    #[inline(always)]
    fn at(&mut self, scale: TernaryScale<'_>, first: usize) {
        if let TernaryScale::Rows(_) = scale {
            for (r, s) in self.0.iter_mut().enumerate() {
                *s = scale.row(first + r);
            }
        }
    }
}
