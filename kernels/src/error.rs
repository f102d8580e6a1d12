//! What can be wrong with the operands of a kernel.

use core::fmt;

/// Why an operand was refused. The text says which property failed; the caller knows which tensor it was.
///
/// ```
/// use bitnet_edge_kernels::Error;
/// assert_eq!(Error::Length.to_string(), "the data does not have the length that its shape needs");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// A value was NaN or infinite. The model or its image is damaged, or its numbers do not fit f32.
    NonFinite,
    /// Slices of one call do not fit each other: a caller's mistake, named by the operand.
    Operand(&'static str),
    /// A dimension is zero, too large, or not a multiple of what the format packs together.
    Shape,
    /// The data, or the space for a result, is not as long as the shape needs.
    Length,
    /// A 2-bit code is 3, which stands for no ternary weight.
    Code,
    /// A scale is infinite or not a number.
    Scale,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonFinite => "a value is NaN or infinite (damaged weights?)",
            Self::Operand(what) => return write!(f, "operand does not fit the call: {what}"),
            Self::Shape => {
                "a dimension is zero, too large, or not a multiple of what the format packs together"
            }
            Self::Length => "the data does not have the length that its shape needs",
            Self::Code => "a 2-bit code is 3, which stands for no ternary weight",
            Self::Scale => "a scale is infinite or not a number",
        })
    }
}

impl core::error::Error for Error {}
