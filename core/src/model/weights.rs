//! Where weight rows come from.

use core::ops::Range;

use super::cpu::MISFIT;
use crate::Error;

/// Where weight rows come from.
///
/// ```
/// use bitnet_edge_core::model::{InPlace, Weights};
/// let tiles = [0u8; 256];
/// assert_eq!(InPlace.rows(&tiles, 64, 1..3)?, (2, &tiles[64..192]));
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
pub trait Weights {
    /// Row tiles from `tiles.start` on, as many of the range as are in reach and at least one, with their number.
    ///
    /// # Errors
    /// [`Error::Kernel`] beyond the matrix; a source's own trouble.
    fn rows<'s>(
        &'s mut self,
        matrix: &'s [u8],
        row_tile_bytes: usize,
        tiles: Range<u32>,
    ) -> Result<(u32, &'s [u8]), Error>;
}

/// Weights in memory, flash or a file mapping: all of them are in reach.
///
/// ```
/// use bitnet_edge_core::model::{InPlace, Weights};
/// assert!(InPlace.rows(&[0; 64], 64, 0..2).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct InPlace;

impl Weights for InPlace {
    fn rows<'s>(
        &'s mut self,
        matrix: &'s [u8],
        row_tile_bytes: usize,
        tiles: Range<u32>,
    ) -> Result<(u32, &'s [u8]), Error> {
        let at = (tiles.start as usize).checked_mul(row_tile_bytes).ok_or(MISFIT)?;
        let n = tiles.end.saturating_sub(tiles.start);
        let len = (n as usize).checked_mul(row_tile_bytes).ok_or(MISFIT)?;
        Ok((n, matrix.get(at..).and_then(|m| m.get(..len)).ok_or(MISFIT)?))
    }
}
