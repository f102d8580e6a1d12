//! From a prompt to a stream of tokens.

mod chooser;

pub use chooser::Chooser;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::{GenerationConfig, MAX_LOGIT_BIAS};
use super::penalty::{MAX_KEPT_WINDOW, changes, penalize_keeping};
use super::sampler::draw;
use super::{Logprobs, StopSet, StopState, StopStrings};
use crate::Error;
use crate::image::Model;
use crate::memory::MemoryPlan;
use crate::model::{Backend, Progress, Session};
use crate::text::{self, Decoder, EncodeOptions, Encoder, Piece, Tokenizer};

/// Why a generation ended.
///
/// ```
/// # use bitnet_edge_core::{
/// #     Event, StopReason, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions,
/// #     include_image,
/// # };
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
/// let config = GenerationConfig { max_tokens: 3, ..GenerationConfig::default() };
/// let mut generator = Generator::new(&model, &plan, cpu, config)?;
/// generator.prompt("once upon a time")?;
/// let reason = loop {
///     if let Event::Done(reason) = generator.step(u32::MAX)? {
///         break reason;
///     }
/// };
/// assert_eq!(reason, StopReason::MaxTokens);
/// assert_eq!(reason.to_string(), "the token limit was reached");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The vocabulary's end token, or a stop token, was sampled. It is part neither of the output nor of the context.
    Stop(u32),
    /// [`GenerationConfig::max_tokens`] were generated.
    MaxTokens,
    /// The last token does not fit the context.
    ContextFull,
    /// The text of [`GenerationConfig::stop_strings`] with this index came. It is no part of the output; its tokens are
    /// part of the context.
    StopString(usize),
}

impl core::fmt::Display for StopReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Stop(id) => write!(f, "stop token {id}"),
            Self::MaxTokens => f.write_str("the token limit was reached"),
            Self::ContextFull => f.write_str("the context is full"),
            Self::StopString(index) => write!(f, "stop string {index}"),
        }
    }
}

/// What a step of a generation brought.
///
/// ```
/// # use bitnet_edge_core::{
/// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
/// # };
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
/// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
/// generator.prompt("hello")?;
/// let mut text = Vec::new();
/// loop {
///     match generator.step(10_000)? {
///         Event::Working => {} // a watchdog is fed here
///         Event::Text(bytes) | Event::Token { bytes, .. } => text.extend_from_slice(bytes),
///         Event::Done(_) => break,
///     }
/// }
/// assert_eq!(text, b" friend!");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'g> {
    /// The budget is spent; call again.
    Working,
    /// Text of earlier tokens, which was held back because it could have been the beginning of a stop string, and is not. The
    /// text of the answer is that of these events and of the tokens, in the order in which they come.
    Text(&'g [u8]),
    /// A token was generated.
    Token {
        /// Its id.
        id: u32,
        /// Its bytes, not always whole characters: [`Utf8Stream`](crate::text::Utf8Stream) makes those. Without those
        /// that are held back, or are part of a stop string.
        bytes: &'g [u8],
    },
    /// The generation has ended. A further prompt continues the context.
    Done(StopReason),
}

/// SHA-256 over the little-endian f32 bits of the logits of every sampled step, in order.
///
/// Two runs with one digest sampled from the same logits, bit for bit.
///
/// ```
/// let digest = bitnet_edge_core::generate::LogitDigest::default();
/// assert_eq!(digest.value()[0], 0xe3); // SHA-256 of nothing
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogitDigest(Sha256);

impl LogitDigest {
    /// Adds the logits of a step.
    ///
    /// ```
    /// use bitnet_edge_core::generate::LogitDigest;
    /// let [mut a, mut b] = [LogitDigest::default(), LogitDigest::default()];
    /// a.update(&[1.0, 0.0]);
    /// b.update(&[1.0, -0.0]); // equal numbers, other bits
    /// assert_ne!(a.value(), b.value());
    /// ```
    pub fn update(&mut self, logits: &[f32]) {
        for l in logits {
            self.0.update(l.to_bits().to_le_bytes());
        }
    }

    /// The digest of what was added so far.
    ///
    /// ```
    /// use bitnet_edge_core::generate::LogitDigest;
    /// let mut digest = LogitDigest::default();
    /// digest.update(&[1.5]);
    /// let first = digest.value();
    /// digest.update(&[2.5]); // reading it does not end it
    /// assert_ne!(digest.value(), first);
    /// ```
    pub fn value(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// An [`Event`] that borrows nothing of the generator.
#[derive(Clone, Copy, Debug)]
enum Outcome<'m> {
    Working,
    /// So many bytes of what is held back in this state.
    Text(StopState, usize),
    Token(u32, &'m [u8]),
    Done(StopReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing to do: a prompt is needed.
    Idle,
    /// Tokens of the prompt, in the plan's slot, from `next` to `end`.
    Prompt { next: u32, end: u32 },
    /// A pass over one generated token.
    Decode,
    /// The token to feed before anything else.
    Pending(u32),
    /// The same, behind a stop string.
    Stopped(u32, usize),
}

/// Generates text from prompts. See the [crate](crate) for a whole example.
///
/// ```
/// # use bitnet_edge_core::{
/// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
/// # };
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
/// let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
/// generator.prompt("once upon a time")?;
/// let mut text = String::new();
/// loop {
///     match generator.step(u32::MAX)? {
///         Event::Working => {}
///         Event::Text(bytes) | Event::Token { bytes, .. } => text.push_str(&String::from_utf8_lossy(bytes)),
///         Event::Done(_) => break,
///     }
/// }
/// assert_eq!(text, ", there lived one model so small that it fit on every board.");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Generator<'m, B> {
    session: Session<'m, B>,
    tokenizer: Option<Tokenizer<'m>>,
    config: GenerationConfig,
    decoder: Decoder,
    state: State,
    sampled: u64,
    generated: u32,
    digest: LogitDigest,
    /// Where the prompt that was given last begins.
    given: u32,
    stop_tokens: StopSet,
    stop_strings: StopStrings,
    /// Where the search for stop strings stands: what is held back.
    stop_state: StopState,
    /// What comes behind the text that was held back.
    next: Option<Outcome<'m>>,
    logprobs: Option<Logprobs>,
}

impl<'m, B: Backend> Generator<'m, B> {
    /// A generator with an empty context.
    ///
    /// # Errors
    /// As [`Session::new`] and [`GenerationConfig::validate`]; [`Error::TokenOutOfRange`] for a bias or a stop token that the
    /// vocabulary does not have.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Error, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// let config = GenerationConfig { temperature: -1.0, ..GenerationConfig::default() };
    /// assert!(matches!(Generator::new(&model, &plan, cpu, config), Err(Error::PlanOption(_))));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    #[inline(never)] // what it copies is not on the stack of the passes that follow
    pub fn new(
        model: &'m Model<'m>,
        plan: &'m MemoryPlan,
        backend: B,
        config: GenerationConfig,
    ) -> Result<Self, Error> {
        let tokenizer = model.tokenizer();
        check(&config, model.config().vocab, tokenizer.as_ref())?;
        Ok(Self {
            session: Session::new(model, plan, backend)?,
            tokenizer,
            stop_tokens: StopSet::new(&config.stop_tokens)?,
            stop_strings: StopStrings::new(&config.stop_strings)?,
            config,
            decoder: Decoder::at_start(),
            state: State::Idle,
            sampled: 0,
            generated: 0,
            digest: LogitDigest::default(),
            given: 0,
            stop_state: StopState::default(),
            next: None,
            logprobs: None,
        })
    }

    /// Goes on with another configuration. It may be changed whenever nothing is under way: before the first prompt, behind
    /// [`Event::Done`], behind [`cancel`](Self::cancel) and [`rewind`](Self::rewind), and between two tokens, where no text is
    /// held back: a step without another prompt goes on with the same text then, under the new configuration.
    ///
    /// # Errors
    /// As [`Generator::new`]; [`Error::Order`] with a prompt or a pass under way, or an event that has still to come. Nothing is
    /// changed then.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, StopReason,
    /// #     include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// generator.configure(GenerationConfig { max_tokens: 0, ..GenerationConfig::default() })?;
    /// generator.prompt("once upon a time")?;
    /// assert_eq!(generator.step(u32::MAX)?, Event::Done(StopReason::MaxTokens));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn configure(&mut self, config: GenerationConfig) -> Result<(), Error> {
        self.begin()?;
        if self.next.is_some() || !self.held().is_empty() {
            return Err(Error::Order("text of the generation under way has still to come"));
        }
        let model = self.session.model();
        check(&config, model.config().vocab, self.tokenizer.as_ref())?;
        let (ids, strings) = (StopSet::new(&config.stop_tokens)?, StopStrings::new(&config.stop_strings)?);
        (self.stop_tokens, self.stop_strings, self.config) = (ids, strings, config);
        self.forget_text();
        Ok(())
    }

    /// The session.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// generator.prompt("once upon a time")?;
    /// while !matches!(generator.step(u32::MAX)?, Event::Done(_)) {}
    /// assert_eq!(generator.session().position(), 4 + 14); // tokens of the prompt and of the answer
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn session(&self) -> &Session<'m, B> {
        &self.session
    }

    /// Forgets all positions from `position` on, the generation under way, and the token that it left unfed.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// generator.prompt("once upon a time")?;
    /// while !matches!(generator.step(u32::MAX)?, Event::Done(_)) {}
    /// generator.rewind(0); // another story
    /// assert_eq!(generator.prompt("once upon a time")?, 4);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn rewind(&mut self, position: u32) {
        self.session.rewind(position);
        self.state = State::Idle;
        self.forget_text();
    }

    /// Forgets everything but the model and the configuration: the context, the draws so far, and the digest of their logits.
    /// What is generated then is what a new generator would.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// let config = GenerationConfig { digest: true, ..GenerationConfig::default() };
    /// let mut generator = Generator::new(&model, &plan, cpu, config)?;
    /// let mut digests = Vec::new();
    /// for _ in 0..2 {
    ///     generator.restart();
    ///     generator.prompt("once upon a time")?;
    ///     while !matches!(generator.step(u32::MAX)?, Event::Done(_)) {}
    ///     digests.push((generator.digest(), generator.sampled()));
    /// }
    /// assert_eq!(digests[0], digests[1]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn restart(&mut self) {
        self.rewind(0);
        (self.sampled, self.generated, self.given) = (0, 0, 0);
        self.digest = LogitDigest::default();
    }

    fn forget_text(&mut self) {
        self.stop_state = StopState::default();
        self.next = None;
        if cfg!(feature = "full") {
            self.logprobs = None;
        }
    }

    /// Text that is held back, because it may be the beginning of a stop string. It comes as [`Event::Text`] if it is not; who
    /// cancels a generation and shows what there is of it takes it before.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # #[cfg(feature = "full")] {
    /// let config = GenerationConfig::default().with_stop_strings(&["lived two"])?;
    /// let mut generator = Generator::new(&model, &plan, cpu, config)?;
    /// generator.prompt("once upon a time")?;
    /// let mut text = Vec::new();
    /// while generator.held().is_empty() {
    ///     if let Event::Text(bytes) | Event::Token { bytes, .. } = generator.step(u32::MAX)? {
    ///         text.extend_from_slice(bytes);
    ///     }
    /// }
    /// assert_eq!((&text[..], generator.held()), (&b", there "[..], &b"lived"[..]));
    /// # }
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn held(&self) -> &[u8] {
        self.stop_strings.held(self.stop_state)
    }

    /// The log-probabilities of the token that was drawn last, if the configuration asks for them; none behind another prompt,
    /// another configuration, [`rewind`](Self::rewind) or [`cancel`](Self::cancel).
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # #[cfg(feature = "full")] {
    /// let config = GenerationConfig::greedy().with_logprobs(Some(2));
    /// let mut generator = Generator::new(&model, &plan, cpu, config)?;
    /// generator.prompt("once upon a time")?;
    /// let Event::Token { id, .. } = generator.step(u32::MAX)? else { panic!("a token") };
    /// let logprobs = generator.logprobs().expect("the configuration asks for them");
    /// assert_eq!((logprobs.id, logprobs.top[0]), (id, (id, logprobs.logprob)));
    /// assert!(logprobs.logprob <= 0.0 && logprobs.top[1].1 < logprobs.logprob);
    /// # }
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn logprobs(&self) -> Option<&Logprobs> {
        self.logprobs.as_ref()
    }

    /// The digest of the logits sampled so far, if the configuration asks for it.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Error, Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions,
    /// #     include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// let mut digest = |budget| {
    ///     let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    ///     let config = GenerationConfig { digest: true, ..GenerationConfig::default() };
    ///     let mut generator = Generator::new(&model, &plan, cpu, config)?;
    ///     generator.prompt("once upon a time")?;
    ///     while !matches!(generator.step(budget)?, Event::Done(_)) {}
    ///     Ok::<_, Error>(generator.digest())
    /// };
    /// let whole = digest(u32::MAX)?;
    /// assert!(whole.is_some()); // `None` unless the configuration asks for it
    /// assert_eq!(digest(5_000)?, whole); // the same logits, bit for bit
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.config.digest.then(|| self.digest.value())
    }

    /// Steps that were sampled so far: tokens, and those that ended a generation.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// generator.prompt("once upon a time")?;
    /// while !matches!(generator.step(u32::MAX)?, Event::Done(_)) {}
    /// assert_eq!(generator.sampled(), 14 + 1); // the tokens of the answer, and the end of the text
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn sampled(&self) -> u64 {
        self.sampled
    }

    /// The first `tokens` ids of the prompt that was given last, if it has as many.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// let tokens = generator.prompt("once upon a time")?;
    /// let ids = generator.given(tokens).expect("it has just been given").to_vec();
    /// generator.rewind(0);
    /// generator.tokens(&ids)?; // the same prompt
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn given(&mut self, tokens: u32) -> Option<&[u32]> {
        let plan = self.session.plan();
        let [ids, _] = self.session.backend_mut().words([plan.tokens, plan.text])?;
        ids.get(self.given as usize..)?.get(..tokens as usize)
    }

    /// Gives text to the model, with the token that begins a text before it where the vocabulary asks for one.
    /// Returns its number of tokens.
    ///
    /// # Errors
    /// As [`pieces`](Self::pieces).
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Error, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// use bitnet_edge_core::text;
    /// assert_eq!(generator.prompt(""), Err(Error::EmptyPrompt));
    /// // This vocabulary has no capital letters. `lossy` would drop them.
    /// let refused = generator.prompt("once Upon");
    /// assert_eq!(refused, Err(Error::Text(text::Error::NoToken { byte: b'U', at: 5 })));
    /// assert_eq!(generator.prompt("once upon a time"), Ok(4));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn prompt(&mut self, text: &str) -> Result<u32, Error> {
        let first = self.session.position() == 0;
        self.pieces([Piece::from(text)].into_iter(), first, u32::MAX, &mut || {})
    }

    /// Gives pieces of text and special tokens to the model: a rendered conversation. `begin` marks the beginning as the
    /// vocabulary asks for. The text is encoded in steps of `budget` units, with a call of `between` after each, where
    /// firmware feeds its watchdog. Returns the number of tokens.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if they do not fit, [`Error::EmptyPrompt`], the tokenizer's [`Error::Text`],
    /// [`Error::Order`] without tokenizer or while a generation is under way.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// use bitnet_edge_core::text::{Ending, Message, Role};
    /// let template = model.chat().expect("this image has a chat template");
    /// let messages = [Message { role: Role::User, content: b"who is there?" }];
    /// let pieces = template.render(None, &messages, Ending::Reply)?;
    /// let mut fed = 0; // how often the watchdog was
    /// generator.pieces(pieces, true, 100, &mut || fed += 1)?;
    /// assert!(fed > 0);
    ///
    /// let mut answer = Vec::new();
    /// loop {
    ///     match generator.step(u32::MAX)? {
    ///         Event::Working => {}
    ///         Event::Text(bytes) | Event::Token { bytes, .. } => answer.extend_from_slice(bytes),
    ///         Event::Done(_) => break,
    ///     }
    /// }
    /// assert_eq!(answer, b"hello friend!");
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn pieces<'p>(
        &mut self,
        pieces: impl Iterator<Item = Piece<'p>>,
        begin: bool,
        budget: u32,
        between: &mut dyn FnMut(),
    ) -> Result<u32, Error> {
        let tokenizer = self.tokenizer.ok_or(Error::Order("the image has no tokenizer: give token ids"))?;
        let pending = self.begin()?;
        let (room, position) = (self.session.room(), self.session.position());
        let have = self.session.plan().options().context;
        let plan = self.session.plan();
        let unfed = pending.iter().len() as u32;
        let full = |tokens: u32| Error::ContextFull {
            need: position.saturating_add(unfed).saturating_add(tokens),
            have,
        };
        let [ids, scratch] = self
            .session
            .backend_mut()
            .words([plan.tokens, plan.text])
            .ok_or(Error::Order("the backend has no memory for the tokens of a prompt"))?;
        // Each token of the context lies at its position.
        let ids = ids.get_mut(position as usize..).and_then(|ids| ids.get_mut(..room as usize));
        let ids = ids.ok_or(full(1))?;
        let (head, ids) = ids.split_at_mut_checked(pending.iter().len()).ok_or(full(1))?;
        if let (Some(slot), Some(id)) = (head.first_mut(), pending) {
            *slot = id;
        }
        let options = EncodeOptions { mark_ends: begin && self.config.add_bos, lossy: self.config.lossy };
        let mut encoder = Encoder::new(&tokenizer, pieces, scratch, ids, options);
        let tokens = loop {
            match encoder.step(budget) {
                Ok(text::Progress::More) => between(),
                Ok(text::Progress::Done { tokens }) => break tokens,
                Err(text::Error::OutputTooSmall { need, .. }) => return Err(full(need)),
                Err(e) => return Err(e.into()),
            }
        };
        let end = tokens.saturating_add(head.len()) as u32;
        if tokens == 0 {
            return Err(Error::EmptyPrompt);
        }
        self.start(end);
        Ok(end)
    }

    /// Gives token ids to the model.
    ///
    /// # Errors
    /// [`Error::ContextFull`], [`Error::EmptyPrompt`]; [`Error::Order`] while a generation is under way.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Error, Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions,
    /// #     include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// generator.tokens(&[4])?;
    /// assert!(matches!(generator.step(u32::MAX)?, Event::Token { id: 5, .. }));
    /// assert!(matches!(generator.tokens(&[4; 65]), Err(Error::ContextFull { need: 67, have: 64 })));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn tokens(&mut self, given: &[u32]) -> Result<(), Error> {
        let pending = self.begin()?;
        if given.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        let need = given.len().saturating_add(pending.iter().len());
        let full = Error::ContextFull {
            need: self.session.position().saturating_add(need as u32),
            have: self.session.plan().options().context,
        };
        if need > self.session.room() as usize {
            return Err(full);
        }
        let (plan, position) = (self.session.plan(), self.session.position() as usize);
        let words = self.session.backend_mut().words([plan.tokens, plan.text]);
        let [ids, _] = words.ok_or(Error::Order("the backend has no memory for the tokens of a prompt"))?;
        for (to, id) in ids.iter_mut().skip(position).zip(pending.into_iter().chain(given.iter().copied())) {
            *to = id;
        }
        self.start(need as u32);
        Ok(())
    }

    /// Whether a prompt may be given; the token that a generation ended by its length left unfed, if any.
    fn begin(&self) -> Result<Option<u32>, Error> {
        let pending = match self.state {
            State::Idle => None,
            State::Pending(id) | State::Stopped(id, _) => Some(id),
            State::Prompt { .. } | State::Decode => return Err(Error::Order("a generation is under way")),
        };
        Ok(pending)
    }

    /// A prompt of `end` tokens, the pending one included, is in place. A prompt that was refused changes nothing.
    fn start(&mut self, end: u32) {
        (self.generated, self.given) = (0, self.session.position());
        self.forget_text();
        self.decoder = if self.session.position() == 0 { Decoder::at_start() } else { Decoder::continuing() };
        if !self.config.skip_special_tokens {
            self.decoder = self.decoder.with_special();
        }
        self.state = State::Prompt { next: 0, end };
    }

    /// Abandons the generation under way. What the model has seen stays; a further prompt continues behind it.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// generator.prompt("once upon a time")?;
    /// assert!(matches!(generator.step(u32::MAX)?, Event::Token { .. }));
    /// generator.cancel(); // the user has seen enough
    /// generator.prompt("hello")?;
    /// assert!(matches!(generator.step(u32::MAX)?, Event::Token { bytes: b" friend", .. }));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn cancel(&mut self) {
        self.rewind(self.session.position());
    }

    /// Works until a token comes, or the budget (multiply-accumulates) is spent; see [`Session::step`]. Sampling, four
    /// reads of the logits, comes on top.
    ///
    /// # Errors
    /// As [`Session::step`]; [`Error::Order`] without a prompt. After an error the generation is abandoned.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Error, Event, Cpu, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions,
    /// #     include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default())?;
    /// assert!(matches!(generator.step(1), Err(Error::Order(_)))); // there is no prompt
    /// generator.prompt("once upon a time")?;
    /// let mut working = 0;
    /// while generator.step(20_000)? == Event::Working {
    ///     working += 1;
    /// }
    /// assert!(working > 0); // the first token took several steps
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn step(&mut self, budget: u32) -> Result<Event<'_>, Error> {
        match self.advance(budget) {
            Ok(Outcome::Working) => Ok(Event::Working),
            Ok(Outcome::Text(state, length)) => {
                let held = self.stop_strings.held(state);
                Ok(Event::Text(held.get(..length).unwrap_or(held)))
            }
            Ok(Outcome::Token(id, bytes)) => Ok(Event::Token { id, bytes }),
            Ok(Outcome::Done(reason)) => Ok(Event::Done(reason)),
            Err(error) => {
                self.cancel();
                Err(error)
            }
        }
    }

    fn advance(&mut self, budget: u32) -> Result<Outcome<'m>, Error> {
        if let Some(outcome) = self.next.take() {
            return Ok(outcome);
        }
        if !self.session.is_busy()
            && let Some(reason) = self.start_pass()?
        {
            return Ok(self.end(reason));
        }
        if self.session.step(budget)? == Progress::Working {
            return Ok(Outcome::Working);
        }
        if let State::Prompt { next, end } = self.state
            && next < end
        {
            return Ok(Outcome::Working);
        }
        self.emit()
    }

    /// Begins the next pass, or says why there is none.
    fn start_pass(&mut self) -> Result<Option<StopReason>, Error> {
        match self.state {
            State::Prompt { next, end } => {
                let n = end.saturating_sub(next).min(self.session.batch() as u32);
                self.stage_prompt(n as usize)?;
                self.session.launch(n as usize, next + n == end)?;
                self.state = State::Prompt { next: next + n, end };
                Ok(None)
            }
            State::Stopped(_, index) => Ok(Some(StopReason::StopString(index))),
            State::Pending(_) if self.generated >= self.config.max_tokens => Ok(Some(StopReason::MaxTokens)),
            State::Pending(_) if self.session.room() == 0 => Ok(Some(StopReason::ContextFull)),
            State::Pending(id) => {
                self.session.begin(&[id], true)?;
                self.state = State::Decode;
                Ok(None)
            }
            State::Idle | State::Decode => Err(Error::Order("give a prompt first")),
        }
    }

    /// Places the next `n` tokens of the prompt for a pass, a few at a time: they lie in memory of the backend.
    fn stage_prompt(&mut self, n: usize) -> Result<(), Error> {
        const PIECE: usize = 32;
        let (plan, from) = (self.session.plan(), self.session.position() as usize);
        for at in (0..n).step_by(PIECE) {
            let len = PIECE.min(n.saturating_sub(at));
            let mut piece = [0; PIECE];
            let memory = self.session.backend_mut().words([plan.tokens, plan.text]);
            let ids = memory.as_ref().and_then(|[ids, _]| ids.get(from.saturating_add(at)..)).unwrap_or(&[]);
            for (to, id) in piece.iter_mut().zip(ids) {
                *to = *id;
            }
            self.session.stage(at, piece.get(..len).unwrap_or(&[]))?;
        }
        Ok(())
    }

    /// Samples from the logits of the pass that has just ended.
    #[inline(never)] // the memory of the sampler is not on the stack of a pass
    fn emit(&mut self) -> Result<Outcome<'m>, Error> {
        if self.config.max_tokens == 0 {
            self.state = State::Idle;
            return Ok(Outcome::Done(StopReason::MaxTokens));
        }
        let logits = self.session.logits()?;
        if self.config.digest {
            self.digest.update(logits);
        }
        // An embedding may have more rows than the vocabulary has tokens: those stand for nothing.
        let known = self.tokenizer.map_or(logits.len(), |t| t.token_count() as usize);
        let id = if cfg!(feature = "full") && (changes(&self.config) || self.config.logprobs.is_some()) {
            self.draw_changed(known)?
        } else {
            draw(logits.get(..known).unwrap_or(logits), &self.config, self.sampled)
        };
        self.sampled = self.sampled.saturating_add(1);
        self.generated = self.generated.saturating_add(1);
        let end = self.tokenizer.is_some_and(|t| t.is_end(id)) && !self.config.ignore_eos;
        if self.stop_tokens.contains(id) || end {
            // It is not fed: what follows a turn in a chat template begins with the token that ends it.
            self.state = State::Idle;
            return Ok(self.end(StopReason::Stop(id)));
        }
        self.state = State::Pending(id);
        let bytes = match &self.tokenizer {
            Some(tokenizer) => self.decoder.bytes(tokenizer, id),
            None => &[],
        };
        if cfg!(feature = "full") {
            self.remember(id);
            return Ok(self.release(id, bytes));
        }
        Ok(Outcome::Token(id, bytes))
    }

    /// The token that is drawn from the first `known` logits once they are changed, and the log-probabilities, which are of
    /// the logits as they were.
    fn draw_changed(&mut self, known: usize) -> Result<u32, Error> {
        let (plan, position) = (self.session.plan(), self.session.position() as usize);
        let (all, tokens) = self.session.backend_mut().draw(plan.logits, plan.tokens)?;
        let logits = all.get_mut(..known).ok_or(Error::Order("the logits are fewer than the tokens"))?;
        let mut kept = heapless::Vec::<_, { MAX_LOGIT_BIAS + MAX_KEPT_WINDOW }>::new();
        let mut keep = |id: u32, logit: f32| {
            let _ = kept.push((id, logit)); // one change a bias and a token of the window, or nobody needs it
        };
        if changes(&self.config) {
            penalize_keeping(logits, tokens.get(..position).unwrap_or(tokens), &self.config, &mut keep)?;
        }
        let id = draw(logits, &self.config, self.sampled);
        if let Some(n) = self.config.logprobs {
            for (id, logit) in kept.into_iter().rev() {
                if let Some(place) = logits.get_mut(id as usize) {
                    *place = logit;
                }
            }
            self.logprobs = Some(Logprobs::of(logits, id, n)?);
        }
        Ok(id)
    }

    /// Keeps a token at the position that it will have in the context.
    fn remember(&mut self, id: u32) {
        let (plan, position) = (self.session.plan(), self.session.position() as usize);
        let memory = self.session.backend_mut().words([plan.tokens, plan.text]);
        if let Some(place) = memory.and_then(|[ids, _]| ids.get_mut(position)) {
            *place = id;
        }
    }

    /// The bytes of a token that are no part of a stop string, and what was held back before it.
    fn release(&mut self, id: u32, bytes: &'m [u8]) -> Outcome<'m> {
        let before = self.stop_state;
        let fed = self.stop_strings.feed(&mut self.stop_state, bytes);
        let (held, released, stop) = (fed.held.len(), fed.bytes.len(), fed.stop);
        if let Some(stop) = stop {
            self.state = State::Stopped(id, stop.index);
        }
        let token = Outcome::Token(id, bytes.get(..released).unwrap_or(bytes));
        self.behind(before, held, token)
    }

    /// The end of a generation, behind what is held back.
    fn end(&mut self, reason: StopReason) -> Outcome<'m> {
        let held = self.held().len();
        let state = core::mem::take(&mut self.stop_state);
        self.behind(state, held, Outcome::Done(reason))
    }

    /// An outcome, behind so many bytes of what is held back in a state.
    fn behind(&mut self, state: StopState, held: usize, outcome: Outcome<'m>) -> Outcome<'m> {
        if held == 0 {
            return outcome;
        }
        self.next = Some(outcome);
        Outcome::Text(state, held)
    }
}

/// Whether a model of `vocab` rows can be asked for this.
fn check(config: &GenerationConfig, vocab: u32, tokenizer: Option<&Tokenizer<'_>>) -> Result<(), Error> {
    config.validate()?;
    if cfg!(feature = "full") {
        let vocab = tokenizer.map_or(vocab, Tokenizer::token_count);
        let ids = config.stop_tokens.iter().chain(config.logit_bias.iter().map(|(id, _)| id));
        if let Some(&id) = ids.into_iter().find(|&&id| id >= vocab) {
            return Err(Error::TokenOutOfRange { id, vocab });
        }
    }
    Ok(())
}
