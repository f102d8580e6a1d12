//! The floating-point mode that every result assumes.

use core::arch::asm;

/// Default floating-point status of new contexts, such as that of an interrupt.
const FPDSCR: *mut u32 = 0xe000_ef3c as *mut u32;

/// Round to nearest even, subnormals kept, on the calling core.
pub fn set_default_mode() {
    // SAFETY: The register's address on every Cortex-M with an FPU, which this core has, and which the boot code has enabled.
    unsafe { FPDSCR.write_volatile(0) };
    // SAFETY: Only the mode and the flags of exceptions change, which no code here looks at.
    unsafe { asm!("vmsr fpscr, {}", in(reg) 0, options(nomem, nostack, preserves_flags)) };
}
