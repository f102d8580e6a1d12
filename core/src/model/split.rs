//! How a unit range is spread over cores.

use core::ops::Range;

/// A range of columns of a `[rows][stride]` output that one call may write.
///
/// ```
/// use bitnet_edge_core::model::{Columns, OneThread, Split};
/// let mut out = [0.0; 6]; // two rows of three
/// OneThread.columns(&mut out, 3, 0..2, 1, &|columns: &mut dyn Columns| {
///     for row in 0..2 {
///         columns.row(row).fill(1.0);
///     }
/// });
/// assert_eq!(out, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
/// ```
pub trait Columns {
    /// The columns.
    fn range(&self) -> Range<usize>;
    /// These columns of one row; empty beyond the rows.
    fn row(&mut self, row: usize) -> &mut [f32];
}

/// Spreads work over cores: none, a second core, a pool. What is unsafe in that is in the crate that implements it.
///
/// ```
/// use bitnet_edge_core::model::{Columns, OneThread, Split};
/// /// Doubles the columns 0 to 2 of two rows, on however many threads there are.
/// fn double(split: &impl Split, rows: &mut [f32; 6]) {
///     split.columns(rows, 3, 0..2, 1, &|columns: &mut dyn Columns| {
///         for row in 0..2 {
///             columns.row(row).iter_mut().for_each(|value| *value *= 2.0);
///         }
///     });
/// }
/// let mut rows = [1.0; 6];
/// double(&OneThread, &mut rows);
/// assert_eq!(rows, [2.0, 2.0, 1.0, 2.0, 2.0, 1.0]);
/// ```
pub trait Split {
    /// Threads that take part.
    fn threads(&self) -> usize;

    /// Calls `f` for ranges that cover `columns` of `out`, `[rows][stride]`, without overlap. Every range but the last
    /// is a multiple of `grain` long and starts at one.
    fn columns(
        &self,
        out: &mut [f32],
        stride: usize,
        columns: Range<usize>,
        grain: usize,
        f: &(dyn Fn(&mut dyn Columns) + Sync),
    );
}

/// All work on the calling thread.
///
/// ```
/// use bitnet_edge_core::model::{OneThread, Split};
/// assert_eq!(OneThread.threads(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OneThread;

struct Whole<'a> {
    out: &'a mut [f32],
    stride: usize,
    range: Range<usize>,
}

impl Columns for Whole<'_> {
    fn range(&self) -> Range<usize> {
        self.range.clone()
    }
    fn row(&mut self, row: usize) -> &mut [f32] {
        let at = row.saturating_mul(self.stride);
        self.out
            .get_mut(at..)
            .and_then(|r| r.get_mut(..self.stride))
            .and_then(|r| r.get_mut(self.range.clone()))
            .unwrap_or_default()
    }
}

impl Split for OneThread {
    fn threads(&self) -> usize {
        1
    }
    fn columns(
        &self,
        out: &mut [f32],
        stride: usize,
        columns: Range<usize>,
        _grain: usize,
        f: &(dyn Fn(&mut dyn Columns) + Sync),
    ) {
        f(&mut Whole { out, stride, range: columns });
    }
}
