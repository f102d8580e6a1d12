use heapless::Vec;

/// Stop tokens of a configuration at most.
///
/// ```
/// assert_eq!(bitnet_edge_core::generate::MAX_STOP_TOKENS, 16);
/// ```
pub const MAX_STOP_TOKENS: usize = 16;

/// What is generated and how. The default is the same on the host and on a board.
///
/// ```
/// use bitnet_edge_core::GenerationConfig;
/// let greedy = GenerationConfig { temperature: 0.0, ..GenerationConfig::default() };
/// assert_eq!((greedy.max_tokens, greedy.top_k, greedy.seed), (200, 40, 1));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationConfig {
    /// Tokens to generate at most.
    pub max_tokens: u32,
    /// Logits are divided by it; 0 takes the largest logit (greedy).
    pub temperature: f32,
    /// Only this many of the largest logits can be drawn; 0 for all.
    pub top_k: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Tokens that end the generation besides the vocabulary's own end tokens.
    pub stop_tokens: Vec<u32, MAX_STOP_TOKENS>,
    /// Whether the vocabulary's end tokens are generated like any other.
    pub ignore_end: bool,
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
            seed: 1,
            stop_tokens: Vec::new(),
            ignore_end: false,
            lossy: false,
            digest: false,
        }
    }
}
