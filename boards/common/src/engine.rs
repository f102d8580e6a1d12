//! From a prompt to the last token of its answer, whoever listens.

use bitnet_edge_core::generate::Logprobs;
use bitnet_edge_core::model::{InPlace, Split};
use bitnet_edge_core::receipt::{Output, Prompt as Given, Transcript};
use bitnet_edge_core::text::{Ending, Message, Piece, Role};
use bitnet_edge_core::{
    Backend, Cpu, Error, Event, GenerationConfig, Generator, Line, MemoryPlan, Model, StopReason,
};
use bitnet_edge_kernels::{Counted, Counts, Kernels};
use bitnet_edge_protocol::Stop;

use crate::{Board, Stats};

/// Units of work of the tokenizer (a byte looked at is one, a search of the vocabulary sixteen) between two calls of
/// [`Board::alive`].
const TEXT_STEP: u32 = 256;

/// A model in its memory, with the kernels and cores that compute it.
pub(crate) struct Engine<'a, K, S> {
    pub(crate) model: &'a Model<'a>,
    pub(crate) plan: &'a MemoryPlan,
    pub(crate) arena: &'a mut [Line],
    pub(crate) kernels: K,
    pub(crate) split: S,
    pub(crate) budget: u32,
    /// What the kernels did for the last answer.
    pub(crate) counts: Counts,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct Prompt<'p> {
    pub(crate) system: Option<&'p [u8]>,
    pub(crate) text: &'p [u8],
    /// Whether a chat template is left out.
    pub(crate) raw: bool,
}

/// Who asks: a person at a terminal, or a host.
pub(crate) trait Listener {
    /// The prompt, and the board, which is told that all is well while it is encoded.
    fn prompt(&mut self) -> (Prompt<'_>, &mut dyn Board);
    /// The prompt is given; the answer `continues` it where it is not a message.
    fn begin(&mut self, continues: bool);
    /// A token of the answer.
    fn token(&mut self, id: u32, bytes: &[u8]);
    /// Text of earlier tokens, which was held back because it could have begun a stop string.
    fn text(&mut self, bytes: &[u8]);
    /// How likely the token was that came before, where the configuration asks for it.
    fn logprobs(&mut self, logprobs: &Logprobs);
    /// Asked between two steps: whether the answer shall end here.
    fn cancelled(&mut self) -> bool;
    /// The board's clock.
    fn now_us(&mut self) -> u64;
}

/// An answer that was given.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) stop: Stop,
    pub(crate) stats: Stats,
    pub(crate) digest: Option<[u8; 32]>,
    /// Prompt and tokens, as a receipt has them; the ids of the prompt stay where they are.
    pub(crate) given: Given<()>,
    pub(crate) output: Output,
}

impl<K: Kernels, S: Split> Engine<'_, K, S> {
    /// Answers a prompt, in a context of its own: the answer is that of the same prompt on any machine.
    pub(crate) fn answer(
        &mut self,
        config: &GenerationConfig,
        listener: &mut dyn Listener,
    ) -> Result<Answer, Error> {
        let Self { model, plan, arena, kernels, split, budget, counts } = self;
        counts.reset();
        let kernels = Counted::new(*kernels, counts);
        let cpu = Cpu::new(model, plan, arena, kernels, &*split, InPlace)?;
        // Where it was made: a copy would be on the stack too.
        let mut made = Generator::new(model, plan, cpu, config.clone());
        let generator = made.as_mut().map_err(|error| *error)?;
        let tokens = give(model, generator, listener)?;
        info!("prompt: {=u32} tokens, budget {=u32}", tokens, *budget);
        let mut transcript = Transcript::new(generator.given(tokens).unwrap_or_default());
        let (reason, stats) = generate(generator, tokens, *budget, listener, &mut transcript)?;
        let stop = stop(reason);
        info!("answer: {=u32} tokens, {=str}", stats.figures().generated, in_words(stop));
        let output = transcript.output(generator.sampled(), reason);
        Ok(Answer { stop, stats, digest: generator.digest(), given: transcript.prompt(()), output })
    }
}

/// Gives the prompt to the model: as messages where there is a chat template, else as the beginning of the text. The number
/// of tokens.
fn give<C: Backend>(
    model: &Model<'_>,
    generator: &mut Generator<'_, C>,
    listener: &mut dyn Listener,
) -> Result<u32, Error> {
    let (prompt, board) = listener.prompt();
    let mut alive = || board.alive();
    if let Some(template) = model.chat().filter(|_| !prompt.raw) {
        let user = Message { role: Role::User, content: prompt.text };
        let both = [Message { role: Role::System, content: prompt.system.unwrap_or_default() }, user];
        let messages = if prompt.system.is_some() { &both[..] } else { core::slice::from_ref(&user) };
        let pieces = template.render(None, messages, Ending::Reply)?;
        let tokens = generator.pieces(pieces, false, TEXT_STEP, &mut alive)?;
        listener.begin(false);
        return Ok(tokens);
    }
    let tokens = generator.pieces([Piece::Text(prompt.text)].into_iter(), true, TEXT_STEP, &mut alive)?;
    listener.begin(true);
    Ok(tokens)
}

/// The answer, step by step.
fn generate<C: Backend>(
    generator: &mut Generator<'_, C>,
    prompt: u32,
    budget: u32,
    listener: &mut dyn Listener,
    transcript: &mut Transcript,
) -> Result<(Option<StopReason>, Stats), Error> {
    let mut stats = Stats::start(prompt, listener.now_us());
    loop {
        stats.begin_step(listener.now_us());
        let event = generator.step(budget)?;
        let now = listener.now_us();
        stats.step(now);
        match event {
            Event::Working => {}
            Event::Text(bytes) => listener.text(bytes),
            Event::Token { id, bytes } => {
                stats.token(now);
                transcript.token(id);
                listener.token(id, bytes);
                if let Some(logprobs) = generator.logprobs() {
                    listener.logprobs(logprobs);
                }
            }
            Event::Done(reason) => {
                stats.end(now);
                return Ok((Some(reason), stats));
            }
        }
        if listener.cancelled() {
            listener.text(generator.held());
            return Ok((None, stats));
        }
    }
}

/// The reason in the log.
const fn in_words(stop: Stop) -> &'static str {
    match stop {
        Stop::Token(_) | Stop::String(_) => "the text ends",
        Stop::ContextFull => "the context is full",
        Stop::Cancelled => "cancelled",
        _ => "as many as were asked for",
    }
}

const fn stop(reason: Option<StopReason>) -> Stop {
    match reason {
        None => Stop::Cancelled,
        Some(StopReason::Stop(id)) => Stop::Token(id),
        Some(StopReason::ContextFull) => Stop::ContextFull,
        Some(StopReason::StopString(index)) => Stop::String(index as u32),
        // The runtime may learn of further reasons; this one needs no explanation.
        _ => Stop::MaxTokens,
    }
}
