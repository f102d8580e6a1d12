//! Header and section table.

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use sha2::{Digest as _, Sha256};

use super::bytes::{range, u16_at, u32_at, u64_at};
use crate::Error;

/// The first eight bytes of an image.
///
/// ```
/// assert_eq!(&bitnet_edge_core::image::MAGIC[1..4], b"BPK");
/// ```
pub const MAGIC: [u8; 8] = *b"\x89BPK\r\n\x1a\n";
/// Major version that this reader reads and the writer writes.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::MAJOR, 1);
/// ```
pub const MAJOR: u16 = 1;
/// Minor version that the writer writes; a reader accepts any.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::MINOR, 0);
/// ```
pub const MINOR: u16 = 0;
/// Bytes of the header that the writer writes.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::HEADER_LEN, 64);
/// ```
pub const HEADER_LEN: usize = 64;
/// Bytes of a section table entry that the writer writes.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::ENTRY_LEN, 64);
/// ```
pub const ENTRY_LEN: usize = 64;
/// Most sections of an image.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::MAX_SECTIONS, 64);
/// ```
pub const MAX_SECTIONS: u32 = 64;

const CRC_AT: usize = 60;
/// Tables of the checksum: sixteen read 16 bytes at a time and take 16 KiB, which a board's flash has better uses for.
const TABLES: usize = if cfg!(target_pointer_width = "64") { 16 } else { 1 };
static CRC: Crc<u32, Table<TABLES>> = Crc::<u32, Table<TABLES>>::new(&CRC_32_ISO_HDLC);

/// The CRC-32 of an image's sections.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::crc32(b"123456789"), 0xcbf4_3926);
/// ```
pub fn crc32(bytes: &[u8]) -> u32 {
    !add(CRC_START, bytes)
}

/// What a checksum is before the first byte; behind the last one its bits are inverted.
const CRC_START: u32 = u32::MAX;

/// Adds bytes to a checksum. The crate's own loop over them keeps a bounds check on 64-bit targets, and so a panic.
fn add(crc: u32, bytes: &[u8]) -> u32 {
    let tables = CRC.table();
    let look = |table: usize, byte: u8| {
        tables.get(table).and_then(|table| table.get(usize::from(byte))).copied().unwrap_or(0)
    };
    let (blocks, rest) = if TABLES == 16 { bytes.as_chunks::<16>() } else { (&[][..], bytes) };
    let crc = blocks.iter().fold(crc, |crc, block| {
        let [a, b, c, d] = crc.to_le_bytes();
        let before = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let looked = block.iter().zip(before).enumerate().map(|(at, (byte, crc))| look(15 - at, byte ^ crc));
        looked.fold(0, |sum, word| sum ^ word)
    });
    rest.iter().fold(crc, |crc, byte| look(0, byte ^ crc as u8) ^ crc >> 8)
}

/// Bytes of an image that are checked between two calls of whoever wants to be called meanwhile.
pub(super) const VERIFY_STEP: usize = 4096;

/// The kind of a section; the discriminant is its number in an image.
///
/// ```
/// use bitnet_edge_core::image::SectionKind;
/// assert_eq!(SectionKind::Tensors.name(), "tensors");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum SectionKind {
    /// Model configuration.
    Config = 1,
    /// `RoPE` frequencies.
    Rope = 2,
    /// Tokenizer tables.
    Tokenizer = 3,
    /// Chat template segments.
    Chat = 4,
    /// Tensor table.
    TensorTable = 5,
    /// Tensor data.
    Tensors = 6,
    /// Where the image comes from.
    Provenance = 7,
}

impl SectionKind {
    /// All kinds that this version knows.
    ///
    /// ```
    /// use bitnet_edge_core::image::SectionKind;
    /// assert!(SectionKind::ALL.map(|kind| kind as u32).is_sorted());
    /// ```
    pub const ALL: [Self; 7] = [
        Self::Config,
        Self::Rope,
        Self::Tokenizer,
        Self::Chat,
        Self::TensorTable,
        Self::Tensors,
        Self::Provenance,
    ];

    /// The name in reports and errors.
    ///
    /// ```
    /// use bitnet_edge_core::image::SectionKind;
    /// assert_eq!(SectionKind::Config.name(), "configuration");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "configuration",
            Self::Rope => "RoPE",
            Self::Tokenizer => "tokenizer",
            Self::Chat => "chat template",
            Self::TensorTable => "tensor table",
            Self::Tensors => "tensors",
            Self::Provenance => "provenance",
        }
    }
}

/// One entry of the section table, with its bytes.
///
/// ```
/// use bitnet_edge_core::{image::{Image, crc32}};
/// # static IMAGE: &[u8] =
/// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// let image = Image::new_checked(IMAGE)?;
/// for section in image.sections() {
///     println!("{:>8} {:>6} bytes: {}", section.offset, section.bytes.len(), section.name());
///     assert!(section.offset.is_multiple_of(u64::from(section.alignment)));
///     assert_eq!(crc32(section.bytes), section.crc);
/// }
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// Number of the kind.
    pub kind: u32,
    /// Version of the kind's own format.
    pub encoding: u16,
    /// The section starts at a multiple of this.
    pub alignment: u32,
    /// CRC-32 of the bytes.
    pub crc: u32,
    /// Offset in the image.
    pub offset: u64,
    /// SHA-256 of the bytes.
    pub sha256: &'a [u8; 32],
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Section<'_> {
    /// Name of the kind, or "unknown".
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, image::Image, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let image = Image::new_checked(IMAGE)?;
    /// let names: Vec<_> = image.sections().map(|section| section.name()).collect();
    /// assert_eq!(names[..3], ["configuration", "RoPE", "tokenizer"]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn name(&self) -> &'static str {
        SectionKind::ALL.iter().find(|k| **k as u32 == self.kind).map_or("unknown", |k| k.name())
    }
}

/// An image whose header and section table are right.
///
/// ```
/// use bitnet_edge_core::{Error, image::Image};
/// # static IMAGE: &[u8] =
/// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// let image = Image::new_checked(IMAGE)?;
/// assert_eq!(image.sections().count(), 7);
/// assert_eq!(Image::new_checked(b"GGUF....").err(), Some(Error::NotAnImage));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    header_len: usize,
    entry_len: usize,
    count: u32,
}

impl<'a> Image<'a> {
    /// Checks header and section table: versions, lengths, order, alignment, CRC. Reads nothing else.
    ///
    /// # Errors
    /// What is wrong, as an [`Error`] of an image.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, image::{Aligned, Image}};
    /// # static IMAGE: &[u8] =
    /// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// assert!(Image::new_checked(IMAGE).is_ok());
    ///
    /// let (need, have) = (IMAGE.len() as u64, IMAGE.len() as u64 - 1);
    /// let cut = &IMAGE[..IMAGE.len() - 1];
    /// assert_eq!(Image::new_checked(cut).err(), Some(Error::ImageTruncated { need, have }));
    ///
    /// let mut copy = Aligned([0; IMAGE.len() + 1]);
    /// copy.0[1..].copy_from_slice(IMAGE);
    /// assert_eq!(Image::new_checked(&copy.0[1..]).err(), Some(Error::ImageMisaligned));
    /// ```
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let image = Self::open(bytes)?;
        if !bytes.as_ptr().addr().is_multiple_of(64) {
            return Err(Error::ImageMisaligned);
        }
        if image.header_crc() != u32_at(bytes, CRC_AT).unwrap_or(0) {
            return Err(Error::ImageDamaged("the checksum of header and section table is wrong"));
        }
        let mut end = image.table_end() as u64;
        for (i, section) in (0..image.count).map(|i| (i, image.section_at(i))) {
            let section = section.ok_or(Error::ImageDamaged("a section lies outside the image"))?;
            let aligned = section.alignment.is_power_of_two()
                && (4..=4096).contains(&section.alignment)
                && section.offset.is_multiple_of(u64::from(section.alignment));
            if !aligned || section.offset < end {
                return Err(Error::ImageDamaged("sections overlap or are not aligned"));
            }
            if (0..i).any(|j| image.section_at(j).is_some_and(|s| s.kind == section.kind)) {
                return Err(Error::ImageDamaged("a section kind occurs twice"));
            }
            if SectionKind::ALL.iter().any(|k| *k as u32 == section.kind) && section.encoding != 1 {
                return Err(Error::SectionEncoding { kind: section.kind, encoding: section.encoding });
            }
            end = section.offset + section.bytes.len() as u64;
        }
        Ok(image)
    }

    /// The checks that a `const fn` can make: enough to find a section without panicking.
    pub(super) const fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        if let (Some(magic), true) = (u64_at(bytes, 0), bytes.len() < HEADER_LEN)
            && magic == u64::from_le_bytes(MAGIC)
        {
            return Err(Error::ImageTruncated { need: HEADER_LEN as u64, have: bytes.len() as u64 });
        }
        let (Some(magic), Some(major), Some(header_len), Some(total), Some(count), Some(entry_len)) = (
            u64_at(bytes, 0),
            u16_at(bytes, 8),
            u32_at(bytes, 12),
            u64_at(bytes, 16),
            u32_at(bytes, 24),
            u32_at(bytes, 28),
        ) else {
            return Err(Error::NotAnImage);
        };
        if magic != u64::from_le_bytes(MAGIC) {
            return Err(Error::NotAnImage);
        }
        if major != MAJOR {
            return Err(Error::ImageVersion { found: major, supported: MAJOR });
        }
        if total != bytes.len() as u64 {
            return Err(Error::ImageTruncated { need: total, have: bytes.len() as u64 });
        }
        if header_len < HEADER_LEN as u32 || entry_len < ENTRY_LEN as u32 || count > MAX_SECTIONS {
            return Err(Error::ImageDamaged("a length in the header is impossible"));
        }
        if header_len as u64 + entry_len as u64 * count as u64 > total {
            return Err(Error::ImageDamaged("the section table lies outside the image"));
        }
        match u32_at(bytes, 32) {
            Some(bitnet_edge_kernels::ARITHMETIC_VERSION) => {}
            Some(found) => {
                let supported = bitnet_edge_kernels::ARITHMETIC_VERSION;
                return Err(Error::ArithmeticVersion { found, supported });
            }
            None => return Err(Error::NotAnImage),
        }
        Ok(Self { bytes, header_len: header_len as usize, entry_len: entry_len as usize, count })
    }

    const fn table_end(&self) -> usize {
        self.header_len + self.entry_len * self.count as usize
    }

    fn header_crc(&self) -> u32 {
        let head = self.bytes.get(..self.table_end()).unwrap_or(&[]);
        let (before, rest) = head.split_at_checked(CRC_AT).unwrap_or((&[], &[]));
        !add(add(add(CRC_START, before), &[0; 4]), rest.get(4..).unwrap_or(&[]))
    }

    /// Section `i` of the table, or `None` where it is not inside the image.
    pub(super) const fn section_at(&self, i: u32) -> Option<Section<'a>> {
        if i >= self.count {
            return None;
        }
        let at = self.header_len + self.entry_len * i as usize;
        let (Some(entry), Some(kind), Some(encoding), Some(alignment), Some(crc), Some(offset), Some(len)) = (
            range(self.bytes, at as u64, ENTRY_LEN as u64),
            u32_at(self.bytes, at),
            u16_at(self.bytes, at + 4),
            u32_at(self.bytes, at + 8),
            u32_at(self.bytes, at + 12),
            u64_at(self.bytes, at + 16),
            u64_at(self.bytes, at + 24),
        ) else {
            return None;
        };
        match (range(self.bytes, offset, len), entry.last_chunk()) {
            (Some(bytes), Some(sha256)) => {
                Some(Section { kind, encoding, alignment, crc, offset, sha256, bytes })
            }
            _ => None,
        }
    }

    /// All sections, in order.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, image::Image, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let image = Image::new_checked(IMAGE)?;
    /// let bytes: usize = image.sections().map(|section| section.bytes.len()).sum();
    /// assert!(bytes < image.bytes().len()); // header, table and padding are the rest
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn sections(&self) -> impl Iterator<Item = Section<'a>> + use<'a> {
        let image = *self;
        (0..image.count).filter_map(move |i| image.section_at(i))
    }

    /// The bytes of the section of this kind.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, image::{Image, SectionKind}, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let image = Image::new_checked(IMAGE)?;
    /// assert!(image.section(SectionKind::Tokenizer).is_some_and(|tables| tables.starts_with(b"BTOK")));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn section(&self, kind: SectionKind) -> Option<&'a [u8]> {
        let mut i = 0;
        while i < self.count {
            if let Some(section) = self.section_at(i)
                && section.kind == kind as u32
            {
                return Some(section.bytes);
            }
            i += 1;
        }
        None
    }

    /// As [`section`](Self::section), for one that every image has.
    ///
    /// # Errors
    /// [`Error::SectionMissing`]
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, image::{Image, SectionKind}, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let image = Image::new_checked(IMAGE)?;
    /// assert_eq!(image.required(SectionKind::Config)?.len(), 64);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn required(&self, kind: SectionKind) -> Result<&'a [u8], Error> {
        match self.section(kind) {
            Some(bytes) => Ok(bytes),
            None => Err(Error::SectionMissing(kind.name())),
        }
    }

    /// All bytes of the image.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, image::Image, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let image = Image::new_checked(IMAGE)?;
    /// assert!(image.bytes().starts_with(b"\x89BPK"));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The image digest: SHA-256 of header and section table, which holds the digest of every section.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, image::Image, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let image = Image::new_checked(IMAGE)?;
    /// let name: String = image.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    /// assert_eq!(name.len(), 64); // what a receipt calls the image
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.bytes.get(..self.table_end()).unwrap_or(&[])).into()
    }

    /// Checks every byte: CRC-32 and SHA-256 of each section, and that padding is zero.
    ///
    /// # Errors
    /// [`Error::SectionDamaged`] with the section's name, [`Error::ImageDamaged`] for padding.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, image::{Aligned, Image}};
    /// # static IMAGE: &[u8] =
    /// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// let mut copy = Aligned([0; IMAGE.len()]);
    /// copy.0.copy_from_slice(IMAGE);
    /// assert_eq!(Image::new_checked(&copy.0)?.verify(), Ok(()));
    ///
    /// copy.0[IMAGE.len() / 2] ^= 1; // one bit of a weight
    /// let image = Image::new_checked(&copy.0)?; // reads header and table only
    /// assert_eq!(image.verify(), Err(Error::SectionDamaged("tensors")));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn verify(&self) -> Result<(), Error> {
        self.verify_between(&mut || {})
    }

    /// As [`verify`](Self::verify), with a call of `between` after every 4 KiB, where firmware feeds its watchdog.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// use bitnet_edge_core::image::Image;
    /// # static IMAGE: &[u8] =
    /// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// let mut fed = 0; // how often the watchdog was
    /// Image::new_checked(IMAGE)?.verify_between(&mut || fed += 1)?;
    /// assert!(fed >= IMAGE.len() / 4096);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn verify_between(&self, between: &mut dyn FnMut()) -> Result<(), Error> {
        let mut end = self.table_end() as u64;
        for section in self.sections() {
            self.check_padding(end, section.offset, between)?;
            let (mut crc, mut sha256) = (CRC_START, Sha256::new());
            for piece in section.bytes.chunks(VERIFY_STEP) {
                crc = add(crc, piece);
                sha256.update(piece);
                between();
            }
            if !crc != section.crc || sha256.finalize().as_slice() != section.sha256 {
                return Err(Error::SectionDamaged(section.name()));
            }
            end = section.offset + section.bytes.len() as u64;
        }
        self.check_padding(end, self.bytes.len() as u64, between)
    }

    fn check_padding(&self, from: u64, to: u64, between: &mut dyn FnMut()) -> Result<(), Error> {
        let padding = range(self.bytes, from, to.saturating_sub(from)).unwrap_or(&[]);
        for piece in padding.chunks(VERIFY_STEP) {
            if piece.iter().any(|&b| b != 0) {
                return Err(Error::ImageDamaged("padding between sections is not zero"));
            }
            between();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_that_of_its_definition_at_every_length_and_cut() {
        let bytes: [u8; 100] = core::array::from_fn(|at| (at * 151 + at / 7) as u8);
        for len in 0..=bytes.len() {
            let expected = CRC.checksum(&bytes[..len]);
            assert_eq!(crc32(&bytes[..len]), expected);
            for cut in [0, 1, len / 3, len] {
                assert_eq!(!add(add(CRC_START, &bytes[..cut.min(len)]), &bytes[cut.min(len)..len]), expected);
            }
        }
    }
}
