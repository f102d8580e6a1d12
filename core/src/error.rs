//! Everything the runtime can refuse.

use core::fmt;

use crate::image::TensorId;

/// Why an image, a plan, a prompt or a step was refused.
///
/// Every variant carries what was found and what was needed; [`Display`](fmt::Display) is one line for a person.
///
/// ```
/// use bitnet_edge_core::Error;
/// let e = Error::ArenaTooSmall { need: 4096, have: 64 };
/// assert_eq!(e.to_string(), "the arena has 64 bytes and the memory plan needs 4096");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a flash image.
    NotAnImage,
    /// The image ends early, or its length field is wrong.
    ImageTruncated {
        /// Bytes that the image says it has.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// The image's first byte is not at a multiple of 64.
    ImageMisaligned,
    /// The image was written for another major version.
    ImageVersion {
        /// Major version of the image.
        found: u16,
        /// Major version of this reader.
        supported: u16,
    },
    /// The image was made for another version of the arithmetic contract.
    ArithmeticVersion {
        /// Version of the image.
        found: u32,
        /// Version of this runtime.
        supported: u32,
    },
    /// The checksum of header and section table is wrong, or a field has a value that no writer gives it.
    ImageDamaged(&'static str),
    /// A section, named here, is not what its checksums in the section table say.
    SectionDamaged(&'static str),
    /// A section that every image has is missing.
    SectionMissing(&'static str),
    /// A section has an encoding that this reader does not know.
    SectionEncoding {
        /// Kind of the section.
        kind: u32,
        /// Its encoding.
        encoding: u16,
    },
    /// A tensor has a layout that this reader does not know, or a vector's where a matrix is needed or the reverse.
    UnknownLayout {
        /// Index in the tensor table.
        tensor: u32,
        /// The layout's id.
        layout: u16,
    },
    /// A tensor that every model has is missing.
    TensorMissing {
        /// Index in the tensor table.
        tensor: u32,
    },
    /// A tensor's shape does not fit the configuration.
    TensorShape {
        /// Index in the tensor table.
        tensor: u32,
        /// Rows (1 for a vector) and columns of the tensor.
        found: (u32, u32),
        /// Rows and columns that the configuration needs.
        need: (u32, u32),
    },
    /// The tokenizer has more tokens than the embedding has rows.
    Vocabulary {
        /// Tokens of the tokenizer.
        tokens: u32,
        /// Rows of embedding and head.
        rows: u32,
    },
    /// A ternary matrix holds the code 3, which stands for no weight.
    TernaryCode {
        /// Index in the tensor table.
        tensor: u32,
    },
    /// The memory plan does not fit the address space.
    PlanTooLarge,
    /// An option of a plan or of a generation is out of its bounds, which are named here.
    PlanOption(&'static str),
    /// An option, named here, that this build of the runtime leaves out: it needs the feature `full`.
    LeftOut(&'static str),
    /// The arena is smaller than the memory plan.
    ArenaTooSmall {
        /// Bytes of the plan.
        need: usize,
        /// Bytes of the arena.
        have: usize,
    },
    /// The prompt or the text does not fit what is left of the context.
    ContextFull {
        /// Positions that would be needed.
        need: u32,
        /// Positions of the plan.
        have: u32,
    },
    /// A prompt has no token.
    EmptyPrompt,
    /// A token id is not in the vocabulary.
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Tokens of the vocabulary.
        vocab: u32,
    },
    /// Something was asked for out of order, named here.
    Order(&'static str),
    /// A kernel refused its operands: NaN in the numbers, or a slot that does not fit.
    Kernel(bitnet_edge_kernels::Error),
    /// A string cannot be chosen.
    Choice {
        /// Its place among the strings to choose from.
        index: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The tokenizer or chat template refused its tables or its text.
    Text(crate::text::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotAnImage => {
                f.write_str("not a flash image (its first bytes are not \\x89BPK\\r\\n\\x1a\\n)")
            }
            Self::ImageTruncated { need, have } if have < need => {
                write!(f, "the image is truncated: it has {have} bytes and needs {need}")
            }
            Self::ImageTruncated { need, have } => {
                write!(f, "the image has {have} bytes and says that it has {need}")
            }
            Self::ImageMisaligned => {
                f.write_str("the image must start at an address that is a multiple of 64")
            }
            Self::ImageVersion { found, supported } => write!(
                f,
                "the image has major version {found} and this reader supports {supported}: convert the model again"
            ),
            Self::ArithmeticVersion { found, supported } => write!(
                f,
                "the image was made for version {found} of the arithmetic and this runtime has {supported}: \
                 convert the model again"
            ),
            Self::ImageDamaged(what) => write!(f, "the image is damaged: {what}"),
            Self::SectionDamaged(name) => {
                write!(f, "the image is damaged: its {name} section does not have the checksums of the table")
            }
            Self::SectionMissing(name) => write!(f, "the image has no {name} section"),
            Self::SectionEncoding { kind, encoding } => {
                write!(f, "section kind {kind} has encoding {encoding}, which this reader does not know")
            }
            Self::UnknownLayout { tensor, layout } => {
                let tensor = TensorId(tensor);
                write!(f, "tensor {tensor} has layout {layout}, which this reader does not take there")
            }
            Self::TensorMissing { tensor } => write!(f, "the image has no tensor {}", TensorId(tensor)),
            Self::TensorShape { tensor, found: (rows, cols), need: (r, n) } => {
                let tensor = TensorId(tensor);
                write!(f, "tensor {tensor} has {rows} rows of {cols}; the configuration needs {r} of {n}")
            }
            Self::Vocabulary { tokens, rows } => {
                write!(f, "the tokenizer has {tokens} tokens and the embedding only {rows} rows")
            }
            Self::TernaryCode { tensor } => {
                write!(f, "tensor {} holds the code 3, which stands for no ternary weight", TensorId(tensor))
            }
            Self::PlanTooLarge => f.write_str("the memory plan does not fit the address space"),
            Self::PlanOption(what) => write!(f, "an option is out of bounds: {what}"),
            Self::LeftOut(what) => write!(f, "this build leaves out {what} (the feature `full`)"),
            Self::ArenaTooSmall { need, have } => {
                write!(f, "the arena has {have} bytes and the memory plan needs {need}")
            }
            Self::ContextFull { need, have } => {
                write!(f, "the context is full: {need} positions are needed and it has {have}")
            }
            Self::EmptyPrompt => f.write_str("the prompt has no token"),
            Self::TokenOutOfRange { id, vocab } => {
                write!(f, "token {id} is not in the vocabulary of {vocab} tokens")
            }
            Self::Order(what) => write!(f, "called out of order: {what}"),
            Self::Choice { index, what } => {
                write!(f, "choice {} cannot be chosen: {what}", index.saturating_add(1))
            }
            Self::Kernel(e) => e.fmt(f),
            Self::Text(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl From<bitnet_edge_kernels::Error> for Error {
    fn from(e: bitnet_edge_kernels::Error) -> Self {
        Self::Kernel(e)
    }
}

impl From<crate::text::Error> for Error {
    fn from(e: crate::text::Error) -> Self {
        Self::Text(e)
    }
}
