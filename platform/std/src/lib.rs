//! The std platform.
#![deny(clippy::disallowed_methods)]
