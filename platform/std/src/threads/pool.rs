//! A crew as a way to split operations.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use bitnet_edge_core::Error;
use bitnet_edge_core::model::{Grid, Output, Part, Split, Work};

use super::PoolError;
use super::crew::Crew;
use crate::keeps_subnormals;

/// Multiply-accumulates below which an operation stays on the calling thread: of ternary weights they are 64 KiB, 2 to 3
/// microseconds of the memory bus, where handing an operation out takes 0.3 to 1 (the bench `fork`).
const SMALL: u64 = 1 << 18;
/// Multiply-accumulates that a part has at least: some ten times what it takes to get the next one.
const PART: u64 = 1 << 16;

/// Threads that work on the parts of an operation: the calling one and others, which wait in between.
///
/// The threads are there from [`Pool::new`] until the pool is dropped; between two operations they spin, then let others run,
/// then sleep. An operation is handed out in ranges of units, large ones first, to whoever comes: a thread that the system takes
/// its core from delays no more than the part it is at. Nothing is allocated behind `new`.
///
/// ```
/// use bitnet_edge_core::Error;
/// use bitnet_edge_core::model::{Output, Part, Split, Work};
/// use bitnet_edge_std::Pool;
///
/// let pool = Pool::new(2)?;
/// let mut squares = vec![0u32; 1000];
/// let work = Work { units: 0..1000, grain: 8, cost: 1000 };
/// pool.run([Output::units_of(&mut squares, 1)], &work, |part| {
///     let units = part.units();
///     let [bytes] = part.bytes([0]);
///     for (square, unit) in bytes.chunks_exact_mut(4).zip(units) {
///         square.copy_from_slice(&(unit * unit).to_ne_bytes());
///     }
///     Ok(())
/// })?;
/// assert!(squares.iter().zip(0..).all(|(square, unit)| *square == unit * unit));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool {
    crew: Option<Crew>,
    threads: usize,
    small: u64,
    part: u64,
    /// Whether an operation is under way. One thread calls at a time, for a `Cell` is not `Sync`; but what it runs may come back
    /// to the pool, from a thread-local variable for example.
    busy: Cell<bool>,
}

impl Pool {
    /// A pool of this many threads, the caller's included; at least one.
    ///
    /// # Errors
    /// [`PoolError`]
    pub fn new(threads: usize) -> Result<Self, PoolError> {
        if !keeps_subnormals() {
            return Err(PoolError::FlushesSubnormals);
        }
        let threads = threads.max(1);
        let crew = if threads > 1 { Some(Crew::new(threads - 1)?) } else { None };
        Ok(Self { crew, threads, small: SMALL, part: PART, busy: Cell::new(false) })
    }

    /// The pool with other limits than those measured to be best: operations of fewer than `small` multiply-accumulates
    /// stay on the calling thread, and parts have at least `part` of them. No result depends on it.
    #[must_use]
    pub fn with_limits(self, small: u64, part: u64) -> Self {
        Self { small, part, ..self }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads)
    }
}

/// The right to hand out an operation, for as long as one is under way.
struct Turn<'a>(&'a Cell<bool>);

impl<'a> Turn<'a> {
    /// `None` within an operation, which then runs what it has on its own thread.
    fn take(busy: &'a Cell<bool>) -> Option<Self> {
        (!busy.replace(true)).then(|| Self(busy))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// An output, for several threads.
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
pub struct PoolPart<'p> {
    outputs: &'p [Shared],
    units: Range<u32>,
}

impl std::fmt::Debug for PoolPart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PoolPart({:?})", self.units)
    }
}

impl Part for PoolPart<'_> {
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
            unsafe { std::slice::from_raw_parts_mut(output.at.add(start), end - start) }
        })
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
    failed: Mutex<Option<(u32, Error)>>,
    /// Apart from the rest, which is only read: the first unit that nobody has taken.
    next: Next,
}

#[repr(align(128))]
struct Next(AtomicU32);

// SAFETY: What threads share besides `Sync` fields are pointers to outputs, which `PoolPart` uses for disjoint ranges only.
unsafe impl<F: Sync> Sync for Job<'_, F> {}

impl<F> Job<'_, F>
where
    F: for<'p> Fn(&mut PoolPart<'p>) -> Result<(), Error> + Sync,
{
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
    fn work(&self) {
        while let Some(units) = self.take() {
            let start = units.start;
            if let Err(error) = (self.f)(&mut PoolPart { outputs: self.outputs, units }) {
                let mut failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if failed.is_none_or(|(first, _)| start < first) {
                    *failed = Some((start, error));
                }
            }
        }
    }
}

impl Split for Pool {
    type Part<'p> = PoolPart<'p>;

    fn threads(&self) -> usize {
        self.threads
    }

    fn run<const N: usize, F>(&self, mut outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut PoolPart<'p>) -> Result<(), Error> + Sync,
    {
        work.fits(&outputs)?;
        let shared = outputs.each_mut().map(Shared::new);
        let grain = work.grain.max(1);
        let crew =
            self.crew.as_ref().filter(|_| work.units.len() > grain as usize && work.total() >= self.small);
        let Some((crew, _turn)) = crew.zip(Turn::take(&self.busy)) else {
            return f(&mut PoolPart { outputs: &shared, units: work.units.clone() });
        };
        let job = Job {
            outputs: &shared,
            end: work.units.end,
            grain,
            share: 2 * u32::try_from(self.threads).unwrap_or(u32::MAX / 2),
            least: u32::try_from(self.part / u64::from(work.cost.max(1))).unwrap_or(u32::MAX).max(1),
            f: &f,
            failed: Mutex::new(None),
            next: Next(AtomicU32::new(work.units.start)),
        };
        // SAFETY: A pool is not `Sync`, so no other thread calls it, and of this thread this is the only call: `Turn`.
        unsafe { crew.run(&|| job.work()) };
        let failed = job.failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}
