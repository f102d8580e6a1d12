//! What the device tree says of the machine.

use core::ops::Range;

use dtoolkit::fdt::Fdt;
use dtoolkit::{Node as _, Property as _, ToCellInt as _};

/// The cores of the largest machine that the boot code has stacks for.
pub const MAX_CORES: usize = 8;

/// What a board needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The memory: the first range of the memory node.
    pub memory: Range<u64>,
    /// The file that came with the program (`-initrd`, `initramfs`).
    pub initrd: Option<Range<u64>>,
    /// Whether PSCI is called with `smc` (firmware at EL3) instead of `hvc`.
    pub psci_by_smc: bool,
    /// The cores by their affinity, as PSCI names them, and how many of the places are used.
    pub cores: ([u64; MAX_CORES], usize),
}

/// Reads the device tree.
///
/// # Errors
/// What is missing in it.
pub fn read(tree: Fdt<'_>) -> Result<Machine, &'static str> {
    let memory = tree.memory().map_err(|_| "the device tree has no memory node")?;
    let mut ranges = memory.reg().ok().flatten().ok_or("the device tree's memory node has no ranges")?;
    let memory = ranges.next().ok_or("the device tree's memory node has no ranges")?;
    let (start, size) = (memory.address::<u64>(), memory.size::<u64>());
    let (Ok(start), Ok(size)) = (start, size) else {
        return Err("the memory has more than 64 bits of address");
    };
    let mut cores = ([0; MAX_CORES], 0);
    let cpus = tree.cpus().map_err(|_| "the device tree has no cpus node")?;
    for cpu in cpus.cpus() {
        let id = cpu.ids().ok().and_then(|mut ids| ids.next()).and_then(|id| id.to_int::<u64>().ok());
        if let (Some(id), Some(place)) = (id, cores.0.get_mut(cores.1)) {
            *place = id;
            cores.1 += 1;
        }
    }
    let psci_by_smc = psci_method(tree) == Some("smc");
    Ok(Machine { memory: start..start.saturating_add(size), initrd: initrd(tree), psci_by_smc, cores })
}

fn psci_method(tree: Fdt<'_>) -> Option<&str> {
    tree.find_node("/psci")?.property("method")?.value_as().ok()
}

/// Every range of every memory node, for a machine whose memory is in pieces.
pub fn memory(tree: Fdt<'_>) -> impl Iterator<Item = Range<u64>> {
    let nodes = tree.root().children().filter(|node| node.name_without_address() == "memory");
    nodes.filter_map(|node| node.reg().ok().flatten()).flatten().filter_map(|range| {
        let (start, size) = (range.address::<u64>().ok()?, range.size::<u64>().ok()?);
        Some(start..start.checked_add(size)?)
    })
}

/// The file that came with the program.
#[must_use]
pub fn initrd(tree: Fdt<'_>) -> Option<Range<u64>> {
    let chosen = tree.chosen()?;
    let address = |name| number(chosen.property(name)?.value());
    let range = address("linux,initrd-start")?..address("linux,initrd-end")?;
    (!range.is_empty()).then_some(range)
}

/// A number of one or two cells: loaders write either.
fn number(value: &[u8]) -> Option<u64> {
    if let Ok(two) = value.try_into() {
        return Some(u64::from_be_bytes(two));
    }
    value.try_into().ok().map(u32::from_be_bytes).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of words: addresses of two cells, lengths of one, as a Raspberry Pi has them; two memory nodes and a place of a
    /// file in each width.
    fn tree() -> Vec<u8> {
        const NAMES: &[u8] = b"#address-cells\0#size-cells\0reg\0linux,initrd-start\0linux,initrd-end\0";
        const PROPERTY: u32 = 3;
        let text = |text: &str| {
            let bytes: Vec<u8> = text.bytes().chain([0; 4]).collect();
            let words = bytes[..(text.len() + 1).next_multiple_of(4)].as_chunks::<4>().0.to_vec();
            words.into_iter().map(u32::from_be_bytes).collect::<Vec<_>>()
        };
        let property = |name: &str, value: &[u32]| {
            let at = NAMES.windows(name.len()).position(|there| there == name.as_bytes()).unwrap();
            [&[PROPERTY, 4 * value.len() as u32, at as u32], value].concat()
        };
        let node = |name: &str, inside: &[u32]| [&[1], &text(name)[..], inside, &[2]].concat();
        let pieces = [0, 0x4000_0000, 0xbc00_0000, 1, 0, 0x8000_0000];
        let inside = [
            property("#address-cells", &[2]),
            property("#size-cells", &[1]),
            node("memory@0", &property("reg", &[0, 0, 0x3b40_0000])),
            node("memory@40000000", &property("reg", &pieces)),
            node(
                "chosen",
                &[
                    property("linux,initrd-start", &[0x80_0000]),
                    property("linux,initrd-end", &[0, 0x90_0000]),
                ]
                .concat(),
            ),
        ];
        let nodes = [node("", &inside.concat()), vec![9]].concat();
        let (begin, len) = (56, 4 * nodes.len() as u32);
        let total = begin + len + NAMES.len() as u32;
        let header = [0xd00d_feed, total, begin, begin + len, 40, 17, 16, 0, NAMES.len() as u32, len];
        let words = header.into_iter().chain([0; 4]).chain(nodes);
        words.flat_map(u32::to_be_bytes).chain(NAMES.iter().copied()).collect()
    }

    #[test]
    fn memory_in_pieces_and_the_file_are_found() {
        let bytes = tree();
        let tree = Fdt::new(&bytes).unwrap();
        let expected = [0..0x3b40_0000, 0x4000_0000..0xfc00_0000, 0x1_0000_0000..0x1_8000_0000];
        assert_eq!(memory(tree).collect::<Vec<_>>(), expected);
        assert_eq!(initrd(tree), Some(0x80_0000..0x90_0000));
    }
}
