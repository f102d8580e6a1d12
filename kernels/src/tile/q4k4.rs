//! `q4k4` and `q5k4`: `Q4_K` and `Q5_K` blocks of four rows, re-tiled without loss.
//!
//! A panel is 256 columns: eight tiles of 4 rows x 32 columns with the low nibbles, one a sub-block, as in
//! [`q4r4`](super::q4r4); in `q5k4` two tiles of 4 rows x 128 columns with the fifth bits, as in [`q5r4`]; then
//! the heads, 16 bytes a row: scales and minima as [`k_head`] describes them. An image has as many bytes as the file.

use super::q4r4::{OUTSIDE, TILE_BYTES, array, put};
use super::{Int8Acts, PANEL_COLUMNS, Results, Stripes4, TILE_ROWS, for_each_tile, q5r4};
use crate::Error;
use crate::format::k_head::{self, HEAD_BYTES, Head, SUB_BLOCKS, SUB_WEIGHTS};
use crate::format::{q4_k, q5_k};

/// Where the fifth bits of `q5k4` begin in a panel, and the heads of `q4k4`.
const BITS_AT: usize = SUB_BLOCKS * TILE_BYTES;
/// Columns of a tile of fifth bits.
const BITS_COLUMNS: usize = 128;

/// Where the heads begin in a panel.
const fn heads_at(fifth: bool) -> usize {
    BITS_AT + if fifth { PANEL_COLUMNS / BITS_COLUMNS * TILE_BYTES } else { 0 }
}

const fn panel_bytes(fifth: bool) -> usize {
    heads_at(fifth) + TILE_ROWS * HEAD_BYTES
}

/// Bytes of a row tile of `cols` columns, a multiple of 256; with `fifth` bits for `q5k4`.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q4k4::row_tile_bytes(512, false), 2 * 576);
/// assert_eq!(bitnet_edge_kernels::tile::q4k4::row_tile_bytes(512, true), 2 * 704);
/// ```
pub const fn row_tile_bytes(cols: usize, fifth: bool) -> usize {
    cols / PANEL_COLUMNS * panel_bytes(fifth)
}

/// Where column `col` of a panel's row lies: byte and shift of its low nibble, byte and shift of its fifth bit.
const fn place(row: usize, col: usize) -> [(usize, u32); 2] {
    let (sub, tile) = (col % SUB_WEIGHTS, col % BITS_COLUMNS);
    [
        (col / SUB_WEIGHTS * TILE_BYTES + row * 16 + sub % 16, (sub / 16 * 4) as u32),
        (BITS_AT + col / BITS_COLUMNS * TILE_BYTES + row * 16 + tile % 16, (tile / 16) as u32),
    ]
}

/// The panel of a block, if there is one.
fn panel_at(cols: usize, row: usize, block: usize, fifth: bool) -> Result<usize, Error> {
    if block < cols / PANEL_COLUMNS && row < TILE_ROWS {
        Ok(block * panel_bytes(fifth))
    } else {
        Err(OUTSIDE)
    }
}

/// Writes one block of a row into a row tile: 144 bytes of `Q4_K`, or 176 of `Q5_K` into a tile with fifth bits.
///
/// # Errors
/// [`Error::Operand`] if the block lies outside or has another size.
///
/// ```
/// use bitnet_edge_kernels::tile::q4k4;
/// let mut tile = [0u8; q4k4::row_tile_bytes(512, true)];
/// let block: [u8; 176] = core::array::from_fn(|i| (i * 7) as u8);
/// q4k4::put_block(&mut tile, 512, 2, 1, &block)?;
/// assert_eq!(q4k4::get_q5_k(&tile, 512, 2, 1)?, block);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn put_block(
    row_tile: &mut [u8],
    cols: usize,
    row: usize,
    block: usize,
    bytes: &[u8],
) -> Result<(), Error> {
    let mut codes = [0; PANEL_COLUMNS];
    let fifth = if let Ok(bytes) = <&[u8; q4_k::BLOCK_BYTES]>::try_from(bytes) {
        q4_k::codes(bytes, &mut codes);
        false
    } else if let Ok(bytes) = <&[u8; q5_k::BLOCK_BYTES]>::try_from(bytes) {
        q5_k::codes(bytes, &mut codes);
        true
    } else {
        return Err(Error::Operand("a block has 144 or 176 bytes"));
    };
    let at = panel_at(cols, row, block, fifth)?;
    let panel = row_tile.get_mut(at..).and_then(|b| b.get_mut(..panel_bytes(fifth))).ok_or(OUTSIDE)?;
    put::<HEAD_BYTES>(panel, heads_at(fifth) + row * HEAD_BYTES, bytes.first_chunk())?;
    let mut set = |(at, shift): (usize, u32), mask: u8, value: u8| {
        if let Some(byte) = panel.get_mut(at) {
            *byte = *byte & !(mask << shift) | value << shift;
        }
    };
    for (col, code) in codes.into_iter().enumerate() {
        let [low, upper] = place(row, col);
        set(low, 15, code & 15);
        if fifth {
            set(upper, 1, code >> 4);
        }
    }
    Ok(())
}

/// The codes and the head of a block.
fn get(
    row_tile: &[u8],
    cols: usize,
    row: usize,
    block: usize,
    fifth: bool,
) -> Result<([u8; PANEL_COLUMNS], [u8; HEAD_BYTES]), Error> {
    let at = panel_at(cols, row, block, fifth)?;
    let panel = row_tile.get(at..).and_then(|b| b.get(..panel_bytes(fifth))).ok_or(OUTSIDE)?;
    let bits = |(at, shift): (usize, u32), mask: u8| panel.get(at).map_or(0, |byte| byte >> shift & mask);
    let codes = core::array::from_fn(|col| {
        let [low, upper] = place(row, col);
        bits(low, 15) | if fifth { bits(upper, 1) << 4 } else { 0 }
    });
    Ok((codes, array(panel, heads_at(fifth) + row * HEAD_BYTES)?))
}

/// Reads one `Q4_K` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q4k4::get_q4_k(&[0; 576], 256, 0, 0)?, [0; 144]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_q4_k(
    row_tile: &[u8],
    cols: usize,
    row: usize,
    block: usize,
) -> Result<[u8; q4_k::BLOCK_BYTES], Error> {
    let (codes, head) = get(row_tile, cols, row, block, false)?;
    Ok(q4_k::pack(&codes, &head))
}

/// Reads one `Q5_K` block back: the inverse of [`put_block`].
///
/// # Errors
/// [`Error::Operand`] if the block lies outside.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::q4k4::get_q5_k(&[0; 704], 256, 0, 0)?, [0; 176]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn get_q5_k(
    row_tile: &[u8],
    cols: usize,
    row: usize,
    block: usize,
) -> Result<[u8; q5_k::BLOCK_BYTES], Error> {
    let (codes, head) = get(row_tile, cols, row, block, true)?;
    Ok(q5_k::pack(&codes, &head))
}

/// Widens one row; `y.len()` columns, a multiple of 256.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// let mut y = [1.0; 256];
/// bitnet_edge_kernels::tile::q4k4::dequantize_row(&[0; 576], 0, false, &mut y)?;
/// assert_eq!(y, [0.0; 256]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn dequantize_row(row_tile: &[u8], row: usize, fifth: bool, y: &mut [f32]) -> Result<(), Error> {
    let cols = y.len();
    for (i, y) in y.as_chunks_mut::<PANEL_COLUMNS>().0.iter_mut().enumerate() {
        let (codes, head) = get(row_tile, cols, row, i, fifth)?;
        k_head::widen(&Head::read(&head), &codes, y);
    }
    Ok(())
}

/// `matmul_q4k4_i8g256`: a row's sum over groups of `(d * a) * f32(i) - (dmin * a) * f32(j)` in four stripes, where over the
/// group's sub-blocks `i` is the exact sum of `scale * (sum of w * q)` and `j` that of `minimum * (sum of q)`.
///
/// `i` is at most `256 * 63 * 15 * 127` (`q5k4`: 31 for 15) in magnitude, 1/34 of what i32 holds; `j` at most
/// `256 * 63 * 127`, exact in f32, too.
///
/// `w`: `[tiles]` row tiles of `acts.groups * 256` columns; the results are rows of `tiles * 4`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, q4k4};
/// let mut w = [0u8; q4k4::row_tile_bytes(256, false)];
/// let mut block = [0x22; 144]; // codes of 2
/// block[..16].copy_from_slice(&[0, 0x3c, 0, 0x3c, 3, 3, 3, 3, 1, 1, 1, 1, 0x13, 0x13, 0x13, 0x13]);
/// q4k4::put_block(&mut w, 256, 0, 0, &block)?; // d and dmin 1, scales 3, minima 1: every weight 5
/// let acts = Int8Acts { q: &[1; 256], stride: 256, scales: &[0.5], sums: &[256], groups: 1 };
/// let mut out = [0.0; 4];
/// q4k4::matmul(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out[0], 640.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul<R: Results>(w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R) -> Result<(), Error> {
    sum_groups::<false, R>(w, tokens, acts, out)
}

/// `matmul_q5k4_i8g256`: as [`matmul`], over codes of five bits.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, q4k4};
/// let mut w = [0u8; q4k4::row_tile_bytes(256, true)];
/// let mut block = [0xff; 176]; // codes of 31
/// block[..16].copy_from_slice(&[0, 0x3c, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
/// q4k4::put_block(&mut w, 256, 3, 0, &block)?; // d 1, dmin 0, scales 1: every weight 31
/// let acts = Int8Acts { q: &[1; 256], stride: 256, scales: &[0.5], sums: &[256], groups: 1 };
/// let mut out = [0.0; 4];
/// q4k4::matmul_fifth(&w, 1, &acts, &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out[3], 31.0 * 128.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul_fifth<R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    sum_groups::<true, R>(w, tokens, acts, out)
}

#[inline(always)]
fn sum_groups<const FIFTH: bool, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let cols = acts.groups.saturating_mul(PANEL_COLUMNS);
    acts.check(tokens, cols, acts.groups)?;
    for_each_tile(w, row_tile_bytes(cols, FIFTH), tokens, out, |_, tile, t| {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let mut stripes = [Stripes4::default(); TILE_ROWS];
        let panels = tile.chunks_exact(const { panel_bytes(FIFTH) });
        let groups = token.q.as_chunks::<PANEL_COLUMNS>().0.iter().zip(token.scales);
        for (b, (panel, (q, &a))) in panels.zip(groups).enumerate() {
            let mut heads = [Head::default(); TILE_ROWS];
            let bytes = panel.get(const { heads_at(FIFTH) }..).unwrap_or_default();
            for (head, bytes) in heads.iter_mut().zip(bytes.as_chunks().0) {
                *head = Head::read(bytes);
            }
            for ((stripe, head), (i, j)) in stripes.iter_mut().zip(&heads).zip(dot::<FIFTH>(panel, &heads, q))
            {
                stripe.add(b, head.d * a * i as f32 - head.dmin * a * j as f32);
            }
        }
        Ok(stripes.map(Stripes4::fold))
    })
}

/// `i` and `j` of each row.
#[inline(always)]
fn dot<const FIFTH: bool>(
    panel: &[u8],
    heads: &[Head; TILE_ROWS],
    q: &[i8; PANEL_COLUMNS],
) -> [(i32, i32); TILE_ROWS] {
    let (nibbles, rest) = panel.as_chunks::<TILE_BYTES>().0.split_at_checked(SUB_BLOCKS).unwrap_or_default();
    let mut sums = [(0, 0); TILE_ROWS];
    for (s, (tile, q)) in nibbles.iter().zip(q.as_chunks::<SUB_WEIGHTS>().0).enumerate() {
        let sum: i32 = q.iter().fold(0, |sum, &q| sum + i32::from(q));
        let dots = match rest.get(s / 4) {
            Some(bits) if FIFTH => q5r4::dot(tile, bits, s % 4 * 2, q),
            _ => super::q4r4::dot(tile, q),
        };
        for (((i, j), head), dot) in sums.iter_mut().zip(heads).zip(dots) {
            *i += i32::from(head.scales.get(s).copied().unwrap_or(0)) * dot;
            *j += i32::from(head.minima.get(s).copied().unwrap_or(0)) * sum;
        }
    }
    sums
}
