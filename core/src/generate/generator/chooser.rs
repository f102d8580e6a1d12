//! The machine that gives the nodes of a trie of choices to the model, one behind the other.

use heapless::Vec;

use super::super::choose::{Choice, MAX_CHOICES, Node, Trie};
use super::{Generator, State};
use crate::Error;
use crate::model::{Backend, Progress, Session};
use crate::text::{self, EncodeOptions, Encoder, Piece};

/// A choice under way: see [`Generator::choose`].
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
/// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy())?;
/// generator.prompt("hello")?;
/// let mut chooser = generator.choose(&[" stranger", " friend!"])?;
/// let choice = loop {
///     match chooser.step(10_000)? {
///         None => {} // a watchdog is fed here
///         Some(choice) => break choice,
///     }
/// };
/// assert_eq!(choice.index, 1);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Chooser<'g, 'm, B: Backend> {
    generator: &'g mut Generator<'m, B>,
    trie: Trie,
    /// The position behind the prompt.
    base: u32,
    phase: Phase,
    probabilities: Vec<f32, MAX_CHOICES>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The prompt is not in the context yet.
    Prompt,
    /// Tokens before this node are.
    Node(Node),
    Done(Choice),
}

impl<'m, B: Backend> Generator<'m, B> {
    /// Begins a choice among some strings as the continuation of the prompt that was given, or of the text that ended by its
    /// length: for a device that must decide. No text is generated.
    ///
    /// The strings' tokens are those that a further [`prompt`](Self::prompt) would have. They make a trie, and a string's
    /// probability is that of arriving at it if at every node of the trie the model samples among what can follow: the product,
    /// over the nodes at which more than one thing can, of the softmax over those. So the probabilities of all strings add up
    /// to 1. Where a string ends and another goes on, every token with which none goes on ends it.
    ///
    /// What is chosen is the likeliest string with temperature 0, else one that is drawn with the configuration's temperature
    /// and seed: no other option has a part in it. The strings may come in any order. What strings share is computed once, and
    /// what follows where they differ no more is not computed at all: strings that differ in their first token cost nothing but
    /// the prompt. The logits of every node go into the [`digest`](Self::digest).
    ///
    /// # Errors
    /// [`Error::Choice`] for a string that is empty, has no token, or has the tokens of another, for more than
    /// [`MAX_CHOICES`], and for more than [`MAX_CHOICE_TOKENS`](crate::generate::MAX_CHOICE_TOKENS) tokens together;
    /// [`Error::ContextFull`], the tokenizer's [`Error::Text`], and [`Error::Order`] without tokenizer or prompt, or when a
    /// generation is under way. What was refused changes nothing.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Cpu, Error, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy())?;
    /// let actions = [" friend!", " every board", " one model"];
    /// generator.prompt("hello")?;
    /// assert!(matches!(generator.choose(&["on", ""]), Err(Error::Choice { index: 1, .. })));
    ///
    /// let mut chooser = generator.choose(&actions)?;
    /// let choice = loop {
    ///     if let Some(choice) = chooser.step(u32::MAX)? {
    ///         break choice;
    ///     }
    /// };
    /// assert_eq!(actions[choice.index], " friend!");
    /// assert!(choice.probability > 0.9);
    /// assert!((chooser.probabilities().iter().sum::<f32>() - 1.0).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn choose(&mut self, strings: &[&str]) -> Result<Chooser<'_, 'm, B>, Error> {
        let unfed = match self.state {
            State::Prompt { next, end } if !self.session.is_busy() => end.saturating_sub(next),
            State::Pending(_) | State::Stopped(..) => 1,
            State::Idle => return Err(Error::Order("give a prompt first")),
            State::Prompt { .. } | State::Decode => return Err(Error::Order("a generation is under way")),
        };
        let trie = self.trie(strings)?;
        let base = self.session.position().saturating_add(unfed);
        let (need, have) = (base.saturating_add(trie.depth() as u32), self.session.plan().options().context);
        if need > have {
            return Err(Error::ContextFull { need, have });
        }
        if let State::Pending(id) | State::Stopped(id, _) = self.state {
            let (plan, position) = (self.session.plan(), self.session.position() as usize);
            let words = self.session.backend_mut().words([plan.tokens, plan.text]);
            let slot = words.and_then(|[ids, _]| ids.get_mut(position));
            *slot.ok_or(Error::Order("the backend has no memory for the tokens of a prompt"))? = id;
            self.state = State::Prompt { next: 0, end: 1 };
        }
        Ok(Chooser { generator: self, trie, base, phase: Phase::Prompt, probabilities: Vec::new() })
    }

    /// The tokens of some strings.
    fn trie(&mut self, strings: &[&str]) -> Result<Trie, Error> {
        let tokenizer = self.tokenizer.ok_or(Error::Order("the image has no tokenizer"))?;
        if strings.is_empty() {
            return Err(Error::Choice { index: 0, what: "there is none" });
        }
        let plan = self.session.plan();
        let [_, scratch] = self
            .session
            .backend_mut()
            .words([plan.tokens, plan.text])
            .ok_or(Error::Order("the backend has no memory for text"))?;
        let options = EncodeOptions { mark_ends: false, lossy: self.config.lossy };
        let mut trie = Trie::new();
        for (index, &string) in (0u32..).zip(strings) {
            if string.is_empty() {
                return Err(Error::Choice { index, what: "it is empty" });
            }
            trie.add(|out| {
                let piece = core::iter::once(Piece::from(string));
                let mut encoder = Encoder::new(&tokenizer, piece, scratch, out, options);
                loop {
                    match encoder.step(u32::MAX) {
                        Ok(text::Progress::More) => {}
                        Ok(text::Progress::Done { tokens }) => return Ok(tokens),
                        Err(text::Error::OutputTooSmall { .. }) => {
                            return Err(Error::Choice {
                                index,
                                what: "with it there are more than 256 tokens",
                            });
                        }
                        Err(e) => return Err(e.into()),
                    }
                }
            })?;
        }
        Ok(trie)
    }
}

impl<'m, B: Backend> Chooser<'_, 'm, B> {
    /// Works until something is chosen, or the budget (multiply-accumulates) is spent; see
    /// [`Session::step`](crate::Session::step). What is chosen is no part of the context, which is then that behind the
    /// prompt: give it as a further prompt to go on with it.
    ///
    /// # Errors
    /// As [`Session::step`](crate::Session::step). After an error the choice is abandoned.
    ///
    /// ```
    /// # use bitnet_edge_core::{
    /// #     Cpu, Event, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
    /// # };
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy())?;
    /// let begin = [", there lived one", ", there"];
    /// generator.prompt("once upon a time")?;
    /// let mut chooser = generator.choose(&begin)?;
    /// let choice = loop {
    ///     if let Some(choice) = chooser.step(u32::MAX)? {
    ///         break choice;
    ///     }
    /// };
    /// assert_eq!(choice.index, 0); // it goes on
    /// drop(chooser);
    /// generator.prompt(begin[choice.index])?;
    /// assert!(matches!(generator.step(u32::MAX)?, Event::Token { bytes: b" model", .. }));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn step(&mut self, budget: u32) -> Result<Option<Choice>, Error> {
        let result = self.advance(budget);
        if result.is_err() {
            self.generator.rewind(self.base);
        }
        result
    }

    /// The probability of each string under the model, in the order in which they were given. None before something is chosen.
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
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy())?;
    /// generator.prompt("hello")?;
    /// let mut chooser = generator.choose(&["!", " friend"])?;
    /// while chooser.step(u32::MAX)?.is_none() {}
    /// let p = chooser.probabilities();
    /// assert!(p[1] > p[0]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// The session: its position tells how far the prompt is.
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
    /// # let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy())?;
    /// let tokens = generator.prompt("once upon a time")?;
    /// let mut chooser = generator.choose(&[", there", " the"])?;
    /// while chooser.step(u32::MAX)?.is_none() {}
    /// assert_eq!(chooser.session().position(), tokens); // what is chosen is no part of the context
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn session(&self) -> &Session<'m, B> {
        self.generator.session()
    }

    fn advance(&mut self, budget: u32) -> Result<Option<Choice>, Error> {
        let node = match self.phase {
            Phase::Done(choice) => return Ok(Some(choice)),
            Phase::Prompt => {
                let generator = &mut *self.generator;
                if !generator.session.is_busy() {
                    generator.start_pass()?;
                }
                let unfed = |state| matches!(state, State::Prompt { next, end } if next < end);
                if generator.session.step(budget)? == Progress::Working || unfed(generator.state) {
                    return Ok(None);
                }
                self.generator.state = State::Idle;
                Node { from: 0, depth: 0 }
            }
            Phase::Node(node) => {
                if self.generator.session.step(budget)? == Progress::Working {
                    return Ok(None);
                }
                node
            }
        };
        self.phase = Phase::Node(node);
        let fed = self.generator.session.position().saturating_sub(self.base) as usize;
        if fed < node.depth {
            self.feed(node, fed)?;
            return Ok(None);
        }
        self.arrive(node)
    }

    /// The logits behind a node's tokens are there: uses them, and goes on to the next node or chooses.
    fn arrive(&mut self, node: Node) -> Result<Option<Choice>, Error> {
        if self.trie.next(node) == Some(node) {
            let generator = &mut *self.generator;
            let logits = generator.session.logits()?;
            if generator.config.digest {
                generator.digest.update(logits);
            }
            // An embedding may have more rows than the vocabulary has tokens: those stand for nothing.
            let known = generator.tokenizer.map_or(logits.len(), |t| t.token_count() as usize);
            let logits = logits.get(..known).unwrap_or(logits);
            self.trie.weigh(node, logits, generator.config.temperature);
        }
        if let Some(next) = self.trie.next(Node { depth: node.depth.saturating_add(1), ..node }) {
            let shared = self.trie.shared(node.from, next.from).min(node.depth);
            self.generator.session.rewind(self.base.saturating_add(shared as u32));
            self.phase = Phase::Node(next);
            self.feed(next, shared)?;
            return Ok(None);
        }
        self.generator.rewind(self.base);
        let drawn = self.trie.choose(&self.generator.config, self.generator.sampled);
        let choice = drawn.ok_or(Error::Order("there is nothing to choose from"))?;
        self.generator.sampled = self.generator.sampled.saturating_add(1);
        self.probabilities = self.trie.probabilities();
        self.phase = Phase::Done(choice);
        Ok(Some(choice))
    }

    /// Begins a pass over the tokens before a node, of which the model has seen the first `fed`.
    fn feed(&mut self, node: Node, fed: usize) -> Result<(), Error> {
        let session = &mut self.generator.session;
        let end = node.depth.min(fed.saturating_add(session.batch()));
        session.begin(self.trie.path(node.from).get(fed..end).unwrap_or(&[]), end == node.depth)
    }
}

/// A choice that is given up leaves the context behind the prompt; a prompt that is not fed yet stays given.
impl<B: Backend> Drop for Chooser<'_, '_, B> {
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Node(_)) {
            self.generator.rewind(self.base);
        }
    }
}
