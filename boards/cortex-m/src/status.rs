//! The statuses that a firmware ends with.

/// The firmware ended with an error, which it said.
pub const ERROR: u32 = 1;
/// It panicked.
pub const PANIC: u32 = 101;
/// An exception ended it.
pub const EXCEPTION: u32 = 102;
/// The watchdog was not fed in time.
pub const WATCHDOG: u32 = 103;
