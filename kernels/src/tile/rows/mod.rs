//! Float weights as rows: f32, f16, bfloat16. A row tile is four rows, each padded with zeros to 64 bytes.

mod blocked;

pub use blocked::blocked;

use super::{FloatActs, Results, TILE_ROWS, for_each_tile, round64};
use crate::Error;
use crate::format::{bf16_to_f32, f16_to_f32};
use crate::simd::{F32x16, LANES};

/// Bytes from one row to the next, for elements of `SIZE` bytes.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::rows::stride::<2>(33), 128);
/// ```
pub const fn stride<const SIZE: usize>(cols: usize) -> usize {
    round64(cols * SIZE)
}

/// A float element as it lies in an image.
///
/// ```
/// use bitnet_edge_kernels::tile::rows::{Element, F16};
/// assert_eq!(F16::widen(&[0x00, 0x3c]), Some(1.0));
/// ```
pub trait Element {
    /// Bytes of an element.
    const SIZE: usize;
    /// The bytes of sixteen elements.
    type Block: Copy;
    /// Widens the little-endian bytes of one element; `None` if there are too few.
    fn widen(bytes: &[u8]) -> Option<f32>;
    /// Whole blocks, and the bytes behind them.
    fn blocks(bytes: &[u8]) -> (&[Self::Block], &[u8]);
    /// Widens a block.
    fn lanes<V: F32x16>(block: &Self::Block) -> V;
}

impl Element for f32 {
    const SIZE: usize = 4;
    type Block = [u8; 4 * LANES];
    #[inline(always)]
    fn blocks(bytes: &[u8]) -> (&[Self::Block], &[u8]) {
        bytes.as_chunks()
    }
    #[inline(always)]
    fn lanes<V: F32x16>(block: &Self::Block) -> V {
        let mut lanes = [0.0; LANES];
        for (lane, b) in lanes.iter_mut().zip(block.as_chunks().0) {
            *lane = Self::from_le_bytes(*b);
        }
        V::load(&lanes)
    }
    #[inline(always)]
    fn widen(bytes: &[u8]) -> Option<f32> {
        bytes.first_chunk().map(|b| Self::from_le_bytes(*b))
    }
}

/// f16 as an [`Element`].
///
/// ```
/// use bitnet_edge_kernels::tile::rows::{Element, F16};
/// assert_eq!(F16::SIZE, 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct F16;

impl Element for F16 {
    const SIZE: usize = 2;
    type Block = [u8; 2 * LANES];
    #[inline(always)]
    fn blocks(bytes: &[u8]) -> (&[Self::Block], &[u8]) {
        bytes.as_chunks()
    }
    #[inline(always)]
    fn lanes<V: F32x16>(block: &Self::Block) -> V {
        V::from_f16(&words(block))
    }
    #[inline(always)]
    fn widen(bytes: &[u8]) -> Option<f32> {
        bytes.first_chunk().map(|b| f16_to_f32(u16::from_le_bytes(*b)))
    }
}

/// bfloat16 as an [`Element`].
///
/// ```
/// use bitnet_edge_kernels::tile::rows::{Bf16, Element};
/// assert_eq!(Bf16::widen(&[0x80, 0x3f]), Some(1.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bf16;

impl Element for Bf16 {
    const SIZE: usize = 2;
    type Block = [u8; 2 * LANES];
    #[inline(always)]
    fn blocks(bytes: &[u8]) -> (&[Self::Block], &[u8]) {
        bytes.as_chunks()
    }
    #[inline(always)]
    fn lanes<V: F32x16>(block: &Self::Block) -> V {
        V::from_bf16(&words(block))
    }
    #[inline(always)]
    fn widen(bytes: &[u8]) -> Option<f32> {
        bytes.first_chunk().map(|b| bf16_to_f32(u16::from_le_bytes(*b)))
    }
}

/// The little-endian words of a block.
#[inline(always)]
fn words(block: &[u8; 2 * LANES]) -> [u16; LANES] {
    let mut words = [0; LANES];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u16::from_le_bytes(*bytes);
    }
    words
}

fn row<E: Element>(tile: &[u8], row: usize, cols: usize) -> Option<&[u8]> {
    let bytes = cols.checked_mul(E::SIZE)?;
    let at = round64(bytes).checked_mul(row % TILE_ROWS)?;
    tile.get(at..)?.get(..bytes)
}

/// Widens one row of a row tile.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::rows;
/// let mut y = [9.0];
/// rows::widen::<f32>(&[0; 256], 3, &mut y)?;
/// assert_eq!(y, [0.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn widen<E: Element>(tile: &[u8], r: usize, y: &mut [f32]) -> Result<(), Error> {
    let bytes = row::<E>(tile, r, y.len()).ok_or(Error::Operand("row tile is too short"))?;
    for (y, x) in y.iter_mut().zip(bytes.chunks_exact(E::SIZE)) {
        *y = E::widen(x).unwrap_or(0.0);
    }
    Ok(())
}

/// `matmul_f32_f32`, `matmul_f16_f32`, `matmul_bf16_f32`: weights widened, f32 products, sixteen stripes.
///
/// `w`: `[tiles]` row tiles of `acts.cols` columns; the results are rows of `tiles * 4`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::{simd::Scalar16, tile::{FloatActs, Outputs, rows}};
/// let mut w = [0u8; 256];
/// w[64..68].copy_from_slice(&2f32.to_le_bytes()); // row 1, column 0
/// let mut out = [0.0; 4];
/// let acts = FloatActs { x: &[3.0], stride: 1, cols: 1 };
/// rows::matmul::<f32, Scalar16, _>(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out, [0.0, 6.0, 0.0, 0.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn matmul<E: Element, V: F32x16, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &FloatActs<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let tile_bytes = round64(acts.cols.saturating_mul(E::SIZE)).saturating_mul(TILE_ROWS);
    acts.check(tokens)?;
    for_each_tile(w, tile_bytes, tokens, out, |_, tile, t| {
        let x = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let mut out = [0.0; TILE_ROWS];
        for (r, out) in out.iter_mut().enumerate() {
            let w = row::<E>(tile, r, acts.cols).ok_or(Error::Operand("row tile is too short"))?;
            *out = dot_row::<E, V>(w, x);
        }
        Ok(out)
    })
}

#[inline(always)]
fn dot_row<E: Element, V: F32x16>(w: &[u8], x: &[f32]) -> f32 {
    let mut sum = V::splat(0.0);
    for (w, x) in w.chunks(LANES * E::SIZE).zip(x.chunks(LANES)) {
        sum = sum.add(widen_part::<E, V>(w).mul(V::load_part(x)));
    }
    sum.fold()
}

/// Widens up to sixteen elements; missing lanes are `+0.0`.
#[inline(always)]
fn widen_part<E: Element, V: F32x16>(bytes: &[u8]) -> V {
    let mut lanes = [0.0; LANES];
    for (lane, bytes) in lanes.iter_mut().zip(bytes.chunks_exact(E::SIZE)) {
        *lane = E::widen(bytes).unwrap_or(0.0);
    }
    V::load(&lanes)
}
