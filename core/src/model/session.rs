//! A session: a model, a plan, a backend, and where the pass stands.

use super::backend::Backend;
use super::op::RowsOf;
use super::program::{Next, Program};
use crate::Error;
use crate::image::Model;
use crate::memory::{MemoryPlan, STEP_IDS};

/// How far a step came.
///
/// ```
/// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
/// # let mut session = Session::new(&model, &plan, cpu)?;
/// use bitnet_edge_core::model::Progress;
/// session.begin(&[4], true)?;
/// let mut steps = 1;
/// while session.step(10_000)? == Progress::Working {
///     steps += 1; // between two steps a board does its other work
/// }
/// assert!(steps > 1);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is spent; call again.
    Working,
    /// What was begun is complete.
    Done,
}

/// A model running in an arena.
///
/// ```
/// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// let mut session = Session::new(&model, &plan, Cpu::scalar(&model, &plan, &mut arena)?)?;
/// let logits = session.decode(4)?;
/// assert_eq!(logits.len(), model.config().vocab as usize);
/// let best = (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id);
/// assert_eq!(best, Some(5)); // what this model says behind token 4
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Session<'m, B> {
    model: &'m Model<'m>,
    plan: &'m MemoryPlan,
    backend: B,
    position: u32,
    /// Tokens of the pass under way; 0 when none is.
    tokens: u32,
    pc: u32,
    unit: u32,
    want_logits: bool,
}

impl<'m, B: Backend> Session<'m, B> {
    /// A session with an empty context.
    ///
    /// # Errors
    /// [`Error::PlanOption`] if the plan was made for a model of another configuration.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// let session = Session::new(&model, &plan, Cpu::scalar(&model, &plan, &mut arena)?)?;
    /// assert_eq!((session.position(), session.room()), (0, 64));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn new(model: &'m Model<'m>, plan: &'m MemoryPlan, backend: B) -> Result<Self, Error> {
        if plan.config() != model.config() {
            return Err(Error::PlanOption("it was made for a model of another configuration"));
        }
        Ok(Self { model, plan, backend, position: 0, tokens: 0, pc: 0, unit: 0, want_logits: false })
    }

    /// The model.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// assert_eq!(session.model().config().layers, 2);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn model(&self) -> &'m Model<'m> {
        self.model
    }

    /// The plan.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// assert_eq!(session.plan().options().context, 64);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn plan(&self) -> &'m MemoryPlan {
        self.plan
    }

    /// The backend.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// use bitnet_edge_core::Backend;
    /// assert_eq!(session.backend().name(), "scalar");
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    /// The backend, to change what is its own.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// use bitnet_edge_core::Backend;
    /// session.decode(4)?;
    /// assert_eq!(session.backend_mut().read(plan.logits)?.len(), 56);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Positions in use.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// session.prefill(&[4, 5, 6], false)?;
    /// assert_eq!(session.position(), 3);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn position(&self) -> u32 {
        self.position
    }

    /// Positions of the context that are free.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// session.prefill(&[4; 60], false)?;
    /// assert_eq!(session.room(), 4);
    /// let refused = session.prefill(&[4; 5], false);
    /// assert_eq!(refused, Err(Error::ContextFull { need: 65, have: 64 }));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn room(&self) -> u32 {
        self.plan.options().context.saturating_sub(self.position)
    }

    /// Whether a pass is under way.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// session.begin(&[4], false)?;
    /// assert!(session.is_busy());
    /// session.step(u32::MAX)?;
    /// assert!(!session.is_busy());
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn is_busy(&self) -> bool {
        self.tokens != 0
    }

    /// Tokens that one pass can take.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// assert_eq!(session.batch(), plan.options().batch as usize);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn batch(&self) -> usize {
        self.plan.options().batch as usize
    }

    /// Forgets all positions from `position` on. A pass under way is abandoned.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// session.prefill(&[4, 5, 6], false)?; // the beginning that all prompts share
    /// let first = session.decode(7)?.to_vec();
    /// session.rewind(3);
    /// assert_eq!(session.decode(7)?, first); // the same bits
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn rewind(&mut self, position: u32) {
        self.position = self.position.min(position);
        self.tokens = 0;
    }

    /// Begins a pass over `ids`, at most [`batch`](Self::batch) of them; [`step`](Self::step) runs it. With
    /// `want_logits` it ends with the logits behind the last of them.
    ///
    /// # Errors
    /// [`Error::ContextFull`], [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`]; [`Error::Order`] if a pass is under
    /// way or `ids` are too many.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// use bitnet_edge_core::model::Progress;
    /// session.begin(&[4, 5, 6], true)?;
    /// while session.step(5_000)? == Progress::Working {}
    /// assert_eq!(session.logits()?.len(), 56);
    ///
    /// let refused = session.begin(&[1000], true);
    /// assert_eq!(refused, Err(Error::TokenOutOfRange { id: 1000, vocab: 56 }));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn begin(&mut self, ids: &[u32], want_logits: bool) -> Result<(), Error> {
        self.stage(0, ids)?;
        self.launch(ids.len(), want_logits)
    }

    /// Places token ids for the next pass, from its token `at` on.
    pub(crate) fn stage(&mut self, at: usize, ids: &[u32]) -> Result<(), Error> {
        if self.tokens != 0 {
            return Err(Error::Order("a pass is under way"));
        }
        let vocab = self.model.config().vocab;
        if let Some(&id) = ids.iter().find(|&&id| id >= vocab) {
            return Err(Error::TokenOutOfRange { id, vocab });
        }
        let place = self.plan.step.part(STEP_IDS.saturating_add(at), ids.len());
        self.backend.write(place.ok_or(Error::Order("more tokens than a batch of the plan"))?, ids)
    }

    /// Begins a pass over the tokens that [`stage`](Self::stage) placed.
    pub(crate) fn launch(&mut self, tokens: usize, want_logits: bool) -> Result<(), Error> {
        if tokens == 0 {
            return Err(Error::EmptyPrompt);
        }
        let tokens = tokens as u32;
        if tokens > self.room() {
            return Err(Error::ContextFull {
                need: self.position.saturating_add(tokens),
                have: self.plan.options().context,
            });
        }
        self.backend.write(self.plan.step, &[tokens, self.position, tokens - 1, 0])?;
        (self.tokens, self.pc, self.unit, self.want_logits) = (tokens, 0, 0, want_logits);
        Ok(())
    }

    /// Runs units of the pass until `budget` multiply-accumulates are spent; the sum of what ran never exceeds it,
    /// unless a single unit does, which then runs alone.
    ///
    /// # Errors
    /// [`Error::Order`] if no pass is under way; the backend's. After an error the pass is abandoned.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// use bitnet_edge_core::model::Progress;
    /// let logits = session.decode(4)?.to_vec();
    /// session.rewind(0);
    /// session.begin(&[4], true)?;
    /// while session.step(1)? == Progress::Working {} // a unit at a time
    /// assert_eq!(session.logits()?, logits); // a budget changes no bit
    /// assert!(matches!(session.step(1), Err(Error::Order(_))));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn step(&mut self, budget: u32) -> Result<Progress, Error> {
        if self.tokens == 0 {
            return Err(Error::Order("no pass is under way"));
        }
        let result = self.advance(budget);
        match result {
            Ok(Progress::Done) => {
                self.position = self.position.saturating_add(self.tokens);
                self.tokens = 0;
            }
            Ok(Progress::Working) => {}
            Err(_) => self.tokens = 0,
        }
        result
    }

    fn advance(&mut self, budget: u32) -> Result<Progress, Error> {
        let program = Program::new(self.model, self.plan);
        let end = if self.want_logits { u32::MAX } else { program.tail() };
        let (mut left, mut ran) = (budget, false);
        while self.pc < end {
            let op = match program.at(self.pc) {
                Next::Op(op) => op,
                Next::Absent => {
                    self.pc = self.pc.saturating_add(1);
                    continue;
                }
                Next::End => break,
            };
            let units = op.units(self.tokens, self.position);
            if units == 0 {
                self.pc = self.pc.saturating_add(1);
                continue;
            }
            let cost = op.cost(self.tokens, self.position).max(1);
            let fit = match left / cost {
                // A unit is the smallest step there is: the first one runs even if it costs more than the budget.
                0 if !ran => 1,
                0 => return Ok(Progress::Working),
                n => n,
            };
            ran = true;
            let n = fit.min(units.saturating_sub(self.unit));
            self.backend.run(&op, self.unit..self.unit.saturating_add(n))?;
            left = left.saturating_sub(n.saturating_mul(cost));
            self.unit = self.unit.saturating_add(n);
            if self.unit >= units {
                (self.pc, self.unit) = (self.pc.saturating_add(1), 0);
            }
        }
        Ok(Progress::Done)
    }

    /// Runs a whole pass over any number of tokens, in batches; logits behind the last one if wanted.
    ///
    /// # Errors
    /// As [`begin`](Self::begin) and [`step`](Self::step). Ids that do not fit the context are refused before the first
    /// pass; after another error the batches before it are in the context.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// let prompt = [4; 20]; // longer than a batch of the plan: three passes
    /// session.prefill(&prompt, true)?;
    /// assert_eq!(session.position(), 20);
    /// assert_eq!(session.logits()?.len(), 56);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn prefill(&mut self, ids: &[u32], want_logits: bool) -> Result<(), Error> {
        if ids.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if ids.len() > self.room() as usize {
            return Err(Error::ContextFull {
                need: self.position.saturating_add(u32::try_from(ids.len()).unwrap_or(u32::MAX)),
                have: self.plan.options().context,
            });
        }
        let mut rest = ids;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_checked(self.batch()).unwrap_or((rest, &[]));
            self.begin(now, want_logits && later.is_empty())?;
            while self.step(u32::MAX)? == Progress::Working {}
            rest = later;
        }
        Ok(())
    }

    /// Runs one token and gives the logits behind it, `[vocab]`.
    ///
    /// # Errors
    /// As [`begin`](Self::begin) and [`step`](Self::step); [`Error::Kernel`] if a logit is not finite.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// let mut id = 4;
    /// for _ in 0..10 {
    ///     let logits = session.decode(id)?;
    ///     let best = (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1));
    ///     id = best.map_or(0, |(id, _)| id);
    /// }
    /// assert_eq!(session.position(), 10);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn decode(&mut self, id: u32) -> Result<&[f32], Error> {
        self.prefill(&[id], true)?;
        self.logits()
    }

    /// The logits of the last pass that was asked for them, `[vocab]`.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a logit is not finite; the backend's.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// session.prefill(&[4, 5], true)?;
    /// let after_two = session.logits()?.to_vec();
    /// session.rewind(1);
    /// assert_eq!(session.decode(5)?, after_two); // a batch changes no bit
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn logits(&mut self) -> Result<&[f32], Error> {
        let vocab = self.model.config().vocab as usize;
        let logits = self.backend.read(self.plan.logits)?;
        let logits = logits.get(..vocab).unwrap_or(logits);
        // Of all, without stopping at the first: that compilers do for several at a time.
        if logits.iter().fold(true, |finite, l| finite & l.is_finite()) {
            Ok(logits)
        } else {
            Err(Error::Kernel(bitnet_edge_kernels::Error::NonFinite))
        }
    }

    /// The logits behind each token of the last pass: selects another row of it and runs the head again.
    ///
    /// Only right after a pass that wanted logits; `row` counts its tokens from 0.
    ///
    /// # Errors
    /// As [`logits`](Self::logits); [`Error::Order`] while a pass is under way, whose step block it would change.
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// # let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    /// # let mut session = Session::new(&model, &plan, cpu)?;
    /// // The log probability of a text, a pass at a time.
    /// session.prefill(&[4, 5, 6], true)?;
    /// let first = session.logits_of(0)?.to_vec(); // behind token 4, before token 5
    /// session.rewind(0);
    /// assert_eq!(session.decode(4)?, first);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn logits_of(&mut self, row: u32) -> Result<&[f32], Error> {
        if self.tokens != 0 {
            return Err(Error::Order("a pass is under way"));
        }
        self.backend.write(self.plan.step, &[1, self.position, row])?;
        let program = Program::new(self.model, self.plan);
        let mut pc = program.tail();
        loop {
            match program.at(pc) {
                Next::Op(op) => self.backend.run(&op, 0..op.units(RowsOf::One.count(1), self.position))?,
                Next::Absent => {}
                Next::End => return self.logits(),
            }
            pc = pc.saturating_add(1);
        }
    }
}
