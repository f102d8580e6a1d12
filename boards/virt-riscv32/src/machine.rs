//! The devices of the machine: serial line, clock, and the register that ends QEMU.

use core::fmt;

use bitnet_edge_board::{Board, Stack};

/// Devices by their addresses (QEMU, hw/riscv/virt.c).
mod address {
    pub(super) const FINISHER: usize = 0x0010_0000;
    pub(super) const CLOCK: usize = 0x0200_bff8;
    pub(super) const UART: usize = 0x1000_0000;
}

/// Ticks of the clock in a microsecond.
const TICKS: u64 = 10;

/// Registers of an NS16550, one byte each, by their offsets.
mod uart {
    pub(super) const DATA: usize = 0;
    pub(super) const INTERRUPTS: usize = 1;
    pub(super) const QUEUES: usize = 2;
    pub(super) const FORMAT: usize = 3;
    pub(super) const STATUS: usize = 5;

    /// Status: something has come; there is room to send.
    pub(super) const RECEIVED: u8 = 1 << 0;
    pub(super) const ROOM: u8 = 1 << 5;
    /// Eight bits, no parity, one stop bit.
    pub(super) const EIGHT_BITS: u8 = 3;
    pub(super) const QUEUES_ON: u8 = 1;
}

/// The machine as a board. It has no state: its devices have.
pub(crate) struct Virt;

impl Virt {
    /// Sets up the serial line. Its speed is QEMU's.
    pub(crate) fn new() -> Self {
        put(uart::INTERRUPTS, 0);
        put(uart::FORMAT, uart::EIGHT_BITS);
        put(uart::QUEUES, uart::QUEUES_ON);
        // What came before the queues were on is lost with them, and the sender of an emulated line waits until it is read.
        get(uart::DATA);
        Self
    }
}

impl Board for Virt {
    fn read(&mut self) -> Option<u8> {
        (get(uart::STATUS) & uart::RECEIVED != 0).then(|| get(uart::DATA))
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while get(uart::STATUS) & uart::ROOM == 0 {}
            put(uart::DATA, byte);
        }
    }

    fn now_us(&mut self) -> u64 {
        // Both halves of one moment: the upper one did not change in between.
        loop {
            let (upper, lower, again) = (clock(4), clock(0), clock(4));
            if upper == again {
                return (u64::from(upper) << 32 | u64::from(lower)) / TICKS;
            }
        }
    }
}

/// Text for a terminal, in little memory: last words.
impl fmt::Write for Virt {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            self.write(line.trim_end_matches('\n').as_bytes());
            if line.ends_with('\n') {
                self.write(b"\r\n");
            }
        }
        Ok(())
    }
}

fn get(register: usize) -> u8 {
    // SAFETY: The machine has an NS16550 there; reading its registers has no effect on memory.
    unsafe { ((address::UART + register) as *const u8).read_volatile() }
}

fn put(register: usize, value: u8) {
    // SAFETY: The machine has an NS16550 there; writing its registers has no effect on memory.
    unsafe { ((address::UART + register) as *mut u8).write_volatile(value) }
}

/// Half of the clock (CLINT, mtime).
fn clock(offset: usize) -> u32 {
    // SAFETY: The machine has a CLINT there; reading its clock has no effect.
    unsafe { ((address::CLOCK + offset) as *const u32).read_volatile() }
}

/// Ends QEMU with a status.
pub(crate) fn exit(status: u16) -> ! {
    const PASS: u32 = 0x5555;
    const FAIL: u32 = 0x3333;
    let value = if status == 0 { PASS } else { u32::from(status) << 16 | FAIL };
    loop {
        // SAFETY: The machine has SiFive's test device there, which ends it.
        unsafe { (address::FINISHER as *mut u32).write_volatile(value) }
    }
}

unsafe extern "C" {
    /// The linker script's symbols at the lower and the upper end of the stack.
    static __estack: u8;
    static __sstack: u8;
}

/// Where the stack begins: its lowest address.
pub(crate) fn stack_end() -> usize {
    (&raw const __estack).addr()
}

/// The stack, painted.
///
/// # Safety
/// The caller is the only function that runs, and on this stack.
pub(crate) unsafe fn stack() -> Stack {
    // SAFETY: The linker script's bounds; the rest is the caller's promise.
    unsafe { Stack::paint(stack_end(), (&raw const __sstack).addr()) }
}
