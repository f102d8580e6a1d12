//! All tiers behind one type.

use bitnet_edge_kernels::attention::{Int8Rows, KvElement};
use bitnet_edge_kernels::gate::Activation;
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{FloatActs, Int8Acts, Results, TernaryScale};
use bitnet_edge_kernels::{Error, Kernels, Scalar};

#[cfg(target_arch = "x86_64")]
use crate::{Amx, Avx2, Avx512Vnni, AvxVnni, Sse41};

/// A tier of this machine, or the scalar definition.
///
/// A value is proof that the machine has what its tier needs. Every method is one jump to the tier's.
///
/// ```
/// use bitnet_edge_kernels::Kernels;
/// use bitnet_edge_x86::Host;
/// for backend in Host::available() {
///     println!("{}", backend.name()); // the one to prefer comes first
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Host {
    /// The definition: every machine has it.
    Scalar(Scalar),
    /// `sse4.1`
    #[cfg(target_arch = "x86_64")]
    Sse41(Sse41),
    /// `avx2`
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// `avx-vnni`
    #[cfg(target_arch = "x86_64")]
    AvxVnni(AvxVnni),
    /// `avx512-vnni`
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    /// `amx`
    #[cfg(target_arch = "x86_64")]
    Amx(Amx),
}

/// Evaluates an expression with the tier's token bound to `$k`.
macro_rules! dispatch {
    ($host:expr, $k:ident => $call:expr) => {
        match $host {
            Host::Scalar($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Sse41($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Avx2($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::AvxVnni($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Avx512Vnni($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Amx($k) => $call,
        }
    };
}

/// Methods of `Kernels` that hand their arguments on.
macro_rules! forward {
    ($(fn $name:ident $(<$g:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty;)*) => {$(
        #[inline]
        fn $name $(<$g: $bound>)? (&self, $($arg: $ty),*) -> $ret {
            dispatch!(self, k => k.$name($($arg),*))
        }
    )*};
}

impl Kernels for Host {
    type Lanes = Scalar16;

    forward! {
        fn name() -> &'static str;
        fn quantize_token(x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error>;
        fn quantize_g32(x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error>;
        fn quantize_g256(x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error>;
        fn matmul_t2r4_i8t<R: Results>(
            w: &[u8], tokens: usize, acts: &Int8Acts<'_>, scale: TernaryScale<'_>, out: &mut R,
        ) -> Result<(), Error>;
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
        fn attend<E: KvElement>(
            q: &[f32], k: &[E], v: &[E], c: f32, record: &mut [f32],
        ) -> Result<(), Error>;
        fn attend_i8(
            q: &[i8], q_scale: f32, k: Int8Rows<'_>, v: Int8Rows<'_>, c: f32, record: &mut [f32],
        ) -> Result<(), Error>;
        fn combine(records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> Result<(), Error>;
    }
}
