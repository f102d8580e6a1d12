//! Starting the other cores.

use core::fmt::Write as _;

use bitnet_edge_board::cores::{Crew, Wait};

use super::LastWords;
use super::processor::{halt, now_us, stream_of_events, wait_for_event, wake};

/// Microseconds that a core may take from being started to its work: an emulator on a busy machine may let it wait for long.
const PATIENCE_US: u64 = 5_000_000;

/// Waits as the architecture has it: a core sleeps until another one sends an event.
#[derive(Clone, Copy, Debug)]
pub struct Event;

impl Wait for Event {
    fn wait() {
        wait_for_event();
    }
    fn wake() {
        wake();
    }
}

/// All other cores.
pub static CREW: Crew<Event> = Crew::new();

unsafe extern "C" {
    fn _secondary();
    fn _secondary_by_affinity();
}

/// Where a core begins that is started with its number (1 and up) in x0, as PSCI does.
#[must_use]
pub fn entry() -> usize {
    _secondary as *const () as usize
}

/// Where a core begins whose number is its affinity, as spin tables start it: level 0, or level 1 on processors that keep
/// level 0 for threads (Cortex-A55, A76, A78 and later). For machines of one cluster: a core of another one does not come.
#[must_use]
pub fn by_affinity() -> usize {
    _secondary_by_affinity as *const () as usize
}

/// Starts core `number` (1 and up, below what the firmware has stacks for) by `order`, and waits until this very core is there.
/// False if it is not started or does not come within five seconds, which the console is told: it is not counted on then, but
/// may come later, and is sent away if the team is assembled by then.
pub fn start(number: u32, order: impl FnOnce() -> bool) -> bool {
    if !order() {
        say(number, "cannot be started");
        return false;
    }
    stream_of_events();
    let deadline = now_us() + PATIENCE_US;
    while !CREW.has(number) {
        if now_us() > deadline {
            say(number, "does not come within 5 seconds");
            return false;
        }
        // A core that comes sends an event; else the stream of events wakes this one.
        wait_for_event();
    }
    true
}

fn say(number: u32, what: &str) {
    // A console takes all text.
    let _ = writeln!(LastWords, "*** core {number} {what}: it is left out");
}

/// Where boot.s goes on, on every core but the first.
#[unsafe(no_mangle)]
extern "C" fn bare_core(number: u32) -> ! {
    CREW.join_as(number);
    halt()
}
