//! `q5r4`: `Q5_0` blocks of four rows, re-tiled without loss.
//!
//! A panel covers up to 256 columns (`g` groups of 32): first `g` tiles of 4 rows x 32 columns with the low nibbles, as in
//! [`q4r4`](super::q4r4); then a tile of fifth bits for every 128 columns (row `r` has bytes `16r..16r + 16`; bit `p` of
//! byte `i` belongs to column `16p + i`), so one or two; then the groups' scales, f16 `[g][4]`, padded with zeros to 64 bytes.

use super::q4r4::{GROUP, OUTSIDE, SCALE_BYTES, TILE_BYTES, array, f16x4, put, row_dot};
use super::{Int8Acts, PANEL_COLUMNS, Results, Stripes4, TILE_ROWS, for_each_tile, round64};
use crate::Error;
use crate::format::q5_0::{self, BLOCK_BYTES, BLOCK_WEIGHTS};

/// Groups that share a tile of fifth bits.
const BITS_GROUPS: usize = 4;

const fn panel_bytes(groups: usize) -> usize {
    groups * TILE_BYTES + groups.div_ceil(BITS_GROUPS) * TILE_BYTES + round64(groups * SCALE_BYTES)
}

/// Bytes of a row tile of `cols` columns, a multiple of 32.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q5r4::row_tile_bytes(256), 512 + 128 + 64);
/// assert_eq!(bitnet_edge_kernels::tile::q5r4::row_tile_bytes(288), 704 + 64 + 64 + 64);
/// ```
pub const fn row_tile_bytes(cols: usize) -> usize {
    let rest = cols % PANEL_COLUMNS / GROUP;
    cols / PANEL_COLUMNS * panel_bytes(8) + if rest > 0 { panel_bytes(rest) } else { 0 }
}

/// Offsets of a block in a row tile: of its scale, of its 16 bytes of nibbles, of its row in the tile of fifth bits; and the
/// first of its two planes there.
fn place(cols: usize, row: usize, block: usize) -> Option<([usize; 3], usize)> {
    if block >= cols / GROUP || row >= TILE_ROWS {
        return None;
    }
    let (panel, group) = (block / 8, block % 8);
    let groups = (cols / GROUP).checked_sub(panel * 8)?.min(8);
    let nibbles = panel * panel_bytes(8);
    let bits = nibbles + groups * TILE_BYTES;
    let scales = bits + groups.div_ceil(BITS_GROUPS) * TILE_BYTES;
    let at = [
        scales + group * SCALE_BYTES + row * 2,
        nibbles + group * TILE_BYTES + row * 16,
        bits + group / BITS_GROUPS * TILE_BYTES + row * 16,
    ];
    Some((at, group % BITS_GROUPS * 2))
}

/// Writes one `Q5_0` block of a row into a row tile of `cols` columns.
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// use bitnet_edge_kernels::tile::q5r4;
/// let mut tile = [0u8; q5r4::row_tile_bytes(64)];
/// let block: [u8; 22] = core::array::from_fn(|i| (i * 11) as u8);
/// q5r4::put_block(&mut tile, 64, 1, 1, &block)?;
/// assert_eq!(q5r4::get_block(&tile, 64, 1, 1)?, block);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn put_block(
    row_tile: &mut [u8],
    cols: usize,
    row: usize,
    block: usize,
    bytes: &[u8; BLOCK_BYTES],
) -> Result<(), Error> {
    let ([scale, nibbles, bits], plane) = place(cols, row, block).ok_or(OUTSIDE)?;
    put(row_tile, scale, Some(&q5_0::scale(bytes).to_le_bytes()))?;
    put(row_tile, nibbles, Some(q5_0::nibbles(bytes)))?;
    let upper = q5_0::upper(bytes);
    let tile: &mut [u8; 16] = row_tile.get_mut(bits..).and_then(|b| b.first_chunk_mut()).ok_or(OUTSIDE)?;
    for (i, byte) in tile.iter_mut().enumerate() {
        let pair = (upper >> i & 1 | (upper >> (16 + i) & 1) << 1) as u8;
        *byte = *byte & !(3 << plane) | pair << plane;
    }
    Ok(())
}

/// Reads one `Q5_0` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q5r4::get_block(&[0; 192], 32, 0, 0)?, [0; 22]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_block(row_tile: &[u8], cols: usize, row: usize, block: usize) -> Result<[u8; BLOCK_BYTES], Error> {
    let ([scale, nibbles, bits], plane) = place(cols, row, block).ok_or(OUTSIDE)?;
    let (nibbles, bits) = (array::<16>(row_tile, nibbles)?, array::<16>(row_tile, bits)?);
    let mut codes = [0; BLOCK_WEIGHTS];
    let (low, high) = codes.split_at_mut(16);
    for (((low, high), nibbles), bits) in low.iter_mut().zip(high).zip(nibbles).zip(bits) {
        *low = nibbles & 15 | (bits >> plane & 1) << 4;
        *high = nibbles >> 4 | (bits >> (plane + 1) & 1) << 4;
    }
    Ok(q5_0::pack(&codes, u16::from_le_bytes(array(row_tile, scale)?)))
}

/// Widens one row; `y.len()` columns, a multiple of 32.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// let mut y = [1.0; 32];
/// bitnet_edge_kernels::tile::q5r4::dequantize_row(&[0; 192], 0, &mut y)?;
/// assert_eq!(y, [-0.0; 32]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn dequantize_row(row_tile: &[u8], row: usize, y: &mut [f32]) -> Result<(), Error> {
    let cols = y.len();
    for (i, y) in y.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
        q5_0::dequantize(&get_block(row_tile, cols, row, i)?, y);
    }
    Ok(())
}

/// `matmul_q5r4_i8g32`: a row's sum over groups of `(d * a) * f32(sum of (w - 16) * q)` in four stripes.
///
/// The integer is at most `32 * 16 * 127` in magnitude, exact in f32, too.
///
/// `w`: `[tiles]` row tiles of `acts.groups * 32` columns; the results are rows of `tiles * 4`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::{format::q5_0, tile::{Int8Acts, Outputs, q5r4}};
/// let mut w = [0u8; q5r4::row_tile_bytes(32)];
/// q5r4::put_block(&mut w, 32, 0, 0, &q5_0::pack(&[17; 32], 0x3c00))?; // every weight 17 - 16 = 1
/// let acts = Int8Acts { q: &[1; 32], stride: 32, scales: &[0.5], sums: &[32], groups: 1 };
/// let mut out = [0.0; 4];
/// q5r4::matmul(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out[0], 16.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> Result<(), Error> {
    let cols = acts.groups.saturating_mul(GROUP);
    acts.check(tokens, cols, acts.groups)?;
    for_each_tile(w, row_tile_bytes(cols), tokens, out, |_, tile, t| {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let groups = token.q.as_chunks::<GROUP>().0.iter().zip(token.scales).zip(token.sums);
        let mut stripes = [Stripes4::default(); TILE_ROWS];
        for (b, ((q, &a), &sum)) in groups.enumerate().take(acts.groups) {
            let ([scale, nibbles, bits], plane) = place(cols, 0, b).ok_or(OUTSIDE)?;
            let d = f16x4(array(tile, scale)?);
            let dots = dot(&array(tile, nibbles)?, &array(tile, bits)?, plane, q);
            for ((stripe, d), dot) in stripes.iter_mut().zip(d).zip(dots) {
                stripe.add(b, d * a * (dot - 16 * sum) as f32);
            }
        }
        Ok(stripes.map(Stripes4::fold))
    })
}

/// The sums of code times `q` of a tile's four rows; the fifth bits stand in `plane` and the next.
#[inline(always)]
pub(super) fn dot(
    nibbles: &[u8; TILE_BYTES],
    bits: &[u8; TILE_BYTES],
    plane: usize,
    q: &[i8; GROUP],
) -> [i32; TILE_ROWS] {
    let q = q.map(i16::from);
    let mut sums = [0; TILE_ROWS];
    let rows = nibbles.as_chunks::<16>().0.iter().zip(bits.as_chunks::<16>().0);
    for (sum, (nibbles, bits)) in sums.iter_mut().zip(rows) {
        *sum = row_dot(nibbles, &q) + 16 * bits_dot(bits, plane, &q);
    }
    sums
}

/// As [`row_dot`] of the bits, and for the same reason not inlined.
#[inline(never)]
fn bits_dot(bits: &[u8; 16], plane: usize, q: &[i16; GROUP]) -> i32 {
    let (low, high) = q.split_at(16);
    bits.iter().zip(low).zip(high).fold(0i32, |sum, ((&b, &l), &h)| {
        let pair = b >> (plane % 8);
        let (l, h) = (i32::from(pair & 1) * i32::from(l), i32::from(pair >> 1 & 1) * i32::from(h));
        sum.wrapping_add(l.wrapping_add(h))
    })
}
