//! What a plan consists of: buffers, their lifetimes, and slots that belong together.

use super::slot::Slot;

/// When a buffer is in use. Buffers of different phases share memory.
///
/// ```
/// use bitnet_edge_core::memory::Lifetime;
/// assert_eq!(Lifetime::Session.name(), "session");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the session.
    Session,
    /// One pass through the model.
    Pass,
    /// The attention half of a layer.
    Attention,
    /// The feed-forward half of a layer.
    FeedForward,
    /// From the last layer to the sampled token.
    Head,
    /// While text is turned into tokens.
    Text,
}

impl Lifetime {
    /// The name in reports.
    ///
    /// ```
    /// use bitnet_edge_core::memory::Lifetime;
    /// assert_eq!(Lifetime::FeedForward.name(), "feed-forward");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Pass => "pass",
            Self::Attention => "attention",
            Self::FeedForward => "feed-forward",
            Self::Head => "head",
            Self::Text => "text",
        }
    }
}

/// One buffer of a plan.
///
/// ```
/// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let config = ModelConfig::read(IMAGE)?;
/// # let plan = MemoryPlan::new(&config, &PlanOptions::new(&config))?;
/// let last = plan.buffers().iter().map(|buffer| buffer.at + buffer.bytes).max();
/// assert!(last <= Some(plan.bytes()));
/// // Buffers of different phases share memory.
/// assert!(plan.buffers().iter().map(|buffer| buffer.bytes).sum::<usize>() > plan.bytes());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// What it holds, with its shape.
    pub name: &'static str,
    /// Offset in the arena.
    pub at: usize,
    /// Bytes.
    pub bytes: usize,
    /// When it is in use.
    pub lifetime: Lifetime,
}

/// Number of buffers of a plan.
///
/// ```
/// assert_eq!(bitnet_edge_core::memory::BUFFERS, 21);
/// ```
pub const BUFFERS: usize = 21;

/// Word of the step block: tokens of the pass.
///
/// ```
/// assert_eq!(bitnet_edge_core::memory::STEP_TOKENS, 0);
/// ```
pub const STEP_TOKENS: usize = 0;
/// Word of the step block: position of the first token.
///
/// ```
/// assert_eq!(bitnet_edge_core::memory::STEP_POSITION, 1);
/// ```
pub const STEP_POSITION: usize = 1;
/// Word of the step block: the token whose logits are wanted.
///
/// ```
/// assert_eq!(bitnet_edge_core::memory::STEP_OUT_ROW, 2);
/// ```
pub const STEP_OUT_ROW: usize = 2;
/// First of the step block's token ids.
///
/// ```
/// assert_eq!(bitnet_edge_core::memory::STEP_IDS, 4);
/// ```
pub const STEP_IDS: usize = 4;

/// Quantized activations: `[batch][columns]` with scales and sums.
///
/// ```
/// use bitnet_edge_core::{Slot, memory::ActSlots};
/// let acts = ActSlots { q: Slot::at(0, 64), scales: Slot::at(64, 2), sums: Slot::at(128, 2) };
/// assert_eq!(acts.q.len(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActSlots {
    /// int8 values.
    pub q: Slot<i8>,
    /// Scales of tokens or groups.
    pub scales: Slot<f32>,
    /// Sums of tokens or groups.
    pub sums: Slot<i32>,
}

/// The KV cache of one layer: `[kv_heads][context][head_dim]` for keys and for values.
///
/// ```
/// use bitnet_edge_core::{Slot, memory::KvSlots};
/// let kv = KvSlots::F16 { k: Slot::at(0, 64), v: Slot::at(128, 64) };
/// assert_eq!(kv.ranges(), [0..128, 128..256, 0..0, 0..0]); // no scales
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // k and v are keys and values; their scales are `[kv_heads][context]`.
pub enum KvSlots {
    /// f32 elements.
    F32 { k: Slot<f32>, v: Slot<f32> },
    /// f16 elements.
    F16 { k: Slot<u16>, v: Slot<u16> },
    /// int8 elements with a scale a row.
    I8 { k: Slot<i8>, k_scales: Slot<f32>, v: Slot<i8>, v_scales: Slot<f32> },
}
