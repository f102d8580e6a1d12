//! The Raspberry Pi: what its loader takes, and QEMU's machines.

use super::build;
use anyhow::{Context as _, Result, ensure};
use bitnet_pack::emulator::{Machine, VIRT_AARCH64};
use std::fs;
use std::path::PathBuf;

/// Where config.txt has the program loaded.
pub(super) const LOAD_ADDRESS: u64 = 0x80000;

/// Offsets in the header of a Linux Image, which the program begins with: where it is loaded, behind the start of memory; the
/// bytes of memory that it takes; the magic.
const OFFSET: usize = 8;
const SIZE: usize = 16;
const MAGIC: usize = 56;

/// Fills a program up to the memory that it takes, its stacks included: the firmware puts the model right behind the file
/// (`followkernel`), where nothing of the program may be. What follows begins at a page.
pub(super) fn as_long_as_its_memory(program: &mut Vec<u8>) -> Result<()> {
    let size = word(program, SIZE).context("the program has no header")?;
    ensure!(size >= program.len() as u64, "the header's size is less than the program's");
    program.resize(size.next_multiple_of(4096) as usize, 0);
    check(program)
}

/// Whether these are the bytes of a program for the card.
pub(super) fn check(program: &[u8]) -> Result<()> {
    ensure!(
        program.get(MAGIC..MAGIC + 4) == Some(b"ARM\x64"),
        "the program has no header of an AArch64 Image"
    );
    // Unconditional, to what is behind the header.
    ensure!(program[3] == 0x14, "the program does not begin with a branch");
    ensure!(
        word(program, OFFSET) == Some(LOAD_ADDRESS),
        "the program is for another address than {LOAD_ADDRESS:#x}"
    );
    let pages = word(program, SIZE).map(|size| size.next_multiple_of(4096));
    ensure!(pages == Some(program.len() as u64), "the program is not as long as the memory that it takes");
    Ok(())
}

fn word(program: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(program.get(at..at + 8)?.try_into().ok()?))
}

/// Without a device tree: QEMU then gives ATAGs.
pub(super) const THREE: Machine<'static> = raspi("rpi3", "raspi3b");
/// With a device tree, to which QEMU adds the model's place, as the firmware does. (It has memory above the first GiB, and says
/// nothing of it.)
pub(super) const FOUR: Machine<'static> = raspi("rpi4", "raspi4b");

/// A machine that is as it is.
const fn raspi(board: &'static str, machine: &'static str) -> Machine<'static> {
    Machine { board, machine, cpu: None, cores: None, megabytes: None, ..VIRT_AARCH64 }
}

/// Where the device tree is.
pub(super) fn tree() -> Result<PathBuf> {
    let path = build::folder()?.join("rpi4.dtb");
    fs::write(&path, blob()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A device tree with nothing but the sizes of an address (two cells) and of a length (one), as a Raspberry Pi has them.
fn blob() -> Vec<u8> {
    const HEADER: u32 = 40;
    const RESERVED: u32 = 16;
    let names = b"#address-cells\0#size-cells\0\0";
    let (begin, property, end_node, end) = (1, 3, 2, 9);
    let nodes = [begin, 0, property, 4, 0, 2, property, 4, 15, 1, end_node, end];
    let nodes_len = 4 * nodes.len() as u32;
    let strings = HEADER + RESERVED + nodes_len;
    let total = strings + names.len() as u32;
    // Magic, length, where nodes, names and reservations are, version, the oldest that reads it, first core, lengths.
    let header =
        [0xd00d_feed, total, HEADER + RESERVED, strings, HEADER, 17, 16, 0, names.len() as u32, nodes_len];
    let words = header.into_iter().chain([0; RESERVED as usize / 4]).chain(nodes);
    words.flat_map(u32::to_be_bytes).chain(names.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(size: u64) -> Vec<u8> {
        let mut program = vec![0; 100];
        program[3] = 0x14;
        program[OFFSET..OFFSET + 8].copy_from_slice(&LOAD_ADDRESS.to_le_bytes());
        program[SIZE..SIZE + 8].copy_from_slice(&size.to_le_bytes());
        program[MAGIC..MAGIC + 4].copy_from_slice(b"ARM\x64");
        program
    }

    #[test]
    fn a_program_fills_its_memory_and_ends_at_a_page() {
        for (size, len) in [(100, 4096), (4096, 4096), (4097, 8192)] {
            let mut padded = program(size);
            as_long_as_its_memory(&mut padded).unwrap();
            assert_eq!(padded.len(), len);
            assert_eq!(padded[..100], program(size));
        }
        assert!(as_long_as_its_memory(&mut program(99)).is_err());
    }

    #[test]
    fn other_files_are_no_programs() {
        assert!(check(&[]).is_err() && as_long_as_its_memory(&mut vec![0; 12]).is_err());
        for at in [3, OFFSET + 2, SIZE + 1, MAGIC] {
            let mut wrong = program(4000);
            wrong.resize(4096, 0);
            check(&wrong).unwrap();
            wrong[at] ^= 0x20;
            assert!(check(&wrong).is_err(), "byte {at}");
        }
    }
}
