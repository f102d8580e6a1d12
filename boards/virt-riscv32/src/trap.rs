//! A trap is the end, with its reason: nothing here is supposed to have one.

use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::panic::PanicInfo;

use bitnet_edge_board::report_panic;

use crate::machine::{Virt, exit, stack_end};

/// The statuses that QEMU ends with, as on other boards.
const EXIT_PANIC: u16 = 101;
const EXIT_EXCEPTION: u16 = 102;

/// Bytes in front of the stack where nothing may be read or written.
const GUARD: usize = 4096;

// A trap has a stack of its own, since the program's may be what is wrong. Nothing returns from one, so that no register
// needs to be kept but those that say what happened, which are not general ones; sp is kept in mscratch.
global_asm!(
    ".section .trap.start, \"ax\"",
    ".global _pre_default_start_trap",
    "_pre_default_start_trap:",
    "csrw mscratch, sp",
    "la sp, {top}",
    "addi sp, sp, {bytes}",
    "j _pre_default_start_trap_ret",
    top = sym TRAP_STACK,
    bytes = const TRAP_STACK_BYTES,
);

const TRAP_STACK_BYTES: usize = 1536;

#[repr(align(16))]
#[expect(dead_code, reason = "the assembly above names the static, and nothing reads its bytes")]
struct TrapStack([u8; TRAP_STACK_BYTES]);

static mut TRAP_STACK: TrapStack = TrapStack([0; TRAP_STACK_BYTES]);

/// Forbids what lies in front of the stack, to machine mode as well: a stack that overflows is a trap.
pub(crate) fn guard_stack() {
    // A region of a power of two, its size in the trailing ones of its address; locked, no access.
    let region = (stack_end() - GUARD) >> 2 | (GUARD / 8 - 1);
    const LOCKED_POWER_OF_TWO: usize = 0x98;
    // SAFETY: No code and no data is in the region.
    unsafe {
        asm!("csrw pmpaddr0, {}", "csrw pmpcfg0, {}", in(reg) region, in(reg) LOCKED_POWER_OF_TWO, options(nostack));
    }
}

#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn exception(_: &riscv_rt::TrapFrame) -> ! {
    let (cause, at, value, stack): (usize, usize, usize, usize);
    // SAFETY: Reading these registers has no effect.
    unsafe {
        asm!(
            "csrr {}, mcause", "csrr {}, mepc", "csrr {}, mtval", "csrr {}, mscratch",
            out(reg) cause, out(reg) at, out(reg) value, out(reg) stack, options(nomem, nostack)
        );
    }
    // The line takes all text.
    let _ = writeln!(
        Virt::new(),
        "\n*** EXCEPTION: {} (mcause {cause})\n*** at {at:#x}, address {value:#x}, stack {stack:#x}",
        if stack_is_full(value) { "the stack is full" } else { reason(cause) }
    );
    exit(EXIT_EXCEPTION)
}

/// Whether an access failed in the guard.
fn stack_is_full(address: usize) -> bool {
    (stack_end() - GUARD..stack_end()).contains(&address)
}

fn reason(cause: usize) -> &'static str {
    match cause {
        0 | 1 => "a jump to where no code is",
        2 => "an instruction that this processor does not have",
        3 => "a breakpoint",
        4 | 6 => "a read or write across an alignment",
        5 | 7 => "a read or write where nothing is",
        8..=11 => "a call of a system that is not there",
        _ => "a trap of another cause",
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    report_panic(&mut Virt::new(), info);
    exit(EXIT_PANIC)
}
