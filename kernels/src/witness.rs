//! Which defaults of the trait ran, for the tests that a tier tells the truth of what it has of its own.
//!
//! With the feature `witness` alone, which no program has; without it, nothing is left of this.

/// What is called at the beginning of every default: the tier of this name runs the definition.
#[cfg(not(feature = "witness"))]
#[inline(always)]
pub(crate) const fn definition(_: &str, _: crate::Kernel) {}

#[cfg(feature = "witness")]
pub(crate) use noted::definition;
#[cfg(feature = "witness")]
pub use noted::take_definitions;

#[cfg(feature = "witness")]
mod noted {
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use crate::{Kernel, KernelSet};

    static RAN: AtomicU32 = AtomicU32::new(0);

    pub(crate) fn definition(tier: &str, kernel: Kernel) {
        // The definition itself runs nothing else, and everything is compared with it.
        if tier != "scalar" {
            RAN.fetch_or(1 << kernel as u32, Relaxed);
        }
    }

    /// The kernels for which a tier other than `scalar` ran the definition since this was called last, in any thread.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Kernel, take_definitions};
    /// take_definitions();
    /// assert!(!take_definitions().has(Kernel::Rope));
    /// ```
    pub fn take_definitions() -> KernelSet {
        let ran = RAN.swap(0, Relaxed);
        let mut set = KernelSet::NONE;
        for kernel in Kernel::ALL {
            if ran >> kernel as u32 & 1 != 0 {
                set = set.and(KernelSet::of(&[kernel]));
            }
        }
        set
    }
}
