//! How much of the stack was used.

use bitnet_edge_board::Stack;

unsafe extern "C" {
    /// The linker script's symbols at the lower and the upper end of the stack.
    static _stack_end: u8;
    static _stack_start: u8;
}

/// The stack, painted. What is in use above this call counts as used.
pub(super) fn painted() -> Stack {
    let (low, high) = ((&raw const _stack_end).addr(), (&raw const _stack_start).addr());
    // SAFETY: This code runs on that stack, nothing is kept below it, and no interrupt comes meanwhile.
    cortex_m::interrupt::free(|_| unsafe { Stack::paint(low, high) })
}
