//! One tensor of a GGUF file into a layout of the image, and the proof that nothing was lost.

use anyhow::{Context, Result, bail, ensure};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_kernels::format::{q4_0, q4_1, q4_k, q5_0, q5_k, q6_k, q8_0};
use bitnet_edge_kernels::tile::{Layout, TILE_ROWS, t2r4};

use super::store::Store;
use super::tiles::Tiles;
use crate::gguf::{Rows, Tensor, TensorType};

/// A matrix as the image has it, less its row tiles, which are in the store.
pub(super) struct Matrix {
    pub(super) layout: Layout,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Bytes of the row tiles.
    pub(super) len: usize,
    pub(super) scale: f32,
    pub(super) row_scales: Option<Vec<f32>>,
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
    release: Release<'g>,
}

/// What is called with bytes of the file that have been read, so that they need not stay in memory.
pub(super) type Release<'a> = &'a (dyn Fn(&[u8]) + Sync);

impl<'g> Source<'g> {
    /// `order[i]` is the file's row that becomes row `i`; absent for the file's own order.
    pub(super) fn new(tensor: &Tensor<'g>, i2s: I2sLayout, order: Option<Vec<usize>>) -> Result<Self> {
        Ok(Self { tensor: *tensor, values: tensor.rows(i2s)?, order, release: &|_| () })
    }

    /// The same, with `release` for its data.
    pub(super) fn releasing(self, release: Release<'g>) -> Self {
        Self { release, ..self }
    }

    fn done(&self) {
        if let Ok(data) = self.tensor.data() {
            (self.release)(data);
        }
    }

    fn row_index(&self, row: usize) -> usize {
        self.order.as_ref().map_or(row, |o| o[row])
    }

    fn read(&self, row: usize, out: &mut [f32]) {
        self.values.read(self.row_index(row), out);
    }

    fn tiles(&self, layout: Layout, fill: u8) -> Result<Tiles> {
        let (rows, cols) = (self.values.count(), self.values.columns());
        Tiles::new(layout, rows, cols, fill).with_context(|| {
            format!(
                "{} has rows of {cols}; layout {} needs a multiple of {}",
                self.tensor.name(),
                layout.name(),
                layout.column_multiple()
            )
        })
    }

    /// Imports a matrix of a linear layer: ternary if it is, else in its own blocks or floats.
    pub(super) fn matrix(&self, store: &mut Store<'_>) -> Result<Matrix> {
        match self.tensor.ty() {
            TensorType::I2_S | TensorType::TQ1_0 | TensorType::TQ2_0 => match self.ternary(store)? {
                Some(matrix) => Ok(matrix),
                None => bail!(
                    "{} ({}) has block scales that differ within a row, which one ternary matrix cannot hold \
                     without loss; requantize it to a type with block scales",
                    self.tensor.name(),
                    self.tensor.ty()
                ),
            },
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => {
                let start = store.len();
                match self.ternary(store)? {
                    Some(matrix) => Ok(matrix),
                    None => {
                        store.truncate(start)?;
                        self.as_it_is(store)
                    }
                }
            }
            _ => self.as_it_is(store),
        }
    }

    /// Imports an embedding or a head: as it is, or requantized. Floats are not taken for ternary here.
    pub(super) fn table(
        &self,
        to: Option<BlockType>,
        notes: &mut Vec<String>,
        store: &mut Store<'_>,
    ) -> Result<Matrix> {
        match (to, self.tensor.ty()) {
            (Some(to), _) => self.requantized(to, notes, store),
            (None, TensorType::I2_S | TensorType::TQ1_0 | TensorType::TQ2_0) => self.matrix(store),
            (None, _) => self.as_it_is(store),
        }
    }

    /// Keeps floats and blocks, re-tiled.
    fn as_it_is(&self, store: &mut Store<'_>) -> Result<Matrix> {
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
        let tiles = self.tiles(layout, 0)?;
        let data = self.tensor.data()?;
        let row_bytes = data.len() / tiles.rows;
        tiles.store(
            store,
            || self.done(),
            |index, tile| {
                for row in tiles.rows_of(index) {
                    let at = self.row_index(row) * row_bytes;
                    for (i, block) in data[at..at + row_bytes].chunks_exact(unit).enumerate() {
                        tiles.put(tile, row, i, block)?;
                    }
                }
                let (mut values, mut back) = (vec![0.0; tiles.cols], vec![0.0; tiles.cols]);
                for row in tiles.rows_of(index) {
                    self.read(row, &mut values);
                    tiles.read(tile, row, 1.0, &mut back)?;
                    self.prove(row, &values, &back)?;
                }
                Ok(Some(()))
            },
        )?;
        Ok(Matrix::of(&tiles, 1.0, None))
    }

    /// The ternary layout, if every row is ternary times a scale; if not, the store has some tiles too many.
    fn ternary(&self, store: &mut Store<'_>) -> Result<Option<Matrix>> {
        let tiles = self.tiles(Layout::T2r4, t2r4::PADDING)?;
        let made = tiles.store(
            store,
            || self.done(),
            |index, tile| {
                let (mut values, mut back) = (vec![0.0; tiles.cols], vec![0.0; tiles.cols]);
                let mut scales = [0.0; TILE_ROWS];
                for (row, scale) in tiles.rows_of(index).zip(&mut scales) {
                    self.read(row, &mut values);
                    let Some(found) = ternary_scale(&values) else { return Ok(None) };
                    *scale = found;
                    put_ternary(tile, row % TILE_ROWS, &values);
                    tiles.read(tile, row, found, &mut back)?;
                    self.prove(row, &values, &back)?;
                }
                Ok(Some(scales))
            },
        )?;
        let Some(scales) = made else { return Ok(None) };
        let scales = scales.into_flattened();
        // A row of zeros fits any scale.
        let mut used = scales.iter().copied().filter(|&s| s != 0.0);
        let scale = used.next().unwrap_or(1.0);
        let row_scales = used.any(|s| s != scale).then_some(scales);
        Ok(Some(Matrix::of(&tiles, scale, row_scales)))
    }

    fn requantized(&self, to: BlockType, notes: &mut Vec<String>, store: &mut Store<'_>) -> Result<Matrix> {
        let tiles = self.tiles(to.layout(), 0)?;
        let losses = tiles.store(
            store,
            || self.done(),
            |index, tile| {
                let (mut values, mut back) = (vec![0.0; tiles.cols], vec![0.0; tiles.cols]);
                let mut loss = Loss::default();
                for row in tiles.rows_of(index) {
                    self.read(row, &mut values);
                    match to {
                        BlockType::Q8_0 => put_all(&tiles, tile, row, &values, q8_0::quantize),
                        BlockType::Q4_0 => put_all(&tiles, tile, row, &values, q4_0::quantize),
                        BlockType::Q6K => put_all(&tiles, tile, row, &values, q6_k::quantize),
                    }?;
                    tiles.read(tile, row, 1.0, &mut back)?;
                    loss.add(&values, &back);
                }
                Ok(Some(loss))
            },
        )?;
        let loss = losses.unwrap_or_default().into_iter().fold(Loss::default(), Loss::with);
        ensure!(
            loss.error.is_finite() && loss.power.is_finite(),
            "{} has values that {} cannot hold (not finite, or too large for its scales)",
            self.tensor.name(),
            to.name()
        );
        let relative = if loss.power > 0.0 { (loss.error / loss.power).sqrt() * 100.0 } else { 0.0 };
        notes.push(format!(
            "{} requantized from {} to {}: error {relative:.3} % of its rms, at most {:.6}",
            self.tensor.name(),
            self.tensor.ty(),
            to.name(),
            loss.worst
        ));
        Ok(Matrix::of(&tiles, 1.0, None))
    }

    /// Compares a row of the file with what the image holds of it.
    fn prove(&self, row: usize, values: &[f32], back: &[f32]) -> Result<()> {
        let differs = |(a, b): (&f32, &f32)| a != b && !(a.is_nan() && b.is_nan());
        // Without an early end, so that it is vectorized.
        let same = values.iter().zip(back).fold(true, |same, pair| same & !differs(pair));
        ensure!(same, "row {row} of {} differs after import: a bug in bitnet-pack", self.tensor.name());
        Ok(())
    }

    /// All values in one vector: norms and biases.
    pub(super) fn vector(&self) -> Result<Vec<f32>> {
        ensure!(
            matches!(self.tensor.ty(), TensorType::F32 | TensorType::F16 | TensorType::BF16),
            "{} has type {}; a vector must be F32, F16 or BF16",
            self.tensor.name(),
            self.tensor.ty()
        );
        let mut all = vec![0.0; self.values.columns() * self.values.count()];
        for (row, values) in all.chunks_exact_mut(self.values.columns()).enumerate() {
            self.read(row, values);
        }
        ensure!(all.iter().all(|v| v.is_finite()), "{} has values that are not finite", self.tensor.name());
        Ok(all)
    }
}

impl Matrix {
    fn of(tiles: &Tiles, scale: f32, row_scales: Option<Vec<f32>>) -> Self {
        Self { layout: tiles.layout, rows: tiles.rows, cols: tiles.cols, len: tiles.len(), scale, row_scales }
    }
}

/// The magnitude that all values have that are not zero, or 0; `None` if they have several, or one that is not finite.
fn ternary_scale(values: &[f32]) -> Option<f32> {
    let scale = values.iter().map(|v| v.abs()).find(|&v| v != 0.0).unwrap_or(0.0);
    // Without an early end within a block, so that it is vectorized.
    let fits = |block: &[f32]| block.iter().fold(true, |fits, v| fits & ((*v == 0.0) | (v.abs() == scale)));
    (scale.is_finite() && values.chunks(1024).all(fits)).then_some(scale)
}

/// Puts the signs of a row into its row tile: plane `p` of byte `i` is column `16 p + i` of each 64.
fn put_ternary(tile: &mut [u8], row: usize, values: &[f32]) {
    let code = |v: f32| 1 + u8::from(v > 0.0) - u8::from(v < 0.0);
    let (blocks, rest) = values.as_chunks::<{ t2r4::TILE_COLUMNS }>();
    for (tile, block) in tile.as_chunks_mut::<{ t2r4::TILE_BYTES }>().0.iter_mut().zip(blocks) {
        let [p0, p1, p2, p3] = [0, 16, 32, 48].map(|at| &block[at..at + 16]);
        for (i, byte) in tile[16 * row..16 * row + 16].iter_mut().enumerate() {
            *byte = code(p0[i]) | code(p1[i]) << 2 | code(p2[i]) << 4 | code(p3[i]) << 6;
        }
    }
    for (i, v) in rest.iter().enumerate() {
        t2r4::set_code(tile, row, values.len() - rest.len() + i, code(*v));
    }
}

/// Quantizes a row into its tile, block by block.
fn put_all<const W: usize, const B: usize>(
    tiles: &Tiles,
    tile: &mut [u8],
    row: usize,
    values: &[f32],
    quantize: impl Fn(&[f32; W]) -> [u8; B],
) -> Result<()> {
    let mut blocks = values.as_chunks().0.iter().enumerate();
    blocks.try_for_each(|(i, weights)| tiles.put(tile, row, i, &quantize(weights)))
}

/// What a requantization changed.
#[derive(Clone, Copy, Default)]
struct Loss {
    /// Sum of squared differences.
    error: f64,
    /// Sum of squared values.
    power: f64,
    /// The largest difference.
    worst: f64,
}

impl Loss {
    fn add(&mut self, values: &[f32], back: &[f32]) {
        for (a, b) in values.iter().zip(back) {
            let d = f64::from(a - b);
            self.error += d * d;
            self.power += f64::from(*a) * f64::from(*a);
            self.worst = self.worst.max(d.abs());
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            error: self.error + other.error,
            power: self.power + other.power,
            worst: self.worst.max(other.worst),
        }
    }
}
