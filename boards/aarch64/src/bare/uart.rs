//! Serial lines.

use bitnet_edge_board::Board;

use super::processor;

/// A serial line.
pub trait Uart {
    /// A byte that has come, if one has.
    fn get(&mut self) -> Option<u8>;
    /// Sends a byte, when there is room for it.
    fn put(&mut self, byte: u8);
    /// Sends bytes.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.put(byte));
    }
}

/// Arm's PL011.
#[derive(Debug)]
pub struct Pl011 {
    base: usize,
}

/// Registers by their offsets (PL011 manual, DDI 0183, 3.2).
mod register {
    pub(super) const DATA: usize = 0x00;
    pub(super) const FLAGS: usize = 0x18;
    pub(super) const BAUD_INTEGER: usize = 0x24;
    pub(super) const BAUD_FRACTION: usize = 0x28;
    pub(super) const LINE: usize = 0x2c;
    pub(super) const CONTROL: usize = 0x30;
    pub(super) const INTERRUPT_MASK: usize = 0x38;
}

/// Flags: nothing has come; no room to send; still sending.
const RECEIVER_EMPTY: u32 = 1 << 4;
const SENDER_FULL: u32 = 1 << 5;
const BUSY: u32 = 1 << 3;

impl Pl011 {
    /// The one whose registers are at `base`.
    ///
    /// # Safety
    /// A PL011 is there, mapped as a device.
    #[must_use]
    pub const unsafe fn new(base: usize) -> Self {
        Self { base }
    }

    /// Sets speed and format: `clock` is the frequency of its own clock in hertz; 8 bits, no parity, one stop bit, queues on.
    pub fn set_up(&mut self, clock: u32, baud: u32) {
        while self.read(register::FLAGS) & BUSY != 0 {}
        self.write_register(register::CONTROL, 0);
        self.write_register(register::INTERRUPT_MASK, 0);
        // In 64ths of a sixteenth of the clock, rounded.
        let divisor = (u64::from(clock) * 4 + u64::from(baud) / 2) / u64::from(baud.max(1));
        self.write_register(register::BAUD_INTEGER, (divisor >> 6) as u32);
        self.write_register(register::BAUD_FRACTION, (divisor & 0x3f) as u32);
        self.write_register(register::LINE, 0x70);
        self.write_register(register::CONTROL, 0x301);
    }

    fn read(&self, register: usize) -> u32 {
        // SAFETY: `new`'s caller says that the registers are there; reading these has no effect on memory.
        unsafe { ((self.base + register) as *const u32).read_volatile() }
    }

    fn write_register(&mut self, register: usize, value: u32) {
        // SAFETY: `new`'s caller says that the registers are there; writing these has no effect on memory.
        unsafe { ((self.base + register) as *mut u32).write_volatile(value) };
    }
}

impl Uart for Pl011 {
    fn get(&mut self) -> Option<u8> {
        if self.read(register::FLAGS) & RECEIVER_EMPTY != 0 {
            return None;
        }
        // The bits above are errors of the line: the byte is what came.
        Some(self.read(register::DATA) as u8)
    }

    fn put(&mut self, byte: u8) {
        while self.read(register::FLAGS) & SENDER_FULL != 0 {}
        self.write_register(register::DATA, u32::from(byte));
    }
}

/// A board whose console is a serial line, and whose clock is the processor's counter.
#[derive(Debug)]
pub struct Serial<U>(pub U);

impl<U: Uart> Board for Serial<U> {
    fn read(&mut self) -> Option<u8> {
        self.0.get()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
    fn now_us(&mut self) -> u64 {
        processor::now_us()
    }
}
