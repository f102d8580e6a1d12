//! The memory map: identity, made at compile time.

use core::cell::UnsafeCell;
use core::ops::Range;

/// What lies in a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory: cached.
    Normal,
    /// Registers of devices: never cached, never executed.
    Device,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Bytes of a block of the second level.
const SMALL: u64 = 2 * MIB;

/// A block that is valid, accessed, and for the kernel alone.
const BLOCK: u64 = 1 | 1 << 10;
const NEVER_BY_USER: u64 = 1 << 54;
const NEVER_BY_KERNEL: u64 = 1 << 53;
const INNER_SHAREABLE: u64 = 3 << 8;
/// Index of the attributes in MAIR, which boot.s sets: 0 is device memory, 1 normal memory.
const NORMAL_ATTRIBUTES: u64 = 1 << 2;

impl Kind {
    const fn block(self, address: u64) -> u64 {
        let attributes = match self {
            Self::Normal => NORMAL_ATTRIBUTES | INNER_SHAREABLE,
            Self::Device => NEVER_BY_KERNEL,
        };
        address | attributes | NEVER_BY_USER | BLOCK
    }
}

/// Translation tables of an identity map of 512 GiB: 2 MiB a block in the first 4 GiB, where devices are, and 1 GiB behind.
///
/// What no region names is not mapped: a stray pointer ends in an exception that says so. Leave the first 2 MiB out where the
/// board can, and null is among them.
///
/// ```
/// use bitnet_edge_board_aarch64::{Kind, Map};
/// static MAP: Map = Map::new(&[(0x0800_0000, 0x4000_0000, Kind::Device), (0x4000_0000, 0x1_4000_0000, Kind::Normal)]);
/// assert_eq!(MAP.kind_of(0x0900_0000), Some(Kind::Device));
/// assert_eq!(MAP.kind_of(0x4008_0000), Some(Kind::Normal));
/// assert_eq!(MAP.kind_of(0), None);
/// ```
#[repr(C, align(4096))]
pub struct Map {
    /// The first 4 GiB, one table a GiB.
    second: UnsafeCell<[[u64; 512]; 4]>,
    /// The first four entries point to the tables above: addresses, which the boot code fills in before any core uses them.
    first: UnsafeCell<[u64; 512]>,
}

// SAFETY: Only the first core writes, before another one is started: the boot code, and `add_memory` by its caller's promise.
unsafe impl Sync for Map {}

impl core::fmt::Debug for Map {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Map")
    }
}

impl Map {
    /// The map of these ranges of addresses (first, end): multiples of 2 MiB, and of 1 GiB above 4 GiB. The first one that
    /// an address lies in counts.
    ///
    /// # Panics
    /// At compile time, if a range is not a multiple of its blocks or ends beyond 512 GiB.
    #[must_use]
    pub const fn new(regions: &[(u64, u64, Kind)]) -> Self {
        let mut at = 0;
        while at < regions.len() {
            let (start, end, _) = regions[at];
            assert!(start < end && end <= 512 * GIB, "a range of the map is empty or ends beyond 512 GiB");
            assert!(
                start.is_multiple_of(if start < 4 * GIB { SMALL } else { GIB }),
                "a range begins within a block"
            );
            assert!(
                end.is_multiple_of(if end <= 4 * GIB { SMALL } else { GIB }),
                "a range ends within a block"
            );
            at += 1;
        }
        let (mut second, mut first) = ([[0; 512]; 4], [0; 512]);
        let mut block = 0;
        while block < 4 * 512 {
            second[block / 512][block % 512] = entry(regions, block as u64 * SMALL);
            block += 1;
        }
        let mut gib = 4;
        while gib < 512 {
            first[gib] = entry(regions, gib as u64 * GIB);
            gib += 1;
        }
        Self { second: UnsafeCell::new(second), first: UnsafeCell::new(first) }
    }

    /// Maps memory that the board learned of at run time: the whole blocks within `range` that are not mapped yet. A board
    /// whose memory differs from one to the next then never reads, not even by speculation, where none is.
    ///
    /// ```
    /// use bitnet_edge_board_aarch64::{Kind, Map};
    /// static MAP: Map = Map::new(&[(0, 0x20_0000, Kind::Normal)]);
    /// // SAFETY: one thread, and this map is not in use.
    /// unsafe { MAP.add_memory(0..0x4f_ffff) };
    /// assert_eq!(MAP.kind_of(0x3f_ffff), Some(Kind::Normal));
    /// assert_eq!(MAP.kind_of(0x40_0000), None);
    /// ```
    ///
    /// # Safety
    /// Memory is there, the first core calls it, and no other core has been started.
    pub unsafe fn add_memory(&self, range: Range<u64>) {
        // SAFETY: By the caller's promise nobody else reads or writes but the MMU, which takes an entry as a whole.
        let (first, second) = unsafe { (&mut *self.first.get(), &mut *self.second.get()) };
        let entries =
            second.as_flattened_mut().iter_mut().zip(0_u64..).map(|(entry, at)| (entry, at * SMALL, SMALL));
        let behind = first.iter_mut().zip(0_u64..).skip(4).map(|(entry, at)| (entry, at * GIB, GIB));
        for (entry, address, size) in entries.chain(behind) {
            if *entry & 1 == 0 && range.start <= address && address + size <= range.end {
                *entry = Kind::Normal.block(address);
            }
        }
        // Entries that were not valid are in no TLB: it is enough that the walks see the new ones.
        #[cfg(all(target_arch = "aarch64", target_os = "none"))]
        crate::processor::see_tables();
    }

    /// What is mapped at an address.
    #[must_use]
    pub fn kind_of(&self, address: u64) -> Option<Kind> {
        let (gib, block) = ((address / GIB) as usize, (address % GIB / SMALL) as usize);
        // SAFETY: Nobody writes while this is called: the boot code is done, and `add_memory` is on the first core alone.
        let (first, second) = unsafe { (&*self.first.get(), &*self.second.get()) };
        let entry = match second.get(gib) {
            Some(table) => table[block],
            None => *first.get(gib)?,
        };
        (entry & 1 == 1).then_some(if entry & NORMAL_ATTRIBUTES == 0 { Kind::Device } else { Kind::Normal })
    }
}

const fn entry(regions: &[(u64, u64, Kind)], address: u64) -> u64 {
    let mut at = 0;
    while at < regions.len() {
        let (start, end, kind) = regions[at];
        if start <= address && address < end {
            return kind.block(address);
        }
        at += 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_the_architecture() {
        // Arm ARM D8.3: block descriptors; the address in place, AF, SH, AttrIndx, PXN and UXN.
        assert_eq!(Kind::Normal.block(0x4000_0000), 0x0040_0000_4000_0705);
        assert_eq!(Kind::Device.block(0x0900_0000), 0x0060_0000_0900_0401);
    }

    #[test]
    fn addresses_are_mapped_to_themselves_and_others_are_not() {
        let map = Map::new(&[
            (0x3f00_0000, 0x4020_0000, Kind::Device),
            (0x20_0000, 0x4040_0000, Kind::Normal),
            (4 * GIB, 8 * GIB, Kind::Normal),
        ]);
        let kinds = [0x20_0000, 0x3eff_ffff, 0x3f00_0000, 0x401f_ffff, 0x4020_0000, 4 * GIB, 8 * GIB - 1];
        let kinds = kinds.map(|address| map.kind_of(address).unwrap());
        let (normal, device) = (Kind::Normal, Kind::Device);
        assert_eq!(kinds, [normal, normal, device, device, normal, normal, normal]);
        for address in [0, 0x1f_ffff, 0x4040_0000, 4 * GIB - 1, 8 * GIB, 600 * GIB] {
            assert_eq!(map.kind_of(address), None, "{address:x}");
        }
        assert_eq!(map.second.into_inner()[0][0x3f00_0000 / SMALL as usize] & 0xffff_ffff_f000, 0x3f00_0000);
    }

    #[test]
    fn memory_is_added_in_whole_blocks_and_devices_stay() {
        let map = Map::new(&[(0, 0x20_0000, Kind::Normal), (0x3f00_0000, 0x4000_0000, Kind::Device)]);
        // SAFETY: one thread, and this map is not in use.
        unsafe { map.add_memory(0x1000..0x4060_0000 + 7) };
        // SAFETY: as above.
        unsafe { map.add_memory(0xf000_0000..5 * GIB) };
        let kinds =
            [0, 0x20_0000, 0x3eff_ffff, 0x3f00_0000, 0x4000_0000, 0x405f_ffff, 0xf000_0000, 5 * GIB - 1];
        let kinds = kinds.map(|address| map.kind_of(address).unwrap());
        let (normal, device) = (Kind::Normal, Kind::Device);
        assert_eq!(kinds, [normal, normal, normal, device, normal, normal, normal, normal]);
        for address in [0x4060_0000, 0xefff_ffff, 5 * GIB] {
            assert_eq!(map.kind_of(address), None, "{address:x}");
        }
    }

    #[test]
    #[should_panic(expected = "ends within a block")]
    fn half_blocks_are_refused() {
        let _ = Map::new(&[(0, MIB, Kind::Normal)]);
    }
}
