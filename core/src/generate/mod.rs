//! Sampling, stop conditions, and the loop that puts a session and a tokenizer together.
//!
//! A [`Generator`] takes a prompt ([`prompt`](Generator::prompt), [`pieces`](Generator::pieces) of a conversation, or token ids:
//! [`tokens`](Generator::tokens)), and then each [`step`](Generator::step) brings an [`Event`]: a token, the end with its
//! [`StopReason`], or nothing yet because the budget is spent. What follows the end is up to the caller: a further prompt
//! continues the context.
//!
//! A generation ends at a token of a [`StopSet`], or behind one of some [`StopStrings`], whose automaton holds back what may be
//! the beginning of one.
//!
//! [`Generator::choose`] generates nothing: it says which of some strings goes on with the prompt, and how likely each is.
//!
//! [`sample`] is one draw from the logits. The same image, prompt, [`GenerationConfig`] and seed give the same tokens on every
//! backend, and a [`LogitDigest`] proves it: two runs with one digest had the same logits, bit for bit.

mod choose;
mod config;
#[cfg(feature = "full")]
mod filter;
mod generator;
mod logprobs;
mod penalty;
mod sampler;
mod stop;
mod stop_strings;

pub use choose::{Choice, MAX_CHOICE_TOKENS, MAX_CHOICES};
pub use config::{
    GenerationConfig, MAX_BIAS, MAX_LOGIT_BIAS, MAX_LOGPROBS, MAX_STOP_STRING_BYTES, MAX_STOP_STRINGS,
    MAX_STOP_TOKENS, MAX_TEMPERATURE,
};
pub use generator::{Chooser, Event, Generator, LogitDigest, StopReason};
pub use logprobs::Logprobs;
pub use penalty::penalize;
pub use sampler::{random, sample};
pub use stop::StopSet;
pub use stop_strings::{Fed, StopMatch, StopState, StopStrings};
