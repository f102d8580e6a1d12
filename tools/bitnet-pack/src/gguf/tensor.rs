//! Tensors: their types, descriptions, and places in the file.

use std::fmt;

use bitnet_edge_kernels::format::{i2_s, q4_0, q4_1, q4_k, q5_0, q5_k, q6_k, q8_0, tq1_0, tq2_0};

use super::GgufError;
use super::cursor::Cursor;

/// The type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, non_camel_case_types)]
pub enum TensorType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
    BF16,
    TQ1_0,
    TQ2_0,
    I2_S,
    /// A type that cannot be read, by its number in the file.
    Unsupported(u32),
}

/// How many bytes a tensor takes.
enum Size {
    /// Rows are whole blocks of so many elements, in so many bytes.
    Blocks(u64, u64),
    /// Four elements in a byte, and a tail.
    I2S,
    /// Not known.
    Unknown,
}

impl TensorType {
    /// Every type that can be read.
    pub const SUPPORTED: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q8_0,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::TQ1_0,
        Self::TQ2_0,
        Self::I2_S,
    ];

    /// The type of that number.
    #[must_use]
    pub const fn from_id(id: u32) -> Self {
        match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            8 => Self::Q8_0,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            30 => Self::BF16,
            34 => Self::TQ1_0,
            35 => Self::TQ2_0,
            36 => Self::I2_S,
            _ => Self::Unsupported(id),
        }
    }

    /// The name that the engines use for the type; for a number that means different things to different
    /// engines, all of them; for an unknown number, none.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q8_0 => "Q8_0",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
            Self::BF16 => "BF16",
            Self::TQ1_0 => "TQ1_0",
            Self::TQ2_0 => "TQ2_0",
            Self::I2_S => "I2_S",
            Self::Unsupported(id) => return unsupported_name(id),
        })
    }

    /// Whether tensors of this type can be read.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        !matches!(self, Self::Unsupported(_))
    }

    /// The names of the types that can be read, for a message.
    pub(super) fn supported_names() -> String {
        Self::SUPPORTED.map(|ty| ty.name().unwrap_or_default()).join(", ")
    }

    const fn size(self) -> Size {
        let (weights, bytes) = match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (q4_0::BLOCK_WEIGHTS, q4_0::BLOCK_BYTES),
            Self::Q4_1 => (q4_1::BLOCK_WEIGHTS, q4_1::BLOCK_BYTES),
            Self::Q5_0 => (q5_0::BLOCK_WEIGHTS, q5_0::BLOCK_BYTES),
            Self::Q8_0 => (q8_0::BLOCK_WEIGHTS, q8_0::BLOCK_BYTES),
            Self::Q4_K => (q4_k::BLOCK_WEIGHTS, q4_k::BLOCK_BYTES),
            Self::Q5_K => (q5_k::BLOCK_WEIGHTS, q5_k::BLOCK_BYTES),
            Self::Q6_K => (q6_k::BLOCK_WEIGHTS, q6_k::BLOCK_BYTES),
            Self::TQ1_0 => (tq1_0::BLOCK_WEIGHTS, tq1_0::BLOCK_BYTES),
            Self::TQ2_0 => (tq2_0::BLOCK_WEIGHTS, tq2_0::BLOCK_BYTES),
            Self::I2_S => return Size::I2S,
            Self::Unsupported(_) => return Size::Unknown,
        };
        Size::Blocks(weights as u64, bytes as u64)
    }
}

/// What the types that cannot be read are called. bitnet.cpp gave numbers to types that llama.cpp later used,
/// or had used and removed.
const fn unsupported_name(id: u32) -> Option<&'static str> {
    Some(match id {
        4 => "Q4_2",
        5 => "Q4_3",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        37 => "IQ4_NL_4_8",
        38 => "TL1 of bitnet.cpp, IQ4_NL_8_8 of llama.cpp",
        39 => "TL2 of bitnet.cpp, MXFP4 of llama.cpp",
        40 => "NVFP4",
        41 => "Q1_0",
        42 => "Q2_0",
        134 => "IQ1_BN",
        135 => "IQ2_BN",
        335 => "IQ2_BN_R4",
        _ => return None,
    })
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.name()) {
            (Self::Unsupported(id), Some(name)) => write!(f, "{id} ({name})"),
            (Self::Unsupported(id), None) => write!(f, "{id} (unknown)"),
            (_, name) => f.pad(name.unwrap_or_default()),
        }
    }
}

/// A tensor of the file.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    name: &'a str,
    ty: TensorType,
    dims: [u64; 4],
    dim_count: usize,
    /// `None` if the type is unsupported: then the length is not known.
    data: Option<&'a [u8]>,
}

impl<'a> Tensor<'a> {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The type.
    #[must_use]
    pub const fn ty(&self) -> TensorType {
        self.ty
    }

    /// The dimensions, 1 to 4 of them, none of them zero; the contiguous one first.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        self.dims.get(..self.dim_count).unwrap_or(&self.dims)
    }

    /// The elements of the first, contiguous dimension: the length of a row.
    #[must_use]
    pub const fn columns(&self) -> u64 {
        let [columns, ..] = self.dims;
        columns
    }

    /// The product of all other dimensions.
    #[must_use]
    pub const fn row_count(&self) -> u64 {
        let [_, rows, planes, volumes] = self.dims;
        // No overflow: the product with the columns was checked when the file was opened.
        rows * planes * volumes
    }

    /// The bytes of the tensor.
    ///
    /// # Errors
    /// [`GgufError::UnsupportedType`] if the type cannot be read.
    pub fn data(&self) -> Result<&'a [u8], GgufError> {
        self.data.ok_or_else(|| GgufError::UnsupportedType { tensor: self.name.to_owned(), ty: self.ty })
    }
}

/// A tensor's description as it stands in the file, its shape checked.
pub(super) struct Info<'a> {
    pub(super) name: &'a str,
    ty: TensorType,
    dims: [u64; 4],
    dim_count: usize,
    /// From the start of the tensor data.
    offset: u64,
    /// 0 if the type is unsupported.
    bytes: u64,
}

impl<'a> Info<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, GgufError> {
        let name = cursor.name("a tensor name")?;
        let found = cursor.u32("a number of dimensions")?;
        // Dimensions that the file leaves out are 1.
        let mut dims = [1; 4];
        let Ok(dim_count @ 1..=4) = usize::try_from(found) else {
            return Err(GgufError::DimensionCount { tensor: name.to_owned(), found });
        };
        for dim in dims.iter_mut().take(dim_count) {
            *dim = cursor.u64("a dimension")?;
        }
        let ty = TensorType::from_id(cursor.u32("a tensor type")?);
        let offset = cursor.u64("a tensor offset")?;

        let mut info = Self { name, ty, dims, dim_count, offset, bytes: 0 };
        info.bytes = info.checked_bytes()?;
        Ok(info)
    }

    /// The length of the data that the type and the shape need.
    fn checked_bytes(&self) -> Result<u64, GgufError> {
        let shape = || GgufError::Shape { tensor: self.name.to_owned(), dims: self.declared_dims() };
        let row_length = |unit| GgufError::RowLength {
            tensor: self.name.to_owned(),
            ty: self.ty,
            unit,
            dims: self.declared_dims(),
        };
        let elements = self.dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
        let elements = elements.filter(|&elements| elements != 0).ok_or_else(shape)?;
        match self.ty.size() {
            Size::Blocks(weights, _) if !self.dims[0].is_multiple_of(weights) => Err(row_length(weights)),
            // Rows are whole blocks, so the elements are too.
            Size::Blocks(weights, bytes) => (elements / weights).checked_mul(bytes).ok_or_else(shape),
            Size::I2S if !elements.is_multiple_of(4) => Err(row_length(4)),
            Size::I2S => Ok(elements / 4 + i2_s::TAIL_BYTES as u64),
            Size::Unknown => Ok(0),
        }
    }

    fn declared_dims(&self) -> Vec<u64> {
        self.dims.iter().copied().take(self.dim_count).collect()
    }

    /// The data in `section`, checked.
    fn data(&self, section: &'a [u8], alignment: usize) -> Result<&'a [u8], GgufError> {
        if !self.offset.is_multiple_of(alignment as u64) {
            return Err(GgufError::OffsetAlignment {
                tensor: self.name.to_owned(),
                offset: self.offset,
                alignment,
            });
        }
        let end = self.offset.checked_add(self.bytes);
        let range = end.and_then(|end| Some(usize::try_from(self.offset).ok()?..usize::try_from(end).ok()?));
        range.and_then(|range| section.get(range)).ok_or_else(|| GgufError::OutOfFile {
            tensor: self.name.to_owned(),
            offset: self.offset,
            bytes: self.bytes,
            have: section.len(),
        })
    }
}

/// Finds the data of each tensor in `section`, the tensor data of the file, and checks that none overlap.
pub(super) fn place<'a>(
    infos: Vec<Info<'a>>,
    section: &'a [u8],
    alignment: usize,
) -> Result<Vec<Tensor<'a>>, GgufError> {
    let mut tensors = Vec::with_capacity(infos.len());
    for info in &infos {
        let data = info.data(section, alignment)?;
        tensors.push(Tensor {
            name: info.name,
            ty: info.ty,
            dims: info.dims,
            dim_count: info.dim_count,
            data: info.ty.is_supported().then_some(data),
        });
    }

    // In the order of their offsets, each must end where the next begins or before. A tensor of unknown
    // length has at least one byte.
    let mut sorted: Vec<_> = infos.iter().collect();
    sorted.sort_by_key(|info| info.offset);
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        // No overflow: both lie in the file.
        if first.offset + first.bytes.max(1) > second.offset {
            return Err(GgufError::Overlap { first: first.name.to_owned(), second: second.name.to_owned() });
        }
    }
    Ok(tensors)
}
