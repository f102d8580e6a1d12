//! The methods of a tier: what its token is, and code that is instantiated inside functions with its features.
//!
//! The macros are used where [`names`](crate::names) are in scope.

/// Defines a tier's token: proof that this machine has the features that its code enables.
#[macro_export]
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

/// Methods of `Kernels` whose body runs with the features of the tier. The body is inlined into a function that has
/// them, so it must be made of `#[inline(always)]` code without closures around lanes: those would not have them.
#[macro_export]
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

/// The float methods of a tier over its lanes, and those for a single sum. `$with_scratch` calls a function with the scratch memory
/// of attention ([`Scratch`](bitnet_edge_kernels::attention::Scratch)).
#[macro_export]
macro_rules! float_methods {
    ($lanes:ty, $one:ty, $features:literal, $with_scratch:path) => {
        $crate::with_features! { $features:
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
            $with_scratch(|scratch| {
                // SAFETY: the features are there, for a token of the tier exists (see `token`).
                unsafe { featured(q, k, v, c, records, scratch) }
            })
        }
    };
}

/// Memory that a thread has, for tiers with `std`: `with_scratch`, as `float_methods` takes it.
#[macro_export]
macro_rules! thread_scratch {
    () => {
        /// Calls `f` with this thread's scratch memory of attention, which is no allocation: it is part of the thread.
        #[inline]
        fn with_scratch<T>(f: impl FnOnce(&mut $crate::names::Scratch) -> T) -> T {
            std::thread_local! {
                static SCRATCH: core::cell::RefCell<$crate::names::Scratch> =
                    const { core::cell::RefCell::new($crate::names::Scratch::new()) };
            }
            SCRATCH.with_borrow_mut(f)
        }
    };
}

/// The same for products by tables: `with_tables`, as `product_methods` takes it.
#[macro_export]
macro_rules! thread_tables {
    () => {
        /// Calls `f` with this thread's memory of a product by tables, which its first long prompt allocates. A product within the
        /// results of a product has its own.
        #[inline]
        fn with_tables<T>(f: impl FnOnce(&mut $crate::t2r4::Scratch) -> T) -> T {
            std::thread_local! {
                static SCRATCH: core::cell::Cell<Option<std::boxed::Box<$crate::t2r4::Scratch>>> =
                    const { core::cell::Cell::new(None) };
            }
            let mut scratch = SCRATCH.take().unwrap_or_else(t2r4_scratch);
            let result = f(&mut scratch);
            SCRATCH.set(Some(scratch));
            result
        }

        #[cold]
        fn t2r4_scratch() -> std::boxed::Box<$crate::t2r4::Scratch> {
            // SAFETY: it is made of integers, which may be zeros.
            unsafe { std::boxed::Box::new_zeroed().assume_init() }
        }
    };
}

/// The integer products of a tier: `$vector` with the register blocks of its instruction set, of `$block` vectors for many tokens
/// of the ternary layout; `$tile` are a row tile. With `$tables`, vectors
/// ([`Tables`](crate::t2r4::Tables)), very many tokens of the ternary layout and `$rows` rows take tables of sums; `$with_tables`
/// calls a function with their memory ([`Scratch`](crate::t2r4::Scratch)).
#[macro_export]
macro_rules! product_methods {
    ($features:literal, $vector:ty, $block:literal, $tile:literal, $tables:ty, $rows:expr, $with_tables:path) => {
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
            fn featured<R: Results>(
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                scale: TernaryScale<'_>,
                out: &mut R,
            ) -> Result<(), Error> {
                // SAFETY: this function has the features of the vectors.
                unsafe { $crate::t2r4::matmul::<$vector, $block, $tile, R>(w, tokens, acts, scale, out) }
            }
            // By itself, as the block layouts below.
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn by_tables(
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                scale: TernaryScale<'_>,
                scratch: &mut $crate::t2r4::Scratch,
                out: &mut $crate::AnyResults<'_>,
            ) -> Result<(), Error> {
                // SAFETY: as above.
                unsafe {
                    $crate::t2r4::matmul_by_tables::<$tables, $vector, $block, _>(
                        w, tokens, acts, scale, scratch, out)
                }
            }
            // SAFETY: the features are there, for a token of the tier exists (see `token`).
            unsafe {
                if $crate::t2r4::takes_tables(w, tokens, acts, $rows) {
                    let out = &mut $crate::AnyResults(out);
                    return $with_tables(|scratch| by_tables(w, tokens, acts, scale, scratch, out));
                }
                featured(w, tokens, acts, scale, out)
            }
        }
        $crate::product_methods! { @all $features, $vector, $tile }
    };
    ($features:literal, $vector:ty, $block:literal, $tile:literal) => {
        $crate::with_features! { $features:
            fn matmul_t2r4_i8t<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, scale: TernaryScale<'_>, out: &mut R
            ) -> () =
                // SAFETY: this function has the features of the vectors.
                unsafe {
                    $crate::t2r4::matmul::<$vector, $block, $tile, R>(
                        w, tokens, acts, scale, out)
                };
        }
        $crate::product_methods! { @all $features, $vector, $tile }
    };
    (@all $features:literal, $vector:ty, $tile:literal) => {
        $crate::product_methods! { @blocks $features, $vector, $tile:
            matmul_q4r4_i8g32: Q4r4,
            matmul_q4m4_i8g32: Q4m4,
            matmul_q8r4_i8g32: Q8r4,
            matmul_q6r4_i8g256: Q6r4,
            matmul_q4k4_i8g256: Q4k4,
            matmul_q5r4_i8g32: Q5r4,
            matmul_q5k4_i8g256: Q5k4,
        }
    };
    (@blocks $features:literal, $vector:ty, $tile:literal: $($name:ident: $blocks:ident,)*) => {$(
        #[inline]
        fn $name<R: Results>(
            &self,
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            // By itself: inlined, what it takes of the stack would be its callers', too, while they call others.
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn featured(
                w: &[u8],
                tokens: usize,
                acts: &Int8Acts<'_>,
                out: &mut $crate::AnyResults<'_>,
            ) -> Result<(), Error> {
                // SAFETY: this function has the features of the vectors.
                unsafe {
                    $crate::blocks::matmul::<$vector, $crate::$blocks, $tile, _>(
                        w, tokens, acts, out)
                }
            }
            // SAFETY: the features are there, for a token of the tier exists (see `token`).
            unsafe { featured(w, tokens, acts, &mut $crate::AnyResults(out)) }
        }
    )*};
}
