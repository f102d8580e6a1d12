//! Reading a section from its front.

use super::Error;

/// The bytes of a section that were not read yet.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// A table of `count` entries of `N` bytes.
    pub(crate) fn table<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], Error> {
        let bytes = self.bytes(count.checked_mul(N).ok_or(Error::Truncated)?)?;
        Ok(bytes.as_chunks().0)
    }
}

/// The little-endian word at the start of a table entry.
pub(crate) fn word<const N: usize>(entry: &[u8; N]) -> u32 {
    entry.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
