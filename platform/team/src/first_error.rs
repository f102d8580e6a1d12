//! The error that counts when several parts fail.

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Release};

use bitnet_edge_core::Error;

/// The error of the part that begins first.
pub(crate) struct FirstError {
    locked: AtomicBool,
    error: UnsafeCell<Option<(u32, Error)>>,
}

// SAFETY: What is in the cell is used by whoever holds the lock, or has the whole value.
unsafe impl Sync for FirstError {}

impl FirstError {
    pub(crate) const fn new() -> Self {
        Self { locked: AtomicBool::new(false), error: UnsafeCell::new(None) }
    }

    /// The part that begins with unit `start` failed.
    pub(crate) fn add(&self, start: u32, error: Error) {
        // Held for a comparison, once a part that fails.
        while self.locked.swap(true, Acquire) {
            spin_loop();
        }
        // SAFETY: The lock is held, and `into_result` needs the whole value.
        let first = unsafe { &mut *self.error.get() };
        if first.is_none_or(|(before, _)| start < before) {
            *first = Some((start, error));
        }
        self.locked.store(false, Release);
    }

    pub(crate) fn into_result(self) -> Result<(), Error> {
        self.error.into_inner().map_or(Ok(()), |(_, error)| Err(error))
    }
}
