//! The measurements on one session.

use std::time::Instant;

use anyhow::Result;
use bitnet_edge_core::generate::{GenerationConfig, sample};
use bitnet_edge_core::{Backend, Session};
use bitnet_pack::report::advised;

use super::report::{Load, Prefill, Samples};
use crate::machine::Bandwidth;

/// What the first session of a number of threads showed.
pub(super) struct Prompted {
    pub(super) plan_bytes: usize,
    pub(super) first: Option<Load>,
    pub(super) prefill: Vec<Prefill>,
}

/// Tokens of the prompt that shows how soon the first token is there.
const FIRST_PROMPT: u32 = 16;

/// Measures prompts of `prefill` tokens. `started` is when the program began to open the model, for the time to the first
/// token.
pub(super) fn prompts<B: Backend>(
    session: &mut Session<'_, B>,
    prefill: &[u32],
    repetitions: u32,
    started: Option<Instant>,
) -> Result<Prompted> {
    let mut prompts = Prompts::new(session);
    // The first pass touches every page: it is the one that a user waits for, and the warm-up of the others.
    let length = FIRST_PROMPT.min(session.room());
    prompts.seconds(session, length)?;
    let first_token_s = started.map(|started| started.elapsed().as_secs_f64());
    let first = match first_token_s {
        Some(first_token_s) => {
            let again = Samples::of(repetitions, || prompts.seconds(session, length))?;
            let beyond_prefill_s = (first_token_s - again.median).max(0.0);
            Some(Load { prompt_tokens: length, first_token_s, beyond_prefill_s, ..Load::default() })
        }
        None => None,
    };
    let mut all = Vec::new();
    for &tokens in prefill {
        let speed = Samples::of(repetitions, || Ok(f64::from(tokens) / prompts.seconds(session, tokens)?))?;
        all.push(Prefill { tokens, speed });
    }
    // One token alone, too, so that all memory that a session needs has been touched.
    decode_seconds(session, 1)?;
    Ok(Prompted { plan_bytes: session.plan().bytes(), first, prefill: all })
}

/// Measures the decoding of `tokens` tokens, in turns with what the memory bus allows, for that changes: one more turn of
/// the bus than repetitions, which are between them.
pub(super) fn decode<B: Backend>(
    session: &mut Session<'_, B>,
    tokens: u32,
    repetitions: u32,
    mut bus: impl FnMut() -> Bandwidth,
) -> Result<(Samples, Vec<Bandwidth>)> {
    decode_seconds(session, 1)?;
    let mut turns = vec![bus()];
    let speed = Samples::of(repetitions, || {
        let speed = f64::from(tokens) / decode_seconds(session, tokens)?;
        turns.push(bus());
        Ok(speed)
    })?;
    Ok((speed, turns))
}

/// The token at a place of the prompt: any will do, and `cargo xtask compare` gives the peer the same ones.
const fn prompt_token(place: u32, vocab: u32) -> u32 {
    ((1 + 7919 * place as u64) % vocab as u64) as u32
}

struct Prompts(Vec<u32>);

impl Prompts {
    fn new<B: Backend>(session: &Session<'_, B>) -> Self {
        let vocab = session.model().config().vocab;
        Self((0..session.room()).map(|place| prompt_token(place, vocab)).collect())
    }

    /// How long a prompt takes until its token is there.
    fn seconds<B: Backend>(&mut self, session: &mut Session<'_, B>, tokens: u32) -> Result<f64> {
        session.rewind(0);
        let begun = Instant::now();
        session.prefill(&self.0[..tokens as usize], true).map_err(advised)?;
        likeliest(session.logits().map_err(advised)?)?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

/// How long it takes to decode tokens one after the other, each the likeliest one, into an empty context.
fn decode_seconds<B: Backend>(session: &mut Session<'_, B>, tokens: u32) -> Result<f64> {
    session.rewind(0);
    let mut token = prompt_token(0, session.model().config().vocab);
    let begun = Instant::now();
    for _ in 0..tokens {
        token = likeliest(session.decode(token).map_err(advised)?)?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The first of the largest logits, as the sampler finds it.
fn likeliest(logits: &[f32]) -> Result<u32> {
    sample(logits, &GenerationConfig::greedy(), 0).map_err(advised)
}
