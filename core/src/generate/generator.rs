//! From a prompt to a stream of tokens.

mod chooser;

pub use chooser::Chooser;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::GenerationConfig;
use super::sampler::draw;
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
}

impl core::fmt::Display for StopReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Stop(id) => write!(f, "stop token {id}"),
            Self::MaxTokens => f.write_str("the token limit was reached"),
            Self::ContextFull => f.write_str("the context is full"),
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
///         Event::Token { bytes, .. } => text.extend_from_slice(bytes),
///         Event::Done(_) => break,
///     }
/// }
/// assert_eq!(text, b" friend!");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'m> {
    /// The budget is spent; call again.
    Working,
    /// A token was generated.
    Token {
        /// Its id.
        id: u32,
        /// Its bytes, not always whole characters: [`Utf8Stream`](crate::text::Utf8Stream) makes those.
        bytes: &'m [u8],
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
///         Event::Token { bytes, .. } => text.push_str(&String::from_utf8_lossy(bytes)),
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
}

impl<'m, B: Backend> Generator<'m, B> {
    /// A generator with an empty context.
    ///
    /// # Errors
    /// As [`Session::new`] and [`GenerationConfig::validate`].
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
    pub fn new(
        model: &'m Model<'m>,
        plan: &'m MemoryPlan,
        backend: B,
        config: GenerationConfig,
    ) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self {
            session: Session::new(model, plan, backend)?,
            tokenizer: model.tokenizer(),
            config,
            decoder: Decoder::at_start(),
            state: State::Idle,
            sampled: 0,
            generated: 0,
            digest: LogitDigest::default(),
        })
    }

    /// Goes on with another configuration: from the next token.
    ///
    /// # Errors
    /// As [`GenerationConfig::validate`]; nothing is changed then.
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
        config.validate()?;
        self.config = config;
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
        ids.get(..tokens as usize)
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
    ///         Event::Token { bytes, .. } => answer.extend_from_slice(bytes),
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
        let full = |need: u32| Error::ContextFull { need: position.saturating_add(need), have };
        let [ids, scratch] = self
            .session
            .backend_mut()
            .words([plan.tokens, plan.text])
            .ok_or(Error::Order("the backend has no memory for the tokens of a prompt"))?;
        let ids = ids.get_mut(..room as usize).ok_or(full(0))?;
        let (head, ids) = ids.split_at_mut_checked(pending.iter().len()).ok_or(full(1))?;
        if let (Some(slot), Some(id)) = (head.first_mut(), pending) {
            *slot = id;
        }
        let options = EncodeOptions { mark_ends: begin, lossy: self.config.lossy };
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
        let plan = self.session.plan();
        let [ids, _] = self.session.backend_mut().words([plan.tokens, plan.text]).ok_or(full)?;
        for (to, id) in ids.iter_mut().zip(pending.into_iter().chain(given.iter().copied())) {
            *to = id;
        }
        self.start(need as u32);
        Ok(())
    }

    /// Whether a prompt may be given; the token that a generation ended by its length left unfed, if any.
    fn begin(&self) -> Result<Option<u32>, Error> {
        let pending = match self.state {
            State::Idle => None,
            State::Pending(id) => Some(id),
            State::Prompt { .. } | State::Decode => return Err(Error::Order("a generation is under way")),
        };
        Ok(pending)
    }

    /// A prompt of `end` tokens, the pending one included, is in place. A prompt that was refused changes nothing.
    fn start(&mut self, end: u32) {
        self.generated = 0;
        self.decoder = if self.session.position() == 0 { Decoder::at_start() } else { Decoder::continuing() };
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
    pub fn step(&mut self, budget: u32) -> Result<Event<'m>, Error> {
        let result = self.advance(budget);
        if result.is_err() {
            self.cancel();
        }
        result
    }

    fn advance(&mut self, budget: u32) -> Result<Event<'m>, Error> {
        if !self.session.is_busy()
            && let Some(reason) = self.start_pass()?
        {
            return Ok(Event::Done(reason));
        }
        if self.session.step(budget)? == Progress::Working {
            return Ok(Event::Working);
        }
        if let State::Prompt { next, end } = self.state
            && next < end
        {
            return Ok(Event::Working);
        }
        self.emit()
    }

    /// Begins the next pass, or says why there is none.
    fn start_pass(&mut self) -> Result<Option<StopReason>, Error> {
        match self.state {
            State::Prompt { next, end } => {
                let n = end.saturating_sub(next).min(self.session.batch() as u32);
                self.stage_prompt(next as usize, n as usize)?;
                self.session.launch(n as usize, next + n == end)?;
                self.state = State::Prompt { next: next + n, end };
                Ok(None)
            }
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

    /// Places `n` tokens of the prompt for a pass, a few at a time: they lie in memory of the backend.
    fn stage_prompt(&mut self, from: usize, n: usize) -> Result<(), Error> {
        const PIECE: usize = 32;
        let plan = self.session.plan();
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
    fn emit(&mut self) -> Result<Event<'m>, Error> {
        if self.config.max_tokens == 0 {
            self.state = State::Idle;
            return Ok(Event::Done(StopReason::MaxTokens));
        }
        let logits = self.session.logits()?;
        if self.config.digest {
            self.digest.update(logits);
        }
        // An embedding may have more rows than the vocabulary has tokens: those stand for nothing.
        let known = self.tokenizer.map_or(logits.len(), |t| t.token_count() as usize);
        let id = draw(logits.get(..known).unwrap_or(logits), &self.config, self.sampled);
        self.sampled = self.sampled.saturating_add(1);
        self.generated = self.generated.saturating_add(1);
        let end = self.tokenizer.is_some_and(|t| t.is_end(id)) && !self.config.ignore_eos;
        if end || self.config.stop_tokens.contains(&id) {
            // It is not fed: what follows a turn in a chat template begins with the token that ends it.
            self.state = State::Idle;
            return Ok(Event::Done(StopReason::Stop(id)));
        }
        self.state = State::Pending(id);
        let bytes = match &self.tokenizer {
            Some(tokenizer) => self.decoder.bytes(tokenizer, id),
            None => &[],
        };
        Ok(Event::Token { id, bytes })
    }
}
