//! Handing out units.

use core::ops::Range;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use bitnet_edge_core::Error;
use bitnet_edge_core::model::Work;

use crate::first_error::FirstError;
use crate::part::{Shared, TeamPart};

/// An operation in parts.
pub(crate) struct Job<'j, F> {
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

// SAFETY: What threads share besides `Sync` fields are pointers to outputs, which `TeamPart` uses for disjoint ranges only.
unsafe impl<F: Sync> Sync for Job<'_, F> {}

impl<'j, F> Job<'j, F>
where
    F: for<'p> Fn(&mut TeamPart<'p>) -> Result<(), Error> + Sync,
{
    /// `part`: multiply-accumulates that a part has at least.
    pub(crate) fn new(outputs: &'j [Shared], work: &Work, threads: usize, part: u64, f: &'j F) -> Self {
        Self {
            outputs,
            end: work.units.end,
            grain: work.grain.max(1),
            share: u32::try_from(threads).unwrap_or(u32::MAX).max(1).saturating_mul(2),
            least: u32::try_from(part / u64::from(work.cost.max(1))).unwrap_or(u32::MAX).max(1),
            f,
            failed: FirstError::new(),
            next: Next(AtomicU32::new(work.units.start)),
        }
    }

    /// Takes units that nobody else has: the largest parts first, so that threads end at the same time.
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

    /// What each thread does: parts, until there are none.
    pub(crate) fn work(&self) {
        while let Some(units) = self.take() {
            let start = units.start;
            if let Err(error) = (self.f)(&mut TeamPart::new(self.outputs, units)) {
                self.failed.add(start, error);
            }
        }
    }

    /// When all have returned from [`work`](Self::work): the error of the part that begins first.
    pub(crate) fn into_result(self) -> Result<(), Error> {
        self.failed.into_result()
    }
}
