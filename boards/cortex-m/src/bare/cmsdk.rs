//! Devices of Arm's Cortex-M System Design Kit (DDI 0479), which Arm's FPGA boards have.

use super::serial::{Uart, Watchdog};

/// The registers of a device.
#[derive(Debug)]
struct Registers(usize);

impl Registers {
    fn read(&self, register: usize) -> u32 {
        // SAFETY: The device's `new` has a caller who says that the registers are there; reading these changes no memory.
        unsafe { ((self.0 + register) as *const u32).read_volatile() }
    }

    fn write(&mut self, register: usize, value: u32) {
        // SAFETY: As above, and writing these changes no memory either.
        unsafe { ((self.0 + register) as *mut u32).write_volatile(value) };
    }
}

/// The APB UART.
#[derive(Debug)]
pub struct CmsdkUart(Registers);

mod uart {
    pub(super) const DATA: usize = 0x00;
    pub(super) const STATE: usize = 0x04;
    pub(super) const CONTROL: usize = 0x08;
    pub(super) const BAUD_DIVISOR: usize = 0x10;
    /// State: no room to send; a byte has come.
    pub(super) const SENDER_FULL: u32 = 1;
    pub(super) const RECEIVER_FULL: u32 = 1 << 1;
    /// Control: both directions on, no interrupts.
    pub(super) const ON: u32 = 0b11;
    /// The smallest divisor that the device takes.
    pub(super) const LEAST: u32 = 16;
}

impl CmsdkUart {
    /// The one whose registers are at `base`, at 115200 bits a second. `clock_hz` is the frequency of its bus.
    ///
    /// # Safety
    /// A UART of this kind is there.
    #[must_use]
    pub unsafe fn new(base: usize, clock_hz: u32) -> Self {
        let mut registers = Registers(base);
        registers.write(uart::BAUD_DIVISOR, (clock_hz / 115_200).max(uart::LEAST));
        registers.write(uart::CONTROL, uart::ON);
        Self(registers)
    }
}

impl Uart for CmsdkUart {
    fn get(&mut self) -> Option<u8> {
        (self.0.read(uart::STATE) & uart::RECEIVER_FULL != 0).then(|| self.0.read(uart::DATA) as u8)
    }

    fn put(&mut self, byte: u8) {
        while self.0.read(uart::STATE) & uart::SENDER_FULL != 0 {}
        self.0.write(uart::DATA, u32::from(byte));
    }
}

/// The APB watchdog: not fed for a while, it raises the non-maskable interrupt, and after as long again it resets the board.
#[derive(Debug)]
pub struct CmsdkWatchdog(Registers);

mod watchdog {
    pub(super) const LOAD: usize = 0x00;
    pub(super) const CONTROL: usize = 0x08;
    pub(super) const CLEAR: usize = 0x0c;
    pub(super) const LOCK: usize = 0xc00;
    /// Control: the interrupt and the reset are on.
    pub(super) const ON: u32 = 0b11;
    /// What the lock wants to see before the other registers can be written.
    pub(super) const KEY: u32 = 0x1acc_e551;
}

impl CmsdkWatchdog {
    /// Starts the one whose registers are at `base`. It waits for `ticks` of its own clock.
    ///
    /// # Safety
    /// A watchdog of this kind is there.
    #[must_use]
    pub unsafe fn start(base: usize, ticks: u32) -> Self {
        let mut registers = Registers(base);
        registers.write(watchdog::LOCK, watchdog::KEY);
        registers.write(watchdog::LOAD, ticks);
        registers.write(watchdog::CONTROL, watchdog::ON);
        Self(registers)
    }
}

impl Watchdog for CmsdkWatchdog {
    fn feed(&mut self) {
        // Any value clears the interrupt, and has the counter start again.
        self.0.write(watchdog::CLEAR, 1);
    }
}
