use crate::attention::{self, Int8Rows, KvElement, Queries};
use crate::gate::{self, Activation};
use crate::simd::{F32x16, Scalar16};
use crate::tile::{FloatActs, Int8Acts, Results, TernaryScale, q4k4, q4r4, q5r4, q6r4, q8r4, rows, t2r4};
use crate::witness::definition;
use crate::{Error, Kernel, KernelSet, norm, quantize, rope};

/// What a backend for a CPU implements: the operations on slices.
///
/// Every default is the definition; a tier overrides what it can do faster and is right when no bit changes, which
/// [`conformance`](crate::conformance) checks. Float operations are written once over [`F32x16`]: a tier names its
/// lanes in [`Lanes`](Self::Lanes) and wraps the call in the instruction set it needs.
///
/// Operands and errors are those of the functions that the defaults call.
///
/// ```
/// use bitnet_edge_kernels::{Kernels, Scalar};
/// let mut q = [0i8; 2];
/// assert_eq!(Scalar.quantize_token(&[1.0, -1.0], &mut q), Ok((127.0, 0)));
/// assert_eq!(Scalar.name(), "scalar");
/// ```
pub trait Kernels: Copy + Sync {
    /// The sixteen lanes of this tier.
    type Lanes: F32x16;

    /// The tier's name in reports.
    fn name(&self) -> &'static str;

    /// The kernels that the tier has of its own; for all others it runs the definition, which is a fallback, and is said to be one.
    ///
    /// A tier that overrides a method names it here: a test compares both.
    fn own(&self) -> KernelSet {
        KernelSet::NONE
    }

    /// [`quantize::token`]
    ///
    /// # Errors
    /// As there.
    fn quantize_token(&self, x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error> {
        definition(self.name(), Kernel::QuantizeToken);
        quantize::token(x, q)
    }

    /// [`quantize::groups`] of 32.
    ///
    /// # Errors
    /// As there.
    fn quantize_g32(&self, x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error> {
        definition(self.name(), Kernel::QuantizeG32);
        quantize::groups::<32>(x, q, a, sum)
    }

    /// [`quantize::groups`] of 256.
    ///
    /// # Errors
    /// As there.
    fn quantize_g256(&self, x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error> {
        definition(self.name(), Kernel::QuantizeG256);
        quantize::groups::<256>(x, q, a, sum)
    }

    /// [`t2r4::matmul`]
    ///
    /// # Errors
    /// As there.
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulT2r4I8t);
        t2r4::matmul(w, tokens, acts, scale, out)
    }

    /// [`q8r4::matmul`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q8r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ8r4I8g32);
        q8r4::matmul(w, tokens, acts, out)
    }

    /// [`q4r4::matmul`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q4r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ4r4I8g32);
        q4r4::matmul(w, tokens, acts, out)
    }

    /// [`q4r4::matmul_minima`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q4m4_i8g32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ4m4I8g32);
        q4r4::matmul_minima(w, tokens, acts, out)
    }

    /// [`q6r4::matmul`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q6r4_i8g256<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ6r4I8g256);
        q6r4::matmul(w, tokens, acts, out)
    }

    /// [`q4k4::matmul`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q4k4_i8g256<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ4k4I8g256);
        q4k4::matmul(w, tokens, acts, out)
    }

    /// [`q5r4::matmul`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q5r4_i8g32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ5r4I8g32);
        q5r4::matmul(w, tokens, acts, out)
    }

    /// [`q4k4::matmul_fifth`]
    ///
    /// # Errors
    /// As there.
    fn matmul_q5k4_i8g256<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulQ5k4I8g256);
        q4k4::matmul_fifth(w, tokens, acts, out)
    }

    /// [`rows::matmul`] of f32 weights.
    ///
    /// # Errors
    /// As there.
    fn matmul_f32_f32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &FloatActs<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulF32F32);
        rows::matmul::<f32, Self::Lanes, R>(w, tokens, acts, out)
    }

    /// [`rows::matmul`] of f16 weights.
    ///
    /// # Errors
    /// As there.
    fn matmul_f16_f32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &FloatActs<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulF16F32);
        rows::matmul::<rows::F16, Self::Lanes, R>(w, tokens, acts, out)
    }

    /// [`rows::matmul`] of bfloat16 weights.
    ///
    /// # Errors
    /// As there.
    fn matmul_bf16_f32<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &FloatActs<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::MatmulBf16F32);
        rows::matmul::<rows::Bf16, Self::Lanes, R>(w, tokens, acts, out)
    }

    /// [`norm::rms_norm`]
    ///
    /// # Errors
    /// As there.
    fn rms_norm(&self, x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> Result<(), Error> {
        definition(self.name(), Kernel::RmsNorm);
        norm::rms_norm::<Self::Lanes>(x, w, eps, y)
    }

    /// [`norm::rms_norm_in_place`]
    ///
    /// # Errors
    /// As there.
    fn rms_norm_in_place(&self, x: &mut [f32], w: &[f32], eps: f32) -> Result<(), Error> {
        definition(self.name(), Kernel::RmsNormInPlace);
        norm::rms_norm_in_place::<Self::Lanes>(x, w, eps)
    }

    /// [`rope::rotate`]
    ///
    /// # Errors
    /// As there.
    fn rope(&self, head: &mut [f32], angles: &[f32]) -> Result<(), Error> {
        definition(self.name(), Kernel::Rope);
        rope::rotate(head, angles)
    }

    /// [`gate::gate`]
    ///
    /// # Errors
    /// As there.
    fn gate(&self, act: Activation, g: &mut [f32], u: &[f32]) -> Result<(), Error> {
        definition(self.name(), Kernel::Gate);
        gate::gate::<Self::Lanes>(act, g, u)
    }

    /// [`attention::store`]
    ///
    /// # Errors
    /// As there.
    fn store<E: KvElement>(&self, x: &[f32], row: &mut [E]) -> Result<(), Error> {
        definition(self.name(), Kernel::Store);
        attention::store::<E, Self::Lanes>(x, row)
    }

    /// [`attention::each`]
    ///
    /// # Errors
    /// As there.
    fn attend<E: KvElement>(
        &self,
        q: &Queries<'_>,
        k: &[E],
        v: &[E],
        c: f32,
        records: &mut [f32],
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::Attend);
        attention::each::<E, Self::Lanes>(q, k, v, c, records)
    }

    /// [`attention::chunk_i8`]
    ///
    /// # Errors
    /// As there.
    fn attend_i8(
        &self,
        q: &[i8],
        q_scale: f32,
        k: Int8Rows<'_>,
        v: Int8Rows<'_>,
        c: f32,
        record: &mut [f32],
    ) -> Result<(), Error> {
        definition(self.name(), Kernel::AttendI8);
        attention::chunk_i8::<Self::Lanes>(q, q_scale, k, v, c, record)
    }

    /// [`attention::combine`]
    ///
    /// # Errors
    /// As there.
    fn combine(&self, records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> Result<(), Error> {
        definition(self.name(), Kernel::Combine);
        attention::combine::<Self::Lanes>(records, stride, n, y)
    }
}

/// The definition: every method of [`Kernels`] as this crate writes it.
///
/// ```
/// use bitnet_edge_kernels::{Kernels, Scalar, gate::Activation};
/// let mut g = [2.0];
/// Scalar.gate(Activation::Relu2, &mut g, &[0.5])?;
/// assert_eq!(g, [2.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scalar;

impl Kernels for Scalar {
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "scalar"
    }

    fn own(&self) -> KernelSet {
        KernelSet::ALL
    }
}
