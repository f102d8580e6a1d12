//! The stack of a core: how large it is, and how much of it was used.

use bitnet_edge_board::Stack;

/// Bytes of a core's stacks.
pub(super) const STACKS: usize = 0x10_0000;
/// Of which so many, the highest, are for exceptions,
pub(super) const EXCEPTIONS: usize = 0x4000;
/// and so many, the lowest, are not mapped.
pub(super) const GUARD: usize = 0x1_0000;

/// Bytes of stack that a program has on each core.
pub const SIZE: usize = STACKS - EXCEPTIONS - GUARD;

/// What is not kernels: generation, the console, and the full self-test, which takes 96 KiB.
const PROGRAM: usize = 256 * 1024;
const _: () =
    assert!(SIZE >= bitnet_edge_arm::STACK + PROGRAM, "a core's stack is too small for the kernels");

/// This core's stack, painted. What is in use above this call counts as used.
#[must_use]
#[inline(never)]
pub fn painted() -> Stack {
    let here = 0_u32;
    // Stacks lie at multiples of their size.
    let low = ((&raw const here).addr() & !(STACKS - 1)) + GUARD;
    // SAFETY: This code runs on that stack, nothing is kept below it, and interrupts are masked.
    unsafe { Stack::paint(low, low + SIZE) }
}
