//! Two stacks: the program has one to itself, so that a program that has used all of it still has a handler that says so.

use core::arch::asm;

#[cfg(feature = "firmware")]
use bitnet_edge_board::Stack;
use cortex_m::peripheral::SCB;

unsafe extern "C" {
    /// The memory map's symbols at the lower and the upper end of the program's stack, and of the handlers'.
    static _program_stack_end: u8;
    static _program_stack_start: u8;
    #[cfg(armv8m)]
    static _stack_end: u8;
}

/// How far in front of a stack that is full an access can be: at a function's variables.
pub(super) const REACH: usize = 64 * 1024;

/// SHCSR: faults of memory protection, of the bus and of use have handlers of their own. As hard faults they could not be taken
/// where no frame can be written, and the processor would lock up.
const FAULTS: u32 = 0b111 << 16;

/// Goes on with `program` on the stack that the memory map has for it (`_program_stack_end`, `_program_stack_start`), and leaves
/// that of the boot code to exceptions. ARMv8-M checks the limits of both; on ARMv7-M the first region of the memory protection
/// forbids what lies in front of the program's.
///
/// # Safety
/// The memory map's symbols are the ends of memory that nothing else uses, multiples of eight, and on ARMv7-M there is nothing in
/// the 64 KiB in front of it, which begin at a multiple of that. It is called once, by the first core's thread, on the stack of
/// the boot code.
pub unsafe fn run(program: extern "C" fn() -> !) -> ! {
    let (low, high) = ends();
    // SAFETY: A register of the processor's own. The boot code's stack ends there, as the caller says.
    #[cfg(armv8m)]
    unsafe {
        cortex_m::register::msplim::write((&raw const _stack_end).addr() as u32);
    }
    // SAFETY: The caller's promise.
    #[cfg(not(armv8m))]
    unsafe {
        guard(low);
    }
    // SAFETY: The caller's promise.
    unsafe { run_on(low, high, program) }
}

/// Goes on with `program` on the stack between the addresses `low` and `high`, and leaves the stack that the caller runs on to
/// exceptions.
///
/// # Safety
/// The memory is the stack's alone, for ever, and the addresses are multiples of eight. The caller is a core's thread, and not on
/// a stack that this function gave it.
pub unsafe fn run_on(low: usize, high: usize, program: extern "C" fn() -> !) -> ! {
    // SAFETY: Turns handlers on, which are there (`faults`).
    unsafe { (*SCB::PTR).shcsr.modify(|register| register | FAULTS) };
    // SAFETY: The limit of a stack that is not in use yet.
    #[cfg(armv8m)]
    unsafe {
        cortex_m::register::psplim::write(low as u32);
    }
    #[cfg(not(armv8m))]
    let _ = low;
    // SAFETY: Nothing comes back here, so that nothing that the compiler has put on the old stack is missed. Handlers run on from
    // where that one ends now. The other bits of CONTROL stay as they are.
    unsafe {
        asm!(
            "msr psp, {high}",
            "mrs {control}, control",
            "orr {control}, {control}, #2",
            "msr control, {control}",
            "isb",
            "bx {program}",
            high = in(reg) high,
            control = in(reg) 0,
            program = in(reg) program,
            options(noreturn),
        )
    }
}

/// Forbids the memory in front of an address.
///
/// # Safety
/// Nothing is there, and the address is a multiple of `REACH`.
#[cfg(not(armv8m))]
unsafe fn guard(end: usize) {
    /// The default map where no region is.
    const ON: u32 = 0b101;
    /// A region of 2^16 bytes, without access.
    const REGION: u32 = 15 << 1 | 1;
    // SAFETY: Only the access to that memory changes, which nobody needs.
    unsafe {
        let mpu = &*cortex_m::peripheral::MPU::PTR;
        mpu.rnr.write(0);
        mpu.rbar.write((end - REACH) as u32);
        mpu.rasr.write(REGION);
        mpu.ctrl.write(ON);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// The lower and the upper end of the program's stack.
fn ends() -> (usize, usize) {
    ((&raw const _program_stack_end).addr(), (&raw const _program_stack_start).addr())
}

/// The lower end of the stack that this core's program has.
pub(super) fn limit() -> usize {
    #[cfg(armv8m)]
    return cortex_m::register::psplim::read() as usize;
    #[cfg(not(armv8m))]
    ends().0
}

/// The stack of the program, painted. What is in use above this call counts as used.
#[cfg(feature = "firmware")]
pub(super) fn painted() -> Stack {
    let (low, high) = ends();
    // SAFETY: This code runs on that stack, nothing is kept below it, and handlers have another one.
    unsafe { Stack::paint(low, high) }
}

/// Uses up the stack.
#[cfg(feature = "firmware")]
#[inline(never)]
pub(super) fn overflow(depth: u32) -> u32 {
    use core::hint::black_box;
    // Nothing but the stack ends it, which the compiler must not know.
    if black_box(depth) == u32::MAX {
        return 0;
    }
    let frame = black_box([depth; 8]);
    overflow(depth + 1) + black_box(frame)[0]
}
