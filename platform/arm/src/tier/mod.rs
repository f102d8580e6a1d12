//! The tiers: what each needs of the machine, and its methods.

use bitnet_edge_simd::AnyResults;
use bitnet_edge_simd::names::*;

use crate::lanes::Lanes;
use crate::matmul;

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

#[cfg(feature = "std")]
bitnet_edge_simd::thread_scratch!();

/// Calls `f` with scratch memory of attention, which is on the stack: it knows of no threads. By itself, so that the stack is its callers'
/// again afterwards.
#[cfg(not(feature = "std"))]
#[inline(never)]
fn with_scratch<T>(f: impl FnOnce(&mut Scratch) -> T) -> T {
    f(&mut Scratch::new())
}

/// The integer products of a tier with `$matrix` for several tokens of the ternary layout.
macro_rules! product_methods {
    ($features:literal, $matrix:ty) => {
        #[inline]
        fn matmul_t2r4_i8t<R: Results>(
            &self,
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            scale: TernaryScale<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            #[target_feature(enable = $features)]
            fn one<R: Results>(
                w: &[u8],
                acts: &Int8Acts<'_>,
                scale: TernaryScale<'_>,
                out: &mut R,
            ) -> Result<(), Error> {
                // SAFETY: this function has the features of the vectors.
                unsafe { bitnet_edge_simd::t2r4::matmul_one::<matmul::Dotprod, 4, R>(w, acts, scale, out) }
            }
            // By itself: inlined, what it takes of the stack would be its callers', too, while they call others.
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn several(
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                scale: TernaryScale<'_>,
                out: &mut AnyResults<'_>,
            ) -> Result<(), Error> {
                // SAFETY: as above.
                unsafe { matmul::gemm::matmul::<$matrix>(w, tokens, acts, scale, out) }
            }
            // SAFETY: the features are there, for a token of the tier exists (see `token`).
            unsafe {
                if tokens == 1 {
                    one(w, acts, scale, out)
                } else {
                    several(w, tokens, acts, scale, &mut AnyResults(out))
                }
            }
        }
        bitnet_edge_simd::product_methods! { @all $features, matmul::Dotprod, 4 }
    };
}

bitnet_edge_simd::token! {
    /// NEON: every `AArch64` processor.
    Neon: first_missing!("neon")
}

impl Kernels for Neon {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "neon"
    }

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
    }

    bitnet_edge_simd::float_methods!(Lanes, Lanes, "neon", with_scratch);
    #[inline]
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        #[target_feature(enable = "neon")]
        fn products<R: Results>(
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            scale: TernaryScale<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            // SAFETY: this function has the features of the vectors.
            unsafe { bitnet_edge_simd::t2r4::matmul::<matmul::Neon, 4, 4, R>(w, tokens, acts, scale, out) }
        }
        // By itself, as `several` above.
        #[inline(never)]
        #[target_feature(enable = "neon")]
        fn by_tables(
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            scale: TernaryScale<'_>,
            out: &mut AnyResults<'_>,
        ) -> Result<(), Error> {
            // SAFETY: as above.
            unsafe { matmul::tables::matmul(w, tokens, acts, scale, out) }
        }
        // SAFETY: the features are there, for a token of the tier exists (see `token`).
        unsafe {
            if matmul::tables::are_worth_it(w, tokens, acts.stride) {
                by_tables(w, tokens, acts, scale, &mut AnyResults(out))
            } else {
                products(w, tokens, acts, scale, out)
            }
        }
    }
    bitnet_edge_simd::product_methods! { @all "neon", matmul::Neon, 4 }
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

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
    }

    bitnet_edge_simd::float_methods!(Lanes, Lanes, "neon", with_scratch);
    product_methods!("neon,dotprod", matmul::gemm::Sdot);
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

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
    }

    bitnet_edge_simd::float_methods!(Lanes, Lanes, "neon", with_scratch);
    product_methods!("neon,dotprod,i8mm", matmul::gemm::Smmla);
}
