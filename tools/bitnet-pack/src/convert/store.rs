//! Where an image grows: memory, or a file beside its place.

use anyhow::Result;
use bitnet_edge_std::Bytes;

use super::image::{ALIGN, Checksums};
use crate::output::Partial;

/// What is moved at a time.
const BLOCK: usize = 8 << 20;

/// The bytes of an image, the front of which is written last.
pub(super) enum Store<'a> {
    Memory(&'a mut Bytes),
    File(&'a mut Partial),
}

impl Store<'_> {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.as_slice().len() as u64,
            Self::File(file) => file.len(),
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Memory(memory) => memory.extend(bytes),
            Self::File(file) => file.append(bytes)?,
        }
        Ok(())
    }

    /// Appends zeros up to a multiple of 64.
    pub(super) fn pad(&mut self) -> Result<()> {
        let len = self.len();
        let padding = len.next_multiple_of(ALIGN as u64) - len;
        self.append(&[0; ALIGN][..padding as usize])
    }

    /// Forgets what is behind the first `len` bytes.
    pub(super) fn truncate(&mut self, len: u64) -> Result<()> {
        match self {
            Self::Memory(memory) => memory.truncate(len as usize),
            Self::File(file) => file.truncate(len)?,
        }
        Ok(())
    }

    /// Moves everything from `from` on to `to`, behind it.
    pub(super) fn shift(&mut self, from: u64, to: u64) -> Result<()> {
        if from == to {
            return Ok(());
        }
        let end = self.len();
        for at in (from..to).step_by(BLOCK) {
            self.append(&vec![0; BLOCK.min((to - at) as usize)])?;
        }
        let mut block = vec![0; BLOCK];
        let mut left = end - from;
        while left > 0 {
            let count = left.min(BLOCK as u64);
            left -= count;
            let block = &mut block[..count as usize];
            self.read(from + left, block)?;
            self.write(to + left, block)?;
        }
        Ok(())
    }

    /// Replaces bytes.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Memory(memory) => {
                memory.as_mut_slice()[at as usize..][..bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            Self::File(file) => file.write_at(at, bytes),
        }
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<()> {
        match self {
            Self::Memory(memory) => {
                bytes.copy_from_slice(&memory.as_slice()[at as usize..][..bytes.len()]);
                Ok(())
            }
            Self::File(file) => file.read_at(at, bytes),
        }
    }

    /// Checksums of everything from `from` on, read back from where it is stored.
    pub(super) fn checksums(&mut self, from: u64) -> Result<Checksums> {
        let mut sums = Checksums::begin();
        let mut block = vec![0; BLOCK];
        for at in (from..self.len()).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min((self.len() - at) as usize)];
            self.read(at, block)?;
            sums.update(block);
        }
        Ok(sums)
    }
}
