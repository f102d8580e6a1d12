//! `matmul_t2r4_i8t`: ternary weights, int8 activations with one scale a token.

mod few;
mod many;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};

use crate::vector::Vector;
use crate::whole_tiles;

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
    acts.check(tokens, acts.stride, 1)?;
    let row_tile = t2r4::row_tile_bytes(acts.stride);
    let product = Product {
        w: w.as_ptr(),
        tiles: whole_tiles(w, row_tile)?,
        row_tile,
        columns: acts.stride / t2r4::TILE_COLUMNS,
        acts,
        scale,
    };
    // SAFETY: the row tiles are those of `w`, the tokens are there; the features are the caller's promise.
    unsafe {
        match tokens {
            0 => {}
            1 => product.few::<S, NT, 1>(out),
            2 if S::FEW >= 2 => product.few::<S, NT, 2>(out),
            3 if S::FEW >= 3 => product.few::<S, NT, 3>(out),
            4 if S::FEW >= 4 => product.few::<S, NT, 4>(out),
            _ => product.many::<S, NV>(tokens, out),
        }
    }
    Ok(())
}

/// Checked operands.
struct Product<'a> {
    w: *const u8,
    /// Row tiles.
    tiles: usize,
    /// Bytes of a row tile.
    row_tile: usize,
    /// Column tiles.
    columns: usize,
    acts: &'a Int8Acts<'a>,
    scale: TernaryScale<'a>,
}

impl Product<'_> {
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
        out.put(token, first * TILE_ROWS, &y[..tiles * TILE_ROWS]);
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
