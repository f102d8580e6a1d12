//! The processor's own timer as a clock.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cortex_m::Peripherals;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;

use crate::clock::{RELOAD, microseconds, ticks};

/// How often the timer has reached 0.
static ROUNDS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // The only writer; a Cortex-M0 has no read-modify-write of its own.
    ROUNDS.store(ROUNDS.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Microseconds, from `SysTick`.
#[derive(Debug)]
pub struct Clock {
    hz: u32,
    last: u64,
}

impl Clock {
    /// Starts it. `None` if it has been taken before. `hz` is the processor's frequency.
    #[must_use]
    pub fn start(hz: u32) -> Option<Self> {
        let mut timer = Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        Some(Self { hz, last: 0 })
    }

    /// Microseconds since the start. It never goes back.
    pub fn now_us(&mut self) -> u64 {
        self.last = self.last.max(microseconds(now(), self.hz));
        self.last
    }
}

fn now() -> u64 {
    loop {
        let rounds = ROUNDS.load(Relaxed);
        let value = SYST::get_current();
        // A round that has ended and is not counted yet will be, at the next instruction or so.
        if !SCB::is_pendst_pending() && ROUNDS.load(Relaxed) == rounds {
            return ticks(rounds, value);
        }
    }
}
