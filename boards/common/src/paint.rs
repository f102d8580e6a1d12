//! How much of the stack was ever used.

use core::hint::black_box;

/// A word that no program writes by chance.
const PAINT: u32 = 0xa5c3_5a3c;
/// Bytes below the painter's own variables that are left alone: its frame.
const FRAME: usize = 256;

/// The stack of a core, painted before anything runs: what is no longer paint was used.
#[derive(Debug)]
pub struct Stack {
    low: usize,
    high: usize,
}

impl Stack {
    /// Paints what is free of the stack between the addresses `low` and `high`, multiples of four, from which it grows down.
    ///
    /// # Safety
    /// The caller runs on this stack, no interrupt does, and memory from `low` to the stack pointer is the stack's.
    #[inline(never)]
    pub unsafe fn paint(low: usize, high: usize) -> Self {
        let here = 0_u32;
        let end = (&raw const *black_box(&here)).addr().saturating_sub(FRAME);
        let stack = Self { low, high };
        // SAFETY: The caller's promise: free stack, which ends below this function's frame.
        unsafe { stack.paint_below(end) };
        stack
    }

    /// # Safety
    /// Nothing else refers to the memory from the stack's lower end to `end`.
    unsafe fn paint_below(&self, end: usize) {
        for address in (self.low..end).step_by(size_of::<u32>()) {
            // SAFETY: The caller's promise.
            unsafe { (address as *mut u32).write_volatile(PAINT) };
        }
    }

    /// Bytes of the stack.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.high - self.low
    }

    /// The most bytes that were in use at once, so far: all above the lowest word that is no longer paint.
    #[must_use]
    pub fn used(&self) -> usize {
        let is_paint = |address: &usize| {
            // SAFETY: `paint`'s caller says that this is the stack; any word of it can be read.
            unsafe { (*address as *const u32).read_volatile() == PAINT }
        };
        let free = (self.low..self.high).step_by(size_of::<u32>()).take_while(is_paint).count();
        self.bytes() - free * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_paint_was_used() {
        let mut memory = [0_u32; 64];
        let low = memory.as_mut_ptr().expose_provenance();
        let stack = Stack { low, high: low + size_of_val(&memory) };
        // SAFETY: All of it is this test's.
        unsafe { stack.paint_below(stack.high - 16) };
        assert_eq!((stack.bytes(), stack.used()), (256, 16));
        // A function that was deeper, and left some of its frame as it was.
        // SAFETY: As above.
        unsafe { ((low + 100) as *mut u32).write_volatile(0) };
        assert_eq!(stack.used(), 156);
    }
}
