//! How the units of an operation are spread over cores.

use core::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::cpu::MISFIT;
use crate::Error;
use crate::memory::typed;

/// How units own memory, in bytes: of every row of `stride`, unit `u` owns `u * width .. (u + 1) * width`.
///
/// ```
/// use bitnet_edge_core::model::Grid;
/// let grid = Grid { stride: 24, width: 8 };
/// assert_eq!(grid.units(), 3);
/// assert_eq!(grid.range(&(1..2), 1), 32..40);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes that a unit owns of a row.
    pub width: usize,
}

impl Grid {
    /// Units that a row has memory for: within this number, no two of them own the same byte.
    ///
    /// ```
    /// use bitnet_edge_core::model::Grid;
    /// assert_eq!(Grid { stride: 10, width: 4 }.units(), 2);
    /// ```
    pub fn units(&self) -> usize {
        self.stride.checked_div(self.width).unwrap_or(usize::MAX)
    }

    /// The bytes that units own of a row, counted from the first row.
    ///
    /// ```
    /// use bitnet_edge_core::model::Grid;
    /// assert_eq!(Grid { stride: 10, width: 2 }.range(&(1..4), 2), 22..28);
    /// ```
    #[inline(always)]
    pub const fn range(&self, units: &Range<u32>, row: usize) -> Range<usize> {
        let at = row.saturating_mul(self.stride);
        let start = at.saturating_add((units.start as usize).saturating_mul(self.width));
        start..at.saturating_add((units.end as usize).saturating_mul(self.width))
    }
}

/// Memory that an operation writes, cut by units: rows of `stride` elements, of which unit `u` owns the elements
/// `u * width .. (u + 1) * width` of every row.
///
/// ```
/// use bitnet_edge_core::model::Output;
/// let mut y = [0.0f32; 12];
/// assert_eq!(Output::rows(&mut y, 6, 2).grid().units(), 3); // two rows, of which three units own two columns each
/// assert_eq!(Output::units_of(&mut y, 4).grid().units(), 3); // four elements a unit, one unit behind the other
/// ```
#[derive(Debug)]
pub struct Output<'a> {
    bytes: &'a mut [u8],
    grid: Grid,
}

impl<'a> Output<'a> {
    /// Rows of `stride` elements, of which each unit owns `width`. The last row may end before its stride.
    ///
    /// ```
    /// use bitnet_edge_core::model::Output;
    /// let mut y = [0u16; 7];
    /// let mut output = Output::rows(&mut y, 4, 1);
    /// assert_eq!(output.part(&(1..3), 1).len(), 2 * size_of::<u16>());
    /// ```
    pub fn rows<T: IntoBytes + FromBytes>(elements: &'a mut [T], stride: usize, width: usize) -> Self {
        let size = size_of::<T>();
        let (stride, width) = (stride.saturating_mul(size), width.saturating_mul(size));
        Self { bytes: elements.as_mut_bytes(), grid: Grid { stride, width } }
    }

    /// One row: the elements of unit 0, of unit 1, and so on.
    ///
    /// ```
    /// use bitnet_edge_core::model::Output;
    /// let mut y = [0i8; 12];
    /// assert_eq!(Output::units_of(&mut y, 3).part(&(1..4), 0).len(), 9);
    /// ```
    pub fn units_of<T: IntoBytes + FromBytes>(elements: &'a mut [T], width: usize) -> Self {
        let stride = elements.len();
        Self::rows(elements, stride, width)
    }

    /// How units own it.
    ///
    /// ```
    /// use bitnet_edge_core::model::{Grid, Output};
    /// assert_eq!(Output::rows(&mut [0.0f32; 12], 6, 2).grid(), Grid { stride: 24, width: 8 });
    /// ```
    pub const fn grid(&self) -> Grid {
        self.grid
    }

    /// The bytes of `units` in one row; empty beyond the rows.
    ///
    /// ```
    /// use bitnet_edge_core::model::Output;
    /// let mut y = [1u8, 2, 3, 4, 5, 6];
    /// let mut output = Output::rows(&mut y, 3, 1);
    /// assert_eq!(output.part(&(0..2), 1), [4, 5]);
    /// assert!(output.part(&(0..2), 2).is_empty());
    /// ```
    #[inline(always)]
    pub fn part(&mut self, units: &Range<u32>, row: usize) -> &mut [u8] {
        let range = self.grid.range(units, row);
        self.bytes.get_mut(range).unwrap_or_default()
    }

    /// All of it.
    ///
    /// ```
    /// use bitnet_edge_core::model::Output;
    /// assert_eq!(Output::units_of(&mut [0.0f32; 10], 5).bytes().len(), 40);
    /// ```
    pub const fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }
}

/// What is spread: units, how they may be cut, and what they cost.
///
/// ```
/// use bitnet_edge_core::model::Work;
/// let work = Work { units: 10..30, grain: 4, cost: 100 };
/// assert_eq!(work.total(), 2000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The units.
    pub units: Range<u32>,
    /// Parts begin at multiples of this many units, counted from the first one.
    pub grain: u32,
    /// Multiply-accumulates of a unit: what is small stays on one thread.
    pub cost: u32,
}

impl Work {
    /// Multiply-accumulates of all units.
    ///
    /// ```
    /// use bitnet_edge_core::model::Work;
    /// assert_eq!(Work { units: 0..3, grain: 1, cost: 7 }.total(), 21);
    /// ```
    pub const fn total(&self) -> u64 {
        (self.units.end.saturating_sub(self.units.start) as u64).saturating_mul(self.cost as u64)
    }

    /// Refuses units that an output has no memory for: a [`Split`] asks before it hands out parts.
    ///
    /// # Errors
    /// [`Error::Kernel`] if an output is too narrow.
    ///
    /// ```
    /// use bitnet_edge_core::model::{Output, Work};
    /// let work = Work { units: 0..3, grain: 1, cost: 1 };
    /// assert!(work.fits(&[Output::units_of(&mut [0u8; 3], 1)]).is_ok());
    /// assert!(work.fits(&[Output::units_of(&mut [0u8; 2], 1)]).is_err());
    /// ```
    pub fn fits(&self, outputs: &[Output<'_>]) -> Result<(), Error> {
        let fits = outputs.iter().all(|output| self.units.end as usize <= output.grid.units());
        if fits { Ok(()) } else { Err(MISFIT) }
    }
}

/// Units that one call works on, and what it may write.
///
/// ```
/// use bitnet_edge_core::Error;
/// use bitnet_edge_core::model::{OneThread, Output, Part, Split, Work};
/// let mut squares = [0u8; 5];
/// let work = Work { units: 0..5, grain: 1, cost: 1 };
/// OneThread.run([Output::units_of(&mut squares, 1)], &work, |part| {
///     let units = part.units();
///     let [squares] = part.bytes([0]); // row 0 of the only output
///     for (square, unit) in squares.iter_mut().zip(units) {
///         *square = (unit * unit) as u8;
///     }
///     Ok(())
/// })?;
/// assert_eq!(squares, [0, 1, 4, 9, 16]);
/// # Ok::<(), Error>(())
/// ```
pub trait Part {
    /// The units.
    fn units(&self) -> Range<u32>;
    /// What they own of one row of each of the first outputs, a row an output; empty beyond the outputs and the rows.
    fn bytes<const N: usize>(&mut self, rows: [usize; N]) -> [&mut [u8]; N];
}

/// What a part owns of a row of the first output, as elements.
#[inline(always)]
pub(super) fn elements<T>(part: &mut impl Part, row: usize) -> Result<&mut [T], Error>
where
    T: FromBytes + IntoBytes + KnownLayout + Immutable,
{
    let [bytes] = part.bytes([row]);
    typed(bytes)
}

/// Spreads work over cores: none, a second core, a pool. What is unsafe in that is in the crate that implements it.
///
/// ```
/// use bitnet_edge_core::Error;
/// use bitnet_edge_core::model::{OneThread, Output, Part, Split, Work};
/// /// Doubles the columns 0 to 2 of two rows, on however many threads there are.
/// fn double(split: &impl Split, rows: &mut [u8; 6]) -> Result<(), Error> {
///     let work = Work { units: 0..2, grain: 1, cost: 1 };
///     split.run([Output::rows(rows, 3, 1)], &work, |part| {
///         for row in 0..2 {
///             let [columns] = part.bytes([row]);
///             columns.iter_mut().for_each(|value| *value *= 2);
///         }
///         Ok(())
///     })
/// }
/// let mut rows = [1; 6];
/// double(&OneThread, &mut rows)?;
/// assert_eq!(rows, [2, 2, 1, 2, 2, 1]);
/// # Ok::<(), Error>(())
/// ```
pub trait Split {
    /// A part as this way to split hands it out.
    type Part<'p>: Part;

    /// Threads that take part.
    fn threads(&self) -> usize;

    /// Calls `f` for parts that cover the units without overlap, in any order, perhaps at once.
    ///
    /// # Errors
    /// Before any call: [`Work::fits`]. Of the parts that fail, the error of the one that begins first: if a call works
    /// on its units in order and stops at the first that fails, it is the same error whatever the parts. Other parts may
    /// have been left out then.
    fn run<const N: usize, F>(&self, outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut Self::Part<'p>) -> Result<(), Error> + Sync;
}

/// All work on the calling thread.
///
/// ```
/// use bitnet_edge_core::model::{OneThread, Split};
/// assert_eq!(OneThread.threads(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OneThread;

/// All units: the only part of [`OneThread`].
///
/// ```
/// use bitnet_edge_core::Error;
/// use bitnet_edge_core::model::{OneThread, Part, Split, Work};
/// OneThread.run([], &Work { units: 3..7, grain: 2, cost: 1 }, |part| {
///     assert_eq!(part.units(), 3..7);
///     Ok(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Whole<'p> {
    outputs: &'p mut [Output<'p>],
    units: Range<u32>,
}

impl Part for Whole<'_> {
    #[inline]
    fn units(&self) -> Range<u32> {
        self.units.clone()
    }
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, rows: [usize; N]) -> [&mut [u8]; N] {
        let mut outputs = self.outputs.iter_mut();
        rows.map(|row| outputs.next().map(|output| output.part(&self.units, row)).unwrap_or_default())
    }
}

impl Split for OneThread {
    type Part<'p> = Whole<'p>;

    fn threads(&self) -> usize {
        1
    }
    fn run<const N: usize, F>(&self, outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut Self::Part<'p>) -> Result<(), Error> + Sync,
    {
        work.fits(&outputs)?;
        // For as long as they are lent to the part, which the caller's lifetime outlives.
        let mut outputs: [Output<'_>; N] = outputs;
        f(&mut Whole { outputs: &mut outputs, units: work.units.clone() })
    }
}

impl<S: Split> Split for &S {
    type Part<'p> = S::Part<'p>;

    fn threads(&self) -> usize {
        (*self).threads()
    }
    fn run<const N: usize, F>(&self, outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut Self::Part<'p>) -> Result<(), Error> + Sync,
    {
        (*self).run(outputs, work, f)
    }
}
