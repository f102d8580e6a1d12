//! `t2r4`: ternary weights, two bits each.
//!
//! A tile is 64 bytes: 4 rows x 64 columns. Row `r` has bytes `16r..16r+16`; in byte `i`, bits `2p..2p+2` (plane `p`)
//! hold the code of column `16p + i`. A code is the weight plus one: 0, 1, 2; 3 never occurs. Rows are padded to 4 and
//! columns to 64 with code 1. A row tile is its column tiles in order.

use super::{Int8Acts, Results, TILE_ROWS, TernaryScale, for_each_tile};
use crate::Error;

/// Bytes of a tile.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::t2r4::TILE_BYTES, 64);
/// ```
pub const TILE_BYTES: usize = 64;

/// Columns of a tile.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::t2r4::TILE_COLUMNS, 64);
/// ```
pub const TILE_COLUMNS: usize = 64;

/// A byte of padding: four codes 1.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::t2r4::PADDING, 0b01_01_01_01);
/// ```
pub const PADDING: u8 = 0x55;

const ROW_BYTES: usize = 16;

/// Bytes of a row tile of `cols` columns.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::t2r4::row_tile_bytes(65), 128);
/// ```
pub const fn row_tile_bytes(cols: usize) -> usize {
    cols.div_ceil(TILE_COLUMNS) * TILE_BYTES
}

const fn place(row: usize, col: usize) -> (usize, u32) {
    let within = col % TILE_COLUMNS;
    (col / TILE_COLUMNS * TILE_BYTES + row % TILE_ROWS * ROW_BYTES + within % 16, (within / 16 * 2) as u32)
}

/// The code of one weight of a row tile, or `None` outside it.
///
/// ```
/// use bitnet_edge_kernels::tile::t2r4;
/// let mut tile = [t2r4::PADDING; 64];
/// t2r4::set_code(&mut tile, 2, 17, 2);
/// assert_eq!(t2r4::code(&tile, 2, 17), Some(2));
/// assert_eq!(tile[2 * 16 + 1], 0b01_01_10_01);
/// ```
pub fn code(row_tile: &[u8], row: usize, col: usize) -> Option<u8> {
    let (byte, shift) = place(row, col);
    row_tile.get(byte).map(|b| b >> shift & 3)
}

/// Sets the code (0, 1 or 2) of one weight; outside the row tile nothing happens. See [`code`].
///
/// ```
/// use bitnet_edge_kernels::tile::t2r4;
/// let mut tile = [t2r4::PADDING; 64];
/// t2r4::set_code(&mut tile, 0, 0, 0);
/// assert_eq!(tile[0], 0b01_01_01_00);
/// ```
pub fn set_code(row_tile: &mut [u8], row: usize, col: usize, code: u8) {
    let (byte, shift) = place(row, col);
    if let Some(b) = row_tile.get_mut(byte) {
        *b = *b & !(3 << shift) | (code & 3) << shift;
    }
}

/// Whether any 2-bit code of these bytes is 3, which stands for no weight; of `I2_S` and `TQ2_0` as well.
///
/// ```
/// use bitnet_edge_kernels::tile::t2r4;
/// assert!(t2r4::has_code_3(&[t2r4::PADDING, 0b10_11_00_01]));
/// assert!(!t2r4::has_code_3(&[0b10_01_00_10]));
/// ```
pub fn has_code_3(bytes: &[u8]) -> bool {
    // Both bits of a field set: its lower bit survives the conjunction.
    bytes.iter().any(|codes| codes & codes >> 1 & 0x55 != 0)
}

/// Widens a row: `(code - 1) * scale`.
///
/// # Errors
/// [`Error::Operand`] if the row tile is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::t2r4;
/// let mut y = [9.0; 2];
/// t2r4::dequantize_row(&[0b10; 64], 1, 0.5, &mut y)?;
/// assert_eq!(y, [0.5, 0.5]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn dequantize_row(row_tile: &[u8], row: usize, scale: f32, y: &mut [f32]) -> Result<(), Error> {
    if row_tile.len() < row_tile_bytes(y.len()) {
        return Err(Error::Operand("row tile is too short"));
    }
    for (tile, y) in row_tile.as_chunks::<TILE_BYTES>().0.iter().zip(y.chunks_mut(TILE_COLUMNS)) {
        let bytes = tile.as_chunks::<ROW_BYTES>().0.get(row % TILE_ROWS).unwrap_or(&[PADDING; ROW_BYTES]);
        for (plane, y) in y.chunks_mut(ROW_BYTES).enumerate() {
            for (y, byte) in y.iter_mut().zip(bytes) {
                *y = (f32::from(byte >> (2 * plane) & 3) - 1.0) * scale;
            }
        }
    }
    Ok(())
}

/// The exact sums of code x q of one row tile. `q` is padded with zeros to whole tiles.
///
/// Bound: at most `2 * 127` a column, so i32 is exact up to 8.4 million columns.
///
/// ```
/// use bitnet_edge_kernels::tile::t2r4;
/// assert_eq!(t2r4::dot(&[0b01_01_01_01; 64], &[1; 64]), [64; 4]);
/// ```
#[inline(always)]
pub fn dot(row_tile: &[u8], q: &[i8]) -> [i32; TILE_ROWS] {
    let mut acc = [0; TILE_ROWS];
    for (tile, q) in row_tile.as_chunks::<TILE_BYTES>().0.iter().zip(q.as_chunks::<TILE_COLUMNS>().0) {
        for (acc, row) in acc.iter_mut().zip(tile.as_chunks::<ROW_BYTES>().0) {
            for (plane, q) in q.as_chunks::<ROW_BYTES>().0.iter().enumerate() {
                let sum = row.iter().zip(q).fold(0i32, |sum, (&b, &q)| {
                    let code = i16::from(b >> (2 * plane) & 3);
                    sum.wrapping_add(i32::from(code) * i32::from(i16::from(q)))
                });
                *acc += sum;
            }
        }
    }
    acc
}

/// `matmul_t2r4_i8t`: `out[tile][token][r] = f32(acc - sum_q) / s * scale`, in exactly that order.
///
/// `w`: `[tiles]` row tiles of `acts.stride` (padded) columns; the results are rows of `tiles * 4`.
///
/// # Errors
/// [`Error::Operand`] if an operand is too short.
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Outputs, TernaryScale, t2r4};
/// let acts = Int8Acts { q: &[2; 64], stride: 64, scales: &[4.0], sums: &[128], groups: 1 };
/// let mut out = [0.0; 4];
/// t2r4::matmul(&[0b10_10_10_10; 64], 1, &acts, TernaryScale::Tensor(0.5), &mut Outputs::of_token(&mut out))?;
/// assert_eq!(out, [(256.0 - 128.0) / 4.0 * 0.5; 4]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn matmul<R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut R,
) -> Result<(), Error> {
    acts.check(tokens, acts.stride, 1)?;
    for_each_tile(w, row_tile_bytes(acts.stride), tokens, out, |tile, bytes, t| {
        let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
        let (Some(&s), Some(&sum)) = (token.scales.first(), token.sums.first()) else {
            return Err(Error::Operand("a token needs a scale and a sum"));
        };
        let mut out = [0.0; TILE_ROWS];
        for (r, (out, acc)) in out.iter_mut().zip(dot(bytes, token.q)).enumerate() {
            *out = acc.wrapping_sub(sum) as f32 / s * scale.row(tile * TILE_ROWS + r);
        }
        Ok(out)
    })
}
