//! A bounded cursor over the bytes of the file.

use super::GgufError;

/// Reads forward through `bytes`; every step is checked against what is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begins in the file: for messages and alignment.
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`, which begin at byte `offset` of the file.
    pub(super) const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// The position in the file.
    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes not yet read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes `count` bytes, a number that may come from the file.
    pub(super) fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], GgufError> {
        let split = usize::try_from(count).ok().and_then(|count| self.bytes.split_at_checked(count));
        let Some((taken, rest)) = split else {
            return Err(GgufError::Truncated {
                what,
                offset: self.offset,
                need: count,
                have: self.bytes.len(),
            });
        };
        self.bytes = rest;
        self.offset += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, GgufError> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, GgufError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// The length of a string, then its bytes.
    pub(super) fn string(&mut self, what: &'static str) -> Result<&'a [u8], GgufError> {
        let length = self.u64(what)?;
        self.take(length, what)
    }

    /// A string that must be UTF-8: a name.
    pub(super) fn name(&mut self, what: &'static str) -> Result<&'a str, GgufError> {
        let offset = self.offset;
        str::from_utf8(self.string(what)?).map_err(|_| GgufError::NameNotUtf8 { offset })
    }

    /// A number of items of which each takes at least `least` bytes: refused unless that many could follow.
    pub(super) fn count(&mut self, least: usize, what: &'static str) -> Result<usize, GgufError> {
        let offset = self.offset;
        let count = self.u64(what)?;
        self.check_count(count, least, what, offset)
    }

    /// The check of [`count`](Self::count), for a number that was read at `offset` already.
    pub(super) fn check_count(
        &self,
        count: u64,
        least: usize,
        what: &'static str,
        offset: usize,
    ) -> Result<usize, GgufError> {
        let room = self.bytes.len() / least.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= room => Ok(count),
            _ => Err(GgufError::Count { what, offset, count, room }),
        }
    }
}
