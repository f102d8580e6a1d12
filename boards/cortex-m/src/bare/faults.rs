//! An exception is the end, with its reason.

use core::arch::naked_asm;
use core::fmt::Write;

use cortex_m::peripheral::SCB;
use cortex_m_rt::exception;

use super::processor::halt;
use super::stack::{REACH, limit};
use super::{LastWords, board};
use crate::status;

/// HFSR: a breakpoint where no debugger is.
const DEBUG_EVENT: u32 = 1 << 31;
/// CFSR: the address that failed is in MMFAR, or in BFAR.
const MMFAR_VALID: u32 = 1 << 7;
const BFAR_VALID: u32 = 1 << 15;
/// CFSR: what the processor keeps of the program could not be written to its stack.
const NO_FRAME: u32 = 1 << 4 | 1 << 12;
/// CFSR, ARMv8-M: the stack pointer would have passed its limit.
const LIMIT: u32 = 1 << 20;
/// `EXC_RETURN`: the program's stack was in use.
const OF_PROGRAM: u32 = 1 << 2;

/// Reasons, by the bits of CFSR.
const REASONS: [(u32, &str); 5] = [
    (0x0000_009b, "an access that the memory protection forbids"),
    (0x0000_bf00, "an access where nothing is"),
    (0x0001_0000, "an instruction that this processor does not have"),
    (0x0008_0000, "an instruction for a unit that is off"),
    (0x0306_0000, "a wrong state, alignment or division"),
];

/// Handlers of faults, which say what happened: with the stack pointer of what was interrupted, and how it was.
macro_rules! handlers {
    ($($function:ident = $name:literal),*) => {$(
        #[unsafe(naked)]
        #[unsafe(export_name = $name)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "mov r1, lr",
                "tst r1, #{of_program}",
                "ite eq",
                "mrseq r0, msp",
                "mrsne r0, psp",
                "b {fault}",
                of_program = const OF_PROGRAM,
                fault = sym fault,
            )
        }
    )*};
}

handlers!(
    hard_fault = "HardFault",
    memory_management = "MemoryManagement",
    bus_fault = "BusFault",
    usage_fault = "UsageFault"
);

/// On the handlers' stack, whatever is the matter with the program's. `stack` is the stack pointer of what was interrupted, behind
/// the frame that the processor wrote, if it could.
extern "C" fn fault(stack: usize, exc_return: u32) -> ! {
    // SAFETY: reads registers that reading does not change.
    let (cfsr, hfsr, mmfar, bfar) = unsafe {
        let scb = &*SCB::PTR;
        (scb.cfsr.read(), scb.hfsr.read(), scb.mmfar.read(), scb.bfar.read())
    };
    if hfsr & DEBUG_EVENT != 0 {
        // This is how `exit` ends where nobody listens.
        halt()
    }
    let address = if cfsr & MMFAR_VALID != 0 {
        Some(mmfar)
    } else if cfsr & BFAR_VALID != 0 {
        Some(bfar)
    } else {
        None
    };
    let limit = limit();
    let is_below = |address: u32| (limit.saturating_sub(REACH)..limit).contains(&(address as usize));
    let of_program = exc_return & OF_PROGRAM != 0;
    let is_full = of_program && (cfsr & LIMIT != 0 || stack < limit || address.is_some_and(is_below));
    let reason = if is_full {
        "the stack is full"
    } else {
        REASONS.iter().find(|(bits, _)| cfsr & bits != 0).map_or("a fault", |(_, reason)| reason)
    };
    // There is nobody to tell that the console takes no text.
    let _ = write!(
        LastWords,
        "\n*** EXCEPTION: {reason} (CFSR {cfsr:#010x}, HFSR {hfsr:#010x})\n*** stack {stack:#x}"
    );
    // At its very limit the stack pointer stops, and no frame was written either.
    if cfsr & NO_FRAME == 0 && !(of_program && stack <= limit) {
        // SAFETY: The processor wrote a frame of eight words, the last but two and the last but one of which are these, and did
        // not find that it could not.
        let [lr, pc] = [5, 6].map(|word| unsafe { (stack as *const u32).add(word).read() });
        let _ = write!(LastWords, ", at {pc:#x}, called from {lr:#x}");
    }
    if let Some(address) = address {
        let _ = write!(LastWords, ", address {address:#x}");
    }
    let _ = writeln!(LastWords);
    board::board_exit(status::EXCEPTION)
}

/// The watchdog's first warning; the second one would reset the board.
#[cfg(feature = "firmware")]
#[exception]
unsafe fn NonMaskableInt() -> ! {
    let _ = writeln!(LastWords, "\n*** WATCHDOG: a step took too long");
    board::board_exit(status::WATCHDOG)
}

#[exception]
unsafe fn DefaultHandler(number: i16) -> ! {
    let _ = writeln!(LastWords, "\n*** EXCEPTION: interrupt {number}, which nothing here has turned on");
    board::board_exit(status::EXCEPTION)
}
