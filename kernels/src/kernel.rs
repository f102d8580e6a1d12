//! The kernels by name: what a tier has of its own, and what ran the definition.

/// A method of [`Kernels`](crate::Kernels) that computes.
///
/// ```
/// use bitnet_edge_kernels::Kernel;
/// assert_eq!(Kernel::MatmulT2r4I8t.name(), "matmul_t2r4_i8t");
/// assert_eq!(Kernel::named("rope"), Some(Kernel::Rope));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // each is the method of its name
pub enum Kernel {
    QuantizeToken,
    QuantizeG32,
    QuantizeG256,
    MatmulT2r4I8t,
    MatmulQ8r4I8g32,
    MatmulQ4r4I8g32,
    MatmulQ4m4I8g32,
    MatmulQ6r4I8g256,
    MatmulQ4k4I8g256,
    MatmulQ5r4I8g32,
    MatmulQ5k4I8g256,
    MatmulF32F32,
    MatmulF16F32,
    MatmulBf16F32,
    RmsNorm,
    RmsNormInPlace,
    Rope,
    Gate,
    Store,
    Attend,
    AttendI8,
    Combine,
}

impl Kernel {
    /// How many there are.
    ///
    /// ```
    /// use bitnet_edge_kernels::Kernel;
    /// assert_eq!(Kernel::ALL.len(), Kernel::COUNT);
    /// ```
    pub const COUNT: usize = 22;

    /// All of them, in the order of the trait.
    ///
    /// ```
    /// use bitnet_edge_kernels::Kernel;
    /// assert!(Kernel::ALL.iter().enumerate().all(|(i, kernel)| *kernel as usize == i));
    /// ```
    pub const ALL: [Self; Self::COUNT] = [
        Self::QuantizeToken,
        Self::QuantizeG32,
        Self::QuantizeG256,
        Self::MatmulT2r4I8t,
        Self::MatmulQ8r4I8g32,
        Self::MatmulQ4r4I8g32,
        Self::MatmulQ4m4I8g32,
        Self::MatmulQ6r4I8g256,
        Self::MatmulQ4k4I8g256,
        Self::MatmulQ5r4I8g32,
        Self::MatmulQ5k4I8g256,
        Self::MatmulF32F32,
        Self::MatmulF16F32,
        Self::MatmulBf16F32,
        Self::RmsNorm,
        Self::RmsNormInPlace,
        Self::Rope,
        Self::Gate,
        Self::Store,
        Self::Attend,
        Self::AttendI8,
        Self::Combine,
    ];

    /// The method's name: the operation, then the formats of its operands.
    ///
    /// ```
    /// assert_eq!(bitnet_edge_kernels::Kernel::Combine.name(), "combine");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QuantizeToken => "quantize_token",
            Self::QuantizeG32 => "quantize_g32",
            Self::QuantizeG256 => "quantize_g256",
            Self::MatmulT2r4I8t => "matmul_t2r4_i8t",
            Self::MatmulQ8r4I8g32 => "matmul_q8r4_i8g32",
            Self::MatmulQ4r4I8g32 => "matmul_q4r4_i8g32",
            Self::MatmulQ4m4I8g32 => "matmul_q4m4_i8g32",
            Self::MatmulQ6r4I8g256 => "matmul_q6r4_i8g256",
            Self::MatmulQ4k4I8g256 => "matmul_q4k4_i8g256",
            Self::MatmulQ5r4I8g32 => "matmul_q5r4_i8g32",
            Self::MatmulQ5k4I8g256 => "matmul_q5k4_i8g256",
            Self::MatmulF32F32 => "matmul_f32_f32",
            Self::MatmulF16F32 => "matmul_f16_f32",
            Self::MatmulBf16F32 => "matmul_bf16_f32",
            Self::RmsNorm => "rms_norm",
            Self::RmsNormInPlace => "rms_norm_in_place",
            Self::Rope => "rope",
            Self::Gate => "gate",
            Self::Store => "store",
            Self::Attend => "attend",
            Self::AttendI8 => "attend_i8",
            Self::Combine => "combine",
        }
    }

    /// The kernel with a name.
    ///
    /// ```
    /// assert_eq!(bitnet_edge_kernels::Kernel::named("softmax"), None);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == name)
    }

    /// The product with weights of a layout.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Kernel, tile::Layout};
    /// assert_eq!(Kernel::product(Layout::T2r4), Kernel::MatmulT2r4I8t);
    /// ```
    #[must_use]
    pub const fn product(layout: crate::tile::Layout) -> Self {
        use crate::tile::Layout;
        match layout {
            Layout::T2r4 => Self::MatmulT2r4I8t,
            Layout::Q8r4 => Self::MatmulQ8r4I8g32,
            Layout::Q4r4 => Self::MatmulQ4r4I8g32,
            Layout::Q4m4 => Self::MatmulQ4m4I8g32,
            Layout::Q6r4 => Self::MatmulQ6r4I8g256,
            Layout::Q4k4 => Self::MatmulQ4k4I8g256,
            Layout::Q5r4 => Self::MatmulQ5r4I8g32,
            Layout::Q5k4 => Self::MatmulQ5k4I8g256,
            Layout::F32 => Self::MatmulF32F32,
            Layout::F16 => Self::MatmulF16F32,
            Layout::Bf16 => Self::MatmulBf16F32,
        }
    }

    /// Whether it is a product with quantized weights: integers on both sides.
    ///
    /// ```
    /// use bitnet_edge_kernels::Kernel;
    /// assert!(Kernel::MatmulQ4r4I8g32.is_quantized_product() && !Kernel::MatmulF16F32.is_quantized_product());
    /// ```
    #[must_use]
    pub const fn is_quantized_product(self) -> bool {
        let n = self as u8;
        n >= Self::MatmulT2r4I8t as u8 && n <= Self::MatmulQ5k4I8g256 as u8
    }
}

/// Kernels: those that a tier has of its own.
///
/// ```
/// use bitnet_edge_kernels::{Kernel, KernelSet, Kernels, Scalar};
/// let products = KernelSet::of(&[Kernel::MatmulT2r4I8t, Kernel::MatmulQ8r4I8g32]);
/// assert!(products.has(Kernel::MatmulT2r4I8t) && !products.has(Kernel::Rope));
/// assert_eq!(products.and(KernelSet::of(&[Kernel::Rope])).iter().count(), 3);
/// assert_eq!(Scalar.own(), KernelSet::ALL); // it is the definition
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelSet(u32);

impl KernelSet {
    /// None.
    ///
    /// ```
    /// assert_eq!(bitnet_edge_kernels::KernelSet::NONE.iter().count(), 0);
    /// ```
    pub const NONE: Self = Self(0);
    /// All.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Kernel, KernelSet};
    /// assert_eq!(KernelSet::ALL.iter().count(), Kernel::COUNT);
    /// ```
    pub const ALL: Self = Self((1 << Kernel::COUNT) - 1);

    /// These.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Kernel, KernelSet};
    /// assert_eq!(KernelSet::of(&Kernel::ALL), KernelSet::ALL);
    /// ```
    #[must_use]
    pub const fn of(kernels: &[Kernel]) -> Self {
        let (mut bits, mut rest) = (0, kernels);
        while let [first, others @ ..] = rest {
            bits |= 1 << (*first as u32);
            rest = others;
        }
        Self(bits)
    }

    /// These and others.
    ///
    /// ```
    /// use bitnet_edge_kernels::KernelSet;
    /// assert_eq!(KernelSet::NONE.and(KernelSet::ALL), KernelSet::ALL);
    /// ```
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether a kernel is one of them.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Kernel, KernelSet};
    /// assert!(!KernelSet::NONE.has(Kernel::Gate));
    /// ```
    #[must_use]
    pub const fn has(self, kernel: Kernel) -> bool {
        self.0 >> (kernel as u32) & 1 != 0
    }

    /// Each of them, in the order of the trait.
    ///
    /// ```
    /// use bitnet_edge_kernels::{Kernel, KernelSet};
    /// assert_eq!(KernelSet::of(&[Kernel::Rope]).iter().next(), Some(Kernel::Rope));
    /// ```
    pub fn iter(self) -> impl Iterator<Item = Kernel> {
        Kernel::ALL.into_iter().filter(move |kernel| self.has(*kernel))
    }
}
