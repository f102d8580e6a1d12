//! How good a model is on a text: perplexity, and how far one model's distribution is from another's.
//!
//! Windows and scoring are those of llama.cpp's `llama-perplexity`, so that figures compare: the text's tokens are cut into
//! windows of `context` tokens, what is left at the end is dropped; where the vocabulary asks for a beginning token, it
//! stands before the text and replaces the first token of every window; each window is a context of its own; the tokens
//! behind the middle of a window are scored, each by the logits behind the one before it.
//!
//! These are measurements, not results of the runtime: they are computed in f64 by the host's own `exp` and `ln`.

mod divergence;
mod perplexity;
mod window;

pub use divergence::{Distribution, Divergence, Summary};
pub use perplexity::Perplexity;
pub use window::{Windows, score, score_pair, text_tokens};
