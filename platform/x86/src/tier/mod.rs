//! The tiers: what each needs of the machine, and its methods.

use std::cell::RefCell;

use bitnet_edge_kernels::attention::Scratch;

pub(crate) mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512_vnni;
pub(crate) mod avx_vnni;
pub(crate) mod sse41;

/// The first of CPU features that the machine does not have; the operating system's support is part of each.
macro_rules! first_missing {
    ($($feature:tt),*) => {
        [$((std::arch::is_x86_feature_detected!($feature), $feature)),*]
            .into_iter()
            .find_map(|(present, name)| (!present).then_some(name))
    };
}

/// Calls `f` with this thread's scratch memory of attention, which is no allocation: it is part of the thread.
#[inline]
fn with_scratch<T>(f: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
    }
    SCRATCH.with_borrow_mut(f)
}

use first_missing;
