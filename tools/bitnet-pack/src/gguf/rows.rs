//! The values of a tensor, row by row.

use bitnet_edge_kernels::Error as FormatError;
use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
use bitnet_edge_kernels::format::{
    bf16_to_f32, f16_to_f32, q4_0, q4_1, q4_k, q5_0, q5_k, q6_k, q8_0, tq1_0, tq2_0,
};

use super::{GgufError, Tensor, TensorType};

const CODE_3: &str = "it contains the code 3, which stands for no ternary weight";

/// A tensor whose rows can be decoded to f32: its data are checked.
///
/// Decoding gives the values that ggml's reference implementation gives, bit for bit.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    tensor: Tensor<'a>,
    data: &'a [u8],
    columns: usize,
    count: usize,
    /// Present for [`TensorType::I2_S`] only.
    i2_s: Option<I2s<'a>>,
}

impl<'a> Tensor<'a> {
    /// The rows of the tensor, for decoding; `layout` is the byte order of `I2_S` data, which no file states.
    ///
    /// # Errors
    /// [`GgufError::UnsupportedType`] if the type cannot be read, [`GgufError::Data`] if ternary data hold a code
    /// that stands for no weight, or if an `I2_S` tensor has an impossible scale or a shape that `layout` cannot have.
    pub fn rows(&self, layout: I2sLayout) -> Result<Rows<'a>, GgufError> {
        let data = self.data()?;
        // The data are in memory, so their number of elements fits.
        let [columns, count] = [self.columns(), self.row_count()]
            .map(|dim| usize::try_from(dim).map_err(|_| self.damaged("its shape is too large")));
        let (columns, count) = (columns?, count?);
        let i2_s = match self.ty() {
            TensorType::I2_S => Some(I2s::new(data, columns, count, layout).map_err(|error| {
                self.damaged(match error {
                    FormatError::Code => CODE_3,
                    FormatError::Scale => "its scale is infinite or not a number",
                    FormatError::Shape => {
                        "its shape does not fit the byte order: `128` and `64` need columns in multiples of that, \
                         `interleaved` rows in multiples of 4; choose with --i2s-layout"
                    }
                    _ => "its length does not fit its shape",
                })
            })?),
            TensorType::TQ2_0 if !all_ternary(data) => return Err(self.damaged(CODE_3)),
            _ => None,
        };
        Ok(Rows { tensor: *self, data, columns, count, i2_s })
    }

    /// All values of the tensor, row after row; `layout` as for [`rows`](Self::rows).
    ///
    /// # Errors
    /// As `rows`.
    pub fn dequantize(&self, layout: I2sLayout) -> Result<Vec<f32>, GgufError> {
        let rows = self.rows(layout)?;
        // No overflow, as in `rows`; and at most twenty times the bytes that the tensor has in the file.
        let mut values = vec![0.0; rows.columns * rows.count];
        for (index, row) in values.chunks_exact_mut(rows.columns).enumerate() {
            rows.read(index, row);
        }
        Ok(values)
    }

    fn damaged(&self, problem: &'static str) -> GgufError {
        GgufError::Data { tensor: self.name().to_owned(), ty: self.ty(), problem }
    }
}

impl Rows<'_> {
    /// The length of a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// The number of rows.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Decodes row `index` to `out`, which has `columns` elements.
    ///
    /// # Panics
    /// If there is no such row or `out` has another length: those are the caller's to know.
    pub fn read(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.count, "row {index} of {}", self.count);
        assert_eq!(out.len(), self.columns, "the length of a row");
        if let Some(tensor) = &self.i2_s {
            return read_i2_s(tensor, index, out);
        }
        let row_bytes = self.data.len() / self.count;
        let bytes = &self.data[index * row_bytes..(index + 1) * row_bytes];
        match self.tensor.ty() {
            TensorType::F32 => elements(bytes, out, f32::from_le_bytes),
            TensorType::F16 => elements(bytes, out, |bytes| f16_to_f32(u16::from_le_bytes(bytes))),
            TensorType::BF16 => elements(bytes, out, |bytes| bf16_to_f32(u16::from_le_bytes(bytes))),
            TensorType::Q4_0 => blocks(bytes, out, q4_0::dequantize),
            TensorType::Q4_1 => blocks(bytes, out, q4_1::dequantize),
            TensorType::Q5_0 => blocks(bytes, out, q5_0::dequantize),
            TensorType::Q8_0 => blocks(bytes, out, q8_0::dequantize),
            TensorType::Q4_K => blocks(bytes, out, q4_k::dequantize),
            TensorType::Q5_K => blocks(bytes, out, q5_k::dequantize),
            TensorType::Q6_K => blocks(bytes, out, q6_k::dequantize),
            TensorType::TQ1_0 => blocks(bytes, out, tq1_0::dequantize),
            TensorType::TQ2_0 => blocks(bytes, out, tq2_0::dequantize),
            TensorType::I2_S | TensorType::Unsupported(_) => {
                unreachable!("`Tensor::rows` took care of these")
            }
        }
    }
}

fn read_i2_s(tensor: &I2s<'_>, index: usize, out: &mut [f32]) {
    let mut codes = vec![0; out.len()];
    tensor.row(index, &mut codes).expect("the caller checked the row and its length");
    for (value, code) in out.iter_mut().zip(codes) {
        *value = tensor.scale() * f32::from(i16::from(code) - 1);
    }
}

/// Whether no block of `TQ2_0` data holds the code 3.
fn all_ternary(data: &[u8]) -> bool {
    let mut codes = [0; tq2_0::BLOCK_WEIGHTS];
    data.as_chunks().0.iter().all(|block| tq2_0::codes(block, &mut codes))
}

/// Decodes elements of `N` bytes.
fn elements<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (bytes, value) in bytes.as_chunks().0.iter().zip(out) {
        *value = decode(*bytes);
    }
}

/// Decodes blocks of `BYTES` bytes, `WEIGHTS` weights each.
fn blocks<const BYTES: usize, const WEIGHTS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    dequantize: impl Fn(&[u8; BYTES], &mut [f32; WEIGHTS]),
) {
    for (block, out) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        dequantize(block, out);
    }
}
