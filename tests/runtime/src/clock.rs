//! The processor's own timer.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// The counter has 24 bits.
const MASK: u32 = 0x00ff_ffff;

/// Counts down, one tick a cycle of the board's clock.
pub(crate) struct Clock;

impl Clock {
    pub(crate) fn start() -> Self {
        // SAFETY: This is called once, and nothing else takes the peripherals.
        let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(MASK);
        timer.clear_current();
        timer.enable_counter();
        Self
    }

    pub(crate) fn now(&self) -> u32 {
        SYST::get_current()
    }

    /// Ticks since then, at most those of one round of the counter.
    pub(crate) fn since(&self, before: u32) -> u32 {
        before.wrapping_sub(self.now()) & MASK
    }
}
