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
    /// Bytes of it that were told with tokens; the rest was held back, or is what ended within a character.
    pub(crate) told: usize,
    pub(crate) ended: Ended,
    pub(crate) statistics: Statistics,
    /// Of all logits sampled by this generator so far, if the configuration asks for it.
    pub(crate) digest: Option<[u8; 32]>,
}

/// A token, as it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) id: u32,
    /// The characters that it completes, those of earlier tokens that were held back included.
    pub(crate) text: &'t str,
    /// If the configuration asks for them.
    pub(crate) logprobs: Option<&'t Logprobs>,
}

/// Generates behind a prompt of `prompt` tokens that the generator was just given, and hands on what comes. Ctrl-C ends it: in
/// the prompt at once, later behind a token, so that what was told is what the model has seen.
pub(crate) fn generate<B: Backend>(
    generator: &mut Generator<'_, B>,
    prompt: u32,
    tell: &mut dyn FnMut(Token<'_>) -> Result<()>,
) -> Result<Outcome> {
    interrupt::clear();
    let mut stream = Utf8Stream::new();
    let (mut ids, mut text) = (Vec::new(), String::new());
    let begin = generator.session().position();
    let mut bar = Some(Progress::new("prompt", Unit::Tokens, prompt.into()));
    let mut clock = Clock::start();
    let mut told = 0;
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
            // A token or the end comes behind it.
            Event::Text(bytes) => stream.feed(bytes, |part| text.push_str(part)),
            Event::Token { id, bytes } => {
                bar = None;
                clock.token();
                ids.push(id);
                stream.feed(bytes, |part| text.push_str(part));
                tell(Token { id, text: &text[told..], logprobs: generator.logprobs() })?;
                told = text.len();
                if interrupt::is_set() {
                    break Ended::Interrupted;
                }
            }
            Event::Done(reason) => break Ended::Stop(reason),
        }
    };
    if ended == Ended::Interrupted {
        // It may have become a stop string, and has not.
        stream.feed(generator.held(), |part| text.push_str(part));
    }
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

    fn stop(&self, prompt: u32, generated: usize) -> Statistics {
        let first = self.first.unwrap_or(self.last);
        let (prefill, decode): (Duration, Duration) = (first - self.start, self.last - first);
        Statistics { prompt, generated: generated as u32, prefill, decode }
    }
}
