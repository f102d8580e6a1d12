//! The end.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use bitnet_edge_board_aarch64::processor;

use crate::mailbox::Mailbox;
use crate::pi::Pi;

/// Whether this is QEMU: only there somebody listens to a semihosting call.
static EMULATED: AtomicBool = AtomicBool::new(false);

/// Registers of the power management, and the word without which it takes no write.
const RESET: usize = 0x10_001c;
const STATUS: usize = 0x10_0020;
const WATCHDOG: usize = 0x10_0024;
const PASSWORD: u32 = 0x5a00_0000;
/// Bits of the partition to start from next; 63, which is none, stops the board.
const PARTITION: u32 = 0x555;
const RESET_KIND: u32 = 0x30;
const FULL_RESET: u32 = 0x20;

/// The revision of a firmware is the time of its making; QEMU's mailbox has a number of its own.
pub(crate) fn find_emulator(mailbox: &Mailbox) {
    const QEMU: u32 = 346_337;
    EMULATED.store(mailbox.firmware_revision() == Some(QEMU), Relaxed);
}

/// Turns the board off where all is well; else stops it, so that what was printed stays. QEMU ends with the status.
pub(crate) fn exit(status: u32) -> ! {
    if status == 0 {
        off();
    } else if EMULATED.swap(false, Relaxed) {
        // Once: without `-semihosting` the call is an exception, which comes back here.
        processor::semihosting_exit(status);
    }
    processor::halt()
}

/// A reset by the watchdog, behind which the firmware stops.
fn off() {
    let pi = Pi::here();
    let [reset, status, watchdog] = [RESET, STATUS, WATCHDOG].map(|offset| pi.register(offset));
    status.write(PASSWORD | status.read() & 0xff_ffff | PARTITION);
    // In ticks of 15 microseconds: what is in the serial line's queue has gone by then.
    watchdog.write(PASSWORD | 0x400);
    reset.write(PASSWORD | reset.read() & 0xff_ffff & !RESET_KIND | FULL_RESET);
}
