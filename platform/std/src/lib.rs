//! The std platform.
