//! The backend of every CPU tier.

use core::ops::Range;

use bitnet_edge_kernels::tile::Activations;
use bitnet_edge_kernels::{Kernels, Scalar};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::backend::Backend;
use super::op::{Matrix, Op, Rows};
use super::split::{OneThread, Split, Work};
use super::weights::{InPlace, Weights};
use crate::Error;
use crate::image::{Data, Model, TensorId};
use crate::memory::{
    Line, MemoryPlan, STEP_IDS, STEP_OUT_ROW, STEP_POSITION, STEP_TOKENS, Slot, disjoint, typed,
};

/// A shape that does not fit: an operation of another plan.
pub(super) const MISFIT: Error =
    Error::Kernel(bitnet_edge_kernels::Error::Operand("an operation does not fit the model or the plan"));

/// The CPU backend: a tier's kernels, a way to spread work, a source of weights, and the arena.
///
/// See the [crate](crate) for its use.
///
/// ```
/// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, Session, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
/// let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
/// let mut session = Session::new(&model, &plan, cpu)?;
/// assert_eq!(session.decode(4)?.len(), 56);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Cpu<'a, K = Scalar, S = OneThread, W = InPlace> {
    pub(super) model: &'a Model<'a>,
    pub(super) kernels: K,
    pub(super) split: S,
    pub(super) weights: W,
    pub(super) arena: &'a mut [u8],
    step: Slot<u32>,
}

impl<'a> Cpu<'a> {
    /// The definition: scalar kernels on one thread, weights in place.
    ///
    /// # Errors
    /// [`Error::ArenaTooSmall`]
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Error, Line, MemoryPlan, Model, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// assert!(Cpu::scalar(&model, &plan, &mut arena).is_ok());
    /// let refused = Cpu::scalar(&model, &plan, &mut arena[1..]).err();
    /// let (need, have) = (plan.bytes(), plan.bytes() - 64);
    /// assert_eq!(refused, Some(Error::ArenaTooSmall { need, have }));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn scalar(model: &'a Model<'a>, plan: &MemoryPlan, arena: &'a mut [Line]) -> Result<Self, Error> {
        Cpu::new(model, plan, arena, Scalar, OneThread, InPlace)
    }
}

impl<'a, K: Kernels, S: Split, W: Weights> Cpu<'a, K, S, W> {
    /// A backend over the first [`MemoryPlan::bytes`] of an arena.
    ///
    /// # Errors
    /// [`Error::ArenaTooSmall`]
    ///
    /// ```
    /// # use bitnet_edge_core::{Cpu, Line, MemoryPlan, Model, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// # let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    /// use bitnet_edge_core::{Backend, model::{InPlace, OneThread}};
    /// use bitnet_edge_kernels::Scalar;
    /// // What `Cpu::scalar` is; a platform's crate gives its own kernels, threads and source of weights.
    /// let cpu = Cpu::new(&model, &plan, &mut arena, Scalar, OneThread, InPlace)?;
    /// assert_eq!(cpu.name(), "scalar");
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn new(
        model: &'a Model<'a>,
        plan: &MemoryPlan,
        arena: &'a mut [Line],
        kernels: K,
        split: S,
        weights: W,
    ) -> Result<Self, Error> {
        let have = size_of_val(arena);
        let short = Error::ArenaTooSmall { need: plan.bytes(), have };
        let arena = arena.as_mut_bytes().get_mut(..plan.bytes()).ok_or(short)?;
        Ok(Self { model, kernels, split, weights, arena, step: plan.step })
    }

    fn step_word(&self, i: usize) -> Result<u32, Error> {
        let block = self.arena.get(self.step.bytes()).ok_or(MISFIT)?;
        block.as_chunks().0.get(i).copied().map(u32::from_le_bytes).ok_or(MISFIT)
    }

    pub(super) fn tokens(&self) -> Result<u32, Error> {
        self.step_word(STEP_TOKENS)
    }

    pub(super) fn position(&self) -> Result<u32, Error> {
        self.step_word(STEP_POSITION)
    }

    fn slice<T>(&mut self, slot: Slot<T>) -> Result<&mut [T], Error>
    where
        T: FromBytes + IntoBytes + KnownLayout + Immutable,
    {
        typed(self.arena.get_mut(slot.bytes()).ok_or(MISFIT)?)
    }

    pub(super) fn vector(&self, id: TensorId) -> Result<&'a [f32], Error> {
        match self.model.tensor(id).map(|t| t.data) {
            Some(Data::Vector(v)) => Ok(v),
            _ => Err(MISFIT),
        }
    }

    /// On the calling thread: a source of weights gives rows to one caller at a time.
    fn embed(&mut self, m: Matrix, factor: f32, y: Rows, work: &Work) -> Result<(), Error> {
        let tensor = self.model.tensor(m.tensor).ok_or(MISFIT)?;
        let Data::Matrix { layout, row_tile_bytes, tiles, scale } = tensor.data else { return Err(MISFIT) };
        for t in work.units.clone() {
            let id = self.step_word(STEP_IDS.saturating_add(t as usize))?;
            let (_, tile) = self.weights.rows(tiles, row_tile_bytes, id / 4..id / 4 + 1)?;
            let out = typed(self.arena.get_mut(y.slot.bytes()).ok_or(MISFIT)?)?;
            let out = row_mut(out, y, t)?;
            layout.dequantize_row(tile, (id % 4) as usize, scale.row(id as usize), out)?;
            for v in out {
                *v *= factor;
            }
        }
        Ok(())
    }

    fn select(&mut self, x: Rows, y: Rows) -> Result<(), Error> {
        let wanted = self.step_word(STEP_OUT_ROW)?;
        let [xs, ys] = two(self.arena, x, y)?;
        for (y, x) in row_mut(ys, y, 0)?.iter_mut().zip(row(xs, x, wanted)?) {
            *y = *x;
        }
        Ok(())
    }
}

impl<K: Kernels, S: Split, W: Weights> Backend for Cpu<'_, K, S, W> {
    fn name(&self) -> &'static str {
        self.kernels.name()
    }

    fn run(&mut self, op: &Op, units: Range<u32>) -> Result<(), Error> {
        let (tokens, position) = (self.tokens()?, self.position()?);
        let work = &Work { units, grain: op.grain(), cost: op.cost(tokens, position) };
        match *op {
            Op::Embed { m, factor, y } => self.embed(m, factor, y, work),
            Op::Angles { y, factor } => self.angles(y, factor, work),
            Op::Norm { w, eps, x, y } => self.norm(w, eps, x, y, work),
            Op::HeadNorm { w, eps, x, head_dim } => self.head_norm(w, eps, x, head_dim, work),
            Op::Quant { x, acts, form } => self.quant(x, acts, form, work),
            Op::Linear { m, x, y, add } => self.linear(m, x, y, add, work),
            Op::Rope { x, head_dim, angles } => self.rope(x, head_dim, angles, work),
            Op::Store { kv, k, v, head_dim, context } => self.store(kv, [k, v], head_dim, context, work),
            Op::Attend { kv, q, partial, shape } => self.attend(kv, q, partial, shape, work),
            Op::Combine { partial, y, shape } => self.combine(partial, y, shape, work),
            Op::Gate { act, g, u } => self.gate(act, g, u, work),
            Op::Add { x, y } => self.add(x, y, work),
            Op::Select { x, y } => self.select(x, y),
        }
    }

    fn write(&mut self, slot: Slot<u32>, words: &[u32]) -> Result<(), Error> {
        let to = self.slice(slot)?.get_mut(..words.len()).ok_or(MISFIT)?;
        for (to, &word) in to.iter_mut().zip(words) {
            *to = word;
        }
        Ok(())
    }

    fn read(&mut self, slot: Slot<f32>) -> Result<&[f32], Error> {
        Ok(self.slice(slot)?)
    }

    fn words(&mut self, slots: [Slot<u32>; 2]) -> Option<[&mut [u32]; 2]> {
        let [a, b] = disjoint(self.arena, slots.map(|s| s.bytes())).ok()?;
        Some([typed(a).ok()?, typed(b).ok()?])
    }

    fn draw(&mut self, logits: Slot<f32>, tokens: Slot<u32>) -> Result<(&mut [f32], &[u32]), Error> {
        let [logits, tokens] = disjoint(self.arena, [logits.bytes(), tokens.bytes()])?;
        Ok((typed(logits)?, typed(tokens)?))
    }
}

/// Padded columns and groups of int8 activations.
pub(super) fn act_shape(cols: u32, form: Activations) -> (usize, usize) {
    ((cols as usize).next_multiple_of(64), form.groups(cols as usize))
}

/// Row `t` of rows in memory.
pub(super) fn row(all: &[f32], rows: Rows, t: u32) -> Result<&[f32], Error> {
    let at = (t as usize).saturating_mul(rows.stride as usize);
    all.get(at..).and_then(|r| r.get(..rows.cols as usize)).ok_or(MISFIT)
}

/// Row `t`, to write.
fn row_mut(all: &mut [f32], rows: Rows, t: u32) -> Result<&mut [f32], Error> {
    let at = (t as usize).saturating_mul(rows.stride as usize);
    all.get_mut(at..).and_then(|r| r.get_mut(..rows.cols as usize)).ok_or(MISFIT)
}

/// Element `i` of an array of slices of `len`.
pub(super) fn nth<T>(all: &mut [T], i: usize, len: usize) -> Result<&mut [T], Error> {
    all.get_mut(i.saturating_mul(len)..).and_then(|r| r.get_mut(..len)).ok_or(MISFIT)
}

/// The memory of two different rows.
pub(super) fn two(arena: &mut [u8], x: Rows, y: Rows) -> Result<[&mut [f32]; 2], Error> {
    let [x, y] = disjoint(arena, [x.slot.bytes(), y.slot.bytes()])?;
    Ok([typed(x)?, typed(y)?])
}
