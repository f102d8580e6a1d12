//! Dimensions of published models.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

/// The shape of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// BitNet b1.58 2B4T: 2.4 billion weights
    #[value(name = "2b4t")]
    B2T4,
    /// BitNet b1.58 large: 0.7 billion
    #[value(name = "700m")]
    M700,
    /// BitNet b1.58 3B: rows of 3200 and 8640, which only i2_s and f16 can hold
    #[value(name = "3b")]
    B3,
    /// The size of Llama 3 8B
    #[value(name = "8b")]
    B8,
    /// For tests: 7 million
    Tiny,
}

/// Dimensions, in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dims {
    pub(crate) dim: u64,
    pub(crate) layers: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head_dim: u64,
    pub(crate) ffn: u64,
    pub(crate) vocab: u64,
    pub(crate) context: u64,
    pub(crate) rope_base: f32,
}

impl Shape {
    /// The name, as options spell it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::B2T4 => "2b4t",
            Self::M700 => "700m",
            Self::B3 => "3b",
            Self::B8 => "8b",
            Self::Tiny => "tiny",
        }
    }

    pub(crate) const fn dims(self) -> Dims {
        let (dim, layers, heads, kv_heads, head_dim, ffn, vocab, context, rope_base) = match self {
            Self::B2T4 => (2560, 30, 20, 5, 128, 6912, 128_256, 4096, 500_000.0),
            Self::M700 => (1536, 24, 16, 16, 96, 4096, 32_002, 2048, 10_000.0),
            Self::B3 => (3200, 26, 32, 32, 100, 8640, 32_002, 2048, 10_000.0),
            Self::B8 => (4096, 32, 32, 8, 128, 14_336, 128_256, 8192, 500_000.0),
            Self::Tiny => (512, 3, 8, 2, 64, 1024, 1024, 1024, 10_000.0),
        };
        Dims { dim, layers, heads, kv_heads, head_dim, ffn, vocab, context, rope_base }
    }
}
