//! The tiers: what each needs of the machine, and its methods.

use std::cell::RefCell;

pub(crate) mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512_vnni;
pub(crate) mod avx_vnni;
pub(crate) mod sse41;

/// Defines a tier's token: proof that this machine has the features that its code enables.
macro_rules! token {
    ($(#[$doc:meta])* $tier:ident: $missing:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $tier(());

        impl $tier {
            /// The token, if this machine has what the tier needs.
            #[must_use]
            pub fn new() -> Option<Self> {
                Self::missing().is_none().then_some(Self(()))
            }

            /// Whether this machine has what the tier needs.
            #[must_use]
            pub fn is_available() -> bool {
                Self::missing().is_none()
            }

            /// The token, or what is missing.
            pub(crate) fn probe() -> Result<Self, &'static str> {
                Self::missing().map_or(Ok(Self(())), Err)
            }

            /// The first thing that the tier needs and this machine does not have, in words.
            pub(crate) fn missing() -> Option<&'static str> {
                $missing
            }
        }
    };
}

/// The first of CPU features that the machine does not have; the operating system's support is part of each.
macro_rules! first_missing {
    ($($feature:tt),*) => {
        [$((std::arch::is_x86_feature_detected!($feature), $feature)),*]
            .into_iter()
            .find_map(|(present, name)| (!present).then_some(name))
    };
}

/// Methods of `Kernels` whose body runs with the features of the tier. The body is inlined into a function that has
/// them, so it must be made of `#[inline(always)]` code without closures around lanes: those would not have them.
macro_rules! with_features {
    ($features:literal: $(
        fn $name:ident $(<$g:ident: $bound:path>)? ($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;
    )*) => {$(
        #[inline]
        fn $name $(<$g: $bound>)? (&self, $($arg: $ty),*) -> Result<$ret, Error> {
            #[target_feature(enable = $features)]
            fn featured $(<$g: $bound>)? ($($arg: $ty),*) -> Result<$ret, Error> {
                $body
            }
            // SAFETY: the features are there, for a token of the tier exists (see `token`).
            unsafe { featured($($arg),*) }
        }
    )*};
}

/// The float methods of a tier over its lanes, and those for a single sum.
macro_rules! float_methods {
    ($lanes:ty, $one:ty, $features:literal) => {
        $crate::tier::with_features! { $features:
            fn quantize_token(x: &[f32], q: &mut [i8]) -> (f32, i32) = quantize::token(x, q);
            fn quantize_g32(x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> () =
                quantize::groups::<32>(x, q, a, sum);
            fn quantize_g256(x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> () =
                quantize::groups::<256>(x, q, a, sum);
            fn matmul_f32_f32<R: Results>(w: &[u8], tokens: usize, acts: &FloatActs<'_>, out: &mut R) -> () =
                rows::blocked::<f32, $lanes, $one, R>(w, tokens, acts, out);
            fn matmul_f16_f32<R: Results>(w: &[u8], tokens: usize, acts: &FloatActs<'_>, out: &mut R) -> () =
                rows::blocked::<rows::F16, $lanes, $one, R>(w, tokens, acts, out);
            fn matmul_bf16_f32<R: Results>(w: &[u8], tokens: usize, acts: &FloatActs<'_>, out: &mut R) -> () =
                rows::blocked::<rows::Bf16, $lanes, $one, R>(w, tokens, acts, out);
            fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> () =
                norm::rms_norm::<$lanes>(x, w, eps, y);
            fn rms_norm_in_place(x: &mut [f32], w: &[f32], eps: f32) -> () =
                norm::rms_norm_in_place::<$lanes>(x, w, eps);
            fn rope(head: &mut [f32], angles: &[f32]) -> () = rope::rotate(head, angles);
            fn gate(act: Activation, g: &mut [f32], u: &[f32]) -> () = gate::gate::<$lanes>(act, g, u);
            fn store<E: KvElement>(x: &[f32], row: &mut [E]) -> () =
                attention::store::<E, $lanes>(x, row);
            fn attend_i8(
                q: &[i8], q_scale: f32, k: Int8Rows<'_>, v: Int8Rows<'_>, c: f32, record: &mut [f32]
            ) -> () = attention::chunk_i8::<$lanes>(q, q_scale, k, v, c, record);
            fn combine(records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> () =
                attention::combine::<$lanes>(records, stride, n, y);
        }

        #[inline]
        fn attend<E: KvElement>(
            &self,
            q: &Queries<'_>,
            k: &[E],
            v: &[E],
            c: f32,
            records: &mut [f32],
        ) -> Result<(), Error> {
            #[target_feature(enable = $features)]
            fn featured<E: KvElement>(
                q: &Queries<'_>,
                k: &[E],
                v: &[E],
                c: f32,
                records: &mut [f32],
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                attention::blocked::<E, $lanes>(q, k, v, c, records, scratch)
            }
            $crate::tier::with_scratch(|scratch| {
                // SAFETY: the features are there, for a token of the tier exists (see `token`).
                unsafe { featured(q, k, v, c, records, scratch) }
            })
        }
    };
}

/// Calls `f` with this thread's scratch memory of attention, which is no allocation: it is part of the thread.
#[inline]
fn with_scratch<T>(f: impl FnOnce(&mut names::Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<names::Scratch> = const { RefCell::new(names::Scratch::new()) };
    }
    SCRATCH.with_borrow_mut(f)
}

/// What the macros above name.
mod names {
    pub(crate) use bitnet_edge_kernels::attention::{self, Int8Rows, KvElement, Queries, Scratch};
    pub(crate) use bitnet_edge_kernels::gate::{self, Activation};
    pub(crate) use bitnet_edge_kernels::simd::Scalar16;
    pub(crate) use bitnet_edge_kernels::tile::{FloatActs, Int8Acts, Results, TernaryScale, rows};
    pub(crate) use bitnet_edge_kernels::{Error, Kernels, norm, quantize, rope};
}

pub(crate) use with_features;
use {first_missing, float_methods, token};
