//! What is in front of an image's tensors: header, section table, the other sections.

use bitnet_edge_core::image::{ENTRY_LEN, HEADER_LEN, MAGIC, MAJOR, MINOR, SectionKind, crc32};
use bitnet_edge_kernels::ARITHMETIC_VERSION;
use crc::{CRC_32_ISO_HDLC, Crc, Digest as CrcDigest, Table};
use sha2::{Digest, Sha256};

/// Every section starts at a multiple of this.
pub(super) const ALIGN: usize = 64;

/// As the runtime's, with larger tables, which a host can spare.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// A section to write.
pub(super) struct Section {
    pub(super) kind: SectionKind,
    pub(super) bytes: Vec<u8>,
}

/// The checksums of a section.
pub(super) struct Checksums {
    crc: CrcDigest<'static, u32, Table<16>>,
    sha: Sha256,
    len: u64,
}

impl Checksums {
    pub(super) fn begin() -> Self {
        Self { crc: CRC.digest(), sha: Sha256::new(), len: 0 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.sha.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn of(bytes: &[u8]) -> Self {
        let mut sums = Self::begin();
        sums.update(bytes);
        sums
    }
}

/// Offsets of the sections, and behind them of the tensors.
fn offsets(sections: &[Section]) -> Vec<usize> {
    let mut at = (HEADER_LEN + (sections.len() + 1) * ENTRY_LEN).next_multiple_of(ALIGN);
    let mut offsets = vec![at];
    for section in sections {
        at = (at + section.bytes.len()).next_multiple_of(ALIGN);
        offsets.push(at);
    }
    offsets
}

/// Where the tensors begin behind these sections.
pub(super) fn tensors_offset(sections: &[Section]) -> usize {
    *offsets(sections).last().expect("there is one even without sections")
}

/// The image up to its tensors, which are the last section and have these checksums.
pub(super) fn front(sections: &[Section], tensors: Checksums) -> Vec<u8> {
    let offsets = offsets(sections);
    let end = tensors_offset(sections);
    let total = end as u64 + tensors.len;
    let mut bytes = vec![0; end];
    for (section, &at) in sections.iter().zip(&offsets) {
        put(&mut bytes, at, &section.bytes);
    }
    let kinds = sections.iter().map(|section| section.kind).chain([SectionKind::Tensors]);
    let sums = sections.iter().map(|section| Checksums::of(&section.bytes)).chain([tensors]);
    for (i, ((kind, sums), at)) in kinds.zip(sums).zip(&offsets).enumerate() {
        let entry = &mut bytes[HEADER_LEN + i * ENTRY_LEN..][..ENTRY_LEN];
        put(entry, 0, &(kind as u32).to_le_bytes());
        put(entry, 4, &1u16.to_le_bytes());
        put(entry, 8, &(ALIGN as u32).to_le_bytes());
        put(entry, 12, &sums.crc.finalize().to_le_bytes());
        put(entry, 16, &(*at as u64).to_le_bytes());
        put(entry, 24, &sums.len.to_le_bytes());
        put(entry, 32, &sums.sha.finalize());
    }
    put(&mut bytes, 0, &MAGIC);
    put(&mut bytes, 8, &MAJOR.to_le_bytes());
    put(&mut bytes, 10, &MINOR.to_le_bytes());
    put(&mut bytes, 12, &(HEADER_LEN as u32).to_le_bytes());
    put(&mut bytes, 16, &total.to_le_bytes());
    put(&mut bytes, 24, &(sections.len() as u32 + 1).to_le_bytes());
    put(&mut bytes, 28, &(ENTRY_LEN as u32).to_le_bytes());
    put(&mut bytes, 32, &ARITHMETIC_VERSION.to_le_bytes());
    let crc = crc32(&bytes[..HEADER_LEN + (sections.len() + 1) * ENTRY_LEN]);
    put(&mut bytes, 60, &crc.to_le_bytes());
    bytes
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
