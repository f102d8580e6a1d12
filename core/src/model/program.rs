//! The forward pass, written as a program: one function from a program counter to an operation.
//!
//! A pass takes `t` tokens at consecutive positions. In this listing `d` is the model's width, `H` and `KV` the query and
//! key heads, `hd` a head's width, `ff` the feed-forward width. A step that a model has no tensor for is absent, which
//! is all that tells architectures apart here.

use bitnet_edge_kernels::tile::Activations;

use super::op::{AttendShape, Input, Matrix, Op, Rows, RowsOf};
use crate::image::{Data, Model, Role, TensorId};
use crate::memory::{MemoryPlan, Slot};

/// Operations before the first layer.
const HEAD_OPS: u32 = 2;
/// Operations of a layer, absent ones included, if attention takes all tokens at once.
const LAYER_OPS: u32 = 32;
/// Where attention is among them.
const ATTEND: u32 = 12;
/// Operations from the last layer to the logits.
const TAIL_OPS: u32 = 4;

/// Where a pass stands: what follows a program counter.
///
/// ```
/// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// use bitnet_edge_core::model::program::{Next, Program};
/// let program = Program::new(&model, &plan);
/// let (mut pc, mut present, mut absent) = (0, 0, 0);
/// loop {
///     match program.at(pc) {
///         Next::Op(_) => present += 1,
///         Next::Absent => absent += 1, // no biases and no post-norms in this model
///         Next::End => break,
///     }
///     pc += 1;
/// }
/// assert!(present > absent);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Run this.
    Op(Op),
    /// The model has no such step; go on.
    Absent,
    /// The pass is complete.
    End,
}

/// The program of a model in a plan.
///
/// ```
/// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// use bitnet_edge_core::model::{Op, program::{Next, Program}};
/// let program = Program::new(&model, &plan);
/// let steps = (0..).map(|pc| program.at(pc)).take_while(|step| *step != Next::End);
/// let products = steps.filter(|step| matches!(step, Next::Op(Op::Linear { .. })));
/// assert_eq!(products.count(), 2 * 7 + 1); // Q, K, V, O, gate, up and down a layer, and the head
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Program<'m> {
    model: &'m Model<'m>,
    plan: &'m MemoryPlan,
}

impl<'m> Program<'m> {
    /// The program of `model` in `plan`.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// use bitnet_edge_core::model::program::Program;
    /// let program = Program::new(&model, &plan); // a view of both: it costs nothing to make again
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn new(model: &'m Model<'m>, plan: &'m MemoryPlan) -> Self {
        Self { model, plan }
    }

    /// The counter at which the steps from the last hidden state to the logits begin.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// use bitnet_edge_core::model::{Op, program::{Next, Program}};
    /// let program = Program::new(&model, &plan);
    /// // A pass over a part of a prompt, whose logits nobody wants, ends here.
    /// assert!(matches!(program.at(program.tail()), Next::Op(Op::Select { .. })));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn tail(&self) -> u32 {
        HEAD_OPS.saturating_add(self.layer_ops().saturating_mul(self.model.config().layers))
    }

    /// Operations of a layer: attention takes two for each [`MemoryPlan::attend_tokens`] of a batch.
    const fn layer_ops(&self) -> u32 {
        LAYER_OPS.saturating_add(2 * self.rounds().saturating_sub(1))
    }

    const fn rounds(&self) -> u32 {
        match self.plan.attend_tokens() {
            0 => 1, // there is no such plan
            tokens => self.plan.options().batch.div_ceil(tokens),
        }
    }

    /// The step at a program counter.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// use bitnet_edge_core::model::{Op, program::{Next, Program}};
    /// let program = Program::new(&model, &plan);
    /// assert!(matches!(program.at(0), Next::Op(Op::Embed { .. })));
    /// assert_eq!(program.at(u32::MAX), Next::End);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn at(&self, pc: u32) -> Next {
        let c = self.model.config();
        let tail = self.tail();
        match pc {
            // x = embedding[id]                                           [t][d]
            0 => Next::Op(Op::Embed {
                m: Matrix { tensor: TensorId::EMBEDDING, bias: None, rows: c.vocab, cols: c.dim },
                factor: c.embedding_scale,
                y: self.x(),
            }),
            // angles = cos, sin of position x turns                       [t][pairs][2]
            1 if c.rope_pairs > 0 => Next::Op(Op::Angles { y: self.angles(), factor: c.rope_factor }),
            1 => Next::Absent,
            pc if pc < tail => {
                let (pc, ops) = (pc - HEAD_OPS, self.layer_ops().max(1));
                let (layer, i) = (pc / ops, pc % ops);
                self.layer(layer, i).map_or(Next::Absent, Next::Op)
            }
            pc if pc < tail.saturating_add(TAIL_OPS) => self.logits(pc - tail).map_or(Next::Absent, Next::Op),
            _ => Next::End,
        }
    }

    /// Step `i` of a layer. Steps of the attention half first.
    fn layer(&self, layer: u32, i: u32) -> Option<Op> {
        // The two operations of attention are there as often as it has rounds.
        let rounds = self.rounds();
        let round = (i.saturating_sub(ATTEND) / 2).min(rounds.saturating_sub(1));
        let i = i.saturating_sub(2 * round);
        if i < 17 { self.attention(layer, i, round) } else { self.feed_forward(layer, i) }
    }

    fn attention(&self, l: u32, i: u32, round: u32) -> Option<Op> {
        let c = self.model.config();
        let (x, out) = (self.x(), self.rows(self.plan.out, c.dim));
        let q = self.rows(self.plan.q, c.q_dim());
        let (k, v) = (self.rows(self.plan.k, c.kv_dim()), self.rows(self.plan.v, c.kv_dim()));
        let post = self.has(l, Role::AttnPostNorm);
        // What Q, K and V read: the norm's output, or the residual stream of a model without that norm.
        let h = if self.has(l, Role::AttnNorm) { self.h(c.dim) } else { x };
        let kv = self.plan.kv(l);
        let context = self.plan.options().context;
        let (head_dim, partial) = (c.head_dim, self.plan.partial);
        let tokens = self.plan.attend_tokens();
        let shape = AttendShape {
            kv_heads: c.kv_heads,
            group: c.group(),
            head_dim,
            context,
            scale: c.attention_scale,
            first: round.saturating_mul(tokens),
            tokens,
        };
        // What the output projection reads: the sub-norm's output, or attention's own.
        let a = if self.has(l, Role::AttnSubNorm) { self.h(c.q_dim()) } else { q };
        match i {
            // h = norm(x)                                                 [t][d]
            0 => self.norm(l, Role::AttnNorm, x, h),
            // q = Wq h, k = Wk h, v = Wv h; quantized once if all three take the same form
            1 => self.quant(l, Role::Q, None, h),
            2 => self.linear(l, Role::Q, Role::QBias, h, q, false), //     [t][H*hd]
            3 => self.quant(l, Role::K, Some(Role::Q), h),
            4 => self.linear(l, Role::K, Role::KBias, h, k, false), //     [t][KV*hd]
            5 => self.quant(l, Role::V, Some(Role::K), h),
            6 => self.linear(l, Role::V, Role::VBias, h, v, false), //     [t][KV*hd]
            7 => self.head_norm(l, Role::QNorm, q),
            8 => self.head_norm(l, Role::KNorm, k),
            9 => self.rope(q),
            10 => self.rope(k),
            // cache[position + t] = k, v
            11 => Some(Op::Store { kv, k, v, head_dim, context }),
            // partial = a chunk of positions each, some tokens a round    [KV][chunks][t][H/KV][2 + hd]
            ATTEND => Some(Op::Attend { kv, q, partial, shape }),
            13 => Some(Op::Combine { partial, y: q, shape }), //           [t][H*hd]
            14 => self.norm(l, Role::AttnSubNorm, q, a),
            15 => self.quant(l, Role::AttnOut, None, a),
            // x += Wo a, or out = Wo a for a post-norm
            16 => self.linear(l, Role::AttnOut, Role::AttnOutBias, a, if post { out } else { x }, !post),
            _ => None,
        }
    }

    fn feed_forward(&self, l: u32, i: u32) -> Option<Op> {
        let c = self.model.config();
        let (x, out) = (self.x(), self.rows(self.plan.out, c.dim));
        let (gate, up) = (self.rows(self.plan.gate, c.ffn), self.rows(self.plan.up, c.ffn));
        let (attn_post, post) = (self.has(l, Role::AttnPostNorm), self.has(l, Role::FfnPostNorm));
        let h = if self.has(l, Role::FfnNorm) { self.h(c.dim) } else { x };
        let f = if self.has(l, Role::FfnSubNorm) { up } else { gate };
        let normed = self.h(c.dim);
        match i {
            // x += norm(out)                                              [t][d]
            17 => self.norm(l, Role::AttnPostNorm, out, normed),
            18 => attn_post.then_some(Op::Add { x: normed, y: x }),
            // h = norm(x)                                                 [t][d]
            19 => self.norm(l, Role::FfnNorm, x, h),
            20 => self.quant(l, Role::Gate, None, h),
            21 => self.linear(l, Role::Gate, Role::GateBias, h, gate, false), // [t][ff]
            22 => self.quant(l, Role::Up, Some(Role::Gate), h),
            23 => self.linear(l, Role::Up, Role::UpBias, h, up, false), // [t][ff]
            // gate = act(gate) * up                                       [t][ff]
            24 => Some(Op::Gate { act: c.activation, g: gate, u: up }),
            25 => self.norm(l, Role::FfnSubNorm, gate, f),
            26 => self.quant(l, Role::Down, None, f),
            // x += Wdown f, or out = Wdown f for a post-norm              [t][d]
            27 => self.linear(l, Role::Down, Role::DownBias, f, if post { out } else { x }, !post),
            28 => self.norm(l, Role::FfnPostNorm, out, normed),
            29 => post.then_some(Op::Add { x: normed, y: x }),
            _ => None,
        }
    }

    fn logits(&self, i: u32) -> Option<Op> {
        let c = self.model.config();
        let one = |slot: Slot<f32>, cols| Rows { slot, stride: stride(cols), cols, of: RowsOf::One };
        let (hidden, normed) = (one(self.plan.hidden, c.dim), one(self.plan.normed, c.dim));
        let m = Matrix { tensor: TensorId::HEAD, bias: None, rows: c.vocab, cols: c.dim };
        match i {
            // the token whose logits are wanted                           [d]
            0 => Some(Op::Select { x: self.x(), y: hidden }),
            1 => Some(Op::Norm { w: TensorId::FINAL_NORM, eps: c.rms_eps, x: hidden, y: normed }),
            2 => self.quant_for(TensorId::HEAD, normed),
            // logits = head h                                             [vocab]
            3 => {
                let x = self.input(TensorId::HEAD, normed);
                Some(Op::Linear { m, x, y: one(self.plan.logits, c.vocab), add: false })
            }
            _ => None,
        }
    }

    fn has(&self, layer: u32, role: Role) -> bool {
        self.model.has(TensorId::of(layer, role))
    }

    fn form(&self, tensor: TensorId) -> Activations {
        match self.model.tensor(tensor).map(|t| t.data) {
            Some(Data::Matrix { layout, .. }) => layout.activations(),
            _ => Activations::Float,
        }
    }

    const fn rows(&self, slot: Slot<f32>, cols: u32) -> Rows {
        Rows { slot, stride: stride(cols), cols, of: RowsOf::Batch }
    }

    const fn x(&self) -> Rows {
        self.rows(self.plan.x, self.model.config().dim)
    }

    const fn h(&self, cols: u32) -> Rows {
        self.rows(self.plan.h, cols)
    }

    const fn angles(&self) -> Rows {
        let cols = 2 * self.model.config().rope_pairs;
        Rows { slot: self.plan.angles, stride: cols, cols, of: RowsOf::Batch }
    }

    fn norm(&self, layer: u32, role: Role, x: Rows, y: Rows) -> Option<Op> {
        let w = TensorId::of(layer, role);
        self.has(layer, role).then_some(Op::Norm { w, eps: self.model.config().rms_eps, x, y })
    }

    fn head_norm(&self, layer: u32, role: Role, x: Rows) -> Option<Op> {
        let c = self.model.config();
        let w = TensorId::of(layer, role);
        self.has(layer, role).then_some(Op::HeadNorm { w, eps: c.rms_eps, x, head_dim: c.head_dim })
    }

    fn rope(&self, x: Rows) -> Option<Op> {
        let c = self.model.config();
        (c.rope_pairs > 0).then_some(Op::Rope { x, head_dim: c.head_dim, angles: self.angles() })
    }

    /// Quantizes `x` for a matrix, unless it was quantized in that form for `before`.
    fn quant(&self, layer: u32, role: Role, before: Option<Role>, x: Rows) -> Option<Op> {
        let tensor = TensorId::of(layer, role);
        let done = before.is_some_and(|b| self.form(TensorId::of(layer, b)) == self.form(tensor));
        if done { None } else { self.quant_for(tensor, x) }
    }

    fn quant_for(&self, tensor: TensorId, x: Rows) -> Option<Op> {
        match self.form(tensor) {
            Activations::Float => None,
            form => Some(Op::Quant { x, acts: self.plan.acts, form }),
        }
    }

    fn input(&self, tensor: TensorId, x: Rows) -> Input {
        match self.form(tensor) {
            Activations::Float => Input::Float(x),
            form => Input::Int8 { acts: self.plan.acts, form, of: x.of },
        }
    }

    fn linear(&self, layer: u32, role: Role, bias: Role, x: Rows, y: Rows, add: bool) -> Option<Op> {
        let tensor = TensorId::of(layer, role);
        let bias = self.has(layer, bias).then_some(TensorId::of(layer, bias));
        let m = Matrix { tensor, bias, rows: y.cols, cols: x.cols };
        Some(Op::Linear { m, x: self.input(tensor, x), y, add })
    }
}

/// Elements from one row to the next: whole row tiles.
const fn stride(cols: u32) -> u32 {
    cols.next_multiple_of(4)
}
