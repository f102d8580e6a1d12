//! The record. The order of fields is the format: a change of it is another schema version.

use serde::{Deserialize, Serialize};

use super::form::{Digest, Form};
use crate::image::Model;
use crate::memory::MemoryPlan;
use crate::{GenerationConfig, KvType, StopReason};

/// Version of the record: another number is another record.
///
/// ```
/// assert_eq!(bitnet_edge_core::receipt::SCHEMA_VERSION, 1);
/// ```
pub const SCHEMA_VERSION: u32 = 1;

/// What a run was. See the [module](super).
///
/// ```
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// # let [a, b] = [3, 4].map(|tokens| receipt(&model, tokens));
/// let (a, b) = (a?, b?); // runs of 3 and of 4 tokens
/// assert_eq!(a.prompt.digest, b.prompt.digest);
/// assert_ne!(a.logits, b.logits);
/// assert_ne!(a.digest(), b.digest());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(
    serialize = "F::Text: Serialize, F::Ids: Serialize, F::Names: Serialize, F::Weights: Serialize, F::Kernels: Serialize",
    deserialize = "F::Text: Deserialize<'de>, F::Ids: Deserialize<'de>, F::Names: Deserialize<'de>, \
                   F::Weights: Deserialize<'de>, F::Kernels: Deserialize<'de>"
))]
pub struct Receipt<F: Form> {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// [`ARITHMETIC_VERSION`](bitnet_edge_kernels::ARITHMETIC_VERSION) of the runtime.
    pub arithmetic: u32,
    /// Of the programs.
    pub versions: Versions<F::Text>,
    /// SHA-256 of the program that ran: of its file on a host, of its flash on a board, absent where it cannot be read.
    pub program: Option<Digest>,
    /// What it ran on.
    pub machine: F::Text,
    /// The flash image.
    pub model: ModelFacts<F::Weights>,
    /// What was planned, which the results depend on in part.
    pub plan: PlanFacts,
    /// What was generated and how.
    pub config: GenerationConfig,
    /// What was given.
    pub prompt: Prompt<F::Ids>,
    /// What came.
    pub output: Output,
    /// SHA-256 of the logits of every sampled step: [`LogitDigest`](crate::generate::LogitDigest).
    pub logits: Digest,
    /// What computed.
    pub backend: BackendFacts<F::Text>,
    /// What each kernel did, in the order of [`Kernel::ALL`](bitnet_edge_kernels::Kernel::ALL).
    pub kernels: F::Kernels,
    /// The kernels that ran for which the backend has none of its own.
    pub fallbacks: F::Names,
    /// What took how long.
    pub phases: Phases,
}

/// Versions of what ran.
///
/// ```
/// use bitnet_edge_core::receipt::Versions;
/// let versions = Versions { program: "bitnet 0.1.0", runtime: Versions::RUNTIME };
/// assert_eq!(versions.runtime, env!("CARGO_PKG_VERSION"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions<T> {
    /// Name and version of the program or firmware.
    pub program: T,
    /// Version of this crate in it.
    pub runtime: T,
}

impl Versions<&'static str> {
    /// The version of this crate.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Versions;
    /// assert!(!Versions::RUNTIME.is_empty());
    /// ```
    pub const RUNTIME: &'static str = env!("CARGO_PKG_VERSION");
}

/// The flash image.
///
/// ```
/// use bitnet_edge_core::receipt::{ModelFacts, weights};
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// let facts = ModelFacts::of(&model, weights(&model));
/// assert_eq!((facts.layers, facts.vocab), (2, 56));
/// assert_eq!(facts.digest.0, model.image().digest());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts<W> {
    /// The image digest.
    pub digest: Digest,
    /// Bytes of the image.
    pub bytes: u64,
    /// Layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub dim: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Feed-forward width.
    pub ffn: u32,
    /// Tokens of the vocabulary.
    pub vocab: u32,
    /// A line for each layout of its matrices.
    pub weights: W,
}

impl<W> ModelFacts<W> {
    /// The facts of a model with these weights.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::ModelFacts;
    /// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
    /// # use run::*;
    /// # let model = image();
    /// assert_eq!(ModelFacts::of(&model, ()).heads, model.config().heads);
    /// ```
    pub fn of(model: &Model<'_>, weights: W) -> Self {
        let (c, image) = (model.config(), model.image());
        Self {
            digest: Digest(image.digest()),
            bytes: image.bytes().len() as u64,
            layers: c.layers,
            dim: c.dim,
            heads: c.heads,
            kv_heads: c.kv_heads,
            head_dim: c.head_dim,
            ffn: c.ffn,
            vocab: c.vocab,
            weights,
        }
    }
}

/// The matrices of a layout that a pass multiplies with.
///
/// ```
/// use bitnet_edge_core::receipt::weights;
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// let weights = weights(&model);
/// assert_eq!((weights[0].layout, weights[0].layers_matrices), ("t2r4", 14));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightFacts<T> {
    /// The layout.
    pub layout: T,
    /// Matrices of the layers.
    pub layers_matrices: u32,
    /// Their bytes, which every token is multiplied with.
    pub layers_bytes: u64,
    /// Bytes of the head, if it has this layout: every sampled step is multiplied with them.
    pub head_bytes: u64,
}

/// What was planned. Results depend on the type of the KV cache, and end where the context does; on nothing else here.
///
/// ```
/// use bitnet_edge_core::{KvType, receipt::PlanFacts};
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// # let plan = plan(&model)?;
/// let facts = PlanFacts::of(&plan, 1 << 20);
/// assert_eq!((facts.kv_cache, facts.plan_bytes), (KvType::F16, plan.bytes() as u64));
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFacts {
    /// Positions of the KV cache.
    pub context: u32,
    /// Its type.
    pub kv_cache: KvType,
    /// Tokens of a prompt that go through the model together.
    pub batch: u32,
    /// Bytes of the plan.
    pub plan_bytes: u64,
    /// Bytes of the arena that it lies in.
    pub arena_bytes: u64,
}

impl PlanFacts {
    /// The facts of a plan in an arena.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::PlanFacts;
    /// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
    /// # use run::*;
    /// # let model = image();
    /// # let plan = plan(&model)?;
    /// assert_eq!(PlanFacts::of(&plan, 1 << 20).arena_bytes, 1 << 20);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn of(plan: &MemoryPlan, arena_bytes: usize) -> Self {
        let options = plan.options();
        Self {
            context: options.context,
            kv_cache: options.kv,
            batch: options.batch,
            plan_bytes: plan.bytes() as u64,
            arena_bytes: arena_bytes as u64,
        }
    }
}

/// The prompt, as tokens.
///
/// ```
/// use bitnet_edge_core::receipt::{Prompt, TokenDigest};
/// let prompt = Prompt { tokens: 2, digest: TokenDigest::of(&[4, 5]), ids: [4, 5] };
/// assert_eq!(prompt.tokens, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt<I> {
    /// How many.
    pub tokens: u32,
    /// SHA-256 over the ids, u32 little-endian.
    pub digest: Digest,
    /// The ids, which a replay begins with. They are the prompt: who has a receipt can read it.
    pub ids: I,
}

/// What was generated.
///
/// ```
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// # let receipt = receipt(&model, 3)?;
/// use bitnet_edge_core::StopReason;
/// let output = receipt.output; // of a run with a limit of 3 tokens
/// assert_eq!((output.tokens, output.sampled, output.stop), (3, 3, Some(StopReason::MaxTokens)));
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Tokens of the answer.
    pub tokens: u32,
    /// SHA-256 over their ids, u32 little-endian.
    pub digest: Digest,
    /// Steps that were sampled: the tokens, and one that ended the answer.
    pub sampled: u64,
    /// Why it ended; absent if whoever asked ended it.
    pub stop: Option<StopReason>,
}

/// What computed.
///
/// ```
/// use bitnet_edge_core::receipt::BackendFacts;
/// let backend = BackendFacts {
///     asked: None,
///     chosen: "avx2",
///     why: "the best of this machine",
///     threads: 2,
///     budget: u32::MAX,
///     self_test: None,
/// };
/// assert!(backend.self_test.is_none()); // the kernels were not compared with the definition before this run
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendFacts<T> {
    /// What was asked for, if anything was.
    pub asked: Option<T>,
    /// The backend that ran.
    pub chosen: T,
    /// Why it is this one.
    pub why: T,
    /// Threads or cores that computed.
    pub threads: u32,
    /// Multiply-accumulates of a step at most.
    pub budget: u32,
    /// The kernels against their definition, on this machine and before the run, if they were compared.
    pub self_test: Option<SelfTest>,
}

/// A comparison of kernels with their definition.
///
/// ```
/// use bitnet_edge_core::receipt::SelfTest;
/// assert_ne!(SelfTest { cases: 900, failures: 0 }, SelfTest { cases: 900, failures: 1 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Cases that were compared.
    pub cases: u32,
    /// Cases that are wrong.
    pub failures: u32,
}

/// What a kernel did.
///
/// ```
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// # let receipt = receipt(&model, 3)?;
/// let product = receipt.kernels.iter().find(|run| run.id == "matmul_t2r4_i8t").expect("the model is ternary");
/// assert_eq!(product.by, "scalar");
/// assert!(product.calls > 0 && product.work > product.calls);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRun<T> {
    /// [`Kernel::name`](bitnet_edge_kernels::Kernel::name)
    pub id: T,
    /// The backend whose kernel it is: the chosen one, or `scalar`, the definition.
    pub by: T,
    /// How often it was called: that depends on threads, batch and budget.
    pub calls: u64,
    /// The work of all calls, which is the same on every backend: see [`Tally`](bitnet_edge_kernels::Tally).
    pub work: u64,
}

/// What took how long. No replay can prove it.
///
/// ```
/// use bitnet_edge_core::receipt::{Phase, Phases};
/// let phases = Phases { load_us: 900, prefill: Phase::new(20_000, 5), decode: Phase::new(100_000, 20) };
/// assert_eq!(phases.decode.milli_tokens_per_second, Some(200_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// Microseconds from the beginning to a model that can be asked.
    pub load_us: u64,
    /// From the prompt to the first token.
    pub prefill: Phase,
    /// From there to the last token.
    pub decode: Phase,
}

/// Tokens in a time.
///
/// ```
/// use bitnet_edge_core::receipt::Phase;
/// assert_eq!(Phase::new(0, 3).milli_tokens_per_second, None); // a clock that did not move gives no speed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Microseconds.
    pub us: u64,
    /// Tokens: those of the prompt; those of the answer but the first, which comes out of the prefill.
    pub tokens: u32,
    /// Thousandths of a token a second, rounded down; absent where one of both is zero.
    pub milli_tokens_per_second: Option<u64>,
}

impl Phase {
    /// So many tokens in so many microseconds.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Phase;
    /// assert_eq!(Phase::new(1_500_000, 3).milli_tokens_per_second, Some(2000));
    /// ```
    pub fn new(us: u64, tokens: u32) -> Self {
        let speed = u64::from(tokens).saturating_mul(1_000_000_000).checked_div(us).filter(|_| tokens > 0);
        Self { us, tokens, milli_tokens_per_second: speed }
    }
}
