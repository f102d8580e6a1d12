//! Starting the other cores.

use bitnet_edge_board::cores::{Crew, Wait};

use super::processor::{halt, now_us, wait_for_event, wake};

/// Microseconds that a core may take from being started to its work.
const PATIENCE_US: u64 = 200_000;

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

/// Where a core begins whose number is its affinity, as spin tables start it.
#[must_use]
pub fn by_affinity() -> usize {
    _secondary_by_affinity as *const () as usize
}

/// Starts core `number` by `order`, and waits until it is there. False if it does not come: it is not counted on then, but
/// may come later, and is sent away by [`Crew::assemble`](bitnet_edge_board::cores::Crew::assemble).
pub fn start(order: impl FnOnce() -> bool) -> bool {
    let before = CREW.present();
    if !order() {
        return false;
    }
    let deadline = now_us() + PATIENCE_US;
    while CREW.present() == before {
        if now_us() > deadline {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// Where boot.s goes on, on every core but the first.
#[unsafe(no_mangle)]
extern "C" fn bare_core() -> ! {
    CREW.join();
    halt()
}
