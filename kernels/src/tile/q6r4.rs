//! `q6r4`: `Q6_K` blocks of four rows, re-tiled without loss.
//!
//! A panel is 256 columns: four times 192 bytes for 64 columns each (two tiles of 4 rows x 32 columns with the low
//! nibbles, as in [`q4r4`](super::q4r4), and one of 4 rows x 64 columns with the upper two bits, as in
//! [`t2r4`](super::t2r4)), then the sub-block scales, i8 `[16][4]`. Behind the last panel of a row tile come the
//! block scales, f16 `[panels][4]`, padded with zeros to 64 bytes.

use super::{Int8Acts, PANEL_COLUMNS, Results, Stripes4, TILE_ROWS, for_each_tile, round64};
use crate::Error;
use crate::format::f16_to_f32;
use crate::format::q6_k::{self, BLOCK_BYTES, BLOCK_WEIGHTS};

const QUARTER: usize = 192;
const SCALES_AT: usize = 4 * QUARTER;
/// Bytes of a panel.
const PANEL: usize = SCALES_AT + 64;
const D_BYTES: usize = 2 * TILE_ROWS;

/// Bytes of a row tile of `cols` columns, a multiple of 256.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q6r4::row_tile_bytes(2560), 10 * 832 + 128);
/// ```
pub const fn row_tile_bytes(cols: usize) -> usize {
    let panels = cols / PANEL_COLUMNS;
    panels * PANEL + round64(panels * D_BYTES)
}

const OUTSIDE: Error = Error::Operand("block lies outside the row tile");

/// Where column `col` of a panel's row lies: byte and shift of its low nibble, byte and shift of its upper bits.
const fn place(row: usize, col: usize) -> [(usize, u32); 2] {
    let quarter = col / 64 * QUARTER + row * 16;
    let (col, low) = (col % 64, col % 32);
    [
        (quarter + col / 32 * 64 + low % 16, (low / 16 * 4) as u32),
        (quarter + 128 + col % 16, (col / 16 * 2) as u32),
    ]
}

fn d_at(cols: usize, row: usize, block: usize) -> Option<usize> {
    let panels = cols / PANEL_COLUMNS;
    (block < panels && row < TILE_ROWS).then_some(panels * PANEL + block * D_BYTES + row * 2)
}

/// Writes one `Q6_K` block of a row into a row tile of `cols` columns, which is zero where it goes.
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// use bitnet_edge_kernels::tile::q6r4;
/// let mut tile = [0u8; q6r4::row_tile_bytes(512)];
/// let block: [u8; 210] = core::array::from_fn(|i| (i * 7) as u8);
/// q6r4::put_block(&mut tile, 512, 2, 1, &block)?;
/// assert_eq!(q6r4::get_block(&tile, 512, 2, 1)?, block);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn put_block(
    row_tile: &mut [u8],
    cols: usize,
    row: usize,
    block: usize,
    bytes: &[u8; BLOCK_BYTES],
) -> Result<(), Error> {
    let d_at = d_at(cols, row, block).ok_or(OUTSIDE)?;
    *row_tile.get_mut(d_at..).and_then(|b| b.first_chunk_mut()).ok_or(OUTSIDE)? =
        q6_k::scale(bytes).to_le_bytes();
    let panel =
        row_tile.get_mut(block * PANEL..).and_then(|b| b.first_chunk_mut::<PANEL>()).ok_or(OUTSIDE)?;
    let mut codes = [0; BLOCK_WEIGHTS];
    q6_k::codes(bytes, &mut codes);
    for (col, code) in codes.into_iter().enumerate() {
        let [(low, low_shift), (high, high_shift)] = place(row, col);
        if let Some(b) = panel.get_mut(low) {
            *b = *b & !(15 << low_shift) | (code & 15) << low_shift;
        }
        if let Some(b) = panel.get_mut(high) {
            *b = *b & !(3 << high_shift) | (code >> 4) << high_shift;
        }
    }
    let scales = panel.iter_mut().skip(SCALES_AT + row).step_by(TILE_ROWS);
    for (to, &from) in scales.zip(q6_k::scales(bytes)) {
        *to = from;
    }
    Ok(())
}

fn code(panel: &[u8; PANEL], row: usize, col: usize) -> u8 {
    let [(low, low_shift), (high, high_shift)] = place(row, col);
    let bits = |at: usize, shift: u32, mask: u8| panel.get(at).map_or(0, |b| b >> shift & mask);
    bits(low, low_shift, 15) | bits(high, high_shift, 3) << 4
}

/// Reads one `Q6_K` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q6r4::get_block(&[0; 896], 256, 0, 0)?, [0; 210]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_block(row_tile: &[u8], cols: usize, row: usize, block: usize) -> Result<[u8; BLOCK_BYTES], Error> {
    let d_at = d_at(cols, row, block).ok_or(OUTSIDE)?;
    let d: [u8; 2] = row_tile.get(d_at..).and_then(|b| b.first_chunk()).copied().ok_or(OUTSIDE)?;
    let panel = row_tile.get(block * PANEL..).and_then(|b| b.first_chunk::<PANEL>()).ok_or(OUTSIDE)?;
    let codes = core::array::from_fn(|col| code(panel, row, col));
    let scales = core::array::from_fn(|i| panel.get(SCALES_AT + i * TILE_ROWS + row).copied().unwrap_or(0));
    Ok(q6_k::pack(&codes, &scales, u16::from_le_bytes(d)))
}

/// Widens one row; `y.len()` columns, a multiple of 256.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// let mut y = [1.0; 256];
/// bitnet_edge_kernels::tile::q6r4::dequantize_row(&[0; 896], 0, &mut y)?;
/// assert_eq!(y[255], 0.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn dequantize_row(row_tile: &[u8], row: usize, y: &mut [f32]) -> Result<(), Error> {
    let cols = y.len();
    for (i, y) in y.as_chunks_mut::<BLOCK_WEIGHTS>().0.iter_mut().enumerate() {
        q6_k::dequantize(&get_block(row_tile, cols, row, i)?, y);
    }
    Ok(())
}

/// `matmul_q6r4_i8g256`: a row's sum over groups of `(d * a) * f32(i)` in four stripes, where `i` is the exact sum
/// over sub-blocks of `scale * (sum of (w - 32) * q)`.
///
/// `|i|` is at most `256 * 128 * 32 * 127`, 1/16 of what i32 holds.
///
/// `w`: `[tiles]` row tiles of `acts.groups * 256` columns; the results are rows of `tiles * 4`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, q6r4};
/// let w = [0u8; q6r4::row_tile_bytes(256)];
/// let acts = Int8Acts { q: &[1; 256], stride: 256, scales: &[0.5], sums: &[256], groups: 1 };
/// let mut out = [1.0; 4];
/// q6r4::matmul(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out, [0.0; 4]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> Result<(), Error> {
    let cols = acts.groups.saturating_mul(BLOCK_WEIGHTS);
    acts.check(tokens, cols, acts.groups)?;
    for_each_tile(w, row_tile_bytes(cols), tokens, out, |_, tile, t| {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let mut stripes = [Stripes4::default(); TILE_ROWS];
        let panels = tile.as_chunks::<PANEL>().0.iter();
        let groups = token.q.as_chunks::<BLOCK_WEIGHTS>().0.iter().zip(token.scales);
        for (b, (panel, (q, &a))) in panels.zip(groups).enumerate() {
            for (r, (stripe, sum)) in stripes.iter_mut().zip(dot(panel, q)).enumerate() {
                let at = d_at(cols, r, b).ok_or(OUTSIDE)?;
                let d = tile.get(at..).and_then(|d| d.first_chunk()).ok_or(OUTSIDE)?;
                stripe.add(b, f16_to_f32(u16::from_le_bytes(*d)) * a * sum as f32);
            }
        }
        Ok(stripes.map(Stripes4::fold))
    })
}

#[inline(always)]
fn dot(panel: &[u8; PANEL], q: &[i8; BLOCK_WEIGHTS]) -> [i32; TILE_ROWS] {
    let (quarters, scales) = panel.as_chunks::<QUARTER>();
    let scales = scales.as_chunks::<TILE_ROWS>().0;
    let mut sums = [0; TILE_ROWS];
    for (i, (quarter, q)) in quarters.iter().zip(q.as_chunks::<64>().0).enumerate() {
        let (nibbles, upper) = quarter.split_at(128);
        for (plane, q) in q.as_chunks::<16>().0.iter().enumerate() {
            let Some(scales) = scales.get(4 * i + plane) else { continue };
            let tile = nibbles.as_chunks::<64>().0.get(plane / 2).unwrap_or(&[0; 64]);
            let rows = tile.as_chunks::<16>().0.iter().zip(upper.as_chunks::<16>().0);
            for ((sum, (low, high)), &scale) in sums.iter_mut().zip(rows).zip(scales) {
                let dot = low.iter().zip(high).zip(q).fold(0i32, |s, ((&l, &h), &q)| {
                    let code = (l >> (plane % 2 * 4) & 15) | (h >> (plane * 2) & 3) << 4;
                    s.wrapping_add((i32::from(code) - 32) * i32::from(q))
                });
                *sum += i32::from(scale as i8) * dot;
            }
        }
    }
    sums
}
