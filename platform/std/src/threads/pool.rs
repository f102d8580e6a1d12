//! A crew as a way to split operations.

use bitnet_edge_core::Error;
use bitnet_edge_core::model::{Output, Split, Work};
use bitnet_edge_team::{Limits, Sharing, TeamPart};

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
    /// One thread calls at a time, for this is not `Sync`; but what it runs may come back to the pool, from a thread-local
    /// variable for example.
    sharing: Sharing,
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
        Ok(Self { crew, threads, sharing: Sharing::new(Limits { small: SMALL, part: PART }) })
    }

    /// The pool with other limits than those measured to be best: operations of fewer than `small` multiply-accumulates
    /// stay on the calling thread, and parts have at least `part` of them. No result depends on it.
    #[must_use]
    pub fn with_limits(self, small: u64, part: u64) -> Self {
        Self { sharing: Sharing::new(Limits { small, part }), ..self }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads)
    }
}

impl Split for Pool {
    type Part<'p> = TeamPart<'p>;

    fn threads(&self) -> usize {
        self.threads
    }

    fn run<const N: usize, F>(&self, outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut TeamPart<'p>) -> Result<(), Error> + Sync,
    {
        self.sharing.run(self.threads, outputs, work, f, |task| {
            // There is one where there are threads to share with.
            if let Some(crew) = &self.crew {
                // SAFETY: A pool is not `Sync`, so no other thread calls it, and on this thread there is one call at a time
                // (`Sharing::run`).
                unsafe { crew.run(task) };
            }
        })
    }
}
