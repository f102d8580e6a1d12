//! `q4r4` and `q4m4`: `Q4_0` and `Q4_1` blocks of four rows, re-tiled without loss.
//!
//! A panel covers up to 256 columns (`g` groups of 32): first `g` tiles of 64 bytes, 4 rows x 32 columns each (row `r`
//! has bytes `16r..16r+16`; byte `i` holds column `i` in its low and column `16 + i` in its high nibble: a block's
//! bytes unchanged), then the groups' scales, f16 `[g][4]`, padded with zeros to 64 bytes; `q4m4` has the groups'
//! minima behind them in the same form.

use super::{Int8Acts, PANEL_COLUMNS, Results, Stripes4, TILE_ROWS, for_each_tile, round64};
use crate::Error;
use crate::format::f16_to_f32;
use crate::format::{q4_0, q4_1};

pub(super) const GROUP: usize = 32;
pub(super) const TILE_BYTES: usize = 64;
pub(super) const SCALE_BYTES: usize = 2 * TILE_ROWS;

const fn panel_bytes(groups: usize, minima: bool) -> usize {
    let scales = round64(groups * SCALE_BYTES);
    groups * TILE_BYTES + if minima { 2 * scales } else { scales }
}

/// Bytes of a row tile of `cols` columns, a multiple of 32; with `minima` for `q4m4`.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q4r4::row_tile_bytes(256, false), 512 + 64);
/// assert_eq!(bitnet_edge_kernels::tile::q4r4::row_tile_bytes(288, true), 640 + 64 + 128);
/// ```
pub const fn row_tile_bytes(cols: usize, minima: bool) -> usize {
    let rest = cols % PANEL_COLUMNS / GROUP;
    cols / PANEL_COLUMNS * panel_bytes(8, minima) + if rest > 0 { panel_bytes(rest, minima) } else { 0 }
}

/// Offsets of a block in a row tile: of its scale, of its minimum, of its 16 bytes.
fn place(cols: usize, row: usize, block: usize, minima: bool) -> Option<[usize; 3]> {
    if block >= cols / GROUP || row >= TILE_ROWS {
        return None;
    }
    let (panel, group) = (block / 8, block % 8);
    let groups = (cols / GROUP).checked_sub(panel * 8)?.min(8);
    let base = panel * panel_bytes(8, minima);
    let scale = base + groups * TILE_BYTES + group * SCALE_BYTES + row * 2;
    Some([scale, scale + round64(groups * SCALE_BYTES), base + group * TILE_BYTES + row * 16])
}

pub(super) const OUTSIDE: Error = Error::Operand("block lies outside the row tile");

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    bytes.get(at..).and_then(|b| b.first_chunk()).copied().ok_or(OUTSIDE)
}

pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: Option<&[u8; N]>) -> Result<(), Error> {
    *bytes.get_mut(at..).and_then(|b| b.first_chunk_mut()).ok_or(OUTSIDE)? = *value.ok_or(OUTSIDE)?;
    Ok(())
}

/// Writes one block of a row into a row tile: 18 bytes of `Q4_0`, or 20 of `Q4_1` into a tile with `minima`.
///
/// # Errors
/// [`Error::Operand`] if the block lies outside or has another size.
///
/// ```
/// use bitnet_edge_kernels::tile::q4r4;
/// let mut tile = [0u8; q4r4::row_tile_bytes(64, false)];
/// let block: [u8; 18] = core::array::from_fn(|i| i as u8);
/// q4r4::put_block(&mut tile, 64, 1, 1, &block)?;
/// assert_eq!(q4r4::get_q4_0(&tile, 64, 1, 1)?, block);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn put_block(
    row_tile: &mut [u8],
    cols: usize,
    row: usize,
    block: usize,
    bytes: &[u8],
) -> Result<(), Error> {
    let minima = bytes.len() == q4_1::BLOCK_BYTES;
    if !minima && bytes.len() != q4_0::BLOCK_BYTES {
        return Err(Error::Operand("a block has 18 or 20 bytes"));
    }
    let [scale, min, nibbles] = place(cols, row, block, minima).ok_or(OUTSIDE)?;
    put::<2>(row_tile, scale, bytes.first_chunk())?;
    put::<16>(row_tile, nibbles, bytes.last_chunk())?;
    if minima {
        put::<2>(row_tile, min, bytes.get(2..).and_then(|b| b.first_chunk()))?;
    }
    Ok(())
}

/// Reads one `Q4_0` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q4r4::get_q4_0(&[0; 128], 32, 0, 0)?, [0; 18]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_q4_0(
    row_tile: &[u8],
    cols: usize,
    row: usize,
    block: usize,
) -> Result<[u8; q4_0::BLOCK_BYTES], Error> {
    let [scale, _, nibbles] = place(cols, row, block, false).ok_or(OUTSIDE)?;
    Ok(join(&[&array::<2>(row_tile, scale)?, &array::<16>(row_tile, nibbles)?]))
}

/// Reads one `Q4_1` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q4r4::get_q4_1(&[0; 192], 32, 0, 0)?, [0; 20]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_q4_1(
    row_tile: &[u8],
    cols: usize,
    row: usize,
    block: usize,
) -> Result<[u8; q4_1::BLOCK_BYTES], Error> {
    let [scale, min, nibbles] = place(cols, row, block, true).ok_or(OUTSIDE)?;
    Ok(join(&[&array::<2>(row_tile, scale)?, &array::<2>(row_tile, min)?, &array::<16>(row_tile, nibbles)?]))
}

fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    for (b, &v) in bytes.iter_mut().zip(parts.iter().copied().flatten()) {
        *b = v;
    }
    bytes
}

/// Widens one row; `y.len()` columns, a multiple of 32.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// let mut y = [1.0; 32];
/// bitnet_edge_kernels::tile::q4r4::dequantize_row(&[0; 128], 0, false, &mut y)?;
/// assert_eq!(y, [0.0; 32]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn dequantize_row(row_tile: &[u8], row: usize, minima: bool, y: &mut [f32]) -> Result<(), Error> {
    let cols = y.len();
    for (i, y) in y.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
        if minima {
            q4_1::dequantize(&get_q4_1(row_tile, cols, row, i)?, y);
        } else {
            q4_0::dequantize(&get_q4_0(row_tile, cols, row, i)?, y);
        }
    }
    Ok(())
}

/// `matmul_q4r4_i8g32`: a row's sum over groups of `(d * a) * f32(sum of (w - 8) * q)` in four stripes.
///
/// `w`: `[tiles]` row tiles of `acts.groups * 32` columns; the results are rows of `tiles * 4`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, q4r4};
/// let mut w = [0u8; q4r4::row_tile_bytes(32, false)];
/// let mut block = [0x99u8; 18]; // every weight 9 - 8 = 1
/// block[..2].copy_from_slice(&0x3c00u16.to_le_bytes());
/// q4r4::put_block(&mut w, 32, 0, 0, &block)?;
/// let acts = Int8Acts { q: &[1; 32], stride: 32, scales: &[0.5], sums: &[32], groups: 1 };
/// let mut out = [0.0; 4];
/// q4r4::matmul(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out[0], 16.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> Result<(), Error> {
    sum_groups::<false, R>(w, tokens, acts, out)
}

/// `matmul_q4m4_i8g32`: as [`matmul`], the term of a group `(d * a) * f32(sum of w * q) + (m * a) * f32(sum of q)`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, q4r4};
/// let mut w = [0u8; q4r4::row_tile_bytes(32, true)];
/// let mut block = [0u8; 20]; // every weight 0 * d + 1
/// block[2..4].copy_from_slice(&0x3c00u16.to_le_bytes());
/// q4r4::put_block(&mut w, 32, 0, 0, &block)?;
/// let acts = Int8Acts { q: &[1; 32], stride: 32, scales: &[0.5], sums: &[32], groups: 1 };
/// let mut out = [0.0; 4];
/// q4r4::matmul_minima(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out[0], 16.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul_minima<R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    sum_groups::<true, R>(w, tokens, acts, out)
}

#[inline(always)]
fn sum_groups<const MINIMA: bool, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let cols = acts.groups.saturating_mul(GROUP);
    acts.check(tokens, cols, acts.groups)?;
    for_each_tile(w, row_tile_bytes(cols, MINIMA), tokens, out, |_, tile, t| {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let groups = token.q.as_chunks::<GROUP>().0.iter().zip(token.scales).zip(token.sums);
        let mut stripes = [Stripes4::default(); TILE_ROWS];
        for (b, ((q, &a), &sum)) in groups.enumerate().take(acts.groups) {
            let [scale, min, nibbles] = place(cols, 0, b, MINIMA).ok_or(OUTSIDE)?;
            let d = f16x4(array(tile, scale)?);
            let m = if MINIMA { f16x4(array(tile, min)?) } else { [0.0; TILE_ROWS] };
            let dots = dot(&array(tile, nibbles)?, q);
            for (((stripe, d), m), dot) in stripes.iter_mut().zip(d).zip(m).zip(dots) {
                stripe.add(
                    b,
                    if MINIMA {
                        d * a * dot as f32 + m * a * sum as f32
                    } else {
                        d * a * (dot - 8 * sum) as f32
                    },
                );
            }
        }
        Ok(stripes.map(Stripes4::fold))
    })
}

pub(super) fn f16x4(bytes: [u8; SCALE_BYTES]) -> [f32; TILE_ROWS] {
    let [a, b, c, d, e, f, g, h] = bytes;
    [[a, b], [c, d], [e, f], [g, h]].map(|x| f16_to_f32(u16::from_le_bytes(x)))
}

/// The sums of code times `q` of a tile's four rows.
#[inline(always)]
pub(super) fn dot(tile: &[u8; TILE_BYTES], q: &[i8; GROUP]) -> [i32; TILE_ROWS] {
    let q = q.map(i16::from);
    let mut sums = [0; TILE_ROWS];
    for (sum, w) in sums.iter_mut().zip(tile.as_chunks::<16>().0) {
        *sum = row_dot(w, &q);
    }
    sums
}

/// One row of a tile. Not inlined: the optimizer would otherwise vectorize across the four rows, shuffling bytes, instead
/// of along the row (measured on x86-64: half the speed).
#[inline(never)]
pub(super) fn row_dot(w: &[u8; 16], q: &[i16; GROUP]) -> i32 {
    let (low, high) = q.split_at(16);
    w.iter().zip(low).zip(high).fold(0i32, |sum, ((&w, &l), &h)| {
        let (l, h) = (i32::from(w & 15) * i32::from(l), i32::from(w >> 4) * i32::from(h));
        sum.wrapping_add(l.wrapping_add(h))
    })
}
