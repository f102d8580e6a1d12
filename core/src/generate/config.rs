//! What is generated and how.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use super::penalty::MAX_KEPT_WINDOW;
use crate::Error;

/// Whether this build samples with more than temperature and top-k, and knows stop strings: the feature `full`.
const FULL: bool = cfg!(feature = "full");

/// Stop tokens of a configuration at most.
///
/// ```
/// # #[cfg(feature = "full")]
/// assert_eq!(bitnet_edge_core::generate::MAX_STOP_TOKENS, 64);
/// ```
pub const MAX_STOP_TOKENS: usize = if FULL { 64 } else { 16 };

/// Stop strings of a configuration at most; none without the feature `full`.
///
/// ```
/// # #[cfg(feature = "full")]
/// assert_eq!(bitnet_edge_core::generate::MAX_STOP_STRINGS, 8);
/// ```
pub const MAX_STOP_STRINGS: usize = if FULL { 8 } else { 0 };

/// Bytes of a stop string at most.
///
/// ```
/// assert_eq!(bitnet_edge_core::generate::MAX_STOP_STRING_BYTES, 64);
/// ```
pub const MAX_STOP_STRING_BYTES: usize = 64;

/// Tokens of a configuration whose logits are changed, at most; none without the feature `full`.
///
/// ```
/// # #[cfg(feature = "full")]
/// assert_eq!(bitnet_edge_core::generate::MAX_LOGIT_BIAS, 32);
/// ```
pub const MAX_LOGIT_BIAS: usize = if FULL { 32 } else { 0 };

/// Alternatives of a token whose log-probabilities are reported, at most; none without the feature `full`.
///
/// ```
/// # #[cfg(feature = "full")]
/// assert_eq!(bitnet_edge_core::generate::MAX_LOGPROBS, 20);
/// ```
pub const MAX_LOGPROBS: usize = if FULL { 20 } else { 0 };

/// The highest temperature.
///
/// ```
/// assert_eq!(bitnet_edge_core::generate::MAX_TEMPERATURE, 1000.0);
/// ```
pub const MAX_TEMPERATURE: f32 = 1000.0;

/// The largest magnitude of a bias or of an additive penalty. A bias of minus this much bans a token whose logit was less than
/// 800,000 above another: even at [`MAX_TEMPERATURE`] its probability is then 0.
///
/// ```
/// assert_eq!(bitnet_edge_core::generate::MAX_BIAS, 1e6);
/// ```
pub const MAX_BIAS: f32 = 1e6;

/// What is generated and how. The default is the same on the host and on a board.
///
/// All fields are public, each `with_` method sets one, and [`validate`](Self::validate) says what is out of bounds; a
/// [`Generator`](crate::Generator) asks it. The order in which the options act is that of
/// [`sample`](crate::generate::sample). The sampler without the feature `full` knows `temperature` and `top_k`, and the other
/// options that need the feature are refused there.
///
/// ```
/// use bitnet_edge_core::GenerationConfig;
/// let config = GenerationConfig::default();
/// assert_eq!((config.max_tokens, config.temperature, config.top_k, config.seed), (200, 0.7, 40, 1));
/// let config = GenerationConfig::greedy().with_max_tokens(20).with_stop_tokens(&[7])?;
/// assert_eq!((config.temperature, &config.stop_tokens[..]), (0.0, &[7][..]));
/// config.validate()?;
/// assert!(config.with_temperature(-1.0).validate().is_err());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationConfig {
    /// Tokens to generate at most.
    pub max_tokens: u32,
    /// Logits are divided by it; 0 takes the largest logit (greedy), [`MAX_TEMPERATURE`] is the highest.
    pub temperature: f32,
    /// Only this many of the largest logits can be drawn; 0 for all.
    pub top_k: u32,
    /// Only the fewest tokens whose probabilities add up to this can be drawn, the likeliest first; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this likely, compared to the likeliest, can be drawn; 0 for all.
    pub min_p: f32,
    /// Only the fewest tokens whose probabilities add up to this can be drawn, those of the most typical information first
    /// (locally typical sampling); 1 for all.
    pub typical_p: f32,
    /// Logits of tokens in the window are divided by it where positive, else multiplied; 1 for no change.
    pub repetition_penalty: f32,
    /// Taken from the logit of a token as often as it is in the window; 0 for no change.
    pub frequency_penalty: f32,
    /// Taken from the logit of a token once if it is in the window; 0 for no change.
    pub presence_penalty: f32,
    /// How many tokens of the context, the last ones, the penalties look at; `u32::MAX` for all, 0 for none.
    pub penalty_window: u32,
    /// Tokens and what is added to their logits; what one token has several times adds up.
    pub logit_bias: Vec<(u32, f32), MAX_LOGIT_BIAS>,
    /// Seed of the draws.
    pub seed: u64,
    /// Tokens that end the generation besides the vocabulary's own end tokens.
    pub stop_tokens: Vec<u32, MAX_STOP_TOKENS>,
    /// Text that ends the generation, and is no part of it.
    pub stop_strings: Vec<String<MAX_STOP_STRING_BYTES>, MAX_STOP_STRINGS>,
    /// Whether control tokens are no part of the text; else their names are.
    pub skip_special_tokens: bool,
    /// Whether the tokens that a vocabulary wants around a text are added: the one that begins it, and where there is one the
    /// one that ends it.
    pub add_bos: bool,
    /// Whether the vocabulary's end tokens are generated like any other.
    pub ignore_eos: bool,
    /// How many of the likeliest tokens are reported with their log-probability, besides the token that was drawn; `None` for
    /// no log-probabilities at all.
    pub logprobs: Option<u8>,
    /// Drop bytes of a prompt that have no token instead of refusing it.
    pub lossy: bool,
    /// Compute the logit digest.
    pub digest: bool,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_tokens: 200,
            temperature: 0.7,
            top_k: 40,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            penalty_window: 64,
            logit_bias: Vec::new(),
            seed: 1,
            stop_tokens: Vec::new(),
            stop_strings: Vec::new(),
            skip_special_tokens: true,
            add_bos: true,
            ignore_eos: false,
            logprobs: None,
            lossy: false,
            digest: false,
        }
    }
}

/// Presets, and what can be wrong.
impl GenerationConfig {
    /// The likeliest token, always: the same text whatever the seed.
    ///
    /// ```
    /// use bitnet_edge_core::{GenerationConfig, generate::sample};
    /// assert_eq!(sample(&[0.5, 2.0, 1.0], &GenerationConfig::greedy(), 0), Ok(1));
    /// ```
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Varied, and close to what is likely: for answers. It needs the feature `full`.
    ///
    /// ```
    /// use bitnet_edge_core::GenerationConfig;
    /// let config = GenerationConfig::balanced();
    /// assert_eq!((config.temperature, config.top_k, config.top_p, config.min_p), (0.7, 40, 0.95, 0.05));
    /// ```
    #[must_use]
    pub fn balanced() -> Self {
        Self { top_p: 0.95, min_p: 0.05, ..Self::default() }
    }

    /// Surprising, with what was said lately made less likely: for stories. It needs the feature `full`.
    ///
    /// ```
    /// use bitnet_edge_core::GenerationConfig;
    /// let config = GenerationConfig::creative();
    /// assert_eq!((config.temperature, config.top_k, config.min_p, config.repetition_penalty), (1.0, 0, 0.05, 1.1));
    /// ```
    #[must_use]
    pub fn creative() -> Self {
        Self { temperature: 1.0, top_k: 0, min_p: 0.05, repetition_penalty: 1.1, ..Self::default() }
    }

    /// Whether every option is in its bounds and this build has it.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for an option that is out of bounds; [`Error::LeftOut`] for one that needs the feature `full`.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, GenerationConfig};
    /// let config = GenerationConfig::default().with_top_p(1.5);
    /// assert_eq!(config.validate(), Err(Error::PlanOption("top-p must be above 0 and at most 1")));
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        if !(0.0..=MAX_TEMPERATURE).contains(&self.temperature) {
            return Err(Error::PlanOption("the temperature must be from 0 to 1000"));
        }
        if FULL { self.in_bounds() } else { self.has_no_more() }
    }

    fn in_bounds(&self) -> Result<(), Error> {
        let part = |p: f32| p > 0.0 && p <= 1.0;
        let bias = |b: f32| (-MAX_BIAS..=MAX_BIAS).contains(&b);
        for (right, what) in [
            (part(self.top_p), "top-p must be above 0 and at most 1"),
            (part(self.typical_p), "typical-p must be above 0 and at most 1"),
            ((0.0..=1.0).contains(&self.min_p), "min-p must be from 0 to 1"),
            (
                (1e-3..=1e3).contains(&self.repetition_penalty),
                "the repetition penalty must be from 0.001 to 1000",
            ),
            (bias(self.frequency_penalty), "the frequency penalty must be from -1000000 to 1000000"),
            (bias(self.presence_penalty), "the presence penalty must be from -1000000 to 1000000"),
            (self.logit_bias.iter().all(|(_, b)| bias(*b)), "a logit bias must be from -1000000 to 1000000"),
            (!self.stop_strings.iter().any(|s| s.is_empty()), "a stop string must not be empty"),
            (self.logprobs.is_none_or(|n| usize::from(n) <= MAX_LOGPROBS), "at most 20 log-probabilities"),
            (
                self.logprobs.is_none()
                    || !self.penalizes()
                    || self.penalty_window as usize <= MAX_KEPT_WINDOW,
                "log-probabilities need a window of the penalties of at most 256 tokens",
            ),
        ] {
            if !right {
                return Err(Error::PlanOption(what));
            }
        }
        Ok(())
    }

    fn has_no_more(&self) -> Result<(), Error> {
        let plain = self.top_p == 1.0 && self.min_p == 0.0 && self.typical_p == 1.0 && !self.penalizes();
        if plain && self.logprobs.is_none() {
            Ok(())
        } else {
            Err(Error::LeftOut("sampling by more than temperature and top-k"))
        }
    }

    /// Whether tokens of the context change logits.
    pub(super) fn penalizes(&self) -> bool {
        self.repetition_penalty != 1.0 || self.frequency_penalty != 0.0 || self.presence_penalty != 0.0
    }
}

/// One `with_` method a field.
macro_rules! with {
    ($($(#[$doc:meta])* $with:ident, $field:ident: $type:ty, $example:literal;)*) => {
        /// Methods that set one field and return the configuration.
        impl GenerationConfig {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// use bitnet_edge_core::GenerationConfig;
                #[doc = concat!("let config = GenerationConfig::default().", stringify!($with), "(", $example, ");")]
                #[doc = concat!("assert_eq!(config.", stringify!($field), ", ", $example, ");")]
                /// ```
                #[must_use]
                pub fn $with(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

with! {
    /// Generates at most this many tokens.
    with_max_tokens, max_tokens: u32, "20";
    /// Divides logits by this; 0 is greedy.
    with_temperature, temperature: f32, "0.5";
    /// Draws from this many of the largest logits; 0 for all.
    with_top_k, top_k: u32, "0";
    /// Draws from the fewest tokens whose probabilities add up to this, the likeliest first.
    with_top_p, top_p: f32, "0.9";
    /// Draws from the tokens that are at least this likely, compared to the likeliest.
    with_min_p, min_p: f32, "0.1";
    /// Draws from the fewest tokens whose probabilities add up to this, the most typical first.
    with_typical_p, typical_p: f32, "0.9";
    /// Divides positive logits of tokens in the window by this, and multiplies the others.
    with_repetition_penalty, repetition_penalty: f32, "1.1";
    /// Takes this from a token's logit as often as it is in the window.
    with_frequency_penalty, frequency_penalty: f32, "0.5";
    /// Takes this from a token's logit once if it is in the window.
    with_presence_penalty, presence_penalty: f32, "0.5";
    /// Lets the penalties look at this many tokens of the context, the last ones.
    with_penalty_window, penalty_window: u32, "256";
    /// Draws with this seed.
    with_seed, seed: u64, "42";
    /// Leaves the names of control tokens out of the text, or not.
    with_skip_special_tokens, skip_special_tokens: bool, "false";
    /// Adds the tokens that the vocabulary wants around a text, or not.
    with_add_bos, add_bos: bool, "false";
    /// Generates the vocabulary's end tokens like any other, or ends with them.
    with_ignore_eos, ignore_eos: bool, "true";
    /// Reports log-probabilities: of the token that was drawn, and of this many of the likeliest.
    with_logprobs, logprobs: Option<u8>, "Some(5)";
    /// Drops bytes of a prompt that have no token, or refuses it.
    with_lossy, lossy: bool, "true";
    /// Computes the logit digest, or not.
    with_digest, digest: bool, "true";
}

/// Methods that set a list, which may be too long for its memory.
impl GenerationConfig {
    /// Ends the generation with these tokens, besides the vocabulary's own end tokens.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for more than [`MAX_STOP_TOKENS`].
    ///
    /// ```
    /// use bitnet_edge_core::{Error, GenerationConfig};
    /// assert_eq!(GenerationConfig::default().with_stop_tokens(&[1, 2])?.stop_tokens, [1, 2]);
    /// assert!(matches!(GenerationConfig::default().with_stop_tokens(&[1; 65]), Err(Error::PlanOption(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_stop_tokens(mut self, ids: &[u32]) -> Result<Self, Error> {
        self.stop_tokens = Vec::from_slice(ids).map_err(|_| Error::PlanOption("too many stop tokens"))?;
        Ok(self)
    }

    /// Ends the generation before any of these strings.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for more than [`MAX_STOP_STRINGS`], or one of more than [`MAX_STOP_STRING_BYTES`] bytes.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, GenerationConfig};
    /// # #[cfg(feature = "full")]
    /// assert_eq!(GenerationConfig::default().with_stop_strings(&["\n\n", "User:"])?.stop_strings.len(), 2);
    /// let long = "x".repeat(65);
    /// assert!(matches!(GenerationConfig::default().with_stop_strings(&[&long]), Err(Error::PlanOption(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_stop_strings(mut self, strings: &[&str]) -> Result<Self, Error> {
        self.stop_strings.clear();
        for string in strings {
            let string =
                String::try_from(*string).map_err(|_| Error::PlanOption("a stop string is too long"))?;
            self.stop_strings.push(string).map_err(|_| Error::PlanOption("too many stop strings"))?;
        }
        Ok(self)
    }

    /// Adds to the logits of these tokens.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for more than [`MAX_LOGIT_BIAS`].
    ///
    /// ```
    /// use bitnet_edge_core::{Error, GenerationConfig, generate::MAX_BIAS};
    /// # #[cfg(feature = "full")]
    /// let config = GenerationConfig::default().with_logit_bias(&[(5, 2.5), (7, -MAX_BIAS)])?; // 7 is banned
    /// # #[cfg(feature = "full")]
    /// assert_eq!(config.logit_bias[0], (5, 2.5));
    /// assert!(matches!(GenerationConfig::default().with_logit_bias(&[(0, 1.0); 33]), Err(Error::PlanOption(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_logit_bias(mut self, bias: &[(u32, f32)]) -> Result<Self, Error> {
        self.logit_bias = Vec::from_slice(bias).map_err(|_| Error::PlanOption("too many logit biases"))?;
        Ok(self)
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::*;

    /// No field as the default has it.
    fn other() -> GenerationConfig {
        GenerationConfig {
            max_tokens: 7,
            temperature: 0.1,
            top_k: 3,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 0.9,
            repetition_penalty: 1.3,
            frequency_penalty: -0.7,
            presence_penalty: 0.3,
            penalty_window: 255,
            logit_bias: Vec::from_slice(&[(3, 1.1), (u32::MAX, -MAX_BIAS)]).unwrap(),
            seed: u64::MAX,
            stop_tokens: Vec::from_slice(&[1; MAX_STOP_TOKENS]).unwrap(),
            stop_strings: ["\n\"", "Grüße"].into_iter().map(|s| String::try_from(s).unwrap()).collect(),
            skip_special_tokens: false,
            add_bos: false,
            ignore_eos: true,
            logprobs: Some(20),
            lossy: true,
            digest: true,
        }
    }

    #[test]
    fn json_and_postcard_keep_every_field() {
        let (config, default) = (other(), serde_json::to_value(GenerationConfig::default()).unwrap());
        let json = serde_json::to_value(&config).unwrap();
        for (field, value) in json.as_object().unwrap() {
            assert_ne!(default[field], *value, "{field} is as in the default");
        }
        for config in [config, GenerationConfig::default(), GenerationConfig::creative()] {
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<GenerationConfig>(&json).unwrap(), config, "{json}");
            let mut bytes = [0; 1024];
            let bytes = postcard::to_slice(&config, &mut bytes).unwrap();
            assert_eq!(postcard::from_bytes::<GenerationConfig>(bytes).unwrap(), config);
        }
    }

    #[test]
    fn a_file_states_what_is_not_the_default_and_nothing_unknown() {
        let read = serde_json::from_str::<GenerationConfig>;
        assert_eq!(read(r#"{"top_k": 3}"#).unwrap(), GenerationConfig::default().with_top_k(3));
        assert!(read(r#"{"topk": 3}"#).is_err());
        assert!(read(r#"{"stop_strings": ["a","b","c","d","e","f","g","h","i"]}"#).is_err());
    }

    #[test]
    fn presets_are_valid_and_what_is_out_of_bounds_is_not() {
        for config in [
            GenerationConfig::default(),
            GenerationConfig::greedy(),
            GenerationConfig::balanced(),
            GenerationConfig::creative(),
            other(),
        ] {
            assert_eq!(config.validate(), Ok(()));
        }
        let default = GenerationConfig::default;
        let mut wrong: std::vec::Vec<GenerationConfig> = [f32::NAN, f32::INFINITY, -1.0]
            .into_iter()
            .flat_map(|x| {
                [
                    default().with_temperature(x),
                    default().with_top_p(x),
                    default().with_min_p(x),
                    default().with_typical_p(x),
                    default().with_repetition_penalty(x),
                    default().with_frequency_penalty(x * 2e6),
                    default().with_presence_penalty(x * 2e6),
                    default().with_logit_bias(&[(0, x * 2e6)]).unwrap(),
                ]
            })
            .collect();
        wrong.extend([
            default().with_top_p(0.0),
            default().with_typical_p(0.0),
            default().with_top_p(1.1),
            default().with_min_p(1.1),
            default().with_repetition_penalty(0.0),
            default().with_stop_strings(&["a", ""]).unwrap(),
            default().with_logprobs(Some(21)),
            default().with_logprobs(Some(0)).with_presence_penalty(0.1).with_penalty_window(257),
        ]);
        for config in wrong {
            assert!(matches!(config.validate(), Err(Error::PlanOption(_))), "{config:?}");
        }
    }
}
