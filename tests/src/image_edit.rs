//! Takes images apart and writes them otherwise: what other writers, later versions and accidents make of them.

use bitnet_edge_core::image::{
    ENTRY_LEN, HEADER_LEN, Image, MAGIC, MAJOR, MINOR, SectionKind, TABLE_ENTRY_LEN, crc32,
};
use bitnet_edge_kernels::ARITHMETIC_VERSION;
use bitnet_edge_std::Bytes;
use sha2::{Digest, Sha256};

/// Where the header has its fields.
pub mod at {
    #![allow(missing_docs)]
    pub const MAJOR: usize = 8;
    pub const MINOR: usize = 10;
    pub const HEADER_LEN: usize = 12;
    pub const TOTAL: usize = 16;
    pub const COUNT: usize = 24;
    pub const ENTRY_LEN: usize = 28;
    pub const ARITHMETIC: usize = 32;
    pub const CRC: usize = 60;
}

/// A section to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Number of the kind.
    pub kind: u32,
    /// Version of the kind's own format.
    pub encoding: u16,
    /// The section starts at a multiple of this.
    pub alignment: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An image in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Major version.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
    /// Version of the arithmetic.
    pub arithmetic: u32,
    /// Bytes of the header.
    pub header_len: usize,
    /// Bytes of a table entry.
    pub entry_len: usize,
    /// The sections.
    pub sections: Vec<Part>,
    /// Where the tensors were: the table counts from the start of the image.
    tensors_at: u64,
}

impl Parts {
    /// The parts of an image.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn of(image: &[u8]) -> Self {
        let image = Image::new_checked(image).unwrap();
        let sections = image.sections().map(|s| Part {
            kind: s.kind,
            encoding: s.encoding,
            alignment: s.alignment,
            bytes: s.bytes.to_vec(),
        });
        let tensors = image.sections().find(|s| s.kind == SectionKind::Tensors as u32);
        Self {
            major: MAJOR,
            minor: MINOR,
            arithmetic: ARITHMETIC_VERSION,
            header_len: HEADER_LEN,
            entry_len: ENTRY_LEN,
            sections: sections.collect(),
            tensors_at: tensors.unwrap().offset,
        }
    }

    /// The section of a kind.
    ///
    /// # Panics
    /// If there is none.
    pub fn section(&mut self, kind: SectionKind) -> &mut Part {
        self.sections.iter_mut().find(|s| s.kind == kind as u32).unwrap()
    }

    /// Writes the image; the tensor table follows its tensors.
    #[must_use]
    pub fn build(&self) -> Bytes {
        let mut at = self.header_len + self.entry_len * self.sections.len();
        let mut places = Vec::new();
        for section in &self.sections {
            at = at.next_multiple_of(section.alignment.max(1) as usize);
            places.push(at);
            at += section.bytes.len();
        }
        let tensors = self.sections.iter().position(|s| s.kind == SectionKind::Tensors as u32);
        let tensors_at = tensors.map_or(self.tensors_at, |i| places[i] as u64);
        let mut image = Bytes::zeroed(at);
        let bytes = image.as_mut_slice();
        put(bytes, 0, &MAGIC);
        put(bytes, at::MAJOR, &self.major.to_le_bytes());
        put(bytes, at::MINOR, &self.minor.to_le_bytes());
        put(bytes, at::HEADER_LEN, &(self.header_len as u32).to_le_bytes());
        put(bytes, at::COUNT, &(self.sections.len() as u32).to_le_bytes());
        put(bytes, at::ENTRY_LEN, &(self.entry_len as u32).to_le_bytes());
        put(bytes, at::ARITHMETIC, &self.arithmetic.to_le_bytes());
        for (i, (section, &place)) in self.sections.iter().zip(&places).enumerate() {
            let entry = self.header_len + i * self.entry_len;
            put(bytes, entry, &section.kind.to_le_bytes());
            put(bytes, entry + 4, &section.encoding.to_le_bytes());
            put(bytes, entry + 8, &section.alignment.to_le_bytes());
            put(bytes, entry + 16, &(place as u64).to_le_bytes());
            put(bytes, entry + 24, &(section.bytes.len() as u64).to_le_bytes());
            put(bytes, place, &section.bytes);
            if section.kind == SectionKind::TensorTable as u32 {
                let table = &mut bytes[place..place + section.bytes.len()];
                rebase(table, tensors_at.wrapping_sub(self.tensors_at));
            }
        }
        put_right(bytes);
        image
    }
}

/// Adds to the offsets of all tensors that are there.
fn rebase(table: &mut [u8], shift: u64) {
    for entry in table.chunks_exact_mut(TABLE_ENTRY_LEN).filter(|entry| entry[0] != 0 || entry[1] != 0) {
        for (at, optional) in [(24, false), (40, true)] {
            let offset = read_u64(entry, at);
            if offset != 0 || !optional {
                put(entry, at, &offset.wrapping_add(shift).to_le_bytes());
            }
        }
    }
}

/// Makes length and checksums what they should be, as far as the header lets them be found.
pub fn put_right(image: &mut [u8]) {
    if image.len() < HEADER_LEN {
        return;
    }
    let total = image.len() as u64;
    put(image, at::TOTAL, &total.to_le_bytes());
    let (header, count, len) =
        (read_u32(image, at::HEADER_LEN), read_u32(image, at::COUNT), read_u32(image, at::ENTRY_LEN));
    for i in 0..u64::from(count.min(64)) {
        let entry = u64::from(header) + u64::from(len) * i;
        if entry + ENTRY_LEN as u64 > total {
            break;
        }
        let entry = entry as usize;
        let (at, n) = (read_u64(image, entry + 16), read_u64(image, entry + 24));
        if at.checked_add(n).is_none_or(|end| end > total) {
            continue;
        }
        let section = &image[at as usize..(at + n) as usize];
        let (crc, sha) = (crc32(section), Sha256::digest(section));
        put(image, entry + 12, &crc.to_le_bytes());
        put(image, entry + 32, &sha);
    }
    put(image, at::CRC, &[0; 4]);
    let end = u64::from(header) + u64::from(len) * u64::from(count);
    if end <= total {
        let crc = crc32(&image[..end as usize]);
        put(image, at::CRC, &crc.to_le_bytes());
    }
}

/// Overwrites bytes.
///
/// # Panics
/// Beyond the slice.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A little-endian number.
///
/// # Panics
/// Beyond the slice.
#[must_use]
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A little-endian number.
///
/// # Panics
/// Beyond the slice.
#[must_use]
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
