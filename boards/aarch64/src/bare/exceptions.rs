//! An exception is the end, with its reason.

use core::fmt::Write;

use super::{EXIT_EXCEPTION, LastWords, board};

/// Where boot.s goes on with every exception: nothing here is supposed to have one.
#[unsafe(no_mangle)]
extern "C" fn bare_exception(vector: u32, syndrome: u64, at: u64, address: u64, stack: u64) -> ! {
    let core = super::processor::affinity() & 0xff;
    // There is nobody to tell that the console takes no text.
    let _ = writeln!(
        LastWords,
        "\n*** EXCEPTION on core {core}: {} (ESR {syndrome:#010x})\n*** at {at:#x}, address {address:#x}, stack {stack:#x}",
        if stack_is_full(syndrome, address) { "the stack is full" } else { reason(vector, syndrome) }
    );
    board::board_exit(EXIT_EXCEPTION)
}

unsafe extern "C" {
    /// The linker script's symbols around the stacks.
    static __stacks_start: u8;
    static __stacks_end: u8;
}

/// Whether a read or write of this core failed among the stacks, where only their guards are not mapped.
fn stack_is_full(syndrome: u64, address: u64) -> bool {
    let stacks = (&raw const __stacks_start as u64)..(&raw const __stacks_end as u64);
    syndrome >> 26 & 0x3f == 0x25 && stacks.contains(&address)
}

/// In words: the kind of the vector, and for synchronous exceptions the class of the syndrome (`ESR_EL1.EC`).
fn reason(vector: u32, syndrome: u64) -> &'static str {
    match vector % 4 {
        1 => return "an interrupt",
        2 => return "a fast interrupt",
        3 => return "a system error",
        _ => {}
    }
    match syndrome >> 26 & 0x3f {
        0x00 => "an instruction that this processor does not have",
        0x07 => "floating point where it is off",
        0x0e => "an illegal state",
        0x20 | 0x21 => "a jump to where nothing is",
        0x22 => "a jump to an odd address",
        0x24 | 0x25 => match syndrome & 0x3f {
            0x04..=0x07 => "a read or write where nothing is mapped",
            0x21 => "a read or write of devices across an alignment",
            _ => "a read or write that failed",
        },
        0x26 => "a stack pointer that is not aligned",
        0x2f => "a system error",
        0x3c => "a breakpoint",
        _ => "an exception of another class",
    }
}
