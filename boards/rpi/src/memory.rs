//! Where the model is, and the memory that is left.

use core::ops::Range;
use core::slice::{from_raw_parts, from_raw_parts_mut};

use bitnet_edge_board_aarch64::memory::{largest_gap, whole_blocks};
use bitnet_edge_board_aarch64::{Map, atags, tree};
use bitnet_edge_core::Line;
use dtoolkit::fdt::Fdt;

use crate::pi::Pi;

/// The end of what is mapped from the beginning: program, data and stacks lie below.
pub(crate) const BOOT_END: u64 = 0x100_0000;

/// Where a Raspberry Pi 4 has devices, below 4 GiB.
const DEVICES: u64 = 0xfc00_0000;
const GIB: u64 = 1 << 30;

/// Why there is no model: what a card lacks then.
const NO_MODEL: &str = "the firmware loaded no model: config.txt needs the line `initramfs model.bpk followkernel`, and both \
                        files must be on the card";

unsafe extern "C" {
    /// The linker script's symbol behind program, data and stacks.
    static __image_end: u8;
}

/// Maps all memory; the model, and the largest piece of what nothing lies in.
///
/// The firmware tells where the model is by a device tree, or, without one, by ATAGs.
///
/// # Safety
/// As [`Map::add_memory`]; `arm_memory` is the firmware's answer, `told` the address it gave, and this is the only call.
pub(crate) unsafe fn find(
    map: &Map,
    pi: Pi,
    arm_memory: Range<u64>,
    told: usize,
) -> Result<(&'static [u8], &'static mut [Line]), &'static str> {
    // SAFETY: The caller's promise.
    unsafe { map.add_memory(arm_memory.clone()) };
    let told = Told::at(told as u64, &arm_memory);
    let model = told.initrd().filter(|model| is_inside(model, &arm_memory)).ok_or(NO_MODEL)?;
    let program = 0..&raw const __image_end as u64;
    if program.end > BOOT_END || model.start < program.end {
        return Err(
            "the firmware loaded the model into the program's memory: kernel8.img is not the file that was made",
        );
    }
    let mut free = largest_gap(arm_memory.clone(), &mut [program, told.place(), model.clone()]);
    let further = told.memory().filter(|_| pi == Pi::Four);
    for piece in further.filter_map(|piece| whole_blocks(&piece, GIB.max(arm_memory.end), DEVICES)) {
        // SAFETY: The device tree says that memory is there.
        unsafe { map.add_memory(piece.clone()) };
        if piece.end - piece.start > free.end - free.start {
            free = piece;
        }
    }
    let start = free.start.next_multiple_of(64);
    let lines = free.end.saturating_sub(start) as usize / size_of::<Line>();
    // SAFETY: The firmware says that the file is there, and nothing writes to it: the arena leaves it out.
    let model = unsafe { from_raw_parts(model.start as *const u8, (model.end - model.start) as usize) };
    // SAFETY: This memory is mapped, aligned, used by nothing else, and outside of all that the compiler knows of; any bytes
    // are a `Line`. By the caller's promise this is the only reference.
    let arena = unsafe { from_raw_parts_mut(start as *mut Line, lines) };
    Ok((model, arena))
}

fn is_inside(inner: &Range<u64>, outer: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What the firmware gave to the program.
enum Told {
    Tree(Fdt<'static>),
    /// The words where ATAGs would be.
    Words(&'static [u32]),
}

impl Told {
    fn at(address: u64, memory: &Range<u64>) -> Self {
        const MAGIC: u32 = 0xd00d_feed;
        const WORDS: usize = 1024;
        let words = address..address.saturating_add(4 * WORDS as u64);
        if address == 0 || !address.is_multiple_of(8) || !is_inside(&words, memory) {
            return Self::Words(&[]);
        }
        // SAFETY: mapped, aligned, not null, and nothing here writes to it: `place` keeps the arena away.
        let words = unsafe { from_raw_parts(address as *const u32, WORDS) };
        if words[0] == MAGIC.to_be() && is_inside(&(address..address + u64::from(words[1].to_be())), memory) {
            // SAFETY: as above, up to the length that the tree says.
            if let Ok(tree) = unsafe { Fdt::from_raw(address as *const u8) } {
                return Self::Tree(tree);
            }
        }
        Self::Words(words)
    }

    fn initrd(&self) -> Option<Range<u64>> {
        match self {
            Self::Tree(tree) => tree::initrd(*tree),
            Self::Words(words) => atags::initrd(words),
        }
    }

    /// Where it is, as long as it is needed.
    fn place(&self) -> Range<u64> {
        match self {
            Self::Tree(tree) => {
                let tree = tree.data().as_ptr_range();
                tree.start as u64..tree.end as u64
            }
            Self::Words(_) => 0..0,
        }
    }

    fn memory(&self) -> impl Iterator<Item = Range<u64>> {
        let tree = if let Self::Tree(tree) = self { Some(*tree) } else { None };
        tree.into_iter().flat_map(tree::memory)
    }
}
