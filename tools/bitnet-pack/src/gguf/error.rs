//! What can be wrong with a GGUF file.

use std::fmt;

use super::TensorType;

/// Why a GGUF file, or a part of it, was refused. The text says what was found, what was needed, and what to
/// do where there is something to do.
///
/// Names from the file are escaped: a hostile one cannot write control characters to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GgufError {
    /// The file does not begin with `GGUF`.
    NotGguf {
        /// Its first bytes, up to four.
        found: Vec<u8>,
    },
    /// The file is GGUF in big-endian byte order.
    BigEndian,
    /// A version other than 2 and 3.
    Version(u32),
    /// The file ends before `what` does.
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it begins, in bytes from the start of the file.
        offset: usize,
        /// How many bytes it needs, as the file declares.
        need: u64,
        /// How many are left.
        have: usize,
    },
    /// More items are declared than the rest of the file could hold.
    Count {
        /// The items.
        what: &'static str,
        /// Where their number stands, in bytes from the start of the file.
        offset: usize,
        /// The number declared.
        count: u64,
        /// The largest number for which there is room.
        room: usize,
    },
    /// A key or a tensor name is not UTF-8.
    NameNotUtf8 {
        /// Where it stands, in bytes from the start of the file.
        offset: usize,
    },
    /// A key or a tensor name occurs twice.
    Duplicate {
        /// `key` or `tensor`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A metadata value has a type that GGUF does not define.
    ValueType {
        /// The key.
        key: String,
        /// The type's number.
        id: u32,
    },
    /// A metadata bool is neither 0 nor 1.
    Bool {
        /// The key.
        key: String,
        /// The byte found.
        found: u8,
    },
    /// A metadata array contains arrays deeper than [`MAX_ARRAY_DEPTH`](super::MAX_ARRAY_DEPTH).
    ArrayDepth {
        /// The key.
        key: String,
    },
    /// `general.alignment` is not a power of two, or is too large.
    Alignment(u32),
    /// A tensor has no dimensions or more than four.
    DimensionCount {
        /// The tensor.
        tensor: String,
        /// Its number of dimensions.
        found: u32,
    },
    /// A tensor has a dimension of zero, or so many elements that they cannot be counted.
    Shape {
        /// The tensor.
        tensor: String,
        /// Its dimensions, the contiguous one first.
        dims: Vec<u64>,
    },
    /// A tensor's rows are not a whole number of blocks.
    RowLength {
        /// The tensor.
        tensor: String,
        /// Its type.
        ty: TensorType,
        /// The elements that must go together.
        unit: u64,
        /// Its dimensions, the contiguous one first.
        dims: Vec<u64>,
    },
    /// A tensor's offset is not a multiple of the alignment.
    OffsetAlignment {
        /// The tensor.
        tensor: String,
        /// Its offset in the tensor data.
        offset: u64,
        /// The file's alignment.
        alignment: usize,
    },
    /// A tensor does not lie inside the file.
    OutOfFile {
        /// The tensor.
        tensor: String,
        /// Its offset in the tensor data.
        offset: u64,
        /// Its length; 0 if its type is unknown.
        bytes: u64,
        /// The length of the tensor data in the file.
        have: usize,
    },
    /// Two tensors share bytes.
    Overlap {
        /// The tensor that begins first.
        first: String,
        /// The other one.
        second: String,
    },
    /// A tensor has a type that cannot be read.
    UnsupportedType {
        /// The tensor.
        tensor: String,
        /// Its type.
        ty: TensorType,
    },
    /// A tensor's data cannot be what its type says.
    Data {
        /// The tensor.
        tensor: String,
        /// Its type.
        ty: TensorType,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A metadata entry that is needed is missing.
    Missing {
        /// The key.
        key: String,
    },
    /// A metadata entry has another type, or a value out of range.
    WrongType {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        needed: String,
    },
}

impl std::error::Error for GgufError {}

impl fmt::Display for GgufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGguf { found } => {
                write!(f, "not a GGUF file: it begins with \"{}\", not with \"GGUF\"", found.escape_ascii())
            }
            Self::BigEndian => f.write_str(
                "the file is a big-endian GGUF; only little-endian ones can be read (gguf_convert_endian.py of \
                 llama.cpp converts it)",
            ),
            Self::Version(1) => f.write_str(
                "the file is GGUF version 1; versions 2 and 3 can be read: convert the model again with a current \
                 tool",
            ),
            Self::Version(found) => {
                write!(f, "the file is GGUF version {found}; versions 2 and 3 can be read")
            }
            Self::Truncated { what, offset, need, have } => write!(
                f,
                "the file is cut short or damaged: {what} at byte {offset} needs {need} bytes, and {have} are left"
            ),
            Self::Count { what, offset, count, room } => write!(
                f,
                "the file is cut short or damaged: byte {offset} declares {count} {what}, and there is room for at \
                 most {room}"
            ),
            Self::NameNotUtf8 { offset } => write!(f, "the name at byte {offset} is not UTF-8"),
            Self::Duplicate { what, name } => {
                write!(f, "the {what} `{}` occurs twice", name.escape_debug())
            }
            Self::Alignment(found) => write!(
                f,
                "general.alignment is {found}; it must be a power of two, at most {}",
                super::MAX_ALIGNMENT
            ),
            Self::ValueType { .. }
            | Self::Bool { .. }
            | Self::ArrayDepth { .. }
            | Self::Missing { .. }
            | Self::WrongType { .. } => self.fmt_metadata(f),
            _ => self.fmt_tensor(f),
        }
    }
}

impl GgufError {
    /// Formats the errors of one metadata entry.
    fn fmt_metadata(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueType { key, id } => {
                write!(f, "metadata `{}` has the value type {id}; GGUF defines 0 to 12", key.escape_debug())
            }
            Self::Bool { key, found } => {
                write!(f, "metadata `{}` is a bool of value {found}; it must be 0 or 1", key.escape_debug())
            }
            Self::ArrayDepth { key } => write!(
                f,
                "metadata `{}` nests arrays more than {} deep",
                key.escape_debug(),
                super::MAX_ARRAY_DEPTH
            ),
            Self::Missing { key } => write!(f, "the file has no metadata `{}`", key.escape_debug()),
            Self::WrongType { key, found, needed } => {
                write!(f, "metadata `{}` is {found}; it must be {needed}", key.escape_debug())
            }
            _ => Ok(()),
        }
    }

    /// Formats the errors of one tensor.
    fn fmt_tensor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DimensionCount { tensor, found } => {
                write!(f, "tensor `{}` has {found} dimensions; it must have 1 to 4", tensor.escape_debug())
            }
            Self::Shape { tensor, dims } => write!(
                f,
                "tensor `{}` has the impossible shape {dims:?}: a dimension is zero or the product too large",
                tensor.escape_debug()
            ),
            Self::RowLength { tensor, ty, unit, dims } => write!(
                f,
                "tensor `{}` of shape {dims:?} cannot be of type {ty}, which packs {unit} elements together",
                tensor.escape_debug()
            ),
            Self::OffsetAlignment { tensor, offset, alignment } => write!(
                f,
                "tensor `{}` begins at offset {offset}, which is no multiple of the file's alignment {alignment}",
                tensor.escape_debug()
            ),
            Self::OutOfFile { tensor, offset, bytes, have } => write!(
                f,
                "the file is cut short or damaged: tensor `{}` has {bytes} bytes at offset {offset} of the tensor \
                 data, of which {have} bytes are there",
                tensor.escape_debug()
            ),
            Self::Overlap { first, second } => write!(
                f,
                "tensors `{}` and `{}` share bytes of the file",
                first.escape_debug(),
                second.escape_debug()
            ),
            Self::UnsupportedType { tensor, ty } => write!(
                f,
                "tensor `{}` has type {ty}, which cannot be read; the types that can are {}",
                tensor.escape_debug(),
                TensorType::supported_names()
            ),
            Self::Data { tensor, ty, problem } => {
                write!(f, "tensor `{}` of type {ty} is damaged: {problem}", tensor.escape_debug())
            }
            _ => Ok(()),
        }
    }
}
