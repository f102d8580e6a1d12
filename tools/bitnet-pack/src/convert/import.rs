//! One tensor of a GGUF file into a layout of the image, and the proof that nothing was lost.

use anyhow::{Context, Result, bail, ensure};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_kernels::format::{q4_0, q4_1, q4_k, q5_0, q5_k, q6_k, q8_0};
use bitnet_edge_kernels::tile::{Layout, TILE_ROWS, q4k4, q4r4, q5r4, q6r4, q8r4, t2r4};

use crate::gguf::{Rows, Tensor, TensorType};

/// A matrix as the image has it.
pub(super) struct Matrix {
    pub(super) layout: Layout,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) scale: f32,
    pub(super) row_scales: Option<Vec<f32>>,
    pub(super) tiles: Vec<u8>,
}

/// What an embedding or head can be requantized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockType {
    /// 8.5 bits a weight.
    Q8_0,
    /// 6.56 bits a weight.
    Q6K,
    /// 4.5 bits a weight.
    Q4_0,
}

impl BlockType {
    /// The type of this name, as options spell it.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "q8_0" => Ok(Self::Q8_0),
            "q6_k" => Ok(Self::Q6K),
            "q4_0" => Ok(Self::Q4_0),
            _ => bail!("{name:?} is not a type to requantize to; q8_0, q6_k and q4_0 are"),
        }
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q6K => "q6_k",
            Self::Q4_0 => "q4_0",
        }
    }

    const fn layout(self) -> Layout {
        match self {
            Self::Q8_0 => Layout::Q8r4,
            Self::Q6K => Layout::Q6r4,
            Self::Q4_0 => Layout::Q4r4,
        }
    }
}

/// A tensor to import: its rows, in the order in which the image has them.
pub(super) struct Source<'g> {
    tensor: Tensor<'g>,
    values: Rows<'g>,
    order: Option<Vec<usize>>,
}

impl<'g> Source<'g> {
    /// `order[i]` is the file's row that becomes row `i`; absent for the file's own order.
    pub(super) fn new(tensor: &Tensor<'g>, i2s: I2sLayout, order: Option<Vec<usize>>) -> Result<Self> {
        Ok(Self { tensor: *tensor, values: tensor.rows(i2s)?, order })
    }

    fn row_index(&self, row: usize) -> usize {
        self.order.as_ref().map_or(row, |o| o[row])
    }

    fn read(&self, row: usize, out: &mut [f32]) -> Result<()> {
        self.values.read(self.row_index(row), out);
        Ok(())
    }

    /// Calls `f` with every row's number and values.
    pub(super) fn each_row(&self, mut f: impl FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let mut values = vec![0.0; self.values.columns()];
        for row in 0..self.values.count() {
            self.read(row, &mut values)?;
            f(row, &values)?;
        }
        Ok(())
    }

    fn empty(&self, layout: Layout, fill: u8) -> Result<Matrix> {
        let (rows, cols) = (self.values.count(), self.values.columns());
        let bytes = layout.matrix_bytes(rows, cols).with_context(|| {
            format!(
                "{} has rows of {cols}; layout {} needs a multiple of {}",
                self.tensor.name(),
                layout.name(),
                layout.column_multiple()
            )
        })?;
        Ok(Matrix { layout, rows, cols, scale: 1.0, row_scales: None, tiles: vec![fill; bytes] })
    }

    /// Imports a matrix of a linear layer: ternary if it is, else in its own blocks or floats.
    pub(super) fn matrix(&self) -> Result<Matrix> {
        let matrix = match self.tensor.ty() {
            TensorType::I2_S | TensorType::TQ1_0 | TensorType::TQ2_0 => match self.ternary()? {
                Some(matrix) => matrix,
                None => bail!(
                    "{} ({}) has block scales that differ within a row, which one ternary matrix cannot hold \
                     without loss; requantize it to a type with block scales",
                    self.tensor.name(),
                    self.tensor.ty()
                ),
            },
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => match self.ternary()? {
                Some(matrix) => matrix,
                None => self.as_it_is()?,
            },
            _ => self.as_it_is()?,
        };
        self.prove(&matrix)?;
        Ok(matrix)
    }

    /// Imports an embedding or a head: as it is, or requantized. Floats are not taken for ternary here.
    pub(super) fn table(&self, to: Option<BlockType>, notes: &mut Vec<String>) -> Result<Matrix> {
        match (to, self.tensor.ty()) {
            (Some(to), _) => self.requantized(to, notes),
            (None, TensorType::I2_S | TensorType::TQ1_0 | TensorType::TQ2_0) => self.matrix(),
            (None, _) => {
                let matrix = self.as_it_is()?;
                self.prove(&matrix)?;
                Ok(matrix)
            }
        }
    }

    /// Keeps floats and blocks, re-tiled.
    fn as_it_is(&self) -> Result<Matrix> {
        let (layout, unit) = match self.tensor.ty() {
            TensorType::F32 => (Layout::F32, 4),
            TensorType::F16 => (Layout::F16, 2),
            TensorType::BF16 => (Layout::Bf16, 2),
            TensorType::Q8_0 => (Layout::Q8r4, q8_0::BLOCK_BYTES),
            TensorType::Q4_0 => (Layout::Q4r4, q4_0::BLOCK_BYTES),
            TensorType::Q4_1 => (Layout::Q4m4, q4_1::BLOCK_BYTES),
            TensorType::Q5_0 => (Layout::Q5r4, q5_0::BLOCK_BYTES),
            TensorType::Q4_K => (Layout::Q4k4, q4_k::BLOCK_BYTES),
            TensorType::Q5_K => (Layout::Q5k4, q5_k::BLOCK_BYTES),
            TensorType::Q6_K => (Layout::Q6r4, q6_k::BLOCK_BYTES),
            other => bail!("{} has type {other}, which cannot be kept as it is", self.tensor.name()),
        };
        let mut matrix = self.empty(layout, 0)?;
        let data = self.tensor.data()?;
        let row_bytes = data.len() / matrix.rows;
        for row in 0..matrix.rows {
            let at = self.row_index(row) * row_bytes;
            for (i, block) in data[at..at + row_bytes].chunks_exact(unit).enumerate() {
                matrix.put(row, i, block)?;
            }
        }
        Ok(matrix)
    }

    /// The ternary layout, if every row is ternary times a scale.
    fn ternary(&self) -> Result<Option<Matrix>> {
        let mut scales = Vec::with_capacity(self.values.count());
        let mut ternary = true;
        self.each_row(|_, values| {
            let scale = values.iter().map(|v| v.abs()).find(|&v| v != 0.0).unwrap_or(0.0);
            ternary &= scale.is_finite() && values.iter().all(|v| *v == 0.0 || v.abs() == scale);
            scales.push(scale);
            Ok(())
        })?;
        if !ternary {
            return Ok(None);
        }
        let mut matrix = self.empty(Layout::T2r4, t2r4::PADDING)?;
        let bytes = t2r4::row_tile_bytes(matrix.cols);
        self.each_row(|row, values| {
            let tile = &mut matrix.tiles[row / TILE_ROWS * bytes..][..bytes];
            for (col, v) in values.iter().enumerate() {
                t2r4::set_code(tile, row, col, if *v == 0.0 { 1 } else { 1 + v.signum() as i8 } as u8);
            }
            Ok(())
        })?;
        // A row of zeros fits any scale.
        let mut used = scales.iter().copied().filter(|&s| s != 0.0);
        matrix.scale = used.next().unwrap_or(1.0);
        if used.any(|s| s != matrix.scale) {
            scales.resize(scales.len().next_multiple_of(TILE_ROWS), 0.0);
            matrix.row_scales = Some(scales);
        }
        Ok(Some(matrix))
    }

    fn requantized(&self, to: BlockType, notes: &mut Vec<String>) -> Result<Matrix> {
        let mut matrix = self.empty(to.layout(), 0)?;
        self.each_row(|row, values| match to {
            BlockType::Q8_0 => matrix.put_all(row, values, q8_0::quantize),
            BlockType::Q4_0 => matrix.put_all(row, values, q4_0::quantize),
            BlockType::Q6K => matrix.put_all(row, values, q6_k::quantize),
        })?;
        let (mut error, mut power, mut worst) = (0.0f64, 0.0f64, 0.0f64);
        let mut back = vec![0.0; matrix.cols];
        self.each_row(|row, values| {
            matrix.read(row, &mut back)?;
            for (a, b) in values.iter().zip(&back) {
                let d = f64::from(a - b);
                error += d * d;
                power += f64::from(*a) * f64::from(*a);
                worst = worst.max(d.abs());
            }
            Ok(())
        })?;
        ensure!(
            error.is_finite() && power.is_finite(),
            "{} has values that {} cannot hold (not finite, or too large for its scales)",
            self.tensor.name(),
            to.name()
        );
        let relative = if power > 0.0 { (error / power).sqrt() * 100.0 } else { 0.0 };
        notes.push(format!(
            "{} requantized from {} to {}: error {relative:.3} % of its rms, at most {worst:.6}",
            self.tensor.name(),
            self.tensor.ty(),
            to.name()
        ));
        Ok(matrix)
    }

    /// Decodes both sides and compares every value.
    fn prove(&self, matrix: &Matrix) -> Result<()> {
        let mut back = vec![0.0; matrix.cols];
        self.each_row(|row, values| {
            matrix.read(row, &mut back)?;
            let same = values.iter().zip(&back).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
            ensure!(same, "row {row} of {} differs after import: a bug in bitnet-pack", self.tensor.name());
            Ok(())
        })
    }

    /// All values in one vector: norms and biases.
    pub(super) fn vector(&self) -> Result<Vec<f32>> {
        ensure!(
            matches!(self.tensor.ty(), TensorType::F32 | TensorType::F16 | TensorType::BF16),
            "{} has type {}; a vector must be F32, F16 or BF16",
            self.tensor.name(),
            self.tensor.ty()
        );
        let mut all = Vec::new();
        self.each_row(|_, values| {
            all.extend_from_slice(values);
            Ok(())
        })?;
        ensure!(all.iter().all(|v| v.is_finite()), "{} has values that are not finite", self.tensor.name());
        Ok(all)
    }
}

impl Matrix {
    fn tile(&self) -> Result<usize> {
        self.layout.row_tile_bytes(self.cols).context("a matrix too large for this machine")
    }

    /// Puts one block, or one float element, of a row.
    fn put(&mut self, row: usize, i: usize, block: &[u8]) -> Result<()> {
        let (bytes, r, cols) = (self.tile()?, row % TILE_ROWS, self.cols);
        let tile = &mut self.tiles[row / TILE_ROWS * bytes..][..bytes];
        match self.layout {
            Layout::Q8r4 => q8r4::put_block(tile, cols, r, i, block.try_into()?)?,
            Layout::Q6r4 => q6r4::put_block(tile, cols, r, i, block.try_into()?)?,
            Layout::Q5r4 => q5r4::put_block(tile, cols, r, i, block.try_into()?)?,
            Layout::Q4k4 | Layout::Q5k4 => q4k4::put_block(tile, cols, r, i, block)?,
            Layout::Q4r4 | Layout::Q4m4 => q4r4::put_block(tile, cols, r, i, block)?,
            _ => {
                let at = r * bytes / TILE_ROWS + i * block.len();
                tile[at..at + block.len()].copy_from_slice(block);
            }
        }
        Ok(())
    }

    fn put_all<const W: usize, const B: usize>(
        &mut self,
        row: usize,
        values: &[f32],
        quantize: impl Fn(&[f32; W]) -> [u8; B],
    ) -> Result<()> {
        for (i, weights) in values.as_chunks().0.iter().enumerate() {
            self.put(row, i, &quantize(weights))?;
        }
        Ok(())
    }

    /// Widens a row.
    pub(super) fn read(&self, row: usize, out: &mut [f32]) -> Result<()> {
        let bytes = self.tile()?;
        let tile = &self.tiles[row / TILE_ROWS * bytes..][..bytes];
        let scale = self.row_scales.as_ref().map_or(self.scale, |s| s[row]);
        self.layout.dequantize_row(tile, row % TILE_ROWS, scale, out)?;
        Ok(())
    }
}
