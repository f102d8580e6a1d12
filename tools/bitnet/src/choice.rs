//! `bitnet run --choose`: which of some texts the model would go on with.

use std::time::{Duration, Instant};

use anyhow::Result;
use bitnet_edge_core::generate::Choice;
use bitnet_edge_core::{Backend, Generator};
use bitnet_pack::progress::{Progress, Unit};
use bitnet_pack::report::advised;
use clap::Args;

use crate::interrupt;
use crate::sampling::unescaped;

/// The texts.
#[derive(Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// Say which of these texts comes next, and how likely each is, and generate nothing else; \n, \t and \\ are escapes (repeatable)
    #[arg(
        long = "choose",
        value_name = "TEXT",
        value_parser = unescaped,
        conflicts_with_all = [
            "preset", "max_tokens", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "frequency_penalty", "presence_penalty",
            "repeat_last_n", "logit_bias", "stop_strings", "stop_tokens", "ignore_eos", "special", "logprobs", "receipt"
        ]
    )]
    pub(crate) texts: Vec<String>,
}

/// What was chosen.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) choice: Choice,
    /// How likely each of the texts is, in their order.
    pub(crate) probabilities: Vec<f32>,
    /// Tokens of the prompt.
    pub(crate) prompt: u32,
    /// For the prompt and all texts.
    pub(crate) took: Duration,
    /// Of the logits that it was made by, if the configuration asks for it.
    pub(crate) digest: Option<[u8; 32]>,
}

/// Chooses behind a prompt of `prompt` tokens that the generator was just given. Nothing if Ctrl-C ends it.
pub(crate) fn choose<B: Backend>(
    generator: &mut Generator<'_, B>,
    prompt: u32,
    texts: &[String],
) -> Result<Option<Decision>> {
    interrupt::clear();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let start = Instant::now();
    let begin = generator.session().position();
    let mut chooser = generator.choose(&texts).map_err(advised)?;
    let bar = Progress::new("prompt", Unit::Tokens, prompt.into());
    let choice = loop {
        if let Some(choice) = chooser.step(u32::MAX).map_err(advised)? {
            break choice;
        }
        if interrupt::is_set() {
            return Ok(None);
        }
        let done = chooser.session().position().saturating_sub(begin);
        bar.set(done.min(prompt).into());
    };
    let took = start.elapsed();
    let probabilities = chooser.probabilities().to_vec();
    drop(chooser);
    Ok(Some(Decision { choice, probabilities, prompt, took, digest: generator.digest() }))
}
