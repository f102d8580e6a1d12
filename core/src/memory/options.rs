//! What a plan is made for.

use serde::{Deserialize, Serialize};

use crate::image::ModelConfig;

/// Largest context of a plan.
///
/// ```
/// assert_eq!(bitnet_edge_core::memory::MAX_CONTEXT, 1 << 24);
/// ```
pub const MAX_CONTEXT: u32 = 1 << 24;

/// Type of the KV cache.
///
/// ```
/// # use bitnet_edge_core::{Error, KvType, MemoryPlan, ModelConfig, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let config = ModelConfig::read(IMAGE)?;
/// let kv_bytes = |kv| {
///     let plan = MemoryPlan::new(&config, &PlanOptions { kv, ..PlanOptions::new(&config) })?;
///     Ok::<usize, Error>(plan.buffers()[0].bytes)
/// };
/// // 2 layers, keys and values, 1 KV head, 64 positions, 32 elements
/// let elements = 2 * 2 * 64 * 32;
/// assert_eq!(kv_bytes(KvType::F32)?, 4 * elements);
/// assert_eq!(kv_bytes(KvType::F16)?, 2 * elements);
/// assert_eq!(kv_bytes(KvType::I8)?, elements + 2 * 2 * 64 * 4); // and an f32 a row
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// 4 bytes an element, no rounding.
    F32,
    /// 2 bytes an element.
    F16,
    /// 1 byte an element and a scale a row: what a core without an FPU wants.
    #[serde(rename = "int8")]
    I8,
}

impl KvType {
    /// Whether this build has such a cache: all of them with the feature `full`, which is on unless it is turned off; else no
    /// [`F32`](Self::F32).
    ///
    /// ```
    /// use bitnet_edge_core::KvType;
    /// assert!(KvType::F16.is_built() && KvType::I8.is_built());
    /// ```
    pub const fn is_built(self) -> bool {
        cfg!(feature = "full") || !matches!(self, Self::F32)
    }

    /// The name in options and reports.
    ///
    /// ```
    /// use bitnet_edge_core::KvType;
    /// assert_eq!([KvType::F32, KvType::F16, KvType::I8].map(KvType::name), ["f32", "f16", "int8"]);
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "int8",
        }
    }
}

/// What a backend needs for itself: [`PlanOptions::needs`] takes it, so that a host can plan for a board.
///
/// ```
/// # use bitnet_edge_core::{Error, MemoryPlan, ModelConfig, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let config = ModelConfig::read(IMAGE)?;
/// use bitnet_edge_core::memory::Needs;
/// let options = PlanOptions::new(&config);
/// let plan = MemoryPlan::new(&config, &options)?;
/// let needs = Needs { bytes: 1024, bytes_per_column: 2 };
/// let larger = MemoryPlan::new(&config, &PlanOptions { needs, ..options })?;
/// assert_eq!(larger.scratch.len(), 1024 + 2 * config.widest() as usize);
/// assert!(larger.bytes() > plan.bytes());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Bytes, whatever the model.
    pub bytes: u32,
    /// Bytes for each column of the widest activation.
    pub bytes_per_column: u32,
}

impl Needs {
    /// Nothing: what the scalar backend needs.
    ///
    /// ```
    /// use bitnet_edge_core::memory::Needs;
    /// assert_eq!((Needs::NONE.bytes, Needs::NONE.bytes_per_column), (0, 0));
    /// ```
    pub const NONE: Self = Self { bytes: 0, bytes_per_column: 0 };
}

/// What a plan is made for.
///
/// ```
/// # use bitnet_edge_core::{KvType, MemoryPlan, ModelConfig, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let config = ModelConfig::read(IMAGE)?;
/// let board = PlanOptions { context: 48, kv: KvType::I8, batch: 1, ..PlanOptions::new(&config) };
/// let (board, host) = (MemoryPlan::new(&config, &board)?, MemoryPlan::new(&config, &PlanOptions::new(&config))?);
/// assert!(board.bytes() < host.bytes());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Positions of the KV cache.
    pub context: u32,
    /// Type of the KV cache.
    pub kv: KvType,
    /// Tokens of a prompt that go through the model together.
    pub batch: u32,
    /// Longest text, in bytes, that can be turned into tokens at once.
    pub prompt_bytes: u32,
    /// What the backend needs for itself.
    pub needs: Needs,
}

impl PlanOptions {
    /// The model's own context but at most 4096, an f16 KV cache, batches of 8, and text of four bytes a position.
    ///
    /// ```
    /// # use bitnet_edge_core::{KvType, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// let options = PlanOptions::new(&config);
    /// assert_eq!((options.context, options.kv, options.batch), (64, KvType::F16, 8));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn new(config: &ModelConfig) -> Self {
        let context = if config.context < 4096 { config.context } else { 4096 };
        Self {
            context,
            kv: KvType::F16,
            batch: 8,
            prompt_bytes: context.saturating_mul(4),
            needs: Needs::NONE,
        }
    }
}
