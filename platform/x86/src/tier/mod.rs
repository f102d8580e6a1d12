//! The tiers: what each needs of the machine, and its methods.

use std::cell::{Cell, RefCell};

use bitnet_edge_kernels::attention::Scratch;
use bitnet_edge_simd::t2r4;

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

/// Calls `f` with this thread's memory of a product by tables, which its first long prompt allocates. A product within the results
/// of a product has its own.
#[inline]
fn with_tables<T>(f: impl FnOnce(&mut t2r4::Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: Cell<Option<Box<t2r4::Scratch>>> = const { Cell::new(None) };
    }
    let mut scratch = SCRATCH.take().unwrap_or_else(t2r4_scratch);
    let result = f(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

#[cold]
fn t2r4_scratch() -> Box<t2r4::Scratch> {
    // SAFETY: it is made of integers, which may be zeros.
    unsafe { Box::new_zeroed().assume_init() }
}

use first_missing;
