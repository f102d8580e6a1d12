//! The stack of a core: how large it is, and how much of it was used.

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

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

/// What unused words hold.
const UNUSED: u64 = 0x5ac4_7eaf_0b57_ac4d;
/// Bytes below the stack pointer that the one who marks them may use.
const OWN: usize = 512;

/// From when on the use of the stack is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    top: usize,
}

impl Mark {
    /// Marks all of this core's stack that is not in use.
    #[must_use]
    #[inline(never)]
    pub fn new() -> Self {
        let top: usize;
        // SAFETY: It reads the stack pointer.
        unsafe { asm!("mov {}, sp", out(reg) top, options(nomem, nostack, preserves_flags)) };
        for at in (lowest(top)..top - OWN).step_by(8) {
            // SAFETY: This is below all that is in use, and above the guard.
            unsafe { with_exposed_provenance_mut::<u64>(at).write_volatile(UNUSED) };
        }
        Self { top }
    }

    /// Bytes of stack that were used at most since then, by the same core.
    #[must_use]
    pub fn used(&self) -> usize {
        let is_unused = |at: &usize| {
            // SAFETY: As above; there are only words of the stack.
            unsafe { with_exposed_provenance_mut::<u64>(*at).read_volatile() == UNUSED }
        };
        let unused = (lowest(self.top)..self.top - OWN).step_by(8).take_while(is_unused).count() * 8;
        self.top - lowest(self.top) - unused
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

/// The lowest byte of the stack that `at` is in. Stacks lie at multiples of their size.
fn lowest(at: usize) -> usize {
    (at & !(STACKS - 1)) + GUARD
}
