//! The operations of a pass.

use core::ops::Range;

use bitnet_edge_kernels::attention::CHUNK;
use bitnet_edge_kernels::gate::Activation;
use bitnet_edge_kernels::tile::{Activations, TILE_ROWS};

use crate::image::TensorId;
use crate::memory::{ActSlots, KvSlots, Slot};

/// Which tokens an operation works on.
///
/// ```
/// use bitnet_edge_core::model::RowsOf;
/// assert_eq!((RowsOf::Batch.count(7), RowsOf::One.count(7)), (7, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsOf {
    /// All tokens of the pass.
    Batch,
    /// One row: the token whose logits are wanted.
    One,
}

impl RowsOf {
    /// Rows in a pass of this many tokens.
    ///
    /// ```
    /// use bitnet_edge_core::model::RowsOf;
    /// assert_eq!(RowsOf::Batch.count(8), 8);
    /// assert_eq!(RowsOf::One.count(8), 1);
    /// ```
    pub const fn count(self, tokens: u32) -> u32 {
        match self {
            Self::Batch => tokens,
            Self::One => 1,
        }
    }
}

/// f32 rows in a slot: row `t` is elements `t * stride .. t * stride + cols`.
///
/// ```
/// use bitnet_edge_core::{Slot, model::{Rows, RowsOf}};
/// let x = Rows { slot: Slot::at(0, 512), stride: 256, cols: 256, of: RowsOf::Batch };
/// assert_eq!(x.slot.len() / x.stride as usize, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The memory.
    pub slot: Slot<f32>,
    /// Elements from one row to the next.
    pub stride: u32,
    /// Elements of a row.
    pub cols: u32,
    /// Which tokens.
    pub of: RowsOf,
}

/// A matrix and its shape.
///
/// ```
/// use bitnet_edge_core::{image::TensorId, model::Matrix};
/// let m = Matrix { tensor: TensorId::HEAD, bias: None, rows: 10, cols: 64 };
/// assert_eq!(m.row_tiles(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The weights.
    pub tensor: TensorId,
    /// A vector added to the product.
    pub bias: Option<TensorId>,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub cols: u32,
}

impl Matrix {
    /// Row tiles: the units of a product.
    ///
    /// ```
    /// use bitnet_edge_core::{image::{Role, TensorId}, model::Matrix};
    /// let m = Matrix { tensor: TensorId::of(0, Role::K), bias: None, rows: 30, cols: 64 };
    /// assert_eq!(m.row_tiles(), 8); // of four rows; the last one is padded
    /// ```
    pub const fn row_tiles(&self) -> u32 {
        self.rows.div_ceil(TILE_ROWS as u32)
    }
}

/// The input of a matrix, in the form that its layout takes.
///
/// ```
/// use bitnet_edge_core::{Slot, model::{Input, Rows, RowsOf}};
/// let x = Rows { slot: Slot::at(0, 64), stride: 64, cols: 64, of: RowsOf::One };
/// assert_eq!(Input::Float(x).of(), RowsOf::One);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// f32 rows.
    Float(Rows),
    /// Rows that an [`Op::Quant`] wrote.
    Int8 {
        /// Where they are.
        acts: ActSlots,
        /// Their form.
        form: Activations,
        /// Which tokens.
        of: RowsOf,
    },
}

impl Input {
    /// Which tokens.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, memory::ActSlots, model::{Input, RowsOf}};
    /// use bitnet_edge_kernels::tile::Activations;
    /// let acts = ActSlots { q: Slot::at(0, 64), scales: Slot::at(64, 1), sums: Slot::at(128, 1) };
    /// let input = Input::Int8 { acts, form: Activations::Token, of: RowsOf::Batch };
    /// assert_eq!(input.of(), RowsOf::Batch);
    /// ```
    pub const fn of(&self) -> RowsOf {
        match self {
            Self::Float(rows) => rows.of,
            Self::Int8 { of, .. } => *of,
        }
    }
}

/// An operation. Position, token ids and counts are in the step block, never here.
///
/// ```
/// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
/// let x = Rows { slot: Slot::at(0, 128), stride: 64, cols: 64, of: RowsOf::Batch };
/// let y = Rows { slot: Slot::at(512, 128), ..x };
/// assert_eq!(Op::Add { x, y }.units(2, 10), 2); // a unit a token
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// `y[t] = embedding[id[t]] * factor`. Unit: a token.
    Embed {
        /// The embedding matrix.
        m: Matrix,
        /// Factor on the row.
        factor: f32,
        /// `[tokens][dim]`
        y: Rows,
    },
    /// Cosines and sines of each token's position. Unit: a token.
    Angles {
        /// `[tokens][2 * rope_pairs]`
        y: Rows,
        /// Factor on both.
        factor: f32,
    },
    /// `RMSNorm`. Unit: a token.
    Norm {
        /// The weight.
        w: TensorId,
        /// Epsilon.
        eps: f32,
        /// Input rows.
        x: Rows,
        /// Output rows, in other memory.
        y: Rows,
    },
    /// `RMSNorm` of each head, in place. Unit: a token.
    HeadNorm {
        /// The weight, `[head_dim]`.
        w: TensorId,
        /// Epsilon.
        eps: f32,
        /// `[tokens][heads][head_dim]`
        x: Rows,
        /// Width of a head.
        head_dim: u32,
    },
    /// Quantizes activations to int8. Unit: a token.
    Quant {
        /// Input rows.
        x: Rows,
        /// Output.
        acts: ActSlots,
        /// Output form.
        form: Activations,
    },
    /// `y = W x`, `+ bias`; with `add`, `y += W x + bias`. Unit: a row tile (four outputs, all tokens).
    Linear {
        /// Weights and bias.
        m: Matrix,
        /// Input.
        x: Input,
        /// Output.
        y: Rows,
        /// Add to what is there.
        add: bool,
    },
    /// Rotates all heads of a row, in place. Unit: a token.
    Rope {
        /// `[tokens][heads][head_dim]`
        x: Rows,
        /// Width of a head.
        head_dim: u32,
        /// What [`Op::Angles`] wrote.
        angles: Rows,
    },
    /// Stores keys and values of the tokens in the cache. Unit: a token.
    Store {
        /// The layer's cache.
        kv: KvSlots,
        /// `[tokens][kv_heads][head_dim]`
        k: Rows,
        /// As `k`.
        v: Rows,
        /// Width of a head.
        head_dim: u32,
        /// Positions of the cache.
        context: u32,
    },
    /// One chunk of positions for the query heads of one KV head, for some of the tokens. Unit: (KV head x chunk x token).
    Attend {
        /// The layer's cache.
        kv: KvSlots,
        /// `[tokens][heads][head_dim]`
        q: Rows,
        /// Records `[units][group][2 + head_dim]`.
        partial: Slot<f32>,
        /// Shape.
        shape: AttendShape,
    },
    /// Combines the chunks of each head, for the same tokens. Unit: a head.
    Combine {
        /// What [`Op::Attend`] wrote.
        partial: Slot<f32>,
        /// `[tokens][heads][head_dim]`
        y: Rows,
        /// Shape.
        shape: AttendShape,
    },
    /// `g = act(g) * u`. Unit: a token.
    Gate {
        /// The activation.
        act: Activation,
        /// Gate rows, overwritten.
        g: Rows,
        /// Up rows.
        u: Rows,
    },
    /// `y += x`. Unit: a token.
    Add {
        /// Input rows.
        x: Rows,
        /// Rows added to.
        y: Rows,
    },
    /// Copies the row whose logits are wanted. Unit: 1.
    Select {
        /// `[tokens][dim]`
        x: Rows,
        /// One row.
        y: Rows,
    },
}

/// The shape of an attention.
///
/// ```
/// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
/// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// # let model = Model::new_checked(IMAGE)?;
/// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
/// use bitnet_edge_core::model::{Op, program::{Next, Program}};
/// let program = Program::new(&model, &plan);
/// let shape = (0..program.tail()).find_map(|pc| match program.at(pc) {
///     Next::Op(Op::Attend { shape, .. }) => Some(shape),
///     _ => None,
/// });
/// let shape = shape.expect("every layer attends");
/// assert_eq!((shape.kv_heads, shape.group, shape.head_dim, shape.context), (1, 2, 32, 64));
/// assert_eq!(shape.scale, 1.0 / 32f32.sqrt());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttendShape {
    /// KV heads.
    pub kv_heads: u32,
    /// Query heads a KV head serves.
    pub group: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Positions of the cache.
    pub context: u32,
    /// Scale of the scores.
    pub scale: f32,
    /// First token of the pass that is attended to.
    pub first: u32,
    /// Tokens, as far as the pass has them: a long pass attends to its tokens in several operations, so that the records
    /// of one fit a small buffer.
    pub tokens: u32,
}

impl AttendShape {
    /// Tokens that the operation works on in a pass of `tokens`.
    ///
    /// ```
    /// # use bitnet_edge_core::model::AttendShape;
    /// # let shape = AttendShape {
    /// #     kv_heads: 1, group: 1, head_dim: 32, context: 512, scale: 1.0, first: 0, tokens: 16,
    /// # };
    /// let second = AttendShape { first: 16, tokens: 16, ..shape };
    /// assert_eq!([8, 16, 20, 32, 40].map(|tokens| second.count(tokens)), [0, 0, 4, 16, 16]);
    /// ```
    pub const fn count(&self, tokens: u32) -> u32 {
        let left = tokens.saturating_sub(self.first);
        if left < self.tokens { left } else { self.tokens }
    }

    /// Chunks that the last of these tokens sees in a pass of `tokens` tokens from `position`.
    ///
    /// ```
    /// # use bitnet_edge_core::model::AttendShape;
    /// # let shape = AttendShape {
    /// #     kv_heads: 1, group: 1, head_dim: 32, context: 512, scale: 1.0, first: 0, tokens: 16,
    /// # };
    /// assert_eq!((shape.chunks(16, 0), shape.chunks(16, 60), shape.chunks(64, 60)), (1, 2, 2));
    /// ```
    pub const fn chunks(&self, tokens: u32, position: u32) -> u32 {
        chunks(position.saturating_add(self.first).saturating_add(self.count(tokens)))
    }

    /// Query heads.
    const fn heads(&self) -> u32 {
        self.kv_heads.saturating_mul(self.group)
    }
}

/// Chunks of a pass that ends before position `end`.
pub(crate) const fn chunks(end: u32) -> u32 {
    end.div_ceil(CHUNK as u32)
}

impl Op {
    /// Units of the operation in a pass of `tokens` tokens from `position`.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
    /// use bitnet_edge_core::{image::TensorId, model::{Input, Matrix}};
    /// let x = Rows { slot: Slot::at(0, 256), stride: 64, cols: 64, of: RowsOf::Batch };
    /// let y = Rows { slot: Slot::at(1024, 64), stride: 16, cols: 16, of: RowsOf::Batch };
    /// let m = Matrix { tensor: TensorId::HEAD, bias: None, rows: 16, cols: 64 };
    /// let product = Op::Linear { m, x: Input::Float(x), y, add: false };
    /// assert_eq!(product.units(3, 0), 4); // row tiles, however many tokens
    /// assert_eq!(Op::Add { x, y: x }.units(3, 0), 3); // tokens
    /// ```
    ///
    /// None where attention has no token of the pass to work on.
    pub const fn units(&self, tokens: u32, position: u32) -> u32 {
        match self {
            Self::Linear { m, .. } => m.row_tiles(),
            Self::Attend { shape, .. } => {
                let pairs = shape.kv_heads.saturating_mul(shape.chunks(tokens, position));
                shape.count(tokens).saturating_mul(pairs)
            }
            Self::Combine { shape, .. } => {
                if shape.count(tokens) == 0 {
                    0
                } else {
                    shape.heads()
                }
            }
            Self::Select { .. } => 1,
            Self::Embed { y, .. } | Self::Angles { y, .. } => y.of.count(tokens),
            Self::Norm { x, .. }
            | Self::HeadNorm { x, .. }
            | Self::Quant { x, .. }
            | Self::Rope { x, .. }
            | Self::Add { x, .. }
            | Self::Store { k: x, .. }
            | Self::Gate { g: x, .. } => x.of.count(tokens),
        }
    }

    /// Units that are best run together: where a range of units is cut, it is cut at multiples of this.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
    /// let x = Rows { slot: Slot::at(0, 256), stride: 64, cols: 64, of: RowsOf::Batch };
    /// assert_eq!(Op::HeadNorm { w: TensorId::of(0, Role::QNorm), eps: 1e-5, x, head_dim: 64 }.grain(), 1);
    /// # use bitnet_edge_core::image::{Role, TensorId};
    /// ```
    pub const fn grain(&self) -> u32 {
        match self {
            // Row tiles of 32 outputs, which kernels multiply at once; a part is a stream of them.
            Self::Linear { .. } => 8,
            _ => 1,
        }
    }

    /// Cost of a unit in multiply-accumulates, what a budget is counted in. At least 1.
    ///
    /// ```
    /// # use bitnet_edge_core::{MemoryPlan, Model, PlanOptions, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// # let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    /// use bitnet_edge_core::model::program::{Next, Program};
    /// let program = Program::new(&model, &plan);
    /// let cost = |tokens, position| -> u64 {
    ///     let steps = (0..).map(|pc| program.at(pc)).take_while(|step| *step != Next::End);
    ///     let costs = steps.map(|step| match step {
    ///         Next::Op(op) => u64::from(op.units(tokens, position)) * u64::from(op.cost(tokens, position)),
    ///         _ => 0,
    ///     });
    ///     costs.sum()
    /// };
    /// // One decoded token: every weight once, and some more. Half of it is a budget of two steps a token.
    /// let weights = 2 * (64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 128) + 56 * 64;
    /// assert!(cost(1, 0) > weights && cost(1, 0) < 2 * weights);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn cost(&self, tokens: u32, position: u32) -> u32 {
        let cost = match self {
            Self::Linear { m, x, .. } => {
                m.cols.saturating_mul(TILE_ROWS as u32).saturating_mul(x.of().count(tokens))
            }
            Self::Attend { shape, .. } => {
                shape.group.saturating_mul(shape.head_dim).saturating_mul(2 * CHUNK as u32)
            }
            Self::Combine { shape, .. } => {
                let records = shape.count(tokens).saturating_mul(shape.chunks(tokens, position));
                shape.head_dim.saturating_mul(records)
            }
            Self::Embed { y, .. } | Self::Angles { y, .. } | Self::Select { y, .. } => y.cols,
            Self::Store { k, .. } => k.cols.saturating_mul(2),
            Self::Norm { x, .. }
            | Self::HeadNorm { x, .. }
            | Self::Quant { x, .. }
            | Self::Rope { x, .. }
            | Self::Add { x, .. }
            | Self::Gate { g: x, .. } => x.cols.saturating_mul(2),
        };
        if cost == 0 { 1 } else { cost }
    }

    /// The slots that the operation reads and writes, as byte ranges of the arena, without the step block.
    ///
    /// A backend with memory of its own moves exactly these, or finds dependencies by them.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
    /// let x = Rows { slot: Slot::at(0, 16), stride: 16, cols: 16, of: RowsOf::One };
    /// let y = Rows { slot: Slot::at(64, 16), ..x };
    /// let operands = Op::Select { x, y }.operands();
    /// assert!(operands.read().eq([x.slot.bytes()]));
    /// assert!(operands.written().eq([y.slot.bytes()]));
    /// ```
    pub fn operands(&self) -> Operands {
        let mut o = Operands::default();
        match *self {
            Self::Embed { y, .. } | Self::Angles { y, .. } => o.writes(&[y.slot.bytes()]),
            Self::Norm { x, y, .. } | Self::Select { x, y } => {
                o.reads(&[x.slot.bytes()]);
                o.writes(&[y.slot.bytes()]);
            }
            Self::HeadNorm { x, .. } => o.both(x.slot.bytes()),
            Self::Quant { x, acts, .. } => {
                o.reads(&[x.slot.bytes()]);
                o.writes(&[acts.q.bytes(), acts.scales.bytes(), acts.sums.bytes()]);
            }
            Self::Linear { x, y, .. } => {
                match x {
                    Input::Float(rows) => o.reads(&[rows.slot.bytes()]),
                    Input::Int8 { acts, .. } => {
                        o.reads(&[acts.q.bytes(), acts.scales.bytes(), acts.sums.bytes()]);
                    }
                }
                o.both(y.slot.bytes());
            }
            Self::Rope { x, angles, .. } => {
                o.reads(&[angles.slot.bytes()]);
                o.both(x.slot.bytes());
            }
            Self::Store { kv, k, v, .. } => {
                o.reads(&[k.slot.bytes(), v.slot.bytes()]);
                for range in kv.ranges() {
                    o.both(range);
                }
            }
            Self::Attend { kv, q, partial, .. } => {
                o.reads(&[q.slot.bytes()]);
                o.reads(&kv.ranges());
                o.both(partial.bytes());
            }
            Self::Combine { partial, y, .. } => {
                o.reads(&[partial.bytes()]);
                o.both(y.slot.bytes());
            }
            Self::Gate { g, u, .. } => {
                o.reads(&[u.slot.bytes()]);
                o.both(g.slot.bytes());
            }
            Self::Add { x, y } => {
                o.reads(&[x.slot.bytes()]);
                o.both(y.slot.bytes());
            }
        }
        o
    }
}

impl KvSlots {
    /// The byte ranges of the cache; empty ones where there are no scales.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, memory::KvSlots};
    /// let (k_scales, v_scales) = (Slot::at(128, 2), Slot::at(192, 2));
    /// let kv = KvSlots::I8 { k: Slot::at(0, 64), k_scales, v: Slot::at(64, 64), v_scales };
    /// assert_eq!(kv.ranges(), [0..64, 64..128, 128..136, 192..200]);
    /// ```
    pub fn ranges(&self) -> [Range<usize>; 4] {
        match self {
            Self::F32 { k, v } => [k.bytes(), v.bytes(), 0..0, 0..0],
            Self::F16 { k, v } => [k.bytes(), v.bytes(), 0..0, 0..0],
            Self::I8 { k, k_scales, v, v_scales } => {
                [k.bytes(), v.bytes(), k_scales.bytes(), v_scales.bytes()]
            }
        }
    }
}

/// Byte ranges of the arena that an operation touches. See [`Op::operands`].
///
/// ```
/// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
/// let x = Rows { slot: Slot::at(0, 16), stride: 16, cols: 16, of: RowsOf::One };
/// let y = Rows { slot: Slot::at(64, 16), ..x };
/// let operands = Op::Add { x, y }.operands();
/// assert!(operands.read().eq([0..64, 64..128]));
/// assert!(operands.written().eq([64..128]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Operands {
    read: [Range<usize>; 6],
    written: [Range<usize>; 4],
}

impl Operands {
    fn push(list: &mut [Range<usize>], range: &Range<usize>) {
        if !range.is_empty()
            && let Some(free) = list.iter_mut().find(|r| r.start >= r.end)
        {
            *free = range.clone();
        }
    }
    fn reads(&mut self, ranges: &[Range<usize>]) {
        for range in ranges {
            Self::push(&mut self.read, range);
        }
    }
    fn writes(&mut self, ranges: &[Range<usize>]) {
        for range in ranges {
            Self::push(&mut self.written, range);
        }
    }
    /// A range of which only a part may be written: the rest stays as it was.
    fn both(&mut self, range: Range<usize>) {
        Self::push(&mut self.read, &range);
        Self::push(&mut self.written, &range);
    }

    /// Ranges whose content the operation depends on.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
    /// let x = Rows { slot: Slot::at(0, 16), stride: 16, cols: 16, of: RowsOf::One };
    /// let y = Rows { slot: Slot::at(64, 16), ..x };
    /// assert_eq!(Op::Add { x, y }.operands().read().count(), 2); // `y += x` reads `y`, too
    /// ```
    pub fn read(&self) -> impl Iterator<Item = Range<usize>> {
        self.read.iter().filter(|r| !r.is_empty()).cloned()
    }

    /// Ranges that the operation writes in.
    ///
    /// ```
    /// use bitnet_edge_core::{Slot, model::{Op, Rows, RowsOf}};
    /// let x = Rows { slot: Slot::at(0, 16), stride: 16, cols: 16, of: RowsOf::One };
    /// let y = Rows { slot: Slot::at(64, 16), ..x };
    /// assert!(Op::Add { x, y }.operands().written().eq([64..128]));
    /// ```
    pub fn written(&self) -> impl Iterator<Item = Range<usize>> {
        self.written.iter().filter(|r| !r.is_empty()).cloned()
    }
}
