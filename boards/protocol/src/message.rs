//! What is said. The order of variants and fields is the format: additions go to the end.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Stop tokens in [`Settings`], or in one [`Request::StopTokens`], at most.
pub const MAX_STOP_TOKENS: usize = 16;

/// Biases in one [`Request::LogitBias`] at most.
pub const MAX_BIASES: usize = 16;

/// Alternatives of a token in one [`Response::Logprobs`] at most.
pub const MAX_LOGPROBS: usize = 20;

/// A body that a frame can have.
pub trait Message {
    /// How many kinds there are: the number of a kind is below it.
    const KINDS: u8;
}

/// What a host asks. Each request has one response with its tag; the last [`Chunk`] of a prompt has many, of which
/// [`Response::Done`] or [`Response::Error`] is the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'a> {
    /// Who are you? [`Response::Description`].
    Describe,
    /// What holds for the answers behind it; what the next four say begins anew. [`Response::Accepted`].
    Settings(Settings),
    /// A part of a prompt. [`Response::Accepted`], but for the last: the answer.
    #[serde(borrow)]
    Prompt(Chunk<'a>),
    /// Ends the answer that is being written. [`Response::Accepted`]; the answer ends with [`Stop::Cancelled`].
    Cancel,
    /// [`Response::Statistics`] of the last answer.
    Statistics,
    /// [`Response::LogitDigest`] of the last answer.
    LogitDigest,
    /// Compares the kernels with their definition once more. [`Response::SelfTest`].
    SelfTest,
    /// The receipt of the last answer, from one of its bytes on. [`Response::Receipt`].
    Receipt {
        /// Bytes before those that are wanted: 0 for the first.
        at: u32,
    },
    /// More of what holds for the answers behind it. [`Response::Accepted`].
    Sampling(Sampling),
    /// Further tokens that end the answer. [`Response::Accepted`].
    StopTokens {
        /// How many there are before these, with those of [`Settings`]; what lay there is replaced.
        at: u32,
        /// Their ids.
        ids: Vec<u32, MAX_STOP_TOKENS>,
    },
    /// Text that ends the answer. [`Response::Accepted`].
    StopString {
        /// How many there are before this one; what lay there is replaced.
        at: u32,
        /// The text, at most 64 bytes.
        text: &'a str,
    },
    /// What is added to the logits of tokens. [`Response::Accepted`].
    LogitBias {
        /// How many there are before these; what lay there is replaced.
        at: u32,
        /// Ids, and what is added.
        bias: Vec<(u32, f32), MAX_BIASES>,
    },
}

impl Message for Request<'_> {
    const KINDS: u8 = 12;
}

/// What a board says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Response<'a> {
    /// Board, program, model, memory.
    #[serde(borrow)]
    Description(Description<'a>),
    /// Done; there is nothing to add.
    Accepted,
    /// An answer is being computed, and there was nothing else to say for a second.
    Working,
    /// A token of the answer. One of more than [`CHUNK_BYTES`](crate::CHUNK_BYTES) bytes comes in several, with one index.
    Token {
        /// Which token of the answer, from 0.
        index: u32,
        /// Its id.
        id: u32,
        /// Its bytes, not always whole characters.
        bytes: &'a [u8],
    },
    /// The end of the answer.
    Done {
        /// Why it ended.
        stop: Stop,
        /// Counts and times.
        statistics: Statistics,
        /// SHA-256 of its logits, where [`Settings::digest`] asks for it.
        digest: Option<[u8; 32]>,
    },
    /// Counts and times of the last answer.
    Statistics(Statistics),
    /// SHA-256 of the last answer's logits, if it was asked for.
    LogitDigest(Option<[u8; 32]>),
    /// The kernels against their definition.
    SelfTest {
        /// The backend.
        backend: &'a str,
        /// Cases that were compared.
        cases: u32,
        /// Cases that are wrong.
        failures: u32,
        /// The first of them, in words; else empty.
        first: &'a str,
    },
    /// Why there is no other response.
    Error(Error<'a>),
    /// A part of the receipt of the last answer, which is postcard: `docs/receipts.md`.
    Receipt {
        /// Bytes before these.
        at: u32,
        /// Bytes of the whole.
        total: u32,
        /// At most [`CHUNK_BYTES`](crate::CHUNK_BYTES).
        bytes: &'a [u8],
    },
    /// Text of earlier tokens of the answer, at most [`CHUNK_BYTES`](crate::CHUNK_BYTES) bytes, which could have been the beginning
    /// of a stop string and is not.
    Text(&'a [u8]),
    /// How likely the token was that came before, where [`Sampling::logprobs`] asks for it.
    Logprobs {
        /// Which token of the answer, from 0.
        index: u32,
        /// The natural logarithm of its probability.
        logprob: f32,
        /// The likeliest tokens and theirs, the likeliest first.
        top: Vec<(u32, f32), MAX_LOGPROBS>,
    },
}

impl Message for Response<'_> {
    const KINDS: u8 = 12;
}

/// Who a board is. The version is first, so that any version of a host can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description<'a> {
    /// [`VERSION`](crate::VERSION) of the board.
    pub protocol: u16,
    /// What it is, at most 64 bytes.
    pub title: &'a str,
    /// Version of its program.
    pub firmware: &'a str,
    /// The kernels that were chosen at boot.
    pub backend: &'a str,
    /// Cores that compute.
    pub cores: u32,
    /// Multiply-accumulates of a step at most.
    pub budget: u32,
    /// Bytes of the memory plan.
    pub plan_bytes: u64,
    /// Bytes of the arena it lies in.
    pub arena_bytes: u64,
    /// Positions of the KV cache.
    pub context: u32,
    /// Its type, which results depend on.
    pub kv: KvCache,
    /// Bytes of the longest prompt.
    pub prompt_bytes: u32,
    /// Layers of the model.
    pub layers: u32,
    /// Width of its residual stream.
    pub dim: u32,
    /// Tokens of its vocabulary.
    pub vocab: u32,
    /// Whether it has a chat template.
    pub chat: bool,
    /// Bytes of the flash image.
    pub image_bytes: u64,
    /// The image digest: SHA-256 of its header and section table.
    pub image: [u8; 32],
}

/// Type of the KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KvCache {
    /// f32.
    F32,
    /// f16.
    F16,
    /// int8 with a scale a row.
    Int8,
}

/// How an answer is generated; `GenerationConfig` of the runtime has the same fields, and those of [`Sampling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Tokens to generate at most.
    pub max_tokens: u32,
    /// 0 is greedy.
    pub temperature: f32,
    /// Only this many of the largest logits can be drawn; 0 for all.
    pub top_k: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Whether the vocabulary's end tokens are generated like any other.
    pub ignore_eos: bool,
    /// Drop bytes of a prompt that have no token instead of refusing it.
    pub lossy: bool,
    /// Compute the logit digest.
    pub digest: bool,
    /// Tokens that end the answer besides the vocabulary's own.
    pub stop_tokens: Vec<u32, MAX_STOP_TOKENS>,
}

/// More of how an answer is generated, as `GenerationConfig` of the runtime has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 1 for no limit.
    pub top_p: f32,
    /// 0 for no limit.
    pub min_p: f32,
    /// 1 for no limit.
    pub typical_p: f32,
    /// 1 for no change.
    pub repetition_penalty: f32,
    /// 0 for no change.
    pub frequency_penalty: f32,
    /// 0 for no change.
    pub presence_penalty: f32,
    /// Tokens that the penalties look at.
    pub penalty_window: u32,
    /// Whether control tokens are no part of the text.
    pub skip_special_tokens: bool,
    /// Whether the tokens that the vocabulary wants around a text are added.
    pub add_bos: bool,
    /// How many of the likeliest tokens come with each token; none for no log-probabilities at all.
    pub logprobs: Option<u8>,
}

/// A part of a prompt: of the system message, which comes first where there is one, or of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk<'a> {
    /// Bytes of the prompt before this part, the system message included; what lay there is replaced. 0 is a new prompt.
    pub at: u32,
    /// Whether it belongs to the system message.
    pub system: bool,
    /// Whether the model's chat template is left out. The last chunk decides.
    pub raw: bool,
    /// Whether it is the last one: the answer begins.
    pub last: bool,
    /// At most [`CHUNK_BYTES`](crate::CHUNK_BYTES) bytes, UTF-8 only as a whole.
    pub text: &'a [u8],
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stop {
    /// This token, which is the vocabulary's end or a stop token, was sampled.
    Token(u32),
    /// [`Settings::max_tokens`] were generated.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// [`Request::Cancel`], or Ctrl-C.
    Cancelled,
    /// This [`Request::StopString`] came, counted from 0.
    String(u32),
}

/// Counts and times of an answer, by the board's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens that were generated.
    pub generated: u32,
    /// Microseconds from the prompt to the first token.
    pub prefill_us: u64,
    /// Microseconds from there to the last token.
    pub decode_us: u64,
    /// Steps that the answer took.
    pub steps: u32,
    /// Microseconds of the longest.
    pub longest_step_us: u64,
}
