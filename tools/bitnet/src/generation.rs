//! One answer: text out of a generator, and what is to be said of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use bitnet_edge_core::generate::Logprobs;
use bitnet_edge_core::text::Utf8Stream;
use bitnet_edge_core::{Backend, Event, Generator, StopReason};
use bitnet_pack::progress::{Progress, Unit};
use bitnet_pack::report::advised;

use crate::interrupt;
use crate::stats::Statistics;

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Stop(StopReason),
    /// By Ctrl-C.
    Interrupted,
}

/// What came of a generation.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The tokens, without the one that ended them.
    pub(crate) ids: Vec<u32>,
    /// The text, whole.
    pub(crate) text: String,
    /// Bytes of it that were told; the rest is what ended within a character, or was held back.
    pub(crate) told: usize,
    pub(crate) ended: Ended,
    pub(crate) statistics: Statistics,
    /// Of all logits sampled by this generator so far, if the configuration asks for it.
    pub(crate) digest: Option<[u8; 32]>,
}

impl Outcome {
    /// What was not told, if anything: the parts and this are the text, whole.
    pub(crate) fn rest(&self) -> Option<Part<'_>> {
        let text = self.text.get(self.told..).filter(|text| !text.is_empty())?;
        Some(Part { id: None, text, logprobs: None })
    }
}

/// A part of an answer, as it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'t> {
    /// The token, unless it is text of earlier ones, which was held back.
    pub(crate) id: Option<u32>,
    /// The characters that it completes.
    pub(crate) text: &'t str,
    /// How likely the token was, if the configuration asks for it.
    pub(crate) logprobs: Option<&'t Logprobs>,
}

/// Generates behind a prompt of `prompt` tokens that the generator was just given, and hands on what comes. Ctrl-C ends it: in
/// the prompt at once, later behind a token, so that what was told is what the model has seen.
pub(crate) fn generate<B: Backend>(
    generator: &mut Generator<'_, B>,
    prompt: u32,
    tell: &mut dyn FnMut(Part<'_>) -> Result<()>,
) -> Result<Outcome> {
    interrupt::clear();
    let mut stream = Utf8Stream::new();
    let (mut ids, mut text) = (Vec::new(), String::new());
    let begin = generator.session().position();
    let mut bar = Some(Progress::new("prompt", Unit::Tokens, prompt.into()));
    let mut clock = Clock::start();
    let ended = loop {
        match generator.step(u32::MAX).map_err(advised)? {
            Event::Working => {
                if let Some(bar) = &bar {
                    bar.set((generator.session().position() - begin).into());
                    if interrupt::is_set() {
                        break Ended::Interrupted;
                    }
                }
            }
            Event::Token { id, bytes } => {
                bar = None;
                clock.token();
                ids.push(id);
                let from = text.len();
                stream.feed(bytes, |part| text.push_str(part));
                tell(Part { id: Some(id), text: &text[from..], logprobs: generator.logprobs() })?;
                if interrupt::is_set() {
                    break Ended::Interrupted;
                }
            }
            Event::Text(bytes) => {
                let from = text.len();
                stream.feed(bytes, |part| text.push_str(part));
                tell(Part { id: None, text: &text[from..], logprobs: None })?;
            }
            Event::Done(reason) => {
                clock.end();
                break Ended::Stop(reason);
            }
        }
    };
    let told = text.len();
    // What may have become a stop string has not, if somebody ends the text before.
    stream.feed(generator.held(), |part| text.push_str(part));
    stream.finish(|part| text.push_str(part));
    let statistics = clock.stop(prompt, ids.len());
    Ok(Outcome { ids, text, told, ended, statistics, digest: generator.digest() })
}

/// When tokens came.
struct Clock {
    start: Instant,
    first: Option<Instant>,
    last: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, first: None, last: now }
    }

    /// The first token ends the prefill.
    fn token(&mut self) {
        self.last = Instant::now();
        self.first.get_or_insert(self.last);
    }

    /// The end: of the prefill, too, where the answer has no token.
    fn end(&mut self) {
        if self.first.is_none() {
            self.token();
        }
    }

    fn stop(&self, prompt: u32, generated: usize) -> Statistics {
        let first = self.first.unwrap_or(self.last);
        let (prefill, decode): (Duration, Duration) = (first - self.start, self.last - first);
        Statistics { prompt, generated: generated as u32, prefill, decode }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_told_is_the_rest() {
        let mut outcome = Outcome {
            ids: vec![1],
            text: "a stop".to_owned(),
            told: 2,
            ended: Ended::Interrupted,
            statistics: Statistics::default(),
            digest: None,
        };
        assert_eq!(outcome.rest().map(|part| part.text), Some("stop"));
        outcome.told = outcome.text.len();
        assert!(outcome.rest().is_none());
    }

    #[test]
    fn an_answer_without_tokens_has_a_prefill() {
        let prompt = Duration::from_secs(2);
        let start = Instant::now().checked_sub(prompt).unwrap();
        let mut clock = Clock { start, first: None, last: start };
        clock.end();
        let statistics = clock.stop(5, 0);
        assert!(statistics.prefill >= prompt && statistics.decode.is_zero());
        let first = start + Duration::from_secs(1);
        let mut clock = Clock { start, first: Some(first), last: first };
        clock.end();
        assert_eq!(clock.stop(5, 1).prefill, Duration::from_secs(1));
    }
}
