//! The layouts in which the runtime reads weights: *row tiles* of four rows, one after another.
//!
//! Every layout keeps the weights of a matrix as one sequential stream of row tiles, each a multiple of 64 bytes.
//! Rows are padded to four; padding rows give zero. A layout's file says where each weight lies, and its `matmul`
//! is the definition of the product.
//!
//! Names follow the grammar `OPERATION_LAYOUT_ACTIVATION`: `matmul_t2r4_i8t` multiplies `t2r4` weights with int8
//! activations that have one scale a **t**oken; `i8g32` and `i8g256` have one a **g**roup; `f32` are not quantized.
//! A tier appends its own name (`_avx2`, `_dotprod`).
//!
//! Integer sums are written with `wrapping_add` though none can overflow (each file proves its bound): a build that checks
//! overflow, as the tests are, could not vectorize them otherwise.

use crate::Error;

pub mod q4k4;
pub mod q4r4;
pub mod q5r4;
pub mod q6r4;
pub mod q8r4;
mod results;
pub mod rows;
pub mod t2r4;

pub use results::{Outputs, Results};

/// Rows in a row tile.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::TILE_ROWS, 4);
/// ```
pub const TILE_ROWS: usize = 4;

/// Columns in a panel of the block layouts: scales follow every panel.
///
/// ```
/// assert_eq!(bitnet_edge_kernels::tile::PANEL_COLUMNS, 256);
/// ```
pub const PANEL_COLUMNS: usize = 256;

/// A weight layout; the discriminant is its id in a flash image.
///
/// ```
/// use bitnet_edge_kernels::tile::{Activations, Layout};
/// assert_eq!(Layout::from_id(4), Some(Layout::T2r4));
/// assert_eq!(Layout::T2r4.row_tile_bytes(2560), Some(4 * 2560 / 4));
/// assert_eq!(Layout::Q8r4.activations(), Activations::Group32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Layout {
    /// f32, rows padded to 16 columns.
    F32 = 1,
    /// f16, rows padded to 32 columns.
    F16 = 2,
    /// bfloat16, rows padded to 32 columns.
    Bf16 = 3,
    /// Ternary, two bits a weight, 4 x 64 tiles: see [`t2r4`].
    T2r4 = 4,
    /// `Q8_0` blocks in 4 x 16 tiles: see [`q8r4`].
    Q8r4 = 5,
    /// `Q4_0` blocks in 4 x 32 tiles: see [`q4r4`].
    Q4r4 = 6,
    /// `Q4_1` blocks in 4 x 32 tiles: see [`q4r4`].
    Q4m4 = 7,
    /// `Q6_K` blocks in 4 x 64 tiles of nibbles and pairs of bits: see [`q6r4`].
    Q6r4 = 8,
    /// `Q4_K` blocks in 4 x 32 tiles of nibbles: see [`q4k4`].
    Q4k4 = 9,
    /// `Q5_0` blocks in 4 x 32 tiles of nibbles and 4 x 128 tiles of bits: see [`q5r4`].
    Q5r4 = 10,
    /// `Q5_K` blocks in 4 x 32 tiles of nibbles and 4 x 128 tiles of bits: see [`q4k4`].
    Q5k4 = 11,
}

/// The form in which a layout takes its activations.
///
/// ```
/// use bitnet_edge_kernels::tile::{Activations, Layout};
/// assert_eq!(Layout::T2r4.activations(), Activations::Token);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activations {
    /// f32, as they are.
    Float,
    /// int8 with one scale a token (`s = 127 / amax`).
    Token,
    /// int8 with a scale for each 32 columns (`a = amax / 127`).
    Group32,
    /// int8 with a scale for each 256 columns.
    Group256,
}

impl Activations {
    /// Groups of a token of `cols` columns; zero for float.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Activations;
    /// assert_eq!(Activations::Group32.groups(576), 18);
    /// ```
    pub const fn groups(self, cols: usize) -> usize {
        match self {
            Self::Float => 0,
            Self::Token => 1,
            Self::Group32 => cols.div_ceil(32),
            Self::Group256 => cols.div_ceil(256),
        }
    }
}

impl Layout {
    /// Every layout, in the order of their ids.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert_eq!(Layout::ALL.map(Layout::id), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    /// ```
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::T2r4,
        Self::Q8r4,
        Self::Q4r4,
        Self::Q4m4,
        Self::Q6r4,
        Self::Q4k4,
        Self::Q5r4,
        Self::Q5k4,
    ];

    /// The layout with this id.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert_eq!(Layout::from_id(5), Some(Layout::Q8r4));
    /// assert_eq!(Layout::from_id(99), None); // of a newer writer: refused, never guessed
    /// ```
    pub const fn from_id(id: u16) -> Option<Self> {
        Some(match id {
            1 => Self::F32,
            2 => Self::F16,
            3 => Self::Bf16,
            4 => Self::T2r4,
            5 => Self::Q8r4,
            6 => Self::Q4r4,
            7 => Self::Q4m4,
            8 => Self::Q6r4,
            9 => Self::Q4k4,
            10 => Self::Q5r4,
            11 => Self::Q5k4,
            _ => return None,
        })
    }

    /// Whether this build has the layout's kernels: all of them with the feature `full`, which is on unless it is turned off;
    /// else [`T2r4`](Self::T2r4) and [`Q8r4`](Self::Q8r4).
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert!(Layout::T2r4.is_built() && Layout::Q8r4.is_built());
    /// ```
    pub const fn is_built(self) -> bool {
        cfg!(feature = "full") || matches!(self, Self::T2r4 | Self::Q8r4)
    }

    /// The id in an image.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert!(Layout::ALL.iter().all(|layout| Layout::from_id(layout.id()) == Some(*layout)));
    /// ```
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The name in reports.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert_eq!(Layout::T2r4.name(), "t2r4");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::T2r4 => "t2r4",
            Self::Q8r4 => "q8r4",
            Self::Q4r4 => "q4r4",
            Self::Q4m4 => "q4m4",
            Self::Q6r4 => "q6r4",
            Self::Q4k4 => "q4k4",
            Self::Q5r4 => "q5r4",
            Self::Q5k4 => "q5k4",
        }
    }

    /// The activations that the layout's product takes.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::{Activations, Layout};
    /// assert_eq!(Layout::F16.activations(), Activations::Float);
    /// assert_eq!(Layout::Q6r4.activations(), Activations::Group256);
    /// ```
    pub const fn activations(self) -> Activations {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => Activations::Float,
            Self::T2r4 => Activations::Token,
            Self::Q8r4 | Self::Q4r4 | Self::Q4m4 | Self::Q5r4 => Activations::Group32,
            Self::Q6r4 | Self::Q4k4 | Self::Q5k4 => Activations::Group256,
        }
    }

    /// Columns must be a multiple of this; 1 where rows are padded instead.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert_eq!(Layout::Q4r4.column_multiple(), 32);
    /// assert_eq!(Layout::T2r4.column_multiple(), 1);
    /// ```
    pub const fn column_multiple(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 | Self::T2r4 => 1,
            Self::Q8r4 | Self::Q4r4 | Self::Q4m4 | Self::Q5r4 => 32,
            Self::Q6r4 | Self::Q4k4 | Self::Q5k4 => 256,
        }
    }

    /// Bytes of a row tile of `cols` columns, a multiple of 64; `None` on overflow or if `cols` does not fit the layout.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert_eq!(Layout::T2r4.row_tile_bytes(100), Some(128)); // 4 rows of 128 columns, 2 bits each
    /// assert_eq!(Layout::Q8r4.row_tile_bytes(256), Some(1088)); // weights, and a scale for 32 columns of a row
    /// assert_eq!(Layout::Q8r4.row_tile_bytes(100), None); // not a multiple of 32
    /// ```
    pub const fn row_tile_bytes(self, cols: usize) -> Option<usize> {
        // Bounds every product below: no layout takes more than 16 bytes a column and tile, plus constants.
        if cols == 0 || cols > usize::MAX / 64 || !cols.is_multiple_of(self.column_multiple()) {
            return None;
        }
        Some(match self {
            Self::F32 => rows::stride::<4>(cols) * TILE_ROWS,
            Self::F16 | Self::Bf16 => rows::stride::<2>(cols) * TILE_ROWS,
            Self::T2r4 => t2r4::row_tile_bytes(cols),
            Self::Q8r4 => q8r4::row_tile_bytes(cols),
            Self::Q4r4 => q4r4::row_tile_bytes(cols, false),
            Self::Q4m4 => q4r4::row_tile_bytes(cols, true),
            Self::Q6r4 => q6r4::row_tile_bytes(cols),
            Self::Q4k4 => q4k4::row_tile_bytes(cols, false),
            Self::Q5r4 => q5r4::row_tile_bytes(cols),
            Self::Q5k4 => q4k4::row_tile_bytes(cols, true),
        })
    }

    /// Bytes of a whole matrix; `None` as [`row_tile_bytes`](Self::row_tile_bytes).
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Layout;
    /// assert_eq!(Layout::T2r4.matrix_bytes(10, 64), Some(3 * 64)); // rows are padded to 12
    /// ```
    pub const fn matrix_bytes(self, rows: usize, cols: usize) -> Option<usize> {
        match self.row_tile_bytes(cols) {
            Some(bytes) => bytes.checked_mul(rows.div_ceil(TILE_ROWS)),
            None => None,
        }
    }

    /// Widens one row of a row tile to f32. `scale` multiplies ternary codes; the other layouts ignore it.
    ///
    /// # Errors
    /// [`Error::Operand`] if the tile is shorter than `y.len()` columns need.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Error, tile::Layout};
    /// let tile = [0b10_01_00_10; 64]; // column c of a row has plane c / 16: codes 2, 0, 1, 2
    /// let mut row = [0.0; 64];
    /// Layout::T2r4.dequantize_row(&tile, 3, 0.5, &mut row)?;
    /// assert_eq!([row[0], row[16], row[32], row[48]], [0.5, -0.5, 0.0, 0.5]);
    /// assert!(Layout::T2r4.dequantize_row(&tile[..32], 3, 0.5, &mut row).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn dequantize_row(self, tile: &[u8], row: usize, scale: f32, y: &mut [f32]) -> Result<(), Error> {
        match self {
            Self::T2r4 => t2r4::dequantize_row(tile, row, scale, y),
            Self::Q8r4 => q8r4::dequantize_row(tile, row, y),
            // The compiler then leaves the others out.
            _ if !cfg!(feature = "full") => Err(Error::Operand("this build has no kernels of the layout")),
            Self::F32 => rows::widen::<f32>(tile, row, y),
            Self::F16 => rows::widen::<rows::F16>(tile, row, y),
            Self::Bf16 => rows::widen::<rows::Bf16>(tile, row, y),
            Self::Q4r4 => q4r4::dequantize_row(tile, row, false, y),
            Self::Q4m4 => q4r4::dequantize_row(tile, row, true, y),
            Self::Q6r4 => q6r4::dequantize_row(tile, row, y),
            Self::Q4k4 => q4k4::dequantize_row(tile, row, false, y),
            Self::Q5r4 => q5r4::dequantize_row(tile, row, y),
            Self::Q5k4 => q4k4::dequantize_row(tile, row, true, y),
        }
    }
}

/// Rounds up to whole 64-byte lines.
pub(crate) const fn round64(bytes: usize) -> usize {
    bytes.div_ceil(64) * 64
}

/// int8 activations of several tokens.
///
/// ```
/// use bitnet_edge_kernels::tile::Int8Acts;
/// let acts = Int8Acts { q: &[1; 64], stride: 64, scales: &[2.0], sums: &[64], groups: 1 };
/// assert_eq!(acts.token(0).unwrap().sums, [64]);
/// assert!(acts.token(1).is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Int8Acts<'a> {
    /// `[tokens][stride]`, each row padded with zeros to whole tiles.
    pub q: &'a [i8],
    /// Elements from one token's row to the next.
    pub stride: usize,
    /// `[tokens][groups]`: `s` for [`Activations::Token`], `a` for groups.
    pub scales: &'a [f32],
    /// `[tokens][groups]`: the sum of `q`.
    pub sums: &'a [i32],
    /// Groups of a token.
    pub groups: usize,
}

/// One token of [`Int8Acts`].
///
/// ```
/// use bitnet_edge_kernels::tile::{Int8Acts, Int8Token};
/// let acts = Int8Acts { q: &[3], stride: 1, scales: &[2.0], sums: &[3], groups: 1 };
/// let token: Int8Token = acts.token(0).unwrap();
/// assert_eq!(token.q, [3]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Int8Token<'a> {
    /// `[stride]`
    pub q: &'a [i8],
    /// `[groups]`
    pub scales: &'a [f32],
    /// `[groups]`
    pub sums: &'a [i32],
}

impl<'a> Int8Acts<'a> {
    /// Token `t`, or `None` beyond the slices.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Int8Acts;
    /// // Two tokens of 64 columns, a scale and a sum for each group of 32.
    /// let (q, scales, sums) = ([1; 128], [0.5, 0.25, 2.0, 4.0], [32; 4]);
    /// let acts = Int8Acts { q: &q, stride: 64, scales: &scales, sums: &sums, groups: 2 };
    /// assert_eq!(acts.token(1).map(|token| token.scales), Some(&[2.0, 4.0][..]));
    /// ```
    #[inline]
    pub fn token(&self, t: usize) -> Option<Int8Token<'a>> {
        let (at, group) = (t.checked_mul(self.stride)?, t.checked_mul(self.groups)?);
        Some(Int8Token {
            q: self.q.get(at..)?.get(..self.stride)?,
            scales: self.scales.get(group..)?.get(..self.groups)?,
            sums: self.sums.get(group..)?.get(..self.groups)?,
        })
    }

    /// Whether `tokens` tokens are there, at least `cols` columns wide, with a scale and a sum for each of `groups`.
    ///
    /// # Errors
    /// [`Error::Operand`] if not.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::Int8Acts;
    /// let acts = Int8Acts { q: &[1; 128], stride: 64, scales: &[0.5; 2], sums: &[64; 2], groups: 1 };
    /// assert!(acts.check(2, 64, 1).is_ok());
    /// assert!(acts.check(3, 64, 1).is_err() && acts.check(2, 65, 1).is_err() && acts.check(2, 64, 2).is_err());
    /// ```
    #[inline]
    pub fn check(&self, tokens: usize, cols: usize, groups: usize) -> Result<(), Error> {
        if self.stride < cols || self.groups < groups {
            return Err(Error::Operand("fewer activations than columns"));
        }
        match tokens.checked_sub(1) {
            Some(last) if self.token(last).is_none() => Err(Error::Operand("fewer activations than tokens")),
            _ => Ok(()),
        }
    }
}

/// f32 activations of several tokens.
///
/// ```
/// use bitnet_edge_kernels::tile::FloatActs;
/// let acts = FloatActs { x: &[1.0, 2.0, 3.0, 4.0], stride: 2, cols: 2 };
/// assert_eq!(acts.token(1), Some(&[3.0, 4.0][..]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FloatActs<'a> {
    /// `[tokens][stride]`
    pub x: &'a [f32],
    /// Elements from one token's row to the next.
    pub stride: usize,
    /// Columns in use of a row.
    pub cols: usize,
}

impl<'a> FloatActs<'a> {
    /// Token `t`, or `None` beyond the slice.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::FloatActs;
    /// let acts = FloatActs { x: &[1.0, 2.0, 0.0, 3.0, 4.0, 0.0], stride: 3, cols: 2 };
    /// assert_eq!(acts.token(1), Some(&[3.0, 4.0][..])); // without the padding of its row
    /// assert_eq!(acts.token(2), None);
    /// ```
    #[inline]
    pub fn token(&self, t: usize) -> Option<&'a [f32]> {
        self.x.get(t.checked_mul(self.stride)?..)?.get(..self.cols)
    }

    /// Whether `tokens` tokens are there.
    ///
    /// # Errors
    /// [`Error::Operand`] if not.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::FloatActs;
    /// let acts = FloatActs { x: &[1.0, 2.0, 0.0, 3.0, 4.0, 0.0], stride: 3, cols: 2 };
    /// assert!(acts.check(2).is_ok() && acts.check(3).is_err());
    /// ```
    #[inline]
    pub fn check(&self, tokens: usize) -> Result<(), Error> {
        match tokens.checked_sub(1) {
            Some(last) if self.token(last).is_none() => Err(Error::Operand("fewer activations than tokens")),
            _ => Ok(()),
        }
    }
}

/// The scale of a ternary matrix.
///
/// ```
/// use bitnet_edge_kernels::tile::TernaryScale;
/// assert_eq!(TernaryScale::Rows(&[1.0, 2.0]).row(1), 2.0);
/// assert_eq!(TernaryScale::Tensor(0.5).row(7), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TernaryScale<'a> {
    /// One for the matrix.
    Tensor(f32),
    /// One a row, starting with the first row of the call.
    Rows(&'a [f32]),
}

impl TernaryScale<'_> {
    /// The scale of row `i` of the call; zero beyond the rows.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::TernaryScale;
    /// let scale = TernaryScale::Rows(&[0.5, 0.25]);
    /// assert_eq!([scale.row(0), scale.row(1), scale.row(2)], [0.5, 0.25, 0.0]);
    /// ```
    #[inline]
    pub fn row(&self, i: usize) -> f32 {
        match self {
            Self::Tensor(s) => *s,
            Self::Rows(rows) => rows.get(i).copied().unwrap_or(0.0),
        }
    }
}

/// Four stripes over groups, folded `(s0 + s2) + (s1 + s3)`: the float sum of the block layouts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stripes4([f32; 4]);

impl Stripes4 {
    /// Adds the term of group `b`.
    #[inline(always)]
    pub(crate) fn add(&mut self, b: usize, term: f32) {
        if let Some(s) = self.0.get_mut(b % 4) {
            *s += term;
        }
    }
    #[inline(always)]
    pub(crate) fn fold(self) -> f32 {
        (self.0[0] + self.0[2]) + (self.0[1] + self.0[3])
    }
}

/// Puts `f(row tile index, its bytes, token)` for every row tile of `w` and each of `tokens`.
#[inline(always)]
pub(crate) fn for_each_tile<R: Results>(
    w: &[u8],
    row_tile_bytes: usize,
    tokens: usize,
    out: &mut R,
    mut f: impl FnMut(usize, &[u8], usize) -> Result<[f32; TILE_ROWS], Error>,
) -> Result<(), Error> {
    let tiles = w.chunks_exact(row_tile_bytes.max(1));
    if row_tile_bytes == 0 || !tiles.remainder().is_empty() {
        return Err(Error::Operand("weights are not whole row tiles"));
    }
    for (i, tile) in tiles.enumerate() {
        for t in 0..tokens {
            out.put(t, i * TILE_ROWS, &f(i, tile, t)?);
        }
    }
    Ok(())
}
