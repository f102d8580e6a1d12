//! The floating-point mode of a thread.

use std::hint::black_box;

/// Whether this thread keeps subnormals, which the arithmetic contract needs.
///
/// A library built with fast-math can have switched the processor to flush them to zero (FTZ, DAZ) for every thread that
/// it touched or that was started from one: results would differ from other machines' without a word. A backend asks on
/// every thread that computes, and refuses to run.
///
/// ```
/// assert!(bitnet_edge_std::keeps_subnormals());
/// ```
#[must_use]
pub fn keeps_subnormals() -> bool {
    let smallest = black_box(f32::from_bits(1));
    let smallest_normal = black_box(f32::MIN_POSITIVE);
    // An input that must not be taken for zero, and a result that must not become zero.
    (smallest + smallest).to_bits() == 2 && (smallest_normal * black_box(0.5)).to_bits() == 1 << 22
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_flushes_is_found() {
        // Bits 15 and 6 of MXCSR: flush results, take operands for zero.
        for mode in [1u32 << 15, 1 << 6] {
            let kept = std::thread::spawn(move || {
                let mut control = 0u32;
                // SAFETY: stores the control register of this thread into a local, then loads it back with one bit
                // more; the thread computes nothing else before it ends.
                unsafe {
                    std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control);
                    control |= mode;
                    std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control);
                }
                keeps_subnormals()
            });
            assert!(!kept.join().unwrap(), "mode {mode:#x}");
        }
    }
}
