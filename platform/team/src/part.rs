//! Units, and what they own of outputs that several threads write to.

use core::ops::Range;

use bitnet_edge_core::model::{Grid, Output, Part};

/// An output, for several threads.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    at: *mut u8,
    len: usize,
    grid: Grid,
}

impl Shared {
    pub(crate) const fn new(output: &mut Output<'_>) -> Self {
        let grid = output.grid();
        let bytes = output.bytes();
        Self { at: bytes.as_mut_ptr(), len: bytes.len(), grid }
    }
}

/// Units, and what they own of outputs.
pub struct TeamPart<'p> {
    outputs: &'p [Shared],
    units: Range<u32>,
}

impl<'p> TeamPart<'p> {
    /// The part of these units. While it lives, nobody else has one of them.
    pub(crate) const fn new(outputs: &'p [Shared], units: Range<u32>) -> Self {
        Self { outputs, units }
    }
}

impl core::fmt::Debug for TeamPart<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "TeamPart({:?})", self.units)
    }
}

impl Part for TeamPart<'_> {
    #[inline(always)]
    fn units(&self) -> Range<u32> {
        self.units.clone()
    }

    #[inline(always)]
    fn bytes<const N: usize>(&mut self, rows: [usize; N]) -> [&mut [u8]; N] {
        let mut outputs = self.outputs.iter();
        rows.map(|row| {
            let Some(output) = outputs.next() else { return &mut [][..] };
            let Range { start, end } = output.grid.range(&self.units, row);
            if start > end || end > output.len {
                return &mut [];
            }
            // SAFETY: Within the output, which the caller of `Sharing::run` has lent as `&mut` until all parts are done. No
            // two parts have a unit in common (`Job::take`), no unit is beyond what a row has memory for (`Work::fits`), and
            // so no two parts own a byte in common; of this part, the slices live as long as `&mut self`, and each is of
            // another output.
            unsafe { core::slice::from_raw_parts_mut(output.at.add(start), end - start) }
        })
    }
}
