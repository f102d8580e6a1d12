//! What is generated, and how: the options of every command that generates.

use anyhow::{Context, Result, bail};
use bitnet_edge_core::{Error, GenerationConfig};
use clap::Args;

/// What is generated, and how; a board is asked for the same with the same options.
#[derive(Debug, Args)]
pub(crate) struct SamplingArgs {
    /// Tokens to generate at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub(crate) max_tokens: u32,
    /// Higher is more varied; 0 is greedy
    #[arg(short, long, default_value_t = 0.7, value_parser = temperature)]
    temperature: f32,
    /// Draw from this many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = 40)]
    top_k: u32,
    /// Seed of the draws: same image, prompt and seed, same text
    #[arg(short, long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// A token id that ends the text besides the model's own (repeatable)
    #[arg(long = "stop-token", value_name = "ID")]
    stop_tokens: Vec<u32>,
    /// Go on behind the model's own end token
    #[arg(long)]
    ignore_eos: bool,
    /// Drop bytes of the prompt that the model has no token for, instead of refusing it
    #[arg(long)]
    lossy: bool,
    /// Print the SHA-256 of the logits: equal digests are equal runs, on every backend
    #[arg(long)]
    pub(crate) digest: bool,
}

impl SamplingArgs {
    /// The configuration, for a vocabulary of `vocab` tokens.
    pub(crate) fn config(&self, vocab: u32) -> Result<GenerationConfig> {
        let mut config = GenerationConfig {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            seed: self.seed,
            ignore_eos: self.ignore_eos,
            lossy: self.lossy,
            digest: self.digest,
            ..GenerationConfig::default()
        };
        for &id in &self.stop_tokens {
            if id >= vocab {
                return Err(Error::TokenOutOfRange { id, vocab }).context("--stop-token");
            }
            if config.stop_tokens.push(id).is_err() {
                bail!("at most {} stop tokens", bitnet_edge_core::generate::MAX_STOP_TOKENS);
            }
        }
        Ok(config)
    }
}

fn temperature(text: &str) -> Result<f32> {
    let number = text.parse().ok().filter(|t: &f32| t.is_finite() && *t >= 0.0);
    number.context("a number from 0 up is needed")
}
