//! A board of parts.

use bitnet_edge_board::Board;

use super::systick::Clock;

/// Code, constants, and what variables begin with, as the linker has put them into flash, one behind the other.
fn program() -> &'static [u8] {
    // What the linker script of `cortex-m-rt` defines.
    unsafe extern "C" {
        static __stext: u8;
        static __sidata: u8;
        static __sdata: u8;
        static __edata: u8;
    }
    let (start, constants) = (&raw const __stext, &raw const __sidata);
    let variables = (&raw const __edata).addr() - (&raw const __sdata).addr();
    let bytes = constants.addr() - start.addr() + variables;
    // SAFETY: from the first instruction to the last variable's beginning it is flash, which nobody writes to.
    unsafe { core::slice::from_raw_parts(start, bytes) }
}

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

/// What resets the board if it is not fed.
pub trait Watchdog {
    /// Starts its time anew.
    fn feed(&mut self);
}

/// A board without a watchdog.
impl Watchdog for () {
    fn feed(&mut self) {}
}

/// A board whose console is a serial line, and whose clock is the processor's timer.
#[derive(Debug)]
pub struct Serial<U, W> {
    /// The console.
    pub uart: U,
    /// The clock.
    pub clock: Clock,
    /// What [`Board::alive`] feeds.
    pub watchdog: W,
}

impl<U: Uart, W: Watchdog> Board for Serial<U, W> {
    fn read(&mut self) -> Option<u8> {
        self.uart.get()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.uart.write(bytes);
    }
    fn now_us(&mut self) -> u64 {
        self.clock.now_us()
    }
    fn alive(&mut self) {
        self.watchdog.feed();
    }
    fn program(&self) -> Option<&[u8]> {
        Some(program())
    }
}
