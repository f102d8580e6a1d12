//! Reads UF2 files as the boot ROM of an RP2350 does, and refuses what it would not take. It was written from the format's
//! description (github.com/microsoft/uf2) and shares nothing with `uf2`, which writes.

use anyhow::{Context as _, Result, ensure};

/// What a file puts into flash.
pub(super) struct Image {
    /// The first address.
    pub(super) start: u32,
    /// Every byte from there on.
    pub(super) bytes: Vec<u8>,
    /// Blocks of the program.
    pub(super) blocks: u32,
}

/// The eight words before the contents of a block.
struct Header {
    flags: u32,
    address: u32,
    len: u32,
    number: u32,
    count: u32,
    family: u32,
}

fn word(block: &[u8], at: usize) -> Result<u32> {
    let bytes = block.get(at..at + 4).context("the file ends within a block")?;
    Ok(u32::from_le_bytes(bytes.try_into()?))
}

impl Header {
    fn read(block: &[u8]) -> Result<Self> {
        ensure!(block.starts_with(b"UF2\nWQ]\x9e"), "a block begins with other bytes than UF2 has");
        ensure!(block.ends_with(b"\x30\x6f\xb1\x0a"), "a block ends with other bytes than UF2 has");
        let [flags, address, len, number, count, family] = [8, 12, 16, 20, 24, 28].map(|at| word(block, at));
        let header = Self {
            flags: flags?,
            address: address?,
            len: len?,
            number: number?,
            count: count?,
            family: family?,
        };
        ensure!(header.len == 256, "a block has {} bytes where flash pages have 256", header.len);
        ensure!(
            header.address.is_multiple_of(256),
            "a block is for {:#x}, which is no flash page",
            header.address
        );
        Ok(header)
    }
}

/// Reads a file for the secure state of an RP2350's Arm cores.
pub(super) fn read(file: &[u8]) -> Result<Image> {
    ensure!(!file.is_empty() && file.len().is_multiple_of(512), "the file is not a number of whole blocks");
    let mut blocks = file.chunks_exact(512);
    absolute(blocks.next().context("the file is empty")?).context("the first block")?;
    let mut image = Image { start: 0, bytes: Vec::new(), blocks: 0 };
    let total = (file.len() / 512 - 1) as u32;
    ensure!(total > 0, "the file has no block of a program");
    for block in blocks {
        let header = Header::read(block)?;
        let number = image.blocks;
        ensure!(header.flags == 0x2000, "block {number} has the flags {:#x}", header.flags);
        ensure!(header.family == 0xe48b_ff59, "block {number} is for the family {:#x}", header.family);
        ensure!(
            header.number == number && header.count == total,
            "block {number} of {total} says that it is {} of {}",
            header.number,
            header.count
        );
        if number == 0 {
            image.start = header.address;
        }
        let next = image.start + number * 256;
        ensure!(
            header.address == next,
            "block {number} is for {:#x}, and {next:#x} comes next",
            header.address
        );
        image.bytes.extend_from_slice(&block[32..32 + 256]);
        image.blocks += 1;
    }
    Ok(image)
}

/// The block that goes before a program because of erratum RP2350-E10, as picotool has it: for the end of the chip's address
/// space, number 0 of 2, and with the tag that later chips go by.
fn absolute(block: &[u8]) -> Result<()> {
    let header = Header::read(block)?;
    ensure!(header.family == 0xe48b_ff57, "it is for the family {:#x}", header.family);
    ensure!((header.number, header.count) == (0, 2), "it is number {} of {}", header.number, header.count);
    ensure!(header.flags == 0xa000, "it has the flags {:#x}", header.flags);
    ensure!(header.address == 0x1100_0000 - 256, "it is for {:#x}", header.address);
    ensure!(block[32..288].iter().all(|byte| *byte == 0xef), "its contents are not those of picotool");
    ensure!(word(block, 288)? == 0x9957_e304, "it has no tag that says to ignore it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::uf2;
    use super::*;

    const START: u32 = 0x1000_0000;

    fn written(len: usize) -> (Vec<u8>, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        (uf2::blocks(START, &bytes), bytes)
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [1, 255, 256, 257, 5000] {
            let (file, bytes) = written(len);
            let image = read(&file).unwrap();
            assert_eq!((image.start, image.blocks as usize), (START, len.div_ceil(256)));
            assert_eq!(image.bytes[..len], bytes);
            assert!(image.bytes[len..].iter().all(|byte| *byte == 0));
            assert_eq!(file.len(), 512 * (image.blocks as usize + 1));
        }
    }

    #[test]
    fn a_wrong_byte_of_any_header_is_seen() {
        let (file, _) = written(700);
        for block in 0..4 {
            for at in (0..32).chain(508..512) {
                let mut wrong = file.clone();
                wrong[512 * block + at] ^= 1;
                assert!(read(&wrong).is_err(), "byte {at} of block {block}");
            }
        }
        for at in [32, 287, 288, 291] {
            let mut wrong = file.clone();
            wrong[at] ^= 1;
            assert!(read(&wrong).is_err(), "byte {at} of the first block");
        }
    }

    #[test]
    fn blocks_that_are_missing_doubled_or_exchanged_are_seen() {
        let (file, _) = written(1024);
        let without = [&file[..1024], &file[1536..]].concat();
        assert!(read(&without).is_err());
        assert!(read(&file[512..]).is_err());
        assert!(read(&[&file[..1024], &file[512..]].concat()).is_err());
        let mut exchanged = file.clone();
        exchanged[512..1536].rotate_left(512);
        assert!(read(&exchanged).is_err());
        assert!(read(&file[..file.len() - 1]).is_err() && read(&[]).is_err() && read(&file[..512]).is_err());
    }
}
