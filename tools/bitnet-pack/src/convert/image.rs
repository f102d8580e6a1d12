//! Writes an image: sections, tables, checksums.

use bitnet_edge_core::image::{ENTRY_LEN, HEADER_LEN, MAGIC, MAJOR, MINOR, SectionKind, crc32};
use bitnet_edge_kernels::ARITHMETIC_VERSION;
use bitnet_edge_std::Bytes;
use sha2::{Digest, Sha256};

/// Every section starts at a multiple of this.
pub(super) const ALIGN: usize = 64;

/// A section to write.
pub(super) struct Section {
    pub(super) kind: SectionKind,
    /// Pieces that are written one behind the other, each padded with zeros to 64 bytes.
    pub(super) pieces: Vec<Vec<u8>>,
}

impl Section {
    pub(super) fn one(kind: SectionKind, bytes: Vec<u8>) -> Self {
        Self { kind, pieces: vec![bytes] }
    }

    /// Bytes of the section: the last piece of several is padded, a single one is not.
    fn len(&self) -> usize {
        match self.pieces.as_slice() {
            [one] => one.len(),
            many => many.iter().map(|p| p.len().next_multiple_of(ALIGN)).sum(),
        }
    }
}

/// The offset of the first section in an image of `count` sections.
pub(super) const fn first_offset(count: usize) -> usize {
    (HEADER_LEN + count * ENTRY_LEN).next_multiple_of(ALIGN)
}

/// Offsets of all sections.
pub(super) fn offsets(sections: &[Section]) -> Vec<usize> {
    let mut at = first_offset(sections.len());
    sections
        .iter()
        .map(|section| {
            let here = at;
            at = (at + section.len()).next_multiple_of(ALIGN);
            here
        })
        .collect()
}

/// Writes the image.
pub(super) fn write(sections: Vec<Section>) -> Bytes {
    let offsets = offsets(&sections);
    let count = sections.len();
    let total = offsets.last().zip(sections.last()).map_or(HEADER_LEN, |(at, s)| at + s.len());
    let mut image = Bytes::zeroed(total);
    let bytes = image.as_mut_slice();
    for (i, (section, at)) in sections.into_iter().zip(offsets).enumerate() {
        let len = section.len();
        let mut to = at;
        for piece in &section.pieces {
            bytes[to..to + piece.len()].copy_from_slice(piece);
            to += piece.len().next_multiple_of(ALIGN);
        }
        let data = &bytes[at..at + len];
        let (crc, sha) = (crc32(data), Sha256::digest(data));
        let entry = &mut bytes[HEADER_LEN + i * ENTRY_LEN..][..ENTRY_LEN];
        put(entry, 0, &(section.kind as u32).to_le_bytes());
        put(entry, 4, &1u16.to_le_bytes());
        put(entry, 8, &(ALIGN as u32).to_le_bytes());
        put(entry, 12, &crc.to_le_bytes());
        put(entry, 16, &(at as u64).to_le_bytes());
        put(entry, 24, &(len as u64).to_le_bytes());
        put(entry, 32, &sha);
    }
    put(bytes, 0, &MAGIC);
    put(bytes, 8, &MAJOR.to_le_bytes());
    put(bytes, 10, &MINOR.to_le_bytes());
    put(bytes, 12, &(HEADER_LEN as u32).to_le_bytes());
    put(bytes, 16, &(total as u64).to_le_bytes());
    put(bytes, 24, &(count as u32).to_le_bytes());
    put(bytes, 28, &(ENTRY_LEN as u32).to_le_bytes());
    put(bytes, 32, &ARITHMETIC_VERSION.to_le_bytes());
    let crc = crc32(&bytes[..HEADER_LEN + count * ENTRY_LEN]);
    put(bytes, 60, &crc.to_le_bytes());
    image
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
