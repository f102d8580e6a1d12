//! Ternary products on cores whose registers are words: one token after another, one group of row tiles after another.
//!
//! What such a core is good at differs, and so does the form in which it wants its activations ([`RowSums`]); what goes around it does
//! not.

mod buffer;
pub mod table;

pub use buffer::Buffer;
pub use table::Table;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};

use crate::whole_tiles;

/// Weights: row tiles, some column tiles of each.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    w: &'a [u8],
    row_tile: usize,
    tiles: usize,
    columns: usize,
}

impl<'a> Part<'a> {
    /// `columns` column tiles of each of `tiles` row tiles of `row_tile` bytes; `None` if they are not all in `w`, which begins with
    /// the first of them, or if there are none.
    #[must_use]
    pub fn new(w: &'a [u8], row_tile: usize, tiles: usize, columns: usize) -> Option<Self> {
        let last = tiles.checked_sub(1)?.checked_mul(row_tile)?;
        let end = last.checked_add(columns.checked_mul(t2r4::TILE_BYTES)?)?;
        (columns > 0 && end <= w.len()).then_some(Self { w, row_tile, tiles, columns })
    }

    /// The first byte of the first row tile's column tiles.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.w.as_ptr()
    }

    /// Bytes from one row tile to the next.
    #[must_use]
    pub fn row_tile(&self) -> usize {
        self.row_tile
    }

    /// Row tiles; at least one.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.tiles
    }

    /// Column tiles; at least one.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The column tiles of row tile `i`.
    pub fn row_tile_at(&self, i: usize) -> &'a [[u8; t2r4::TILE_BYTES]] {
        let bytes = self.w.get(i * self.row_tile..).unwrap_or_default();
        bytes.as_chunks().0.get(..self.columns).unwrap_or_default()
    }
}

/// Integer sums of row tiles for one token.
pub trait RowSums<'a> {
    /// Column tiles whose activations fit the memory.
    const COLUMNS: usize;
    /// Row tiles whose sums do.
    const TILES: usize;
    /// What a column tile adds to a sum besides the products.
    const BIAS: i32;

    /// Takes the activations of one to [`COLUMNS`](Self::COLUMNS) column tiles.
    fn prepare(&mut self, q: &'a [[i8; t2r4::TILE_COLUMNS]]);

    /// Makes this the sums of so many row tiles, at most [`TILES`](Self::TILES).
    fn begin(&mut self, tiles: usize, sum: i32);

    /// The sums of as many row tiles as were begun.
    fn sums(&mut self) -> &mut [[i32; TILE_ROWS]];

    /// Adds to the sums the products of a part with what was prepared: as many column tiles, as many row tiles as there are sums.
    fn add(&mut self, part: Part<'_>);
}

/// The product, with the bits of the definition. Integer sums are exact, so their order and what is added first do not matter.
///
/// # Errors
/// As [`t2r4::matmul`].
#[inline]
pub fn matmul<'a, S: RowSums<'a>, R: Results>(
    memory: &mut S,
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'a>,
    scale: TernaryScale<'_>,
    out: &mut R,
) -> Result<(), Error> {
    acts.check(tokens, acts.stride, 1)?;
    let row_tile = t2r4::row_tile_bytes(acts.stride);
    let tiles = whole_tiles(w, row_tile)?;
    for t in 0..tokens {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let (Some(&s), Some(&sum)) = (token.scales.first(), token.sums.first()) else {
            return Err(Error::Operand("a token needs a scale and a sum"));
        };
        let q = token.q.as_chunks::<{ t2r4::TILE_COLUMNS }>().0;
        let bias = (q.len() as i32).wrapping_mul(S::BIAS).wrapping_add(sum);
        let mut prepared = None;
        for first in (0..tiles).step_by(S::TILES) {
            let n = S::TILES.min(tiles - first);
            memory.begin(n, 0i32.wrapping_sub(bias));
            for (k, q) in q.chunks(S::COLUMNS).enumerate() {
                if prepared != Some(k) {
                    memory.prepare(q);
                    prepared = Some(k);
                }
                let from = first * row_tile + k * S::COLUMNS * t2r4::TILE_BYTES;
                let part = w.get(from..).and_then(|w| Part::new(w, row_tile, n, q.len()));
                memory.add(part.ok_or(Error::Operand("weights are not whole row tiles"))?);
            }
            put(memory.sums().as_flattened_mut(), s, scale, t, first * TILE_ROWS, out);
        }
    }
    Ok(())
}

/// Puts the results of the rows from `first` on. They take the place of the sums: that memory is there.
#[inline]
fn put(
    sums: &mut [i32],
    s: f32,
    scale: TernaryScale<'_>,
    token: usize,
    first: usize,
    out: &mut impl Results,
) {
    let result = |acc: i32, scale: f32| (acc as f32 / s * scale).to_bits() as i32;
    if let TernaryScale::Tensor(scale) = scale {
        sums.iter_mut().for_each(|acc| *acc = result(*acc, scale));
    } else {
        for (r, acc) in sums.iter_mut().enumerate() {
            *acc = result(*acc, scale.row(first + r));
        }
    }
    // SAFETY: floats of the same size and alignment, for which any bits are a value.
    let y = unsafe { core::slice::from_raw_parts(sums.as_ptr().cast::<f32>(), sums.len()) };
    out.put(token, first, y);
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;
    use std::vec::Vec;

    use bitnet_edge_kernels::conformance::{self, Effort};

    use super::*;

    #[test]
    fn tables_give_the_bits_of_the_definition() {
        let mut lines = Vec::new();
        let summary = conformance::run(Table, Effort::Full, &mut |failure| lines.push(failure.to_string()));
        assert!(summary.passed() && summary.skipped == 0, "{summary:?} {:?}", lines.first());
    }

    #[test]
    fn a_part_lies_in_its_weights() {
        let w = [0; 4 * 64];
        assert!(Part::new(&w, 128, 2, 2).is_some() && Part::new(&w, 192, 2, 1).is_some());
        for (row_tile, tiles, columns) in [(128, 3, 1), (128, 2, 3), (192, 2, 2), (128, 0, 1), (128, 1, 0)] {
            assert!(Part::new(&w, row_tile, tiles, columns).is_none(), "{row_tile} {tiles} {columns}");
        }
        assert!(Part::new(&w, usize::MAX, 3, 1).is_none() && Part::new(&w, 128, 2, usize::MAX).is_none());
    }
}
