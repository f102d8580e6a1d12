//! Logits, tokens and packed weights: constants that hold on every architecture, and other engines' values.

mod digests;
mod ggml_quantize;
mod golden;
mod linear;
mod options;
