//! Memory that is not cleared before it is written: clearing takes as long as a small product.

use core::mem::MaybeUninit;

/// Up to `N` elements, on a stack.
#[derive(Debug)]
pub struct Buffer<T, const N: usize> {
    memory: [MaybeUninit<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Buffer<T, N> {
    /// No elements.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { memory: [const { MaybeUninit::uninit() }; N], len: 0 }
    }

    /// Replaces the elements by `len` others, at most `N`, which `write` is to write.
    ///
    /// # Safety
    /// `write` writes so many.
    #[inline]
    pub unsafe fn write(&mut self, len: usize, write: impl FnOnce(*mut T)) {
        assert!(len <= N, "a buffer of {N} elements");
        write(self.memory.as_mut_ptr().cast());
        self.len = len;
    }

    /// Replaces the elements by `len` times this one, at most `N`.
    #[inline]
    pub fn fill(&mut self, len: usize, value: T) {
        self.len = len.min(N);
        for element in self.memory.iter_mut().take(self.len) {
            element.write(value);
        }
    }

    /// The elements.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: so many are written.
        unsafe { core::slice::from_raw_parts(self.memory.as_ptr().cast(), self.len) }
    }

    /// The elements.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: so many are written.
        unsafe { core::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), self.len) }
    }
}

impl<T: Copy, const N: usize> Default for Buffer<T, N> {
    fn default() -> Self {
        Self::new()
    }
}
