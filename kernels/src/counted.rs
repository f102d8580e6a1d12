//! Kernels that count what they are called for.

use crate::attention::{Int8Rows, KvElement, Queries};
use crate::gate::Activation;
use crate::tile::{FloatActs, Int8Acts, Results, TernaryScale};
use crate::{Error, Kernel, KernelSet, Kernels};

/// How often a kernel ran, and over how much.
///
/// ```
/// use bitnet_edge_kernels::{Counts, Tally};
/// assert_eq!(Counts::new().iter().next(), None); // a kernel that did not run is not listed
/// assert_eq!(Tally::default(), Tally { calls: 0, work: 0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls. They depend on threads, batch and budget, which divide the work.
    pub calls: u64,
    /// The work of all calls, which depends on nothing but what was computed. For a product it is the bytes of weights, once a
    /// token; for attention the elements of K, once a query; for all else the elements of the operand.
    pub work: u64,
}

/// Counts of every kernel, which several threads add to.
///
/// ```
/// use bitnet_edge_kernels::{Counted, Counts, Kernel, Kernels, Scalar, Tally};
/// let counts = Counts::new();
/// let kernels = Counted::new(Scalar, &counts);
/// kernels.quantize_token(&[1.0, -1.0], &mut [0; 2])?;
/// assert_eq!(counts.of(Kernel::QuantizeToken), Tally { calls: 1, work: 2 });
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Counts([Cell; Kernel::COUNT]);

#[derive(Debug, Default)]
struct Cell {
    calls: Number,
    work: Number,
}

/// A number of 64 bits, which wraps around.
#[cfg(target_has_atomic = "64")]
#[derive(Debug, Default)]
struct Number(core::sync::atomic::AtomicU64);

#[cfg(target_has_atomic = "64")]
impl Number {
    #[inline(always)]
    fn add(&self, n: u64) {
        self.0.fetch_add(n, core::sync::atomic::Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(core::sync::atomic::Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, core::sync::atomic::Ordering::Relaxed);
    }
}

/// The same in two halves, for processors that add 32 bits at once. It is whole when nobody adds.
#[cfg(not(target_has_atomic = "64"))]
#[derive(Debug, Default)]
struct Number(core::sync::atomic::AtomicU32, core::sync::atomic::AtomicU32);

#[cfg(not(target_has_atomic = "64"))]
impl Number {
    #[inline(always)]
    fn add(&self, n: u64) {
        use core::sync::atomic::Ordering::Relaxed;
        let low = n as u32;
        let carry = self.0.fetch_add(low, Relaxed).checked_add(low).is_none();
        let high = ((n >> 32) as u32).wrapping_add(u32::from(carry));
        if high != 0 {
            self.1.fetch_add(high, Relaxed);
        }
    }

    fn get(&self) -> u64 {
        use core::sync::atomic::Ordering::Relaxed;
        u64::from(self.1.load(Relaxed)) << 32 | u64::from(self.0.load(Relaxed))
    }

    fn reset(&self) {
        self.0.store(0, core::sync::atomic::Ordering::Relaxed);
        self.1.store(0, core::sync::atomic::Ordering::Relaxed);
    }
}

impl Counts {
    /// Nothing has run.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Counts, Kernel};
    /// assert_eq!(Counts::new().of(Kernel::Rope).calls, 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a kernel has done.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Counts, Kernel, Tally};
    /// assert_eq!(Counts::new().of(Kernel::Gate), Tally::default());
    /// ```
    #[must_use]
    pub fn of(&self, kernel: Kernel) -> Tally {
        self.0
            .get(kernel as usize)
            .map(|cell| Tally { calls: cell.calls.get(), work: cell.work.get() })
            .unwrap_or_default()
    }

    /// The kernels that ran, in the order of the trait.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Counted, Counts, Kernel, Kernels, Scalar, Tally};
    /// let counts = Counts::new();
    /// Counted::new(Scalar, &counts).rope(&mut [1.0; 4], &[1.0, 0.0, 1.0, 0.0])?;
    /// assert_eq!(counts.iter().collect::<Vec<_>>(), [(Kernel::Rope, Tally { calls: 1, work: 4 })]);
    /// # Ok::<(), bitnet_edge_kernels::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Kernel, Tally)> {
        Kernel::ALL.into_iter().map(|kernel| (kernel, self.of(kernel))).filter(|(_, tally)| tally.calls > 0)
    }

    /// Begins anew.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Counted, Counts, Kernels, Scalar};
    /// let counts = Counts::new();
    /// Counted::new(Scalar, &counts).quantize_token(&[1.0], &mut [0])?;
    /// counts.reset();
    /// assert_eq!(counts.iter().count(), 0);
    /// # Ok::<(), bitnet_edge_kernels::Error>(())
    /// ```
    pub fn reset(&self) {
        for cell in &self.0 {
            cell.calls.reset();
            cell.work.reset();
        }
    }

    #[inline(always)]
    fn add(&self, kernel: Kernel, work: usize) {
        if let Some(cell) = self.0.get(kernel as usize) {
            cell.calls.add(1);
            cell.work.add(work as u64);
        }
    }
}

/// A tier whose calls are counted: what it computes is the tier's.
///
/// ```
/// use bitnet_edge_kernels::{Counted, Counts, Kernels, Scalar};
/// let counts = Counts::new();
/// let kernels = Counted::new(Scalar, &counts);
/// assert_eq!((kernels.name(), kernels.own()), ("scalar", Scalar.own()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Counted<'c, K> {
    kernels: K,
    counts: &'c Counts,
}

impl<'c, K> Counted<'c, K> {
    /// Counts in `counts` what `kernels` do.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Counted, Counts, Scalar, conformance::{Effort, run}};
    /// let counts = Counts::new();
    /// assert!(run(Counted::new(Scalar, &counts), Effort::Boot, &mut |_| ()).passed());
    /// assert!(counts.iter().count() > 15);
    /// ```
    pub const fn new(kernels: K, counts: &'c Counts) -> Self {
        Self { kernels, counts }
    }
}

/// Products that differ in the layout alone.
macro_rules! products {
    ($($acts:ident: $($name:ident = $kernel:ident),*;)*) => {$($(
        #[inline]
        fn $name<R: Results>(
            &self,
            w: &[u8],
            tokens: usize,
            acts: &$acts<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            self.counts.add(Kernel::$kernel, w.len().saturating_mul(tokens));
            self.kernels.$name(w, tokens, acts, out)
        }
    )*)*};
}

impl<K: Kernels> Kernels for Counted<'_, K> {
    type Lanes = K::Lanes;

    fn name(&self) -> &'static str {
        self.kernels.name()
    }

    fn own(&self) -> KernelSet {
        self.kernels.own()
    }

    #[inline]
    fn quantize_token(&self, x: &[f32], q: &mut [i8]) -> Result<(f32, i32), Error> {
        self.counts.add(Kernel::QuantizeToken, x.len());
        self.kernels.quantize_token(x, q)
    }

    #[inline]
    fn quantize_g32(&self, x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error> {
        self.counts.add(Kernel::QuantizeG32, x.len());
        self.kernels.quantize_g32(x, q, a, sum)
    }

    #[inline]
    fn quantize_g256(&self, x: &[f32], q: &mut [i8], a: &mut [f32], sum: &mut [i32]) -> Result<(), Error> {
        self.counts.add(Kernel::QuantizeG256, x.len());
        self.kernels.quantize_g256(x, q, a, sum)
    }

    #[inline]
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        self.counts.add(Kernel::MatmulT2r4I8t, w.len().saturating_mul(tokens));
        self.kernels.matmul_t2r4_i8t(w, tokens, acts, scale, out)
    }

    products! {
        Int8Acts:
            matmul_q8r4_i8g32 = MatmulQ8r4I8g32,
            matmul_q4r4_i8g32 = MatmulQ4r4I8g32,
            matmul_q4m4_i8g32 = MatmulQ4m4I8g32,
            matmul_q6r4_i8g256 = MatmulQ6r4I8g256,
            matmul_q4k4_i8g256 = MatmulQ4k4I8g256,
            matmul_q5r4_i8g32 = MatmulQ5r4I8g32,
            matmul_q5k4_i8g256 = MatmulQ5k4I8g256;
        FloatActs:
            matmul_f32_f32 = MatmulF32F32,
            matmul_f16_f32 = MatmulF16F32,
            matmul_bf16_f32 = MatmulBf16F32;
    }

    #[inline]
    fn rms_norm(&self, x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> Result<(), Error> {
        self.counts.add(Kernel::RmsNorm, x.len());
        self.kernels.rms_norm(x, w, eps, y)
    }

    #[inline]
    fn rms_norm_in_place(&self, x: &mut [f32], w: &[f32], eps: f32) -> Result<(), Error> {
        self.counts.add(Kernel::RmsNormInPlace, x.len());
        self.kernels.rms_norm_in_place(x, w, eps)
    }

    #[inline]
    fn rope(&self, head: &mut [f32], angles: &[f32]) -> Result<(), Error> {
        self.counts.add(Kernel::Rope, head.len());
        self.kernels.rope(head, angles)
    }

    #[inline]
    fn gate(&self, act: Activation, g: &mut [f32], u: &[f32]) -> Result<(), Error> {
        self.counts.add(Kernel::Gate, g.len());
        self.kernels.gate(act, g, u)
    }

    #[inline]
    fn store<E: KvElement>(&self, x: &[f32], row: &mut [E]) -> Result<(), Error> {
        self.counts.add(Kernel::Store, x.len());
        self.kernels.store(x, row)
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
        self.counts.add(Kernel::Attend, q.count().saturating_mul(k.len()));
        self.kernels.attend(q, k, v, c, records)
    }

    #[inline]
    fn attend_i8(
        &self,
        q: &[i8],
        q_scale: f32,
        k: Int8Rows<'_>,
        v: Int8Rows<'_>,
        c: f32,
        record: &mut [f32],
    ) -> Result<(), Error> {
        self.counts.add(Kernel::AttendI8, k.q.len());
        self.kernels.attend_i8(q, q_scale, k, v, c, record)
    }

    #[inline]
    fn combine(&self, records: &[f32], stride: usize, n: usize, y: &mut [f32]) -> Result<(), Error> {
        self.counts.add(Kernel::Combine, n.saturating_mul(y.len()));
        self.kernels.combine(records, stride, n, y)
    }
}
