//! A transformer as a textbook has it, in f64, one position after another: what the runtime is compared with.
//!
//! It shares no code with the runtime and none of its structure: no batches, no chunks, no quantized activations, no fixed
//! point angles; weights are what they widen to. Formulas: Llama and `BitNet` b1.58 as published, `RoPE` scaling by its
//! authors ("yarn": `LlamaYaRNScaledRotaryEmbedding` of jquesnelle/yarn; "llama3": `apply_scaling` of Meta's Llama 3.1).

use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Which elements of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `(2i, 2i + 1)`: Llama's own, "NORM" in ggml.
    Neighbours,
    /// `(i, i + n/2)`: GPT-NeoX's.
    Halves,
}

/// The activation of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `g / (1 + e^-g)`
    Silu,
    /// `max(g, 0)^2`
    Relu2,
}

/// How the frequencies of `RoPE` are scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// Positions are divided by the factor.
    Linear(f64),
    /// Divided where a pair turns rarely over the original context, kept where it turns often (32 and 1 times).
    Yarn {
        /// New context over original context.
        factor: f64,
        /// Positions of the original context.
        original: f64,
    },
    /// Divided for long waves, kept for short ones, mixed between.
    Llama3 {
        /// Divisor of long waves.
        factor: f64,
        /// Original context over the shortest long wave.
        low: f64,
        /// Original context over the longest short wave.
        high: f64,
        /// Positions of the original context.
        original: f64,
    },
}

/// A model. Tensors are named `embedding`, `head`, `final_norm`, and by layer and role: `0.q`, `0.q_bias`, `0.q.scale`;
/// what is absent is no part of the model.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the names are the ones of every paper
pub struct Transformer {
    pub dim: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub ffn: usize,
    pub vocab: usize,
    /// Elements of a head that turn; the others stay.
    pub rope_dim: usize,
    pub rope_base: f64,
    pub scaling: Scaling,
    pub pairs: Pairs,
    pub gate: Gate,
    pub eps: f64,
    pub embedding_scale: f64,
    /// `1 / sqrt(head_dim)` if there is none.
    pub attention_scale: Option<f64>,
    pub logit_scale: f64,
    pub tensors: BTreeMap<String, Vec<f64>>,
}

impl Transformer {
    fn tensor(&self, layer: usize, role: &str) -> Option<&[f64]> {
        self.tensors.get(&format!("{layer}.{role}")).map(Vec::as_slice)
    }

    /// `W x * scale + bias`
    fn linear(&self, layer: usize, role: &str, x: &[f64]) -> Vec<f64> {
        let w = self.tensor(layer, role).expect("a model has its matrices");
        let scale = self.tensor(layer, &format!("{role}.scale")).map_or(1.0, |s| s[0]);
        let mut y: Vec<f64> = w.chunks(x.len()).map(|row| dot(row, x) * scale).collect();
        if let Some(bias) = self.tensor(layer, &format!("{role}_bias")) {
            assert_eq!(y.len(), bias.len());
            add(&mut y, bias);
        }
        y
    }

    /// The norm of this role, or `x` itself if the model has none.
    fn norm(&self, layer: usize, role: &str, x: &[f64]) -> Vec<f64> {
        self.tensor(layer, role).map_or_else(|| x.to_vec(), |w| rms_norm(x, w, self.eps))
    }

    fn head_norm(&self, layer: usize, role: &str, x: &mut [f64]) {
        if let Some(w) = self.tensor(layer, role) {
            for head in x.chunks_mut(self.head_dim) {
                head.copy_from_slice(&rms_norm(head, w, self.eps));
            }
        }
    }

    /// Radians a position, of each pair, and the factor on cosine and sine.
    #[must_use]
    pub fn frequencies(&self) -> (Vec<f64>, f64) {
        let n = self.rope_dim as f64;
        let plain: Vec<f64> =
            (0..self.rope_dim / 2).map(|i| self.rope_base.powf(-2.0 * i as f64 / n)).collect();
        match self.scaling {
            Scaling::None => (plain, 1.0),
            Scaling::Linear(factor) => (plain.iter().map(|f| f / factor).collect(), 1.0),
            Scaling::Yarn { factor, original } => {
                let dimension =
                    |turns: f64| n * (original / (turns * TAU)).ln() / (2.0 * self.rope_base.ln());
                let low = dimension(32.0).floor().max(0.0);
                let high = dimension(1.0).ceil().min(n - 1.0);
                let high = if high == low { low + 0.001 } else { high };
                let scaled = plain.iter().enumerate().map(|(i, f)| {
                    let interpolated = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    f * (1.0 - interpolated) + f / factor * interpolated
                });
                (scaled.collect(), 0.1 * factor.ln() + 1.0)
            }
            Scaling::Llama3 { factor, low, high, original } => {
                let scaled = plain.iter().map(|f| {
                    let wave = TAU / f;
                    if wave < original / high {
                        *f
                    } else if wave > original / low {
                        f / factor
                    } else {
                        let smooth = (original / wave - low) / (high - low);
                        (1.0 - smooth) * f / factor + smooth * f
                    }
                });
                (scaled.collect(), 1.0)
            }
        }
    }

    fn rotate(&self, heads: &mut [f64], position: usize) {
        let (frequencies, magnitude) = self.frequencies();
        for head in heads.chunks_mut(self.head_dim) {
            for (i, frequency) in frequencies.iter().enumerate() {
                let (a, b) = match self.pairs {
                    Pairs::Neighbours => (2 * i, 2 * i + 1),
                    Pairs::Halves => (i, i + self.rope_dim / 2),
                };
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                let (x, y) = (head[a], head[b]);
                head[a] = (x * cos - y * sin) * magnitude;
                head[b] = (x * sin + y * cos) * magnitude;
            }
        }
    }

    fn attend(&self, q: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
        let hd = self.head_dim;
        let scale = self.attention_scale.unwrap_or(1.0 / (hd as f64).sqrt());
        let mut out = vec![0.0; q.len()];
        for (h, (q, out)) in q.chunks(hd).zip(out.chunks_mut(hd)).enumerate() {
            let kv = h / (self.heads / self.kv_heads) * hd;
            let scores: Vec<f64> = keys.iter().map(|k| dot(q, &k[kv..kv + hd]) * scale).collect();
            let max = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (w, v) in weights.iter().zip(values) {
                for (out, v) in out.iter_mut().zip(&v[kv..kv + hd]) {
                    *out += w / sum * v;
                }
            }
        }
        out
    }

    fn feed_forward(&self, layer: usize, x: &[f64]) -> Vec<f64> {
        let h = self.norm(layer, "ffn_norm", x);
        let (mut g, u) = (self.linear(layer, "gate", &h), self.linear(layer, "up", &h));
        for (g, u) in g.iter_mut().zip(u) {
            *g = u * match self.gate {
                Gate::Silu => *g / (1.0 + (-*g).exp()),
                Gate::Relu2 => g.max(0.0) * g.max(0.0),
            };
        }
        let g = self.norm(layer, "ffn_sub_norm", &g);
        let y = self.linear(layer, "down", &g);
        self.norm(layer, "ffn_post_norm", &y)
    }

    /// The logits behind every token.
    ///
    /// # Panics
    /// If a matrix is missing.
    #[must_use]
    pub fn logits(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let embedding = &self.tensors["embedding"];
        let head = self.tensors.get("head").unwrap_or(embedding);
        let mut cache = vec![(Vec::new(), Vec::new()); self.layers];
        ids.iter()
            .enumerate()
            .map(|(position, &id)| {
                let row = &embedding[id as usize * self.dim..][..self.dim];
                let mut x: Vec<f64> = row.iter().map(|v| v * self.embedding_scale).collect();
                for (layer, (keys, values)) in cache.iter_mut().enumerate() {
                    let h = self.norm(layer, "attn_norm", &x);
                    let (mut q, mut k) = (self.linear(layer, "q", &h), self.linear(layer, "k", &h));
                    self.head_norm(layer, "q_norm", &mut q);
                    self.head_norm(layer, "k_norm", &mut k);
                    self.rotate(&mut q, position);
                    self.rotate(&mut k, position);
                    keys.push(k);
                    values.push(self.linear(layer, "v", &h));
                    let a = self.attend(&q, keys, values);
                    let a = self.norm(layer, "attn_sub_norm", &a);
                    let y = self.linear(layer, "attn_out", &a);
                    add(&mut x, &self.norm(layer, "attn_post_norm", &y));
                    let y = self.feed_forward(layer, &x);
                    add(&mut x, &y);
                }
                let h = rms_norm(&x, &self.tensors["final_norm"], self.eps);
                head.chunks(self.dim).map(|row| dot(row, &h) * self.logit_scale).collect()
            })
            .collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(y: &mut [f64], x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

fn rms_norm(x: &[f64], w: &[f64], eps: f64) -> Vec<f64> {
    assert_eq!(x.len(), w.len());
    let scale = 1.0 / (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter().zip(w).map(|(x, w)| x * scale * w).collect()
}

/// `max |ours - theirs| / rms(theirs)` over the logits of a token.
#[must_use]
pub fn distance(theirs: &[f64], ours: &[f32]) -> f64 {
    assert_eq!(theirs.len(), ours.len());
    let rms = (dot(theirs, theirs) / theirs.len() as f64).sqrt();
    theirs.iter().zip(ours).map(|(t, &o)| (t - f64::from(o)).abs()).fold(0.0, f64::max) / rms
}
