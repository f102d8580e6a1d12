//! A prompt to a board, and its answer to stdout, as `bitnet run` writes it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::GenerationConfig;
use bitnet_edge_core::generate::Logprobs;
use bitnet_edge_core::text::Utf8Stream;
use bitnet_edge_protocol::{
    CHUNK_BYTES, Chunk, Description, MAX_BIASES, MAX_STOP_TOKENS, Request, Response, Sampling, Settings,
    Statistics, Stop, decode,
};
use bitnet_pack::convert::hex;
use bitnet_pack::report::{print, say};

use super::link::{ATTEMPTS, Heard, Link};
use super::{DeviceArgs, backend, refused};
use crate::sampling::logprobs_line;
use crate::stats::speed;

/// Bytes of a token at most, so that a board that is wrong does not fill this machine's memory.
const TOKEN_BYTES: usize = 1 << 16;

/// How an answer ended.
pub(super) struct Done {
    pub(super) stop: Stop,
    pub(super) statistics: Statistics,
    pub(super) digest: Option<[u8; 32]>,
}

/// What comes of an answer.
pub(super) enum Part<'a> {
    /// A token: its id, and its bytes.
    Token(u32, &'a [u8]),
    /// Text that was held back.
    Text(&'a [u8]),
    /// How likely the last token was.
    Logprobs(&'a Logprobs),
}

pub(super) fn run(args: &DeviceArgs, link: &mut Link, board: &Description<'_>) -> Result<()> {
    let mut config = args.sampling.config(board.vocab)?;
    config.digest |= args.receipt.is_asked_for();
    let mut printer = Printer::new(args, board)?;
    let done = ask(args, link, &config, &mut |part| printer.part(&part))?;
    printer.end()?;
    report(args, board, &done);
    Ok(())
}

/// Sets the board, asks it, and hands on the parts of its answer. Ctrl-C cancels it.
pub(super) fn ask(
    args: &DeviceArgs,
    link: &mut Link,
    config: &GenerationConfig,
    part: &mut dyn FnMut(Part<'_>) -> Result<()>,
) -> Result<Done> {
    for request in settings(config) {
        link.ask(&request)?;
    }
    let mut tag = prompt(args, link)?;
    let mut answer = Tokens { most: config.max_tokens, next: 0, id: 0, bytes: None };
    let begin = Instant::now();
    // How often the prompt is sent at most: no more once the board has begun, or something else was sent.
    let mut attempts = ATTEMPTS;
    loop {
        let message = match link.hear(link.timeout(), Some(tag))? {
            Heard::Message(message) => message,
            Heard::Silence => bail!("{}", link.silence()),
            Heard::Interrupt => {
                attempts = 0;
                link.send(&Request::Cancel)?;
                continue;
            }
        };
        match decode(&message) {
            (_, Ok(Response::Token { index, id, bytes })) => {
                attempts = 0;
                or_cancel(link, answer.add(index, id, bytes, part))?;
            }
            (_, Ok(Response::Text(bytes))) => {
                attempts = 0;
                let heard = answer.flush(part).and_then(|()| part(Part::Text(bytes)));
                or_cancel(link, heard)?;
            }
            (_, Ok(Response::Logprobs { index, logprob, top })) => {
                if index.checked_add(1) != Some(answer.next) {
                    bail!(
                        "token {index} did not come before its log-probability: frames were lost on the way"
                    );
                }
                let logprobs = Logprobs { id: answer.id, logprob, top };
                let heard = answer.flush(part).and_then(|()| part(Part::Logprobs(&logprobs)));
                or_cancel(link, heard)?;
            }
            (_, Ok(Response::Done { stop, statistics, digest })) => {
                answer.flush(part)?;
                if answer.next != statistics.generated {
                    bail!(
                        "the board generated {} tokens and {} came: frames were lost on the way",
                        statistics.generated,
                        answer.next
                    );
                }
                return Ok(Done { stop, statistics, digest });
            }
            (_, Ok(Response::Working)) => attempts = 0,
            // The frame that asked was damaged; nothing was begun.
            (0, Ok(Response::Error(_))) if attempts > 1 && begin.elapsed() < link.timeout() => {
                attempts -= 1;
                tag = last_chunk(args, link)?;
            }
            (0, Ok(Response::Error(_))) => {}
            (_, Ok(Response::Error(error))) => return Err(refused(&error)),
            _ => bail!("{}", link.unexpected()),
        }
    }
}

/// The board need not go on with what nobody hears.
fn or_cancel(link: &mut Link, heard: Result<()>) -> Result<()> {
    if heard.is_err() {
        link.send(&Request::Cancel)?;
    }
    heard
}

/// What sets a board: what every board knows, and behind it what differs from the default.
fn settings(config: &GenerationConfig) -> Vec<Request<'_>> {
    let GenerationConfig { max_tokens, temperature, top_k, seed, ignore_eos, lossy, digest, .. } = *config;
    let (stop_tokens, more) = config.stop_tokens.split_at(config.stop_tokens.len().min(MAX_STOP_TOKENS));
    let stop_tokens = stop_tokens.iter().copied().collect();
    let settings = Settings { max_tokens, temperature, top_k, seed, ignore_eos, lossy, digest, stop_tokens };
    let mut requests = vec![Request::Settings(settings)];
    if sampling(config) != sampling(&GenerationConfig::default()) {
        requests.push(Request::Sampling(sampling(config)));
    }
    let at = |part: usize, size: usize| (part * size) as u32;
    for (n, ids) in (1..).zip(more.chunks(MAX_STOP_TOKENS)) {
        let ids = ids.iter().copied().collect();
        requests.push(Request::StopTokens { at: at(n, MAX_STOP_TOKENS), ids });
    }
    for (n, text) in config.stop_strings.iter().enumerate() {
        requests.push(Request::StopString { at: at(n, 1), text });
    }
    for (n, bias) in config.logit_bias.chunks(MAX_BIASES).enumerate() {
        let bias = bias.iter().copied().collect();
        requests.push(Request::LogitBias { at: at(n, MAX_BIASES), bias });
    }
    requests
}

fn sampling(config: &GenerationConfig) -> Sampling {
    let GenerationConfig { top_p, min_p, typical_p, repetition_penalty, frequency_penalty, .. } = *config;
    let GenerationConfig { presence_penalty, penalty_window, skip_special_tokens, .. } = *config;
    let GenerationConfig { add_bos, logprobs, .. } = *config;
    Sampling {
        top_p,
        min_p,
        typical_p,
        repetition_penalty,
        frequency_penalty,
        presence_penalty,
        penalty_window,
        skip_special_tokens,
        add_bos,
        logprobs,
    }
}

/// The parts of the prompt: of the system message, then of the user's, of which there is at least one.
fn chunks(args: &DeviceArgs) -> Vec<Chunk<'_>> {
    let system = args.system.as_deref().unwrap_or_default().as_bytes();
    let user = args.prompt().as_bytes();
    let of = |text: &'_ [u8], before: usize, system: bool| {
        let parts = text.chunks(CHUNK_BYTES).enumerate();
        parts.map(move |(n, _)| (before + n * CHUNK_BYTES, system)).collect::<Vec<_>>()
    };
    let mut places = of(system, 0, true);
    places.extend(of(user, system.len(), false));
    if user.is_empty() {
        places.push((system.len(), false));
    }
    let count = places.len();
    let chunk = |(n, (at, in_system)): (usize, (usize, bool))| {
        let (text, from) = if in_system { (system, at) } else { (user, at - system.len()) };
        let text = &text[from..text.len().min(from + CHUNK_BYTES)];
        Chunk { at: at as u32, system: in_system, raw: args.raw, last: n + 1 == count, text }
    };
    places.into_iter().enumerate().map(chunk).collect()
}

/// Sends the prompt; the tag of its answer.
fn prompt(args: &DeviceArgs, link: &mut Link) -> Result<u8> {
    for chunk in chunks(args).into_iter().filter(|chunk| !chunk.last) {
        let message = link.ask(&Request::Prompt(chunk))?;
        if decode(&message).1 != Ok(Response::Accepted) {
            bail!("{}", link.unexpected());
        }
    }
    last_chunk(args, link)
}

fn last_chunk(args: &DeviceArgs, link: &mut Link) -> Result<u8> {
    let last = chunks(args).pop().context("a prompt has a last part")?;
    link.send(&Request::Prompt(last))
}

/// Tokens of an answer, put together again where they came in parts.
struct Tokens {
    /// How many were asked for.
    most: u32,
    /// How many have come.
    next: u32,
    id: u32,
    /// Of the token that may not be complete.
    bytes: Option<Vec<u8>>,
}

impl Tokens {
    fn add(
        &mut self,
        index: u32,
        id: u32,
        bytes: &[u8],
        part: &mut dyn FnMut(Part<'_>) -> Result<()>,
    ) -> Result<()> {
        let have = self.bytes.as_ref().map(Vec::len);
        if index == self.next {
            if index >= self.most {
                bail!("the board sends more than the {} tokens that it was asked for", self.most);
            }
            self.flush(part)?;
            (self.next, self.id) = (index + 1, id);
        } else if have.is_none() || index.checked_add(1) != Some(self.next) || id != self.id {
            bail!("token {} did not come and token {index} did: frames were lost on the way", self.next);
        } else if have.is_some_and(|have| have >= TOKEN_BYTES) {
            bail!("token {index} is longer than {TOKEN_BYTES} bytes: no model has such tokens");
        }
        self.bytes.get_or_insert_default().extend_from_slice(bytes);
        // A token of less than a whole frame is complete; a person wants to see it now.
        if bytes.len() < CHUNK_BYTES { self.flush(part) } else { Ok(()) }
    }

    fn flush(&mut self, part: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<()> {
        match self.bytes.take() {
            Some(bytes) => part(Part::Token(self.id, &bytes)),
            None => Ok(()),
        }
    }
}

/// Streams text to stdout, whole characters only.
pub(super) struct Printer(Utf8Stream);

impl Printer {
    /// Begins with the prompt, where the answer continues it.
    pub(super) fn new(args: &DeviceArgs, board: &Description<'_>) -> Result<Self> {
        if (!board.chat || args.raw) && !args.no_echo {
            print(args.prompt())?;
        }
        Ok(Self(Utf8Stream::new()))
    }

    pub(super) fn part(&mut self, part: &Part<'_>) -> Result<()> {
        let bytes = match part {
            Part::Token(_, bytes) | Part::Text(bytes) => bytes,
            Part::Logprobs(logprobs) => {
                say(logprobs_line(None, logprobs));
                return Ok(());
            }
        };
        let mut text = String::new();
        self.0.feed(bytes, |part| text.push_str(part));
        print(&text)
    }

    pub(super) fn end(mut self) -> Result<()> {
        let mut text = String::new();
        self.0.finish(|part| text.push_str(part));
        print(&(text + "\n"))
    }
}

/// What is said behind an answer.
pub(super) fn report(args: &DeviceArgs, board: &Description<'_>, done: &Done) {
    match done.stop {
        Stop::ContextFull => say(format_args!(
            "note: the text ends because the board's context of {} positions is full",
            board.context
        )),
        Stop::Cancelled => say("note: interrupted"),
        _ => {}
    }
    if let Some(digest) = done.digest.filter(|_| args.sampling.digest) {
        say(format_args!("logit digest {}", hex(&digest)));
    }
    let Statistics { prompt, generated, prefill_us, decode_us, longest_step_us, .. } = done.statistics;
    say(format_args!(
        "{prompt} prompt tokens, {generated} generated | prefill {} tokens/s, decode {} tokens/s | longest step {}.{:03} ms | \
         arena {} bytes | backend {} of {} | seed {}",
        speed(prompt, Duration::from_micros(prefill_us)),
        speed(generated.saturating_sub(1), Duration::from_micros(decode_us)),
        longest_step_us / 1000,
        longest_step_us % 1000,
        board.plan_bytes,
        backend(board),
        board.title,
        args.sampling.seed
    ));
}
