//! Which Raspberry Pi this is.

use core::fmt;

use bitnet_edge_board_aarch64::processor;

/// The kinds that differ in where things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pi {
    /// BCM2837 (Pi 3, Zero 2 W, and late Pi 2), whose cores are Cortex-A53.
    Three,
    /// BCM2711 (Pi 4, 400, Compute Module 4), whose cores are Cortex-A72.
    Four,
}

impl Pi {
    /// That of the calling core: its processor is what can be asked before anything else is known.
    pub(crate) fn here() -> Self {
        const CORTEX_A72: (u32, u32) = (0x41, 0xd08);
        if processor::Name::here().implementer_and_part() == CORTEX_A72 { Self::Four } else { Self::Three }
    }

    /// Where the registers of the devices begin.
    pub(crate) const fn peripherals(self) -> usize {
        match self {
            Self::Three => 0x3f00_0000,
            Self::Four => 0xfe00_0000,
        }
    }

    /// A register of a device.
    pub(crate) const fn register(self, offset: usize) -> Register {
        Register(self.peripherals() + offset)
    }
}

/// A register of a device that this firmware may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(usize);

impl Register {
    pub(crate) fn read(self) -> u32 {
        // SAFETY: Only `Pi::register` makes one, whose offsets are those of registers that are there and mapped as a device;
        // reading these has no effect on memory.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as above. What a write makes the device do is its caller's matter; the mailbox is the only one that writes
        // to memory, and says so.
        unsafe { (self.0 as *mut u32).write_volatile(value) };
    }

    /// Replaces the bits of `mask` by those of `value`.
    pub(crate) fn change(self, mask: u32, value: u32) {
        self.write(self.read() & !mask | value);
    }
}

/// The name on the board, of its revision code.
pub(crate) struct Model(pub(crate) u32);

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 >> 4 & 0xff {
            0x04 => "2 Model B",
            0x08 => "3 Model B",
            0x0a => "Compute Module 3",
            0x0d => "3 Model B+",
            0x0e => "3 Model A+",
            0x10 => "Compute Module 3+",
            0x11 => "4 Model B",
            0x12 => "Zero 2 W",
            0x13 => "400",
            0x14 => "Compute Module 4",
            0x15 => "Compute Module 4S",
            _ => return write!(f, "Raspberry Pi of revision {:#x}", self.0),
        };
        write!(f, "Raspberry Pi {name}")
    }
}
