//! The tiers: what each needs of the machine, and its methods.

use bitnet_edge_kernels::attention::Scratch;
use bitnet_edge_simd::names::*;

use crate::lanes::Lanes;

/// The first of CPU features that the machine does not have.
#[cfg(feature = "std")]
macro_rules! first_missing {
    ($($feature:tt),*) => {
        [$((std::arch::is_aarch64_feature_detected!($feature), $feature)),*]
            .into_iter()
            .find_map(|(present, name)| (!present).then_some(name))
    };
}

/// The same where there is no operating system.
#[cfg(all(not(feature = "std"), target_os = "none"))]
macro_rules! first_missing {
    ($($feature:tt),*) => {
        [$($feature),*].into_iter().find(|feature| !crate::registers::has(feature))
    };
}

/// The first of CPU features that the code is not compiled for.
#[cfg(all(not(feature = "std"), not(target_os = "none")))]
macro_rules! first_missing {
    ($($feature:tt),*) => {
        [$((cfg!(target_feature = $feature), $feature)),*]
            .into_iter()
            .find_map(|(present, name)| (!present).then_some(name))
    };
}

/// Calls `f` with this thread's scratch memory of attention, which is no allocation: it is part of the thread.
#[cfg(feature = "std")]
#[inline]
fn with_scratch<T>(f: impl FnOnce(&mut Scratch) -> T) -> T {
    std::thread_local! {
        static SCRATCH: core::cell::RefCell<Scratch> = const { core::cell::RefCell::new(Scratch::new()) };
    }
    SCRATCH.with_borrow_mut(f)
}

/// Calls `f` with scratch memory of attention, which is on the stack: it knows of no threads.
#[cfg(not(feature = "std"))]
#[inline]
fn with_scratch<T>(f: impl FnOnce(&mut Scratch) -> T) -> T {
    f(&mut Scratch::new())
}

bitnet_edge_simd::token! {
    /// NEON: every AArch64 processor.
    Neon: first_missing!("neon")
}

impl Kernels for Neon {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "neon"
    }

    bitnet_edge_simd::float_methods!(Lanes, Lanes, "neon", with_scratch);
    bitnet_edge_simd::product_methods!("neon", crate::matmul::Neon, 4, 4);
}

bitnet_edge_simd::token! {
    /// Products of bytes, four of them in one instruction (dotprod): Cortex-A55, A76 and Neoverse N1, since about 2018.
    Dotprod: first_missing!("neon", "dotprod")
}

impl Kernels for Dotprod {
    // As above.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "dotprod"
    }

    bitnet_edge_simd::float_methods!(Lanes, Lanes, "neon", with_scratch);
    bitnet_edge_simd::product_methods!("neon,dotprod", crate::matmul::Dotprod, 4, 4);
}

bitnet_edge_simd::token! {
    /// Products of matrices of bytes (i8mm), for prefill: Neoverse V1, N2 and Grace, Cortex-A510, since about 2021. Everything else is
    /// as in [`Dotprod`].
    I8mm: first_missing!("neon", "dotprod", "i8mm")
}

impl Kernels for I8mm {
    // As above.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "i8mm"
    }

    bitnet_edge_simd::float_methods!(Lanes, Lanes, "neon", with_scratch);
    bitnet_edge_simd::product_methods!("neon,dotprod,i8mm", crate::matmul::Dotprod, 4, 4);
}
