//! From metadata to the model's configuration and its `RoPE` frequencies.

use anyhow::{Context, Result, bail, ensure};
use bitnet_edge_core::ModelConfig;
use bitnet_edge_kernels::gate::Activation;

use super::manifest::{Act, Manifest};
use crate::gguf::Gguf;

/// Metadata keys (behind the architecture's prefix) that are used or that say nothing for the runtime.
const USED: [&str; 30] = [
    "vocab_size",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.scale",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_log_multiplier",
    "expert_count",
    "expert_used_count",
    "attention.sliding_window",
    "attention.causal",
    "attn_logit_softcapping",
    "final_logit_softcapping",
];

/// What the metadata say.
pub(super) struct Described {
    pub(super) config: ModelConfig,
    pub(super) turns: Vec<u64>,
}

/// Reads the configuration; `factors` are the file's divisors of the frequencies, if it has them.
pub(super) fn describe(
    gguf: &Gguf<'_>,
    manifest: &Manifest,
    arch: &str,
    vocab: u32,
    factors: Option<&[f32]>,
    notes: &mut Vec<String>,
) -> Result<Described> {
    let prefix = manifest.keys.as_deref().unwrap_or(arch);
    let key = |name: &str| format!("{prefix}.{name}");
    refuse(gguf, &key)?;
    note_unused(gguf, prefix, notes);
    let number = |name: &str| gguf.require::<u32>(&key(name));
    let (dim, heads) = (number("embedding_length")?, number("attention.head_count")?);
    ensure!(heads > 0, "{} is 0", key("attention.head_count"));
    let kv_heads = gguf.get(&key("attention.head_count_kv"))?.unwrap_or(heads);
    let head_dim = gguf.get(&key("attention.key_length"))?.unwrap_or(dim / heads);
    let value_dim = gguf.get(&key("attention.value_length"))?.unwrap_or(head_dim);
    ensure!(
        head_dim == value_dim,
        "heads have keys of {head_dim} and values of {value_dim} elements; the runtime needs one width"
    );
    let rope_dim: u32 = gguf.get(&key("rope.dimension_count"))?.unwrap_or(head_dim);
    ensure!(
        rope_dim <= head_dim && rope_dim.is_multiple_of(2),
        "{} is {rope_dim}; it must be even and at most the head's {head_dim}",
        key("rope.dimension_count")
    );
    let scale: Option<f32> = gguf.get(&key("attention.scale"))?;
    let scale = manifest.attention_scale.or(scale.filter(|&s| s != 0.0));
    let rope = Rope::read(gguf, &key, rope_dim)?;
    let config = ModelConfig {
        dim,
        layers: number("block_count")?,
        heads,
        kv_heads,
        head_dim,
        ffn: number("feed_forward_length")?,
        vocab,
        context: number("context_length")?,
        rope_pairs: rope_dim / 2,
        activation: match manifest.activation {
            Act::Silu => Activation::Silu,
            Act::Relu2 => Activation::Relu2,
        },
        rms_eps: gguf.require(&key("attention.layer_norm_rms_epsilon"))?,
        attention_scale: scale.unwrap_or_else(|| 1.0 / libm::sqrtf(head_dim as f32)),
        embedding_scale: manifest.embedding_scale.unwrap_or(1.0),
        rope_factor: rope.magnitude() as f32,
    };
    ModelConfig::decode(&config.encode())
        .context("the model's dimensions are outside what an image can hold")?;
    if let Some(note) = rope.note() {
        notes.push(note);
    }
    Ok(Described { config, turns: rope.turns(factors)? })
}

fn refuse(gguf: &Gguf<'_>, key: &impl Fn(&str) -> String) -> Result<()> {
    for name in ["expert_count", "attention.sliding_window"] {
        let value: u32 = gguf.get(&key(name))?.unwrap_or(0);
        ensure!(value == 0, "{} is {value}: this version does not run such models", key(name));
    }
    // Each changes what the model computes, and the pass has no step for it.
    for name in ["attn_logit_softcapping", "final_logit_softcapping", "rope.scaling.yarn_log_multiplier"] {
        let value: f32 = gguf.get(&key(name))?.unwrap_or(0.0);
        ensure!(value == 0.0, "{} is {value}: this version does not run such models", key(name));
    }
    Ok(())
}

fn note_unused(gguf: &Gguf<'_>, prefix: &str, notes: &mut Vec<String>) {
    for (key, value) in gguf.metadata() {
        if let Some(name) = key.strip_prefix(prefix).and_then(|k| k.strip_prefix('.'))
            && !USED.contains(&name)
        {
            notes.push(format!("metadata key {key} = {value} is not used"));
        }
    }
}

/// How the frequencies of `RoPE` are scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    None,
    Linear,
    Yarn { original: f64, ext: f64, fast: f64, slow: f64 },
}

struct Rope {
    dim: u32,
    base: f64,
    factor: f64,
    scaling: Scaling,
    attn_factor: f64,
}

impl Rope {
    fn read(gguf: &Gguf<'_>, key: &impl Fn(&str) -> String, dim: u32) -> Result<Self> {
        let float = |name: &str| gguf.get::<f32>(&key(name)).map(|v| v.map(f64::from));
        let linear = float("rope.scale_linear")?.unwrap_or(1.0);
        let factor = float("rope.scaling.factor")?.unwrap_or(linear);
        let kind = gguf.get::<&str>(&key("rope.scaling.type"))?.unwrap_or(if factor == 1.0 {
            "none"
        } else {
            "linear"
        });
        let scaling = match kind {
            "none" => Scaling::None,
            "linear" => Scaling::Linear,
            "yarn" => {
                let name = "rope.scaling.original_context_length";
                let original = match gguf.get::<u32>(&key(name))? {
                    Some(n) => n,
                    None => gguf.require::<u32>(&key("context_length"))?,
                };
                Scaling::Yarn {
                    original: f64::from(original),
                    ext: float("rope.scaling.yarn_ext_factor")?.unwrap_or(1.0),
                    fast: float("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                    slow: float("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                }
            }
            other => {
                bail!("RoPE scaling {other:?} is not supported; none, linear, yarn and llama3's factors are")
            }
        };
        let attn = float("rope.scaling.yarn_attn_factor")?.or(float("rope.scaling.attn_factor")?);
        let base = float("rope.freq_base")?.unwrap_or(10000.0);
        ensure!(
            base > 1.0 && factor > 0.0,
            "RoPE has base {base} and factor {factor}; the base must be above 1 and the factor above 0"
        );
        Ok(Self { dim, base, factor, scaling, attn_factor: attn.unwrap_or(1.0) })
    }

    /// Factor on cosine and sine: yarn's correction of the attention's temperature.
    fn magnitude(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { ext, .. } if ext != 0.0 => {
                self.attn_factor * (1.0 + 0.1 * libm::log(self.factor))
            }
            _ => self.attn_factor,
        }
    }

    fn note(&self) -> Option<String> {
        match self.scaling {
            Scaling::None => None,
            Scaling::Linear => Some(format!("RoPE is scaled linearly by {}", self.factor)),
            Scaling::Yarn { original, .. } => {
                Some(format!("RoPE is scaled by yarn: factor {}, original context {original}", self.factor))
            }
        }
    }

    /// The frequency of each pair in turns a position, times 2^64.
    fn turns(&self, factors: Option<&[f32]>) -> Result<Vec<u64>> {
        let pairs = self.dim / 2;
        if let Some(factors) = factors {
            ensure!(
                factors.len() == pairs as usize && factors.iter().all(|f| *f > 0.0),
                "the RoPE factors are {} numbers; {pairs} positive ones are needed",
                factors.len()
            );
        }
        (0..pairs)
            .map(|i| {
                let radians = self.radians(i) / factors.map_or(1.0, |f| f64::from(f[i as usize]));
                let turns = radians / core::f64::consts::TAU * 18_446_744_073_709_551_616.0;
                ensure!(
                    turns < 18_446_744_073_709_551_616.0,
                    "pair {i} of RoPE turns more than once a position"
                );
                Ok(turns as u64)
            })
            .collect()
    }

    fn radians(&self, pair: u32) -> f64 {
        let extrapolated = libm::pow(self.base, -2.0 * f64::from(pair) / f64::from(self.dim));
        let interpolated = extrapolated / self.factor;
        match self.scaling {
            Scaling::None => extrapolated,
            Scaling::Linear => interpolated,
            Scaling::Yarn { original, ext, fast, slow } => {
                // The pair that turns `rotations` times over the original context, as yarn's authors define it.
                let pair_of = |rotations: f64| {
                    let dim = f64::from(self.dim);
                    dim * libm::log(original / (rotations * core::f64::consts::TAU))
                        / (2.0 * libm::log(self.base))
                };
                let low = libm::floor(pair_of(fast)).max(0.0);
                let high = libm::ceil(pair_of(slow)).min(f64::from(self.dim) - 1.0);
                let ramp = (f64::from(pair) - low) / (high - low).max(0.001);
                let mix = (1.0 - ramp.clamp(0.0, 1.0)) * ext;
                interpolated * (1.0 - mix) + extrapolated * mix
            }
        }
    }
}
