//! Methods of `Kernels` that hand their arguments on. The macros are used where [`names`](crate::names) are in scope.

/// Methods that evaluate `$dispatch!(self, k => k.method(arguments))`.
#[macro_export]
macro_rules! forward {
    ($dispatch:ident: $(
        fn $name:ident $(<$g:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty;
    )*) => {$(
        #[inline]
        fn $name $(<$g: $bound>)? (&self, $($arg: $ty),*) -> $ret {
            $dispatch!(self, k => k.$name($($arg),*))
        }
    )*};
}

/// The product that AMX has a kernel of its own for.
#[macro_export]
macro_rules! forward_t2r4 {
    ($dispatch:ident) => {
        $crate::forward! { $dispatch:
            fn matmul_t2r4_i8t<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, scale: TernaryScale<'_>, out: &mut R,
            ) -> Result<(), Error>;
        }
    };
}

/// All methods but `name` and [`forward_t2r4`].
#[macro_export]
macro_rules! forward_others {
    ($dispatch:ident) => {
        $crate::forward! { $dispatch:
            fn own() -> KernelSet;
            fn quantize_token(x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error>;
            fn quantize_g32(x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error>;
            fn quantize_g256(x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error>;
            fn matmul_q8r4_i8g32<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_q4r4_i8g32<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_q4m4_i8g32<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_q6r4_i8g256<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_q4k4_i8g256<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_q5r4_i8g32<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_q5k4_i8g256<R: Results>(
                w: &[u8], tokens: usize, acts: &Int8Acts<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_f32_f32<R: Results>(
                w: &[u8], tokens: usize, acts: &FloatActs<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_f16_f32<R: Results>(
                w: &[u8], tokens: usize, acts: &FloatActs<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn matmul_bf16_f32<R: Results>(
                w: &[u8], tokens: usize, acts: &FloatActs<'_>, out: &mut R,
            ) -> Result<(), Error>;
            fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> Result<(), Error>;
            fn rms_norm_in_place(x: &mut [f32], w: &[f32], eps: f32) -> Result<(), Error>;
            fn rope(head: &mut [f32], angles: &[f32]) -> Result<(), Error>;
            fn gate(act: Activation, g: &mut [f32], u: &[f32]) -> Result<(), Error>;
            fn store<E: KvElement>(x: &[f32], row: &mut [E]) -> Result<(), Error>;
            fn attend<E: KvElement>(
                q: &Queries<'_>, k: &[E], v: &[E], c: f32, records: &mut [f32],
            ) -> Result<(), Error>;
            fn attend_i8(
                q: &[i8], q_scale: f32, k: Int8Rows<'_>, v: Int8Rows<'_>, c: f32, record: &mut [f32],
            ) -> Result<(), Error>;
            fn combine(records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> Result<(), Error>;
        }
    };
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned;
    use std::string::String;
    use std::vec::Vec;

    /// A method that is not forwarded would be the definition's default: right, and slow without a word.
    #[test]
    fn every_method_of_the_trait_is_forwarded() {
        let methods = |text: &str| -> Vec<String> {
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            names.filter_map(|rest| Some(rest.split(['(', '<']).next()?.to_owned())).collect()
        };
        let the_trait = include_str!("../../../kernels/src/kernels.rs").split("\n}\n").next().unwrap();
        let forwarded = methods(include_str!("forward.rs"));
        let wanted = methods(the_trait);
        assert!(wanted.len() > 20);
        for name in wanted.iter().filter(|name| *name != "name") {
            assert!(forwarded.contains(name), "{name} is not forwarded");
        }
    }
}
