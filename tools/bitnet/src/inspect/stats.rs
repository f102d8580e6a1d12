//! The statistics of a tensor.

use bitnet_edge_core::image::{Data, Tensor as ImageTensor};
use bitnet_edge_kernels::format::{f16_to_f32, i2_s, tq1_0, tq2_0};
use bitnet_edge_kernels::tile::{Layout, TILE_ROWS};
use bitnet_pack::gguf::{Tensor as GgufTensor, TensorType};
use serde::Serialize;

use super::role::Kind;

/// How weights are stored, whatever the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Class {
    /// -1, 0 and 1 times a scale.
    Ternary,
    /// Blocks with scales.
    Block,
    /// f32, f16, bf16.
    Float,
    /// Not known.
    Unknown,
}

impl Class {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ternary => "ternary",
            Self::Block => "block",
            Self::Float => "float",
            Self::Unknown => "unknown",
        }
    }

    pub(super) const fn of_gguf(ty: TensorType) -> Self {
        match ty {
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => Self::Float,
            TensorType::I2_S | TensorType::TQ1_0 | TensorType::TQ2_0 => Self::Ternary,
            TensorType::Unsupported(_) => Self::Unknown,
            _ => Self::Block,
        }
    }

    pub(super) const fn of_layout(layout: Layout) -> Self {
        match layout {
            Layout::T2r4 => Self::Ternary,
            Layout::F32 | Layout::F16 | Layout::Bf16 => Self::Float,
            _ => Self::Block,
        }
    }
}

/// The scales of a ternary tensor. Both are NaN if one is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Scale {
    /// The smallest.
    pub(super) min: f64,
    /// The largest.
    pub(super) max: f64,
}

/// What is known of a tensor.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stats {
    /// As the file calls it.
    pub(super) name: String,
    /// As the runtime calls it.
    pub(super) role: String,
    pub(super) kind: Kind,
    #[serde(rename = "type")]
    pub(super) ty: String,
    pub(super) class: Class,
    pub(super) rows: u64,
    pub(super) columns: u64,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
}

/// The numbers of a tensor, or why there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Numbers {
    /// The root of the mean of the squares of all weights.
    pub(super) rms: Option<f64>,
    /// The share of weights that are 0, of ternary ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zeros: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scale: Option<Scale>,
    /// Why the tensor cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

impl Numbers {
    fn problem(text: impl ToString) -> Self {
        Self { problem: Some(text.to_string()), ..Self::default() }
    }
}

/// Sums over the rows of a tensor.
#[derive(Default)]
struct Sums {
    weights: u64,
    zeros: u64,
    squares: f64,
    scale: Option<Scale>,
}

impl Sums {
    /// Adds float weights.
    fn add(&mut self, values: &[f32]) {
        self.weights += values.len() as u64;
        self.squares += values.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
    }

    /// Adds ternary weights, of which `zeros` are 0, and their scale.
    fn add_ternary(&mut self, weights: u64, zeros: u64, scale: f32) {
        let scale = f64::from(scale);
        self.weights += weights;
        self.zeros += zeros;
        self.squares += scale * scale * (weights - zeros) as f64;
        let before = self.scale.unwrap_or(Scale { min: scale, max: scale });
        self.scale = Some(if scale.is_nan() || before.min.is_nan() {
            Scale { min: f64::NAN, max: f64::NAN }
        } else {
            Scale { min: before.min.min(scale), max: before.max.max(scale) }
        });
    }

    fn numbers(&self) -> Numbers {
        let weights = self.weights as f64;
        Numbers {
            rms: Some((self.squares / weights).sqrt()),
            zeros: self.scale.map(|_| self.zeros as f64 / weights),
            scale: self.scale,
            problem: None,
        }
    }
}

/// The numbers of a tensor of a GGUF file.
pub(super) fn of_gguf(tensor: &GgufTensor<'_>) -> Numbers {
    match tensor.ty() {
        TensorType::I2_S => of_i2_s(tensor),
        TensorType::TQ1_0 => of_blocks(tensor, |block, codes| {
            tq1_0::codes(block, codes);
            Some(tq1_0::scale(block))
        }),
        TensorType::TQ2_0 => {
            of_blocks(tensor, |block, codes| tq2_0::codes(block, codes).then(|| tq2_0::scale(block)))
        }
        _ => of_rows(tensor),
    }
}

const CODE_3: &str = "it contains the code 3, which stands for no ternary weight";

/// Of `I2_S` the byte order does not matter, and a scale that cannot be is what is looked for: no [`Rows`] here.
///
/// [`Rows`]: bitnet_pack::gguf::Rows
fn of_i2_s(tensor: &GgufTensor<'_>) -> Numbers {
    let data = match tensor.data() {
        Ok(data) => data,
        Err(error) => return Numbers::problem(error),
    };
    let Some((codes, [b0, b1, b2, b3, ..])) = data.split_last_chunk::<{ i2_s::TAIL_BYTES }>() else {
        return Numbers::problem("it has no scale");
    };
    let mut counts = [0_u64; 256];
    for &byte in codes {
        counts[usize::from(byte)] += 1;
    }
    let with_code = |code: u8| -> u64 {
        let fields = |byte: u8| (0..4).filter(|field| byte >> (2 * field) & 3 == code).count() as u64;
        (0..=255).zip(counts).map(|(byte, count)| fields(byte) * count).sum()
    };
    if with_code(3) > 0 {
        return Numbers::problem(CODE_3);
    }
    let mut sums = Sums::default();
    sums.add_ternary(4 * codes.len() as u64, with_code(1), f32::from_le_bytes([*b0, *b1, *b2, *b3]));
    sums.numbers()
}

/// Of ternary blocks with a scale each; `read` gives a block's codes and scale, or `None` if a code is 3.
fn of_blocks<const BYTES: usize, const WEIGHTS: usize>(
    tensor: &GgufTensor<'_>,
    read: impl Fn(&[u8; BYTES], &mut [u8; WEIGHTS]) -> Option<u16>,
) -> Numbers {
    let data = match tensor.data() {
        Ok(data) => data,
        Err(error) => return Numbers::problem(error),
    };
    let (mut sums, mut codes) = (Sums::default(), [0; WEIGHTS]);
    for block in data.as_chunks::<BYTES>().0 {
        let Some(scale) = read(block, &mut codes).map(f16_to_f32) else { return Numbers::problem(CODE_3) };
        let zeros = codes.iter().filter(|&&code| code == 1).count();
        sums.add_ternary(WEIGHTS as u64, zeros as u64, scale);
    }
    sums.numbers()
}

fn of_rows(tensor: &GgufTensor<'_>) -> Numbers {
    let rows = match tensor.rows(i2_s::I2sLayout::default()) {
        Ok(rows) => rows,
        Err(error) => return Numbers::problem(error),
    };
    let (mut sums, mut row) = (Sums::default(), vec![0.0; rows.columns()]);
    for index in 0..rows.count() {
        rows.read(index, &mut row);
        sums.add(&row);
    }
    sums.numbers()
}

/// The numbers of a tensor of a flash image; padding does not count.
pub(super) fn of_image(tensor: &ImageTensor<'_>) -> Numbers {
    let mut sums = Sums::default();
    match tensor.data {
        Data::Vector(values) => sums.add(values),
        Data::Matrix { layout, row_tile_bytes, tiles, scale } => {
            let mut row = vec![0.0; tensor.cols as usize];
            for index in 0..tensor.rows as usize {
                let at = index / TILE_ROWS * row_tile_bytes;
                let Some(tile) = tiles.get(at..at + row_tile_bytes) else {
                    return Numbers::problem("it ends too early");
                };
                if let Err(error) = layout.dequantize_row(tile, index % TILE_ROWS, 1.0, &mut row) {
                    return Numbers::problem(error);
                }
                if layout == Layout::T2r4 {
                    // The code 3 would be 2 here.
                    if row.contains(&2.0) {
                        return Numbers::problem(CODE_3);
                    }
                    let zeros = row.iter().filter(|&&weight| weight == 0.0).count();
                    sums.add_ternary(row.len() as u64, zeros as u64, scale.row(index));
                } else {
                    sums.add(&row);
                }
            }
        }
    }
    sums.numbers()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_ternary_weights() {
        let mut sums = Sums::default();
        sums.add_ternary(4, 1, 0.5);
        sums.add_ternary(4, 4, 2.0);
        let numbers = sums.numbers();
        assert_eq!(numbers.zeros, Some(5.0 / 8.0));
        assert_eq!(numbers.rms, Some((3.0 * 0.25 / 8.0_f64).sqrt()));
        assert_eq!(numbers.scale, Some(Scale { min: 0.5, max: 2.0 }));
        sums.add_ternary(4, 0, f32::NAN);
        sums.add_ternary(4, 0, 1.0);
        let numbers = sums.numbers();
        assert!(numbers.scale.unwrap().min.is_nan() && numbers.rms.unwrap().is_nan());
    }

    #[test]
    fn the_numbers_of_floats() {
        let mut sums = Sums::default();
        sums.add(&[3.0, -4.0]);
        assert_eq!(sums.numbers(), Numbers { rms: Some(12.5_f64.sqrt()), ..Numbers::default() });
        sums.add(&[f32::INFINITY]);
        assert_eq!(sums.numbers().rms, Some(f64::INFINITY));
    }
}
