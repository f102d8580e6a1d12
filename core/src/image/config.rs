//! The model's configuration: a fixed record that a `const fn` reads.

use bitnet_edge_kernels::gate::Activation;

use super::bytes::{f32_at, u32_at};
use super::container::{Image, SectionKind};
use crate::Error;

/// Dimensions and constants of a model.
///
/// Firmware reads it when it is compiled:
///
/// ```
/// use bitnet_edge_core::{Error, ModelConfig};
/// const CONFIG: Result<ModelConfig, Error> = ModelConfig::read(b"not an image");
/// assert_eq!(CONFIG.err(), Some(Error::NotAnImage));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub dim: u32,
    /// Layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Width of the feed-forward layer.
    pub ffn: u32,
    /// Tokens of the vocabulary.
    pub vocab: u32,
    /// Positions the model was trained for.
    pub context: u32,
    /// Rotated pairs of a head.
    pub rope_pairs: u32,
    /// Activation of the gate.
    pub activation: Activation,
    /// Epsilon of the norms.
    pub rms_eps: f32,
    /// Scale of attention scores.
    pub attention_scale: f32,
    /// Factor on embeddings.
    pub embedding_scale: f32,
    /// Factor on the cosine and sine of `RoPE`.
    pub rope_factor: f32,
}

/// Largest dimension of a model; keeps every integer sum of the kernels in i32.
const MAX_DIM: u32 = 1 << 20;
/// Largest vocabulary and context.
const MAX_COUNT: u32 = 1 << 24;
/// Widest head.
const MAX_HEAD_DIM: u32 = 256;

impl ModelConfig {
    /// Bytes of the record.
    pub const LEN: usize = 64;

    /// Reads the configuration of an image, at compile time if need be.
    ///
    /// # Errors
    /// As [`Image::new_checked`], without the checksum.
    pub const fn read(image: &[u8]) -> Result<Self, Error> {
        match Image::open(image) {
            Ok(image) => match image.required(SectionKind::Config) {
                Ok(section) => Self::decode(section),
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        }
    }

    /// Decodes the record and checks its bounds.
    ///
    /// # Errors
    /// [`Error::ImageDamaged`]
    pub const fn decode(section: &[u8]) -> Result<Self, Error> {
        const SHORT: Error = Error::ImageDamaged("the configuration is too short");
        let mut words = [0; 9];
        let mut i = 0;
        while i < 9 {
            match (u32_at(section, 4 * i), words.as_mut_slice().split_at_mut_checked(i)) {
                (Some(word), Some((_, [slot, ..]))) => *slot = word,
                _ => return Err(SHORT),
            }
            i += 1;
        }
        let (
            Some(activation),
            Some(rms_eps),
            Some(attention_scale),
            Some(embedding_scale),
            Some(rope_factor),
        ) = (
            u32_at(section, 36),
            f32_at(section, 40),
            f32_at(section, 44),
            f32_at(section, 48),
            f32_at(section, 52),
        )
        else {
            return Err(SHORT);
        };
        if section.len() < Self::LEN {
            return Err(SHORT);
        }
        let [dim, layers, heads, kv_heads, head_dim, ffn, vocab, context, rope_pairs] = words;
        let config = Self {
            dim,
            layers,
            heads,
            kv_heads,
            head_dim,
            ffn,
            vocab,
            context,
            rope_pairs,
            activation: match activation {
                0 => Activation::Silu,
                1 => Activation::Relu2,
                _ => return Err(Error::ImageDamaged("the configuration has an unknown activation")),
            },
            rms_eps,
            attention_scale,
            embedding_scale,
            rope_factor,
        };
        if config.in_bounds() {
            Ok(config)
        } else {
            Err(Error::ImageDamaged("a dimension in the configuration is out of bounds"))
        }
    }

    const fn in_bounds(&self) -> bool {
        const fn dim(n: u32) -> bool {
            n > 0 && n <= MAX_DIM
        }
        let dims = dim(self.dim)
            && dim(self.layers)
            && dim(self.heads)
            && dim(self.kv_heads)
            && dim(self.head_dim)
            && dim(self.ffn);
        let counts =
            self.vocab > 0 && self.vocab <= MAX_COUNT && self.context > 0 && self.context <= MAX_COUNT;
        let heads = self.head_dim <= MAX_HEAD_DIM
            && self.rope_pairs <= self.head_dim / 2
            && self.heads.is_multiple_of(self.kv_heads)
            && self.heads as u64 * self.head_dim as u64 <= MAX_DIM as u64;
        let floats = self.rms_eps.is_finite()
            && self.attention_scale.is_finite()
            && self.embedding_scale.is_finite()
            && self.rope_factor.is_finite();
        dims && counts && heads && floats
    }

    /// The record's bytes: what [`decode`](Self::decode) reads.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let activation = match self.activation {
            Activation::Relu2 => 1u32,
            _ => 0,
        };
        let words = [
            self.dim,
            self.layers,
            self.heads,
            self.kv_heads,
            self.head_dim,
            self.ffn,
            self.vocab,
            self.context,
            self.rope_pairs,
            activation,
            self.rms_eps.to_bits(),
            self.attention_scale.to_bits(),
            self.embedding_scale.to_bits(),
            self.rope_factor.to_bits(),
            0,
            0,
        ];
        let mut bytes = [0; Self::LEN];
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        bytes
    }

    /// Width of all query heads.
    pub const fn q_dim(&self) -> u32 {
        self.heads.saturating_mul(self.head_dim)
    }

    /// Width of all key (or value) heads.
    pub const fn kv_dim(&self) -> u32 {
        self.kv_heads.saturating_mul(self.head_dim)
    }

    /// Query heads a key head serves.
    pub const fn group(&self) -> u32 {
        match self.heads.checked_div(self.kv_heads) {
            Some(group) => group,
            None => 0,
        }
    }

    /// The widest input of a matrix.
    pub const fn widest(&self) -> u32 {
        let a = if self.dim > self.ffn { self.dim } else { self.ffn };
        if a > self.q_dim() { a } else { self.q_dim() }
    }
}
