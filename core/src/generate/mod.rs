//! Sampling, stop conditions, and the loop that puts a session and a tokenizer together.

mod config;
mod generator;
mod sampler;

pub use config::{GenerationConfig, MAX_STOP_TOKENS};
pub use generator::{Event, Generator, LogitDigest, StopReason};
pub use sampler::{random, sample};
