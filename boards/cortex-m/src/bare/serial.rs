//! A board of parts.

use bitnet_edge_board::Board;

use super::systick::Clock;

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
}
