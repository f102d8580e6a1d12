//! UF2: a program as the boot loader's drive of an RP2350 takes it, in blocks that may come in any order.
//!
//! What is written is what picotool writes. `uf2_reader` reads it for the tests, and shares nothing with this.

use anyhow::{Context as _, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// Where the flash is, and how much of it is for a program.
pub(super) struct Flash {
    pub(super) start: u32,
    pub(super) bytes: u32,
}

const PAGE: u32 = 256;
const BLOCK: usize = 512;

const MAGIC_START: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const MAGIC_END: u32 = 0x0ab1_6f30;
/// The header names a family.
const HAS_FAMILY: u32 = 0x2000;
/// Tags follow the contents.
const HAS_TAGS: u32 = 0x8000;

/// RP2350, its Arm cores, secure state.
const RP2350_ARM_S: u32 = 0xe48b_ff59;
/// Any program of this maker's chips, at the address that the block names.
const ABSOLUTE: u32 = 0xe48b_ff57;
/// A tag: the boot ROM passes over the block.
const IGNORE: u32 = 0x9957_e304;
/// The last page of the 16 MiB that the chip can address.
const LAST_PAGE: u32 = 0x10ff_ff00;

/// The bytes of flash, from its first one on, that the loadable segments of an ELF file fill: at the addresses that they are
/// loaded to, which for data are not those that the program uses.
pub(super) fn contents(elf: &[u8], flash: &Flash) -> Result<Vec<u8>> {
    let header = FileHeader32::<Endianness>::parse(elf).context("not an ELF file of 32 bits")?;
    let endian = header.endian()?;
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, elf)? {
        let data = segment.data(endian, elf).ok().context("a segment is not within the file")?;
        if segment.p_type(endian) == PT_LOAD && !data.is_empty() {
            segments.push((segment.p_paddr(endian), data));
        }
    }
    segments.sort_by_key(|(address, _)| *address);
    let mut bytes = Vec::new();
    for (address, data) in segments {
        let at = address.checked_sub(flash.start).map(|at| at as usize);
        let end = at.map(|at| at + data.len()).filter(|end| *end <= flash.bytes as usize);
        let (Some(at), Some(end)) = (at, end) else {
            anyhow::bail!("{} bytes at {address:#x} are outside of the flash", data.len());
        };
        ensure!(at >= bytes.len(), "two segments have the bytes at {address:#x}");
        bytes.resize(at, 0);
        bytes.extend_from_slice(data);
        debug_assert_eq!(bytes.len(), end);
    }
    ensure!(!bytes.is_empty(), "no segment has contents");
    Ok(bytes)
}

/// The file for these bytes at `start`, a multiple of 256.
///
/// Before them goes a block of the family `ABSOLUTE`: without it, a chip of the first revisions takes the drive's next block for
/// one of its partition table (erratum RP2350-E10). Later ones pass over it, for it has the tag `IGNORE`.
pub(super) fn blocks(start: u32, bytes: &[u8]) -> Vec<u8> {
    let count = bytes.len().div_ceil(PAGE as usize) as u32;
    let mut file = Vec::with_capacity((count as usize + 1) * BLOCK);
    let mut first = vec![0xef; PAGE as usize];
    first.extend(IGNORE.to_le_bytes());
    block(&mut file, [HAS_FAMILY | HAS_TAGS, LAST_PAGE, PAGE, 0, 2, ABSOLUTE], &first);
    for (number, page) in (0..).zip(bytes.chunks(PAGE as usize)) {
        block(&mut file, [HAS_FAMILY, start + number * PAGE, PAGE, number, count, RP2350_ARM_S], page);
    }
    file
}

/// Appends a block: flags, address, bytes of contents, number, count, family; then contents, filled up with zeros.
fn block(file: &mut Vec<u8>, header: [u32; 6], contents: &[u8]) {
    let end = file.len() + BLOCK;
    file.extend(MAGIC_START.into_iter().chain(header).flat_map(u32::to_le_bytes));
    file.extend(contents);
    file.resize(end - 4, 0);
    file.extend(MAGIC_END.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLASH: Flash = Flash { start: 0x1000_0000, bytes: 0x1000 };

    /// An ELF file of 32 bits with these loadable segments: an address of the program, one in flash, contents.
    fn elf(segments: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
        // An executable for Arm, version 1, no entry; program headers behind this header, no sections.
        file.extend([2_u16, 40].iter().flat_map(|half| half.to_le_bytes()));
        file.extend([1_u32, 0, 52, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
        let count = segments.len() as u16;
        file.extend([52_u16, 32, count, 40, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
        let mut at = 52 + 32 * u32::from(count);
        for (address, load, data) in segments {
            let len = data.len() as u32;
            file.extend(
                [1, at, *address, *load, len, len, 5, 4].iter().flat_map(|word: &u32| word.to_le_bytes()),
            );
            at += len;
        }
        for (_, _, data) in segments {
            file.extend(*data);
        }
        file
    }

    #[test]
    fn data_are_where_they_are_loaded_and_gaps_are_zero() {
        let file = elf(&[(0x2000_0000, 0x1000_0008, b"data"), (0x1000_0000, 0x1000_0000, b"code")]);
        assert_eq!(contents(&file, &FLASH).unwrap(), b"code\0\0\0\0data");
    }

    #[test]
    fn what_does_not_fit_the_flash_is_refused() {
        let refused =
            |segments: &[(u32, u32, &[u8])]| contents(&elf(segments), &FLASH).unwrap_err().to_string();
        assert!(refused(&[(0, 0x2000_0000, b"ram")]).contains("outside of the flash"));
        assert!(refused(&[(0, 0x0fff_fffe, b"below")]).contains("outside of the flash"));
        assert!(refused(&[(0, 0x1000_0ffd, b"code")]).contains("outside of the flash"));
        assert!(refused(&[(0, 0x1000_0000, b"code"), (0, 0x1000_0003, b"x")]).contains("two segments"));
        assert!(refused(&[]).contains("no segment"));
        assert!(contents(b"text", &FLASH).is_err());
    }
}
