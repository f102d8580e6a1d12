//! `q8r4`: `Q8_0` blocks of four rows, re-tiled without loss.
//!
//! A panel covers up to 256 columns (`g` groups of 32): first `2g` tiles of 64 bytes, 4 rows x 16 columns each (row `r`
//! has bytes `16r..16r+16`), then the groups' scales, f16 `[g][4]`, padded with zeros to 64 bytes.

use super::{Int8Acts, PANEL_COLUMNS, Results, Stripes4, TILE_ROWS, for_each_tile, round64};
use crate::Error;
use crate::format::f16_to_f32;
use crate::format::q8_0::{self, BLOCK_BYTES, BLOCK_WEIGHTS};

const GROUP_BYTES: usize = BLOCK_WEIGHTS * TILE_ROWS;
const SCALE_BYTES: usize = 2 * TILE_ROWS;
const FULL_PANEL: usize = panel_bytes(PANEL_COLUMNS / BLOCK_WEIGHTS);

const fn panel_bytes(groups: usize) -> usize {
    groups * GROUP_BYTES + round64(groups * SCALE_BYTES)
}

/// Bytes of a row tile of `cols` columns, a multiple of 32.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q8r4::row_tile_bytes(256), 1024 + 64);
/// assert_eq!(bitnet_edge_kernels::tile::q8r4::row_tile_bytes(576), 2 * 1088 + 256 + 64);
/// ```
pub const fn row_tile_bytes(cols: usize) -> usize {
    let rest = cols % PANEL_COLUMNS / BLOCK_WEIGHTS;
    cols / PANEL_COLUMNS * FULL_PANEL + if rest > 0 { panel_bytes(rest) } else { 0 }
}

/// Panels of a row tile with their number of groups.
fn panels(row_tile: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    row_tile
        .chunks(FULL_PANEL)
        .map(|p| (p, if p.len() == FULL_PANEL { 8 } else { (p.len() - 1) / GROUP_BYTES }))
}

/// Splits group `i` of a panel with `n` groups: its two tiles and the scale bits of the four rows.
fn group(panel: &[u8], n: usize, i: usize) -> Option<(&[u8; GROUP_BYTES], [u16; TILE_ROWS])> {
    let tiles = panel.get(i * GROUP_BYTES..)?.first_chunk()?;
    let scales =
        panel.get(n * GROUP_BYTES + i * SCALE_BYTES..)?.as_chunks::<2>().0.first_chunk::<TILE_ROWS>()?;
    Some((tiles, scales.map(u16::from_le_bytes)))
}

/// Writes one `Q8_0` block of a row into a row tile of `cols` columns. `block` counts along the row.
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// use bitnet_edge_kernels::tile::q8r4;
/// let mut tile = [0u8; q8r4::row_tile_bytes(64)];
/// let block = core::array::from_fn(|i| i as u8);
/// q8r4::put_block(&mut tile, 64, 3, 1, &block)?;
/// assert_eq!(q8r4::get_block(&tile, 64, 3, 1)?, block);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn put_block(
    row_tile: &mut [u8],
    cols: usize,
    row: usize,
    block: usize,
    bytes: &[u8; BLOCK_BYTES],
) -> Result<(), Error> {
    let outside = Error::Operand("block lies outside the row tile");
    let (scale_at, tiles_at) = place(cols, row, block).ok_or(outside)?;
    let (scale, quants) = bytes.split_first_chunk::<2>().ok_or(outside)?;
    *row_tile.get_mut(scale_at..).and_then(|b| b.first_chunk_mut()).ok_or(outside)? = *scale;
    for (half, quants) in quants.as_chunks::<16>().0.iter().enumerate() {
        *row_tile.get_mut(tiles_at + half * 64..).and_then(|b| b.first_chunk_mut()).ok_or(outside)? = *quants;
    }
    Ok(())
}

/// Offsets of a block's scale and of its first 16 quants (the other 16 are 64 bytes further).
fn place(cols: usize, row: usize, block: usize) -> Option<(usize, usize)> {
    if block >= cols / BLOCK_WEIGHTS || row >= TILE_ROWS {
        return None;
    }
    let (panel, group) = (block / 8, block % 8);
    let groups = (cols / BLOCK_WEIGHTS).checked_sub(panel * 8)?.min(8);
    let base = panel * FULL_PANEL;
    Some((base + groups * GROUP_BYTES + group * SCALE_BYTES + row * 2, base + group * GROUP_BYTES + row * 16))
}

/// Reads one `Q8_0` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// use bitnet_edge_kernels::tile::q8r4;
/// assert_eq!(q8r4::get_block(&[0; 192], 32, 0, 0)?, [0; 34]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_block(row_tile: &[u8], cols: usize, row: usize, block: usize) -> Result<[u8; BLOCK_BYTES], Error> {
    let outside = Error::Operand("block lies outside the row tile");
    let (scale_at, tiles_at) = place(cols, row, block).ok_or(outside)?;
    let first = row_tile.get(tiles_at..).and_then(|b| b.get(..16)).ok_or(outside)?;
    let second = row_tile.get(tiles_at + 64..).and_then(|b| b.get(..16)).ok_or(outside)?;
    let scale = row_tile.get(scale_at..).and_then(|b| b.get(..2)).ok_or(outside)?;
    let mut bytes = [0; BLOCK_BYTES];
    for (b, &v) in bytes.iter_mut().zip(scale.iter().chain(first).chain(second)) {
        *b = v;
    }
    Ok(bytes)
}

/// Widens one row; `y.len()` columns, a multiple of 32.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// let mut y = [1.0; 32];
/// bitnet_edge_kernels::tile::q8r4::dequantize_row(&[0; 192], 0, &mut y)?;
/// assert_eq!(y, [0.0; 32]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn dequantize_row(row_tile: &[u8], row: usize, y: &mut [f32]) -> Result<(), Error> {
    let cols = y.len();
    for (i, y) in y.as_chunks_mut::<BLOCK_WEIGHTS>().0.iter_mut().enumerate() {
        q8_0::dequantize(&get_block(row_tile, cols, row, i)?, y);
    }
    Ok(())
}

/// `matmul_q8r4_i8g32`: a row's sum over groups of `(d * a) * f32(sum of w * q)` in four stripes.
///
/// `w`: `[tiles]` row tiles of `acts.groups * 32` columns; the results are rows of `tiles * 4`. A group's integer sum is at
/// most `32 * 128 * 127`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, q8r4};
/// let mut w = [0u8; q8r4::row_tile_bytes(32)];
/// let mut block = [1u8; 34];
/// block[..2].copy_from_slice(&0x3c00u16.to_le_bytes()); // scale 1
/// q8r4::put_block(&mut w, 32, 2, 0, &block)?;
/// let acts = Int8Acts { q: &[1; 32], stride: 32, scales: &[0.5], sums: &[32], groups: 1 };
/// let mut out = [0.0; 4];
/// q8r4::matmul(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out, [0.0, 0.0, 16.0, 0.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> Result<(), Error> {
    let tile_bytes = row_tile_bytes(acts.groups.saturating_mul(BLOCK_WEIGHTS));
    acts.check(tokens, acts.groups.saturating_mul(BLOCK_WEIGHTS), acts.groups)?;
    for_each_tile(w, tile_bytes, tokens, out, |_, tile, t| {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let mut groups = token.q.as_chunks::<BLOCK_WEIGHTS>().0.iter().zip(token.scales).enumerate();
        let mut stripes = [Stripes4::default(); TILE_ROWS];
        for (panel, n) in panels(tile) {
            for i in 0..n {
                let (Some((b, (q, &a))), Some((tiles, d))) = (groups.next(), group(panel, n, i)) else {
                    return Err(Error::Operand("fewer activations than columns"));
                };
                for ((stripe, d), sum) in stripes.iter_mut().zip(d).zip(dot(tiles, q)) {
                    stripe.add(b, f16_to_f32(d) * a * sum as f32);
                }
            }
        }
        Ok(stripes.map(Stripes4::fold))
    })
}

#[inline(always)]
fn dot(tiles: &[u8; GROUP_BYTES], q: &[i8; BLOCK_WEIGHTS]) -> [i32; TILE_ROWS] {
    let mut sums = [0; TILE_ROWS];
    for (tile, q) in tiles.as_chunks::<64>().0.iter().zip(q.as_chunks::<16>().0) {
        for (sum, w) in sums.iter_mut().zip(tile.as_chunks::<16>().0) {
            let products = w.iter().zip(q).map(|(&w, &q)| i32::from(w as i8) * i32::from(q));
            *sum = products.fold(*sum, i32::wrapping_add);
        }
    }
    sums
}
