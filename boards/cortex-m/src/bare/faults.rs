//! An exception is the end, with its reason.

use core::fmt::Write;

use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, exception};

use super::processor::halt;
use super::{LastWords, exit};
use crate::status;

/// HFSR: a breakpoint where no debugger is.
const DEBUG_EVENT: u32 = 1 << 31;
/// CFSR: the address that failed is in MMFAR, or in BFAR.
const MMFAR_VALID: u32 = 1 << 7;
const BFAR_VALID: u32 = 1 << 15;

/// Reasons, by the bits of CFSR. A stack that is full is none of them: this handler is on the same stack, and the processor locks
/// up before a word of it runs.
const REASONS: [(u32, &str); 5] = [
    (0x0000_009b, "an access that the memory protection forbids"),
    (0x0000_bf00, "an access where nothing is"),
    (0x0001_0000, "an instruction that this processor does not have"),
    (0x0008_0000, "an instruction for a unit that is off"),
    (0x0306_0000, "a wrong state, alignment or division"),
];

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    // SAFETY: reads registers that reading does not change.
    let (cfsr, hfsr, mmfar, bfar) = unsafe {
        let scb = &*SCB::PTR;
        (scb.cfsr.read(), scb.hfsr.read(), scb.mmfar.read(), scb.bfar.read())
    };
    if hfsr & DEBUG_EVENT != 0 {
        // This is how `exit` ends where nobody listens.
        halt()
    }
    let reason = REASONS.iter().find(|(bits, _)| cfsr & bits != 0).map_or("a fault", |(_, reason)| reason);
    let (pc, lr) = (frame.pc(), frame.lr());
    // There is nobody to tell that the console takes no text.
    let _ = write!(
        LastWords,
        "\n*** EXCEPTION: {reason} (CFSR {cfsr:#010x}, HFSR {hfsr:#010x})\n*** at {pc:#x}, called from {lr:#x}"
    );
    if cfsr & MMFAR_VALID != 0 {
        let _ = write!(LastWords, ", address {mmfar:#x}");
    } else if cfsr & BFAR_VALID != 0 {
        let _ = write!(LastWords, ", address {bfar:#x}");
    }
    let _ = writeln!(LastWords);
    exit(status::EXCEPTION)
}

/// The watchdog's first warning; the second one would reset the board.
#[exception]
unsafe fn NonMaskableInt() -> ! {
    let _ = writeln!(LastWords, "\n*** WATCHDOG: a step took too long");
    exit(status::WATCHDOG)
}

#[exception]
unsafe fn DefaultHandler(number: i16) -> ! {
    let _ = writeln!(LastWords, "\n*** EXCEPTION: interrupt {number}, which nothing here has turned on");
    exit(status::EXCEPTION)
}
