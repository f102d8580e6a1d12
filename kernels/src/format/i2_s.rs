//! `I2_S` (type 36 of bitnet.cpp and `ik_llama.cpp`, unknown to llama.cpp): ternary weights, 2 bits each, one
//! scale for the tensor.
//!
//! A tensor of `rows` x `columns` weights is `rows * columns / 4` bytes of codes, the scale as an f32, and 28
//! bytes of padding. A weight is `scale * (code - 1)`; code 3 does not exist.
//!
//! Three byte orders are in use under this one type, and nothing in a file tells which one it has:
//! [`I2sLayout`].

use core::fmt;

use crate::Error;
use crate::tile::t2r4::has_code_3;

/// Bytes behind the codes of a tensor: the scale and padding.
///
/// ```
/// use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout, TAIL_BYTES};
/// let (rows, columns) = (2, 128);
/// let tensor = vec![0x55; rows * columns / 4 + TAIL_BYTES]; // all weights 0
/// assert!(I2s::new(&tensor, columns, rows, I2sLayout::X86_128).is_ok());
/// ```
pub const TAIL_BYTES: usize = 32;

/// The byte order of an `I2_S` tensor.
///
/// ```
/// use bitnet_edge_kernels::format::i2_s::I2sLayout;
/// assert_eq!(I2sLayout::default(), I2sLayout::X86_128);
/// assert_eq!(I2sLayout::from_name("64"), Some(I2sLayout::Arm64));
/// assert_eq!(I2sLayout::Interleaved4.to_string(), "interleaved");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum I2sLayout {
    /// Blocks of 128 weights of a row in 32 bytes: byte `p` holds weights `p`, `32 + p`, `64 + p`, `96 + p`
    /// from the highest bits down. What bitnet.cpp's converter and its x86 builds write, and its ARM builds
    /// did until November 2025.
    #[default]
    X86_128,
    /// Blocks of 64 weights of a row in 16 bytes: byte `p` holds weights `p`, `16 + p`, `32 + p`, `48 + p`
    /// from the highest bits down. What ARM builds of bitnet.cpp have written since November 2025.
    Arm64,
    /// Four rows side by side: byte `c` of a group holds column `c` of its rows 0, 1, 2, 3 from the highest
    /// bits down. What bitnet.cpp writes if built without `ACT_PARALLEL`.
    Interleaved4,
}

impl I2sLayout {
    /// All layouts, the most common one first.
    ///
    /// ```
    /// use bitnet_edge_kernels::format::i2_s::I2sLayout;
    /// assert_eq!(I2sLayout::ALL.map(I2sLayout::name), ["128", "64", "interleaved"]);
    /// ```
    pub const ALL: [Self; 3] = [Self::X86_128, Self::Arm64, Self::Interleaved4];

    /// The name for users: `128`, `64` or `interleaved`.
    ///
    /// ```
    /// use bitnet_edge_kernels::format::i2_s::I2sLayout;
    /// assert_eq!(I2sLayout::X86_128.name(), "128");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_128 => "128",
            Self::Arm64 => "64",
            Self::Interleaved4 => "interleaved",
        }
    }

    /// The layout of that [name](Self::name), if there is one.
    ///
    /// ```
    /// use bitnet_edge_kernels::format::i2_s::I2sLayout;
    /// assert_eq!(I2sLayout::from_name("interleaved"), Some(I2sLayout::Interleaved4));
    /// assert_eq!(I2sLayout::from_name("256"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// Columns and rows that the layout packs together: a tensor's shape is a multiple of these.
    const fn unit(self) -> (usize, usize) {
        match self {
            Self::X86_128 => (128, 1),
            Self::Arm64 => (64, 1),
            Self::Interleaved4 => (1, 4),
        }
    }
}

impl fmt::Display for I2sLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The bytes of a tensor of that shape, codes and tail; `None` if it has no whole number of bytes or too
/// many.
///
/// ```
/// use bitnet_edge_kernels::format::i2_s;
/// assert_eq!(i2_s::tensor_bytes(256, 10), Some(640 + 32));
/// assert_eq!(i2_s::tensor_bytes(3, 3), None);
/// ```
#[must_use]
pub const fn tensor_bytes(columns: usize, rows: usize) -> Option<usize> {
    match columns.checked_mul(rows) {
        Some(weights) if weights.is_multiple_of(4) => (weights / 4).checked_add(TAIL_BYTES),
        _ => None,
    }
}

/// A checked view of an `I2_S` tensor: every code is ternary and the scale is finite.
///
/// ```
/// use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
///
/// let mut data = [0b00_01_10_01; 64]; // a row of 128 weights, and the tail
/// data[32..36].copy_from_slice(&0.5_f32.to_le_bytes());
/// let tensor = I2s::new(&data, 128, 1, I2sLayout::X86_128)?;
/// assert_eq!(tensor.scale(), 0.5);
///
/// let mut codes = [0; 128];
/// tensor.row(0, &mut codes)?;
/// assert_eq!([codes[0], codes[32], codes[64], codes[96]], [0, 1, 2, 1]);
/// assert_eq!(tensor.code(0, 64), Some(2));
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct I2s<'a> {
    codes: &'a [u8],
    scale: f32,
    columns: usize,
    rows: usize,
    layout: I2sLayout,
}

impl<'a> I2s<'a> {
    /// Views `data`, a whole tensor with its tail, as `rows` x `columns` weights in `layout`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `layout` cannot hold the shape, [`Error::Length`] if `data` is not as long as
    /// [`tensor_bytes`] says, [`Error::Scale`] if the scale is not finite, and [`Error::Code`] if a code is
    /// 3. All layouts hold the same 2-bit fields at different places, so a wrong `layout` is *not* an error.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Error, format::i2_s::{I2s, I2sLayout}};
    /// let data = [0xff; 64];
    /// assert_eq!(I2s::new(&data, 64, 2, I2sLayout::X86_128).unwrap_err(), Error::Shape);
    /// assert_eq!(I2s::new(&data, 128, 2, I2sLayout::X86_128).unwrap_err(), Error::Length);
    /// ```
    pub fn new(data: &'a [u8], columns: usize, rows: usize, layout: I2sLayout) -> Result<Self, Error> {
        let (column_unit, row_unit) = layout.unit();
        if columns == 0 || rows == 0 || !columns.is_multiple_of(column_unit) || !rows.is_multiple_of(row_unit)
        {
            return Err(Error::Shape);
        }
        let bytes = tensor_bytes(columns, rows).ok_or(Error::Shape)?;
        if data.len() != bytes {
            return Err(Error::Length);
        }
        let (codes, tail) = data.split_last_chunk::<TAIL_BYTES>().ok_or(Error::Length)?;
        let [b0, b1, b2, b3, ..] = *tail;
        let scale = f32::from_le_bytes([b0, b1, b2, b3]);
        if !scale.is_finite() {
            return Err(Error::Scale);
        }
        if has_code_3(codes) {
            return Err(Error::Code);
        }
        Ok(Self { codes, scale, columns, rows, layout })
    }

    /// The scale of the tensor.
    ///
    /// ```
    /// # use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
    /// assert_eq!(I2s::new(&[0; 64], 128, 1, I2sLayout::X86_128)?.scale(), 0.0);
    /// # Ok::<(), bitnet_edge_kernels::Error>(())
    /// ```
    #[must_use]
    pub const fn scale(&self) -> f32 {
        self.scale
    }

    /// The shape: columns (the contiguous dimension, inputs), then rows (outputs).
    ///
    /// ```
    /// # use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
    /// assert_eq!(I2s::new(&[0; 64], 64, 2, I2sLayout::Arm64)?.shape(), (64, 2));
    /// # Ok::<(), bitnet_edge_kernels::Error>(())
    /// ```
    #[must_use]
    pub const fn shape(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// The code, 0 to 2, of one weight; `None` outside the tensor.
    ///
    /// ```
    /// # use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
    /// assert_eq!(I2s::new(&[0; 64], 64, 2, I2sLayout::Arm64)?.code(2, 0), None);
    /// # Ok::<(), bitnet_edge_kernels::Error>(())
    /// ```
    #[must_use]
    pub fn code(&self, row: usize, column: usize) -> Option<u8> {
        if row >= self.rows || column >= self.columns {
            return None;
        }
        // No overflow: both indices are in range and the product of the ranges fitted.
        let (byte, field) = match self.layout {
            I2sLayout::X86_128 => block_place::<128>(row * self.columns + column),
            I2sLayout::Arm64 => block_place::<64>(row * self.columns + column),
            I2sLayout::Interleaved4 => (row / 4 * self.columns + column, row % 4),
        };
        self.codes.get(byte).map(|byte| byte >> (6 - 2 * field) & 3)
    }

    /// Writes the codes, 0 to 2, of one row to `out`, which has `columns` bytes.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no such row, [`Error::Length`] if `out` has another length.
    ///
    /// ```
    /// # use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
    /// let data = [0b10_00_01_00; 64];
    /// let mut codes = [0; 32];
    /// I2s::new(&data, 32, 4, I2sLayout::Interleaved4)?.row(2, &mut codes)?;
    /// assert_eq!(codes, [1; 32]);
    /// # Ok::<(), bitnet_edge_kernels::Error>(())
    /// ```
    pub fn row(&self, row: usize, out: &mut [u8]) -> Result<(), Error> {
        if row >= self.rows {
            return Err(Error::Shape);
        }
        if out.len() != self.columns {
            return Err(Error::Length);
        }
        // Bytes that hold a row, alone or with its three neighbours, and the group of rows that they hold.
        let (bytes, group) = match self.layout {
            I2sLayout::X86_128 | I2sLayout::Arm64 => (self.columns / 4, row),
            I2sLayout::Interleaved4 => (self.columns, row / 4),
        };
        let start = group * bytes;
        let packed = self.codes.get(start..start + bytes).ok_or(Error::Length)?;
        match self.layout {
            I2sLayout::X86_128 => unpack_blocks::<32, 128>(packed, out),
            I2sLayout::Arm64 => unpack_blocks::<16, 64>(packed, out),
            I2sLayout::Interleaved4 => unpack_field(packed, row % 4, out),
        }
        Ok(())
    }
}

/// The byte, and the field in it counted from the highest bits, of weight `index` in blocks of `WEIGHTS`.
const fn block_place<const WEIGHTS: usize>(index: usize) -> (usize, usize) {
    let (block, inside) = (index / WEIGHTS, index % WEIGHTS);
    (block * (WEIGHTS / 4) + inside % (WEIGHTS / 4), inside / (WEIGHTS / 4))
}

/// Unpacks blocks of `BYTES` bytes into `WEIGHTS` codes each.
fn unpack_blocks<const BYTES: usize, const WEIGHTS: usize>(packed: &[u8], out: &mut [u8]) {
    for (bytes, out) in packed.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<WEIGHTS>().0) {
        for (field, out) in out.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
            unpack_field(bytes, field, out);
        }
    }
}

/// Unpacks one field, counted from the highest bits, of each byte.
fn unpack_field(packed: &[u8], field: usize, out: &mut [u8]) {
    for (code, byte) in out.iter_mut().zip(packed) {
        *code = byte >> (6 - 2 * field) & 3;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;
    use std::{format, vec};

    /// A tensor with pseudo-random codes, packed straight from the definition of the layout.
    fn pack(codes: &[Vec<u8>], layout: I2sLayout) -> Vec<u8> {
        let (columns, rows) = (codes[0].len(), codes.len());
        let mut data = vec![0_u8; columns * rows / 4];
        for (r, row) in codes.iter().enumerate() {
            for (c, code) in row.iter().enumerate() {
                let (byte, shift) = match layout {
                    I2sLayout::X86_128 => {
                        (r * columns / 4 + c / 128 * 32 + c % 32, [6, 4, 2, 0][c % 128 / 32])
                    }
                    I2sLayout::Arm64 => (r * columns / 4 + c / 64 * 16 + c % 16, [6, 4, 2, 0][c % 64 / 16]),
                    I2sLayout::Interleaved4 => (r / 4 * columns + c, [6, 4, 2, 0][r % 4]),
                };
                data[byte] |= code << shift;
            }
        }
        data.extend(0.25_f32.to_le_bytes());
        data.extend([0; 28]);
        data
    }

    fn random_codes(rows: usize, columns: usize) -> Vec<Vec<u8>> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 % 3
        };
        (0..rows).map(|_| (0..columns).map(|_| next()).collect()).collect()
    }

    #[test]
    fn each_layout_gives_back_its_codes() {
        let expected = random_codes(8, 384);
        for layout in I2sLayout::ALL {
            let data = pack(&expected, layout);
            let tensor = I2s::new(&data, 384, 8, layout).unwrap();
            let mut row = vec![9; 384];
            for (r, codes) in expected.iter().enumerate() {
                tensor.row(r, &mut row).unwrap();
                assert_eq!(&row, codes, "layout {layout}, row {r}");
                let singly: Vec<_> = (0..384).map(|c| tensor.code(r, c).unwrap()).collect();
                assert_eq!(&singly, codes, "layout {layout}, row {r}");
            }
            assert_eq!(tensor.code(8, 0), None);
            assert_eq!(tensor.code(0, 384), None);
        }
    }

    #[test]
    fn code_three_is_refused_wherever_it_stands() {
        let mut data = pack(&random_codes(4, 128), I2sLayout::X86_128);
        for byte in 0..128 {
            for shift in [0, 2, 4, 6] {
                let saved = data[byte];
                data[byte] |= 3 << shift;
                for layout in I2sLayout::ALL {
                    assert_eq!(I2s::new(&data, 128, 4, layout).unwrap_err(), Error::Code);
                }
                data[byte] = saved;
            }
        }
    }

    #[test]
    fn impossible_tensors_are_refused() {
        let mut data = pack(&random_codes(4, 128), I2sLayout::X86_128);
        let open = |data: &[u8], columns, rows, layout| I2s::new(data, columns, rows, layout).map(|_| ());
        assert_eq!(open(&data, 0, 4, I2sLayout::X86_128), Err(Error::Shape));
        assert_eq!(open(&data, 128, 0, I2sLayout::X86_128), Err(Error::Shape));
        assert_eq!(open(&data, 64, 8, I2sLayout::X86_128), Err(Error::Shape));
        assert_eq!(open(&data, 32, 16, I2sLayout::Arm64), Err(Error::Shape));
        assert_eq!(open(&data, 256, 2, I2sLayout::Interleaved4), Err(Error::Shape));
        assert_eq!(open(&data, 128, usize::MAX / 2, I2sLayout::X86_128), Err(Error::Shape));
        assert_eq!(open(&data, 256, 4, I2sLayout::X86_128), Err(Error::Length));
        assert_eq!(open(&data[1..], 128, 4, I2sLayout::X86_128), Err(Error::Length));
        for scale in [f32::NAN, f32::INFINITY] {
            data[128..132].copy_from_slice(&scale.to_le_bytes());
            assert_eq!(open(&data, 128, 4, I2sLayout::X86_128), Err(Error::Scale));
        }
        assert_eq!(format!("{}", Error::Code), "a 2-bit code is 3, which stands for no ternary weight");
    }
}
