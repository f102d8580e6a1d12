//! What a generation does, as a receipt has it.

use sha2::{Digest as _, Sha256};

use super::form::Digest;
use super::record::{Output, Prompt};
use crate::StopReason;

/// SHA-256 over token ids, u32 little-endian, in order.
///
/// ```
/// use bitnet_edge_core::receipt::TokenDigest;
/// let mut digest = TokenDigest::default();
/// digest.update(258);
/// assert_eq!(digest.value(), TokenDigest::of(&[258]));
/// # use sha2::{Digest, Sha256};
/// assert_eq!(digest.value().0, <[u8; 32]>::from(Sha256::digest([2, 1, 0, 0])));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenDigest(Sha256);

impl TokenDigest {
    /// The digest of these ids.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::TokenDigest;
    /// assert_ne!(TokenDigest::of(&[1, 2]), TokenDigest::of(&[2, 1]));
    /// ```
    pub fn of(ids: &[u32]) -> Digest {
        let mut digest = Self::default();
        for &id in ids {
            digest.update(id);
        }
        digest.value()
    }

    /// Adds an id.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::TokenDigest;
    /// let mut digest = TokenDigest::default();
    /// digest.update(7);
    /// assert_eq!(digest.value(), TokenDigest::of(&[7]));
    /// ```
    pub fn update(&mut self, id: u32) {
        self.0.update(id.to_le_bytes());
    }

    /// The digest of what was added so far.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::TokenDigest;
    /// assert_eq!(TokenDigest::default().value(), TokenDigest::of(&[]));
    /// ```
    pub fn value(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

/// Gathers prompt and answer while they go by.
///
/// ```
/// use bitnet_edge_core::{StopReason, receipt::{TokenDigest, Transcript}};
/// let mut transcript = Transcript::new(&[4, 5, 6]);
/// transcript.token(7);
/// let output = transcript.output(2, Some(StopReason::Stop(0)));
/// assert_eq!((output.tokens, output.sampled, output.digest), (1, 2, TokenDigest::of(&[7])));
/// assert_eq!(transcript.prompt([4, 5, 6]).tokens, 3);
/// ```
#[derive(Clone, Debug)]
pub struct Transcript {
    given: u32,
    prompt: Digest,
    tokens: u32,
    answer: TokenDigest,
}

impl Transcript {
    /// A generation behind these tokens, which begin the context.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Transcript;
    /// assert_eq!(Transcript::new(&[4]).given(), 1);
    /// ```
    pub fn new(prompt: &[u32]) -> Self {
        let (given, prompt) = (prompt.len() as u32, TokenDigest::of(prompt));
        Self { given, prompt, tokens: 0, answer: TokenDigest::default() }
    }

    /// Tokens of the prompt.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Transcript;
    /// assert_eq!(Transcript::new(&[4, 4]).given(), 2);
    /// ```
    pub const fn given(&self) -> u32 {
        self.given
    }

    /// A token of the answer.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Transcript;
    /// let mut transcript = Transcript::new(&[4]);
    /// transcript.token(5);
    /// assert_eq!(transcript.output(1, None).tokens, 1);
    /// ```
    pub fn token(&mut self, id: u32) {
        self.tokens = self.tokens.saturating_add(1);
        self.answer.update(id);
    }

    /// The prompt, with its ids, which lie where they were given.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Transcript;
    /// assert_eq!(Transcript::new(&[4, 5]).prompt(&[4, 5][..]).ids, &[4, 5][..]);
    /// ```
    pub const fn prompt<I>(&self, ids: I) -> Prompt<I> {
        Prompt { tokens: self.given, digest: self.prompt, ids }
    }

    /// The answer, of which [`sampled`](crate::Generator::sampled) steps were sampled, and why it ended.
    ///
    /// ```
    /// use bitnet_edge_core::{StopReason, receipt::Transcript};
    /// let output = Transcript::new(&[4]).output(1, Some(StopReason::Stop(0)));
    /// assert_eq!((output.tokens, output.sampled), (0, 1)); // the first step ended it
    /// ```
    pub fn output(&self, sampled: u64, stop: Option<StopReason>) -> Output {
        Output { tokens: self.tokens, digest: self.answer.value(), sampled, stop }
    }
}
