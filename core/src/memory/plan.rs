//! The plan: every buffer, its bytes, its lifetime.

use bitnet_edge_kernels::attention::{CHUNK, RECORD_HEAD};

use super::buffers::{ActSlots, BUFFERS, Buffer, KvSlots, Lifetime, STEP_IDS};
use super::options::{KvType, MAX_CONTEXT, PlanOptions};
use super::slot::Slot;
use crate::Error;
use crate::image::ModelConfig;

/// Where every buffer lies.
///
/// On a board it is a constant, from which the arena takes its size; [`assert_fits!`](crate::assert_fits) shows that, too.
///
/// ```
/// use bitnet_edge_core::{Line, MemoryPlan, ModelConfig, PlanOptions};
/// # static IMAGE: &[u8] =
/// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// let config = ModelConfig::read(IMAGE)?;
/// let plan = MemoryPlan::new(&config, &PlanOptions { context: 48, batch: 1, ..PlanOptions::new(&config) })?;
/// let arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// println!("an arena of {} lines, {} bytes", arena.len(), plan.bytes());
/// assert!(plan.logits.bytes().end <= plan.bytes());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPlan {
    config: ModelConfig,
    options: PlanOptions,
    bytes: usize,
    kv_at: usize,
    kv_rows: usize,
    /// Counts, position and token ids of a pass.
    pub step: Slot<u32>,
    /// The residual stream, `[batch][dim]`.
    pub x: Slot<f32>,
    /// Input of a matrix, `[batch][widest]`.
    pub h: Slot<f32>,
    /// Quantized input of a matrix.
    pub acts: ActSlots,
    /// Cosines and sines, `[batch][rope_pairs][2]`.
    pub angles: Slot<f32>,
    /// What the backend needs for itself.
    pub scratch: Slot<u8>,
    /// Queries, `[batch][q_dim]`; later the attention output.
    pub q: Slot<f32>,
    /// Keys, `[batch][kv_dim]`.
    pub k: Slot<f32>,
    /// Values, `[batch][kv_dim]`.
    pub v: Slot<f32>,
    /// Partial results of attention, `[kv_heads][chunks][attend_tokens][group][2 + head_dim]`.
    pub partial: Slot<f32>,
    /// Output of a half layer before its post-norm, `[batch][dim]`.
    pub out: Slot<f32>,
    /// The gate, `[batch][ffn]`.
    pub gate: Slot<f32>,
    /// Up projection, `[batch][ffn]`; later the sub-normed gate.
    pub up: Slot<f32>,
    /// The last hidden state of one token, `[dim]`.
    pub hidden: Slot<f32>,
    /// The same after the final norm.
    pub normed: Slot<f32>,
    /// Logits, `[vocab]`.
    pub logits: Slot<f32>,
    /// Tokens of a prompt.
    pub tokens: Slot<u32>,
    /// Scratch of the tokenizer.
    pub text: Slot<u32>,
}

/// Places slots one behind the other.
struct Cursor(u64);

impl Cursor {
    const fn place<T>(&mut self, len: u64) -> Slot<T> {
        let at = self.0;
        self.0 = at.saturating_add(len.saturating_mul(size_of::<T>() as u64).div_ceil(64).saturating_mul(64));
        // `as` cannot lose bits of a plan that is used: `new` refuses one that does not fit usize.
        Slot::at(at as usize, len as usize)
    }
}

const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

const fn product(a: u64, b: u64, c: u64) -> u64 {
    a.saturating_mul(b).saturating_mul(c)
}

const fn rows4(n: u32) -> u64 {
    (n as u64).next_multiple_of(4)
}

/// Most tokens whose attention is computed at once: their partial results grow with the context.
const ATTEND_TOKENS: u32 = 16;

const fn attend_tokens(batch: u32) -> u32 {
    if batch < ATTEND_TOKENS { batch } else { ATTEND_TOKENS }
}

impl MemoryPlan {
    /// Plans the buffers of a model.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for options out of bounds, [`Error::PlanTooLarge`] if the plan does not fit the address
    /// space.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// let options = PlanOptions::new(&config);
    /// assert!(MemoryPlan::new(&config, &options)?.bytes() < 64 * 1024);
    /// let nothing = PlanOptions { context: 0, ..options };
    /// assert!(matches!(MemoryPlan::new(&config, &nothing), Err(Error::PlanOption(_))));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn new(c: &ModelConfig, o: &PlanOptions) -> Result<Self, Error> {
        if o.context == 0 || o.context > MAX_CONTEXT {
            return Err(Error::PlanOption("context must be at least 1 and at most 16777216 positions"));
        }
        if o.batch == 0 || o.batch > 4096 {
            return Err(Error::PlanOption("batch must be at least 1 and at most 4096 tokens"));
        }
        if o.prompt_bytes > 1 << 30 {
            return Err(Error::PlanOption("prompt_bytes must be at most 1 GiB"));
        }
        if !o.kv.is_built() {
            return Err(Error::PlanOption("this build has no KV cache of that type (feature `full`)"));
        }
        let b = o.batch as u64;
        let widest = (c.widest() as u64).next_multiple_of(64);
        let chunks = (o.context as u64).div_ceil(CHUNK as u64);
        let record = (RECORD_HEAD as u64) + c.head_dim as u64;

        let mut at = Cursor(0);
        let kv_rows = (o.context as u64).saturating_mul(c.kv_heads as u64);
        let kv_layer = Self::kv_layer_bytes(o.kv, kv_rows, c.head_dim as u64);
        at.0 = kv_layer.saturating_mul(c.layers as u64);
        let tokens = at.place(o.context as u64);
        let pass_at = at.0;
        let step = at.place(STEP_IDS as u64 + b);
        let x = at.place(b * rows4(c.dim));
        let h = at.place(b.saturating_mul(widest));
        let groups = widest.div_ceil(32);
        let acts = ActSlots {
            q: at.place(b.saturating_mul(widest)),
            scales: at.place(b.saturating_mul(groups)),
            sums: at.place(b.saturating_mul(groups)),
        };
        let angles = at.place(b.saturating_mul(2 * c.rope_pairs as u64));
        let need =
            (o.needs.bytes as u64).saturating_add((o.needs.bytes_per_column as u64).saturating_mul(widest));
        let scratch = at.place(need);
        let out = at.place(b * rows4(c.dim));

        let phase_at = at.0;
        let q = at.place(b * rows4(c.q_dim()));
        let k = at.place(b * rows4(c.kv_dim()));
        let v = at.place(b * rows4(c.kv_dim()));
        let partial =
            at.place(product(attend_tokens(o.batch) as u64, chunks, (c.heads as u64).saturating_mul(record)));
        let mut end = at.0;

        at.0 = phase_at;
        let gate = at.place(b * rows4(c.ffn));
        let up = at.place(b * rows4(c.ffn));
        end = max(end, at.0);

        at.0 = phase_at;
        let hidden = at.place(rows4(c.dim));
        let normed = at.place(rows4(c.dim));
        let logits = at.place(rows4(c.vocab));
        end = max(end, at.0);

        // Text becomes tokens between passes: its scratch may take everything but the KV cache.
        at.0 = pass_at;
        let text = at.place(crate::text::scratch_words(o.prompt_bytes as usize) as u64);
        end = max(end, at.0);

        // Units of attention are counted in u32.
        let units = product(attend_tokens(o.batch) as u64, chunks, c.kv_heads as u64);
        if end > isize::MAX as u64 || units > u32::MAX as u64 {
            return Err(Error::PlanTooLarge);
        }
        Ok(Self {
            config: *c,
            options: *o,
            bytes: end as usize,
            kv_at: kv_layer as usize,
            kv_rows: kv_rows as usize,
            step,
            x,
            h,
            acts,
            angles,
            scratch,
            q,
            k,
            v,
            partial,
            out,
            gate,
            up,
            hidden,
            normed,
            logits,
            tokens,
            text,
        })
    }

    const fn kv_layer_bytes(kv: KvType, rows: u64, head_dim: u64) -> u64 {
        let elements = rows.saturating_mul(head_dim);
        let mut at = Cursor(0);
        match kv {
            KvType::F32 => {
                let _: [Slot<f32>; 2] = [at.place(elements), at.place(elements)];
            }
            KvType::F16 => {
                let _: [Slot<u16>; 2] = [at.place(elements), at.place(elements)];
            }
            KvType::I8 => {
                let _: [Slot<i8>; 2] = [at.place(elements), at.place(elements)];
                let _: [Slot<f32>; 2] = [at.place(rows), at.place(rows)];
            }
        }
        at.0
    }

    /// The KV cache of a layer.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// # let plan = MemoryPlan::new(&config, &PlanOptions::new(&config))?;
    /// use bitnet_edge_core::memory::KvSlots;
    /// let KvSlots::F16 { k, v } = plan.kv(1) else { unreachable!("the default is f16") };
    /// assert_eq!((k.len(), v.len()), (64 * 32, 64 * 32)); // [kv_heads][context][head_dim]
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn kv(&self, layer: u32) -> KvSlots {
        let rows = self.kv_rows as u64;
        let elements = rows.saturating_mul(self.config.head_dim as u64);
        let mut at = Cursor((self.kv_at as u64).saturating_mul(layer as u64));
        match self.options.kv {
            KvType::F32 => KvSlots::F32 { k: at.place(elements), v: at.place(elements) },
            KvType::F16 => KvSlots::F16 { k: at.place(elements), v: at.place(elements) },
            KvType::I8 => {
                let (k, v) = (at.place(elements), at.place(elements));
                KvSlots::I8 { k, v, k_scales: at.place(rows), v_scales: at.place(rows) }
            }
        }
    }

    /// Bytes of the arena.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// # let plan = MemoryPlan::new(&config, &PlanOptions::new(&config))?;
    /// use bitnet_edge_core::Line;
    /// let arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// assert_eq!(size_of_val(&arena[..]), plan.bytes()); // whole lines
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The model that the plan was made for.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// # let plan = MemoryPlan::new(&config, &PlanOptions::new(&config))?;
    /// assert_eq!(plan.config(), config); // a session refuses the plan of another model
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn config(&self) -> ModelConfig {
        self.config
    }

    /// What the plan was made for.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// # let plan = MemoryPlan::new(&config, &PlanOptions::new(&config))?;
    /// assert_eq!(plan.options(), PlanOptions::new(&config));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn options(&self) -> PlanOptions {
        self.options
    }

    /// Tokens of a batch whose attention is computed at once: there is memory for the partial results of so many.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// let options = PlanOptions::new(&config);
    /// for (batch, tokens) in [(1, 1), (8, 8), (512, 16)] {
    ///     let plan = MemoryPlan::new(&config, &PlanOptions { batch, ..options })?;
    ///     assert_eq!(plan.attend_tokens(), tokens);
    /// }
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn attend_tokens(&self) -> u32 {
        attend_tokens(self.options.batch)
    }

    /// Every buffer, in the order of a session's life.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// # let plan = MemoryPlan::new(&config, &PlanOptions::new(&config))?;
    /// for buffer in plan.buffers() {
    ///     println!("{:>6} {:>6} bytes, {}: {}", buffer.at, buffer.bytes, buffer.lifetime.name(), buffer.name);
    /// }
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn buffers(&self) -> [Buffer; BUFFERS] {
        use Lifetime::{Attention, FeedForward, Head, Pass, Session, Text};
        fn b<T>(name: &'static str, slot: Slot<T>, lifetime: Lifetime) -> Buffer {
            Buffer { name, at: slot.bytes().start, bytes: slot.bytes().len(), lifetime }
        }
        let kv = self.kv_at.saturating_mul(self.config.layers as usize);
        [
            Buffer {
                name: "KV cache [layers][k, v][kv_heads][context][head_dim]",
                at: 0,
                bytes: kv,
                lifetime: Session,
            },
            b("prompt tokens [context]", self.tokens, Session),
            b("text scratch", self.text, Text),
            b("step block", self.step, Pass),
            b("residual stream [batch][dim]", self.x, Pass),
            b("matrix input [batch][widest]", self.h, Pass),
            b("int8 activations [batch][widest]", self.acts.q, Pass),
            b("activation scales", self.acts.scales, Pass),
            b("activation sums", self.acts.sums, Pass),
            b("RoPE angles [batch][pairs][2]", self.angles, Pass),
            b("backend scratch", self.scratch, Pass),
            b("half-layer output [batch][dim]", self.out, Pass),
            b("queries [batch][heads][head_dim]", self.q, Attention),
            b("keys [batch][kv_heads][head_dim]", self.k, Attention),
            b("values [batch][kv_heads][head_dim]", self.v, Attention),
            b("attention chunks", self.partial, Attention),
            b("gate [batch][ffn]", self.gate, FeedForward),
            b("up [batch][ffn]", self.up, FeedForward),
            b("last hidden state [dim]", self.hidden, Head),
            b("normed hidden state [dim]", self.normed, Head),
            b("logits [vocab]", self.logits, Head),
        ]
    }
}
