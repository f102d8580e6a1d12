//! A crew as a way to split operations.

use core::cell::{Cell, UnsafeCell};
use core::hint::spin_loop;
use core::ops::Range;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32};

use bitnet_edge_core::Error;
use bitnet_edge_core::model::{Grid, Output, Part, Split, Work};

use super::crew::{Crew, Wait};

/// Multiply-accumulates below which an operation stays on the calling core: of ternary weights, some ten microseconds of a
/// small core, where waking the others takes one.
const SMALL: u64 = 1 << 16;
/// Multiply-accumulates that a part has at least.
const PART: u64 = 1 << 14;

/// A core with those that wait for it: see the [module](super).
pub struct Team<'c, W: Wait> {
    crew: &'c Crew<W>,
    members: u32,
    small: u64,
    /// Whether an operation is under way: one within it stays on its core. The `Cell` also keeps a team on one core.
    busy: Cell<bool>,
}

impl<'c, W: Wait> Team<'c, W> {
    pub(super) const fn new(crew: &'c Crew<W>, members: u32) -> Self {
        Self { crew, members, small: SMALL, busy: Cell::new(false) }
    }

    /// The team with another limit below which an operation stays on the calling core, in multiply-accumulates. No result
    /// depends on it.
    #[must_use]
    pub fn with_limit(mut self, small: u64) -> Self {
        self.small = small;
        self
    }
}

impl<W: Wait> Drop for Team<'_, W> {
    fn drop(&mut self) {
        self.crew.dismiss();
    }
}

impl<W: Wait> core::fmt::Debug for Team<'_, W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Team({} cores)", self.threads())
    }
}

/// An output, for several cores.
#[derive(Clone, Copy)]
struct Shared {
    at: *mut u8,
    len: usize,
    grid: Grid,
}

impl Shared {
    const fn new(output: &mut Output<'_>) -> Self {
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
            // SAFETY: Within the output, which the caller of `run` has lent as `&mut` until all parts are done. No two
            // parts have a unit in common (`Job::take`), no unit is beyond what a row has memory for (`Work::fits`), and
            // so no two parts own a byte in common; of this part, the slices live as long as `&mut self`, and each is of
            // another output.
            unsafe { core::slice::from_raw_parts_mut(output.at.add(start), end - start) }
        })
    }
}

/// The error of the part that begins first.
struct FirstError {
    locked: AtomicBool,
    error: UnsafeCell<Option<(u32, Error)>>,
}

impl FirstError {
    const fn new() -> Self {
        Self { locked: AtomicBool::new(false), error: UnsafeCell::new(None) }
    }

    fn add(&self, start: u32, error: Error) {
        while self.locked.swap(true, Acquire) {
            spin_loop();
        }
        // SAFETY: The lock is held, and `take` needs the whole value.
        let first = unsafe { &mut *self.error.get() };
        if first.is_none_or(|(before, _)| start < before) {
            *first = Some((start, error));
        }
        self.locked.store(false, Release);
    }

    fn into_result(self) -> Result<(), Error> {
        self.error.into_inner().map_or(Ok(()), |(_, error)| Err(error))
    }
}

/// An operation in parts.
struct Job<'j, F> {
    outputs: &'j [Shared],
    end: u32,
    grain: u32,
    /// A part is this fraction of what is left.
    share: u32,
    /// And at least so many units, one or more.
    least: u32,
    f: &'j F,
    failed: FirstError,
    next: Next,
}

/// The first unit that nobody has taken, apart from what is only read.
#[repr(align(128))]
struct Next(AtomicU32);

// SAFETY: What cores share besides `Sync` fields are pointers to outputs, which `TeamPart` uses for disjoint ranges only, and
// the first error, which has a lock.
unsafe impl<F: Sync> Sync for Job<'_, F> {}

impl<F> Job<'_, F>
where
    F: for<'p> Fn(&mut TeamPart<'p>) -> Result<(), Error> + Sync,
{
    /// Takes units that nobody else has: the largest parts first, so that cores end at the same time.
    fn take(&self) -> Option<Range<u32>> {
        let mut at = self.next.0.load(Relaxed);
        loop {
            let left = self.end.checked_sub(at).filter(|left| *left > 0)?;
            let part = (left / self.share).max(self.least).min(left);
            let part = part.checked_next_multiple_of(self.grain).unwrap_or(left).min(left);
            match self.next.0.compare_exchange_weak(at, at + part, Relaxed, Relaxed) {
                Ok(_) => return Some(at..at + part),
                Err(now) => at = now,
            }
        }
    }

    /// What each core does: parts, until there are none.
    fn work(&self) {
        while let Some(units) = self.take() {
            let start = units.start;
            if let Err(error) = (self.f)(&mut TeamPart { outputs: self.outputs, units }) {
                self.failed.add(start, error);
            }
        }
    }
}

impl<W: Wait> Split for Team<'_, W> {
    type Part<'p> = TeamPart<'p>;

    fn threads(&self) -> usize {
        self.members as usize + 1
    }

    fn run<const N: usize, F>(&self, mut outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut TeamPart<'p>) -> Result<(), Error> + Sync,
    {
        work.fits(&outputs)?;
        let shared = outputs.each_mut().map(Shared::new);
        let grain = work.grain.max(1);
        let worth = self.members > 0 && work.units.len() > grain as usize && work.total() >= self.small;
        if !worth || self.busy.replace(true) {
            return f(&mut TeamPart { outputs: &shared, units: work.units.clone() });
        }
        let job = Job {
            outputs: &shared,
            end: work.units.end,
            grain,
            share: (self.members + 1).saturating_mul(2),
            least: u32::try_from(PART / u64::from(work.cost.max(1))).unwrap_or(u32::MAX).max(1),
            f: &f,
            failed: FirstError::new(),
            next: Next(AtomicU32::new(work.units.start)),
        };
        // SAFETY: A crew has one team, which has the number of its members and stays on one core, for it is not `Sync`; and on
        // this core this is the only call: `busy`.
        unsafe { self.crew.run(self.members, &|| job.work()) };
        self.busy.set(false);
        job.failed.into_result()
    }
}

#[cfg(test)]
mod tests;
