//! An operation in parts, which several threads or cores take until there are none.
//!
//! [`Sharing`] is what a [`Split`](bitnet_edge_core::model::Split) of more than one thread needs besides the threads: it decides
//! whether an operation is worth the others' while, hands out its units in ranges that nobody else has, lends each range what it
//! owns of the outputs, and keeps the error of the part that begins first. Nothing is allocated. How the others are called is its
//! caller's matter: threads that sleep (`bitnet-edge-std`), cores that wait for an event (`bitnet-edge-board`).
//!
//! ```
//! use bitnet_edge_core::model::{Output, Part, Work};
//! use bitnet_edge_team::{Limits, Sharing};
//!
//! let sharing = Sharing::new(Limits { small: 0, part: 0 });
//! let mut squares = [0u8; 16];
//! let work = Work { units: 0..16, grain: 1, cost: 1 };
//! let square = |part: &mut bitnet_edge_team::TeamPart<'_>| {
//!     let units = part.units();
//!     let [squares] = part.bytes([0]);
//!     for (square, unit) in squares.iter_mut().zip(units) {
//!         *square = (unit * unit) as u8;
//!     }
//!     Ok(())
//! };
//! // Two threads, started for this: a pool has them wait.
//! sharing.run(2, [Output::units_of(&mut squares, 1)], &work, square, |take_parts| {
//!     std::thread::scope(|scope| {
//!         scope.spawn(take_parts);
//!         take_parts();
//!     });
//! })?;
//! assert_eq!(squares[15], 225);
//! # Ok::<(), bitnet_edge_core::Error>(())
//! ```
#![no_std]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::disallowed_methods)]

#[cfg(test)]
extern crate std;

mod first_error;
mod job;
mod part;

pub use part::TeamPart;

use core::cell::Cell;

use bitnet_edge_core::Error;
use bitnet_edge_core::model::{Output, Work};

use job::Job;
use part::Shared;

/// When an operation is shared, and how finely; no result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Multiply-accumulates below which an operation stays on the calling thread.
    pub small: u64,
    /// Multiply-accumulates that a part has at least.
    pub part: u64,
}

/// How operations are shared by one thread, which calls others: see the [crate](self).
#[derive(Debug)]
pub struct Sharing {
    limits: Limits,
    /// Whether an operation is under way: one within it stays on its thread. The `Cell` also keeps this on one thread at a time.
    busy: Cell<bool>,
}

impl Sharing {
    /// With no operation under way.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, busy: Cell::new(false) }
    }

    /// Calls `f` for parts that cover the units without overlap: for all of them on this thread, or, where that is worth it, in
    /// what `together` is given, which it must call on this thread, may call on the `threads - 1` others at the same time, and
    /// which returns on each when no part is left. `together` is called by one operation at a time, and not within itself.
    ///
    /// # Errors
    /// As [`Split::run`](bitnet_edge_core::model::Split::run).
    #[inline]
    pub fn run<const N: usize, F>(
        &self,
        threads: usize,
        mut outputs: [Output<'_>; N],
        work: &Work,
        f: F,
        together: impl FnOnce(&(dyn Fn() + Sync)),
    ) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut TeamPart<'p>) -> Result<(), Error> + Sync,
    {
        work.fits(&outputs)?;
        let shared = outputs.each_mut().map(Shared::new);
        let grain = work.grain.max(1);
        let worth = threads > 1 && work.units.len() > grain as usize && work.total() >= self.limits.small;
        let Some(_turn) = worth.then(|| Turn::take(&self.busy)).flatten() else {
            return f(&mut TeamPart::new(&shared, work.units.clone()));
        };
        let job = Job::new(&shared, work, threads, self.limits.part, &f);
        together(&|| job.work());
        job.into_result()
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

#[cfg(test)]
mod tests;
