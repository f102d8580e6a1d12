//! 64-byte aligned memory.

use std::alloc::{Layout, handle_alloc_error};

use bitnet_edge_core::Line;
use zerocopy::{FromZeros, IntoBytes};

/// Bytes that start at a multiple of 64: an image made in memory.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    lines: Vec<Line>,
    len: usize,
}

impl Bytes {
    /// `len` zero bytes.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self { lines: vec![Line::ZERO; Line::count(len)], len }
    }

    /// None yet, with room for `bytes` of them if the system gives that: to grow by then moves nothing. Room that is not used
    /// is address space and no memory on most systems.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        let mut lines = Vec::new();
        // Without the room they grow all the same.
        let _ = lines.try_reserve_exact(Line::count(bytes));
        Self { lines, len: 0 }
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.as_mut_slice().copy_from_slice(bytes);
        copy
    }

    /// Appends bytes.
    ///
    /// ```
    /// let mut bytes = bitnet_edge_std::Bytes::default();
    /// bytes.extend(&[1; 100]);
    /// bytes.truncate(70);
    /// bytes.extend(&[2]);
    /// assert_eq!(bytes.as_slice()[69..], [1, 2]);
    /// ```
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.lines.resize(Line::count(end), Line::ZERO);
        self.lines.as_mut_bytes()[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Forgets what is behind the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.lines.truncate(Line::count(self.len));
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.lines.as_bytes()[..self.len]
    }

    /// The bytes, to write.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.lines.as_mut_bytes()[..self.len]
    }
}

/// Memory for a session.
#[derive(Debug)]
pub struct Arena(Vec<Line>);

impl Arena {
    /// At least `bytes` bytes, zeroed. Ends the program, as `Vec` does, if the system does not give them.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|| handle_alloc_error(Layout::new::<Line>()))
    }

    /// As [`new`](Self::new), but `None` if the system does not give them: what a user asks for can be any number.
    #[must_use]
    pub fn try_new(bytes: usize) -> Option<Self> {
        Line::new_vec_zeroed(Line::count(bytes)).ok().map(Self)
    }

    /// The memory.
    pub fn lines(&mut self) -> &mut [Line] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn memory_that_no_machine_has_is_refused() {
        assert!(Arena::try_new(1 << 60).is_none());
    }
}
