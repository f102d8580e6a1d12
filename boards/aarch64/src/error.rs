//! Why a board has nothing to run.

use core::fmt;

/// Why there is nothing to run: what a board's `main` prints.
///
/// ```
/// use bitnet_edge_board_aarch64::Error;
/// fn start(tree: Option<&str>) -> Result<(), Error> {
///     tree.ok_or("there is no device tree")?;
///     Err(bitnet_edge_board::Error::SelfTest)?
/// }
/// assert_eq!(start(None).unwrap_err().to_string(), "there is no device tree");
/// assert_eq!(start(Some("")).unwrap_err().to_string(), bitnet_edge_board::Error::SelfTest.to_string());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The machine is not as it must be: what is missing.
    Machine(&'static str),
    /// What every board can say.
    Board(bitnet_edge_board::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(what) => f.write_str(what),
            Self::Board(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Machine(_) => None,
            Self::Board(error) => Some(error),
        }
    }
}

impl From<&'static str> for Error {
    fn from(what: &'static str) -> Self {
        Self::Machine(what)
    }
}

impl From<bitnet_edge_board::Error> for Error {
    fn from(error: bitnet_edge_board::Error) -> Self {
        Self::Board(error)
    }
}
