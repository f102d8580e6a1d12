//! The front for a host: requests and responses in frames, as `docs/device-protocol.md` has them.

use core::fmt::{self, Write};

use bitnet_edge_core::generate::Logprobs;
use bitnet_edge_core::model::Split;
use bitnet_edge_core::text::Error as TextError;
use bitnet_edge_core::{GenerationConfig, KvType};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_protocol::{
    CHUNK_BYTES, Chunk, Description, Error, KvCache, Request, Response, Sampling, Settings, VERSION, decode,
};
use heapless::{String, Vec};

use super::{CoreError, Session};
use crate::console::LINE_BYTES;
use crate::engine::{Listener, Prompt};
use crate::selftest::compare;
use crate::{Board, Console};

/// Bytes of a board's title in its description.
pub(super) const TITLE_BYTES: usize = 64;
/// Microseconds without a word after which an answer in the making says that it is.
const WORKING_US: u64 = 1_000_000;

impl<B: Board, K: Kernels, S: Split> Session<'_, '_, B, K, S> {
    /// Answers the message that came.
    #[inline(never)]
    pub(super) fn request(&mut self) {
        // The next one may come before this one is answered.
        let Ok(message) = Vec::<u8, 256>::from_slice(self.console.message()) else { return };
        let (tag, request) = decode(&message);
        let response = match request {
            Ok(Request::Describe) => return self.describe(tag),
            Ok(Request::Settings(settings)) => self.change(|config| set(config, &settings)),
            Ok(Request::Sampling(sampling)) => self.change(|config| {
                set_sampling(config, &sampling);
                Ok(())
            }),
            Ok(Request::StopTokens { at, ids }) => {
                self.change(|config| place(&mut config.stop_tokens, at, &ids))
            }
            Ok(Request::LogitBias { at, bias }) => {
                self.change(|config| place(&mut config.logit_bias, at, &bias))
            }
            Ok(Request::StopString { at, text }) => self.change(|config| {
                let text = String::try_from(text).map_err(|_| "a stop string is too long")?;
                place(&mut config.stop_strings, at, &[text])
            }),
            Ok(Request::Prompt(chunk)) => match self.add(&chunk) {
                Ok(()) if chunk.last => return self.answer_prompt(tag, chunk.raw),
                Ok(()) => Response::Accepted,
                Err(error) => Response::Error(error),
            },
            Ok(Request::Statistics) => self.of_last(|answer| Response::Statistics(answer.stats.figures())),
            Ok(Request::LogitDigest) => self.of_last(|answer| Response::LogitDigest(answer.digest)),
            Ok(Request::SelfTest) => return self.self_test(tag),
            Ok(Request::Receipt { at }) => return self.send_receipt(tag, at),
            Ok(Request::Cancel) => Response::Error(Error::NoAnswer),
            Ok(_) => {
                Response::Error(Error::UnknownMessage { kind: message.get(1).copied().unwrap_or_default() })
            }
            Err(error) => Response::Error(error),
        };
        self.console.reply(tag, &response);
    }

    #[inline(never)] // as everything that a request is answered by: their frames are not on the stack of an answer
    fn describe(&mut self, tag: u8) {
        let engine = &self.engine;
        let (config, options, image) = (engine.model.config(), engine.plan.options(), engine.model.image());
        let mut title = Words::<TITLE_BYTES>(String::new());
        let _ = write!(title, "{}", self.title); // what does not fit is left out
        let description = Description {
            protocol: VERSION,
            title: &title.0,
            firmware: env!("CARGO_PKG_VERSION"),
            backend: engine.kernels.name(),
            cores: engine.split.threads() as u32,
            budget: engine.budget,
            plan_bytes: engine.plan.bytes() as u64,
            arena_bytes: self.arena_bytes as u64,
            context: options.context,
            kv: match options.kv {
                KvType::F32 => KvCache::F32,
                KvType::F16 => KvCache::F16,
                KvType::I8 => KvCache::Int8,
            },
            prompt_bytes: options.prompt_bytes.min(LINE_BYTES as u32),
            layers: config.layers,
            dim: config.dim,
            vocab: config.vocab,
            chat: engine.model.chat().is_some(),
            image_bytes: image.bytes().len() as u64,
            image: image.digest(),
        };
        self.console.reply(tag, &Response::Description(description));
    }

    /// Changes the configuration, if what comes of it is one that the runtime takes.
    #[inline(never)] // a configuration has a KiB
    fn change(
        &mut self,
        to: impl FnOnce(&mut GenerationConfig) -> Result<(), &'static str>,
    ) -> Response<'static> {
        let mut config = self.config.clone();
        let changed = to(&mut config).and_then(|()| match config.validate() {
            Ok(()) => Ok(()),
            Err(CoreError::PlanOption(what) | CoreError::LeftOut(what)) => Err(what),
            Err(_) => Err("the settings are out of bounds"),
        });
        match changed {
            Ok(()) => {
                self.receipt = false;
                self.config = config;
                Response::Accepted
            }
            Err(what) => Response::Error(Error::Refused(what)),
        }
    }

    /// Puts a part of a prompt where it belongs.
    fn add(&mut self, chunk: &Chunk<'_>) -> Result<(), Error<'static>> {
        // What was typed is no part of it.
        let (at, have) = (chunk.at as usize, if chunk.at == 0 { 0 } else { self.console.host_bytes() });
        // A part that comes once more replaces itself; a system message comes first.
        if at > have || (chunk.system && at > self.system.min(have)) {
            return Err(Error::ChunkOrder { found: chunk.at, have: have as u32 });
        }
        let line = self.console.host_line();
        line.truncate(at);
        self.system = self.system.min(at);
        if line.extend_from_slice(chunk.text).is_err() {
            let need = at.saturating_add(chunk.text.len()) as u32;
            return Err(Error::PromptTooLong { need, have: LINE_BYTES as u32 });
        }
        if chunk.system {
            self.system = line.len();
        }
        Ok(())
    }

    fn of_last(&self, response: impl Fn(&super::Answer) -> Response<'static>) -> Response<'static> {
        self.last.as_ref().map_or(Response::Error(Error::NoAnswer), response)
    }

    /// Answers the prompt that was put together.
    #[inline(never)]
    fn answer_prompt(&mut self, tag: u8, raw: bool) {
        let system = self.system;
        if system > 0 && (raw || self.engine.model.chat().is_none()) {
            return self.console.reply(tag, &Response::Error(Error::NoSystemMessage));
        }
        self.receipt = false;
        let sent = self.console.board().now_us();
        let mut host = Host { console: &mut self.console, tag, index: 0, system, raw, sent };
        match self.engine.answer(&self.config, &mut host) {
            Ok(answer) => {
                let statistics = answer.stats.figures();
                let done = Response::Done { stop: answer.stop, statistics, digest: answer.digest };
                self.last = Some(answer);
                self.receipt = true;
                self.console.reply(tag, &done);
            }
            Err(error) => {
                let mut words = Words(String::new());
                let error = refusal(error, &mut words);
                self.console.reply(tag, &Response::Error(error));
            }
        }
    }

    #[inline(never)]
    fn self_test(&mut self, tag: u8) {
        self.console.board().alive();
        let (summary, wrong) = compare(self.engine.kernels, &mut || self.console.board().alive());
        self.console.board().alive();
        let mut words = Words::<CHUNK_BYTES>(String::new());
        if let Some(failure) = wrong {
            let _ = write!(words, "{failure}"); // what does not fit is left out
        }
        let response = Response::SelfTest {
            backend: self.engine.kernels.name(),
            cases: summary.cases,
            failures: summary.failures,
            first: &words.0,
        };
        self.console.reply(tag, &response);
    }
}

fn set(config: &mut GenerationConfig, settings: &Settings) -> Result<(), &'static str> {
    *config = GenerationConfig {
        max_tokens: settings.max_tokens,
        temperature: settings.temperature,
        top_k: settings.top_k,
        seed: settings.seed,
        ignore_eos: settings.ignore_eos,
        lossy: settings.lossy,
        digest: settings.digest,
        ..GenerationConfig::default()
    };
    place(&mut config.stop_tokens, 0, &settings.stop_tokens)
}

fn set_sampling(config: &mut GenerationConfig, sampling: &Sampling) {
    let Sampling { top_p, min_p, typical_p, repetition_penalty, frequency_penalty, .. } = *sampling;
    let Sampling { presence_penalty, penalty_window, skip_special_tokens, add_bos, logprobs, .. } = *sampling;
    config.top_p = top_p;
    config.min_p = min_p;
    config.typical_p = typical_p;
    config.repetition_penalty = repetition_penalty;
    config.frequency_penalty = frequency_penalty;
    config.presence_penalty = presence_penalty;
    config.penalty_window = penalty_window;
    config.skip_special_tokens = skip_special_tokens;
    config.add_bos = add_bos;
    config.logprobs = logprobs;
}

/// Puts a part of a list where it belongs; one that comes once more replaces itself.
fn place<T: Clone, const N: usize>(list: &mut Vec<T, N>, at: u32, part: &[T]) -> Result<(), &'static str> {
    if at as usize > list.len() {
        return Err("a part of a list does not belong there");
    }
    list.truncate(at as usize);
    list.extend_from_slice(part).map_err(|_| "a list is too long")
}

/// What the runtime refuses, with its numbers.
fn refusal(error: CoreError, words: &mut Words<CHUNK_BYTES>) -> Error<'_> {
    match error {
        CoreError::ContextFull { need, have } => Error::ContextFull { need, have },
        CoreError::EmptyPrompt => Error::EmptyPrompt,
        CoreError::Text(TextError::NoToken { byte, at }) => Error::NoToken { byte, at },
        CoreError::Text(TextError::TextTooLong { need, have }) => Error::PromptTooLong { need, have },
        error => {
            let _ = write!(words, "{error}"); // what does not fit is left out
            Error::Refused(&words.0)
        }
    }
}

/// Text of at most `N` bytes, without what is behind it.
pub(super) struct Words<const N: usize>(pub(super) String<N>);

impl<const N: usize> Write for Words<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.0.push(character).map_err(|_| fmt::Error))
    }
}

/// A host that waits for its answer.
struct Host<'c, 'b, B> {
    console: &'c mut Console<'b, B>,
    tag: u8,
    index: u32,
    system: usize,
    raw: bool,
    /// When something was said last.
    sent: u64,
}

impl<B: Board> Host<'_, '_, B> {
    fn say(&mut self, response: &Response<'_>) {
        self.sent = self.console.board().now_us();
        self.console.reply(self.tag, response);
    }
}

impl<B: Board> Listener for Host<'_, '_, B> {
    fn prompt(&mut self) -> (Prompt<'_>, &mut dyn Board) {
        let (line, board) = self.console.parts();
        let (system, text) = line.split_at_checked(self.system).unwrap_or((&[], line));
        let system = Some(system).filter(|system| !system.is_empty());
        (Prompt { system, text, raw: self.raw }, board)
    }

    fn begin(&mut self, _: bool) {}

    fn text(&mut self, bytes: &[u8]) {
        bytes.chunks(CHUNK_BYTES).for_each(|bytes| self.say(&Response::Text(bytes)));
    }

    fn logprobs(&mut self, logprobs: &Logprobs) {
        let (index, top) = (self.index.saturating_sub(1), logprobs.top.iter().copied().collect());
        self.say(&Response::Logprobs { index, logprob: logprobs.logprob, top });
    }

    fn token(&mut self, id: u32, bytes: &[u8]) {
        let index = self.index;
        self.index = index.saturating_add(1);
        let (first, rest) = bytes.split_at_checked(CHUNK_BYTES).unwrap_or((bytes, &[]));
        self.say(&Response::Token { index, id, bytes: first });
        for bytes in rest.chunks(CHUNK_BYTES) {
            self.say(&Response::Token { index, id, bytes });
        }
    }

    fn cancelled(&mut self) -> bool {
        if self.console.interrupted() {
            return true;
        }
        if self.now_us().saturating_sub(self.sent) >= WORKING_US {
            self.say(&Response::Working);
        }
        false
    }

    fn now_us(&mut self) -> u64 {
        self.console.board().now_us()
    }
}

#[cfg(test)]
mod tests;
