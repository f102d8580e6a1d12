//! Why a board cannot go on.

use core::fmt;

/// What stops a board for good. What is wrong with one prompt is said and the next one is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The model, the plan, or the arena: `need` and `have` are in the text.
    Model(bitnet_edge_core::Error),
    /// The model has no tokenizer: what is typed cannot be turned into tokens.
    NoTokenizer,
    /// No kernels of this board, the scalar definition included, do what the definition says: the processor or its memory
    /// is broken, or set up wrongly.
    SelfTest,
    /// A core takes subnormal floats for zero (FPCR, FPSCR), so that its results would not be those of other machines.
    FlushesSubnormals,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::NoTokenizer => f.write_str("the model has no tokenizer, which a prompt needs"),
            Self::SelfTest => f.write_str(
                "no backend of this board computes what the definition says: nothing can be trusted here",
            ),
            Self::FlushesSubnormals => f.write_str(
                "a core flushes subnormal floats to zero: the boot code must clear FPCR on every core",
            ),
        }
    }
}

impl core::error::Error for Error {}

impl From<bitnet_edge_core::Error> for Error {
    fn from(error: bitnet_edge_core::Error) -> Self {
        Self::Model(error)
    }
}
