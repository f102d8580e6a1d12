//! The model's configuration: a fixed record that a `const fn` reads.

use bitnet_edge_kernels::gate::Activation;

use super::bytes::{f32_at, u32_at};
use super::container::{Image, SectionKind};
use crate::Error;

/// Dimensions and constants of a model.
///
/// Firmware reads it when it is compiled:
///
/// ```standalone_crate
/// use bitnet_edge_core::{ModelConfig, include_image};
/// static IMAGE: &[u8] = include_image!("../../testdata/tiny.bpk");
/// const CONFIG: ModelConfig = match ModelConfig::read(IMAGE) {
///     Ok(config) => config,
///     Err(_) => panic!("not a flash image of this version"), // a compile error
/// };
/// const _: () = assert!(CONFIG.vocab < 1000, "this board is for small vocabularies");
/// assert_eq!((CONFIG.dim, CONFIG.layers, CONFIG.ffn), (64, 2, 128));
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
    ///
    /// ```
    /// assert_eq!(bitnet_edge_core::ModelConfig::LEN, 64);
    /// ```
    pub const LEN: usize = 64;

    /// Reads the configuration of an image, at compile time if need be.
    ///
    /// # Errors
    /// As [`Image::new_checked`], without the checksum.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, ModelConfig};
    /// # static IMAGE: &[u8] =
    /// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// let config = ModelConfig::read(IMAGE)?;
    /// assert_eq!(config.context, 64);
    /// assert_eq!(ModelConfig::read(b"GGUF"), Err(Error::NotAnImage));
    /// # Ok::<(), Error>(())
    /// ```
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
    ///
    /// ```
    /// use bitnet_edge_core::{Error, ModelConfig};
    /// assert!(matches!(ModelConfig::decode(&[0; 12]), Err(Error::ImageDamaged(_)))); // too short
    /// assert!(matches!(ModelConfig::decode(&[0; 64]), Err(Error::ImageDamaged(_)))); // no dimension is 0
    /// ```
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
    ///
    /// ```
    /// # use bitnet_edge_core::{ModelConfig, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// assert_eq!(config.encode()[..4], config.dim.to_le_bytes());
    /// assert_eq!(ModelConfig::decode(&config.encode()), Ok(config));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use bitnet_edge_core::{ModelConfig, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// assert_eq!((config.heads, config.head_dim, config.q_dim()), (2, 32, 64));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn q_dim(&self) -> u32 {
        self.heads.saturating_mul(self.head_dim)
    }

    /// Width of all key (or value) heads.
    ///
    /// ```
    /// # use bitnet_edge_core::{ModelConfig, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// assert_eq!((config.kv_heads, config.head_dim, config.kv_dim()), (1, 32, 32));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn kv_dim(&self) -> u32 {
        self.kv_heads.saturating_mul(self.head_dim)
    }

    /// Query heads a key head serves.
    ///
    /// ```
    /// # use bitnet_edge_core::{ModelConfig, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// assert_eq!((config.heads, config.kv_heads, config.group()), (2, 1, 2));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn group(&self) -> u32 {
        match self.heads.checked_div(self.kv_heads) {
            Some(group) => group,
            None => 0,
        }
    }

    /// The widest input of a matrix.
    ///
    /// ```
    /// # use bitnet_edge_core::{ModelConfig, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let config = ModelConfig::read(IMAGE)?;
    /// assert_eq!((config.dim, config.q_dim(), config.ffn, config.widest()), (64, 64, 128, 128));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn widest(&self) -> u32 {
        let a = if self.dim > self.ffn { self.dim } else { self.ffn };
        if a > self.q_dim() { a } else { self.q_dim() }
    }
}
