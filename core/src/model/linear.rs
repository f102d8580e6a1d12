//! Products with packed weights.

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::tile::{FloatActs, Int8Acts, Layout, Results, TILE_ROWS, TernaryScale};

use super::cpu::{Cpu, MISFIT, act_shape};
use super::op::{Input, Matrix, Rows};
use super::split::{Output, Part, Split, Work, elements};
use super::weights::Weights;
use crate::Error;
use crate::image::Data;
use crate::memory::{disjoint, typed};

/// Whether this build has the kernels of every layout.
const FULL: bool = Layout::F32.is_built();

/// A matrix within one operation.
#[derive(Clone, Copy)]
struct Product<'a> {
    layout: Layout,
    row_tile_bytes: usize,
    scale: TernaryScale<'a>,
    factor: f32,
    bias: &'a [f32],
    tokens: usize,
    add: bool,
}

#[derive(Clone, Copy)]
enum Acts<'a> {
    Int8(Int8Acts<'a>),
    Float(FloatActs<'a>),
}

impl<K: Kernels, S: Split, W: Weights> Cpu<'_, K, S, W> {
    pub(super) fn linear(
        &mut self,
        m: Matrix,
        x: Input,
        y: Rows,
        add: bool,
        work: &Work,
    ) -> Result<(), Error> {
        let tensor = self.model.tensor(m.tensor).ok_or(MISFIT)?;
        let Data::Matrix { layout, row_tile_bytes, tiles, scale } = tensor.data else { return Err(MISFIT) };
        let bias = match m.bias {
            None => &[][..],
            Some(id) => self.vector(id)?,
        };
        let tokens = x.of().count(self.tokens()?) as usize;
        let product = Product { layout, row_tile_bytes, scale, factor: tensor.factor, bias, tokens, add };
        let (acts, out) = match x {
            Input::Float(rows) => {
                let [x, out] = disjoint(self.arena, [rows.slot.bytes(), y.slot.bytes()])?;
                let (stride, cols) = (rows.stride as usize, rows.cols as usize);
                (Acts::Float(FloatActs { x: typed(x)?, stride, cols }), out)
            }
            Input::Int8 { acts, form, .. } => {
                let ranges = [acts.q.bytes(), acts.scales.bytes(), acts.sums.bytes(), y.slot.bytes()];
                let [q, scales, sums, out] = disjoint(self.arena, ranges)?;
                let (stride, groups) = act_shape(m.cols, form);
                let (q, scales, sums) = (typed(q)?, typed(scales)?, typed(sums)?);
                (Acts::Int8(Int8Acts { q, stride, scales, sums, groups }), out)
            }
        };
        let out: &mut [f32] = typed(out)?;
        // Rows beyond the slot would be empty columns, and their results lost.
        if out.len() < tokens.saturating_mul(y.stride as usize) || work.units.end > m.row_tiles() {
            return Err(MISFIT);
        }
        let k = self.kernels;
        let mut at = work.units.start;
        while at < work.units.end {
            let (n, rows) = self.weights.rows(tiles, row_tile_bytes, at..work.units.end)?;
            let reach = at..at.saturating_add(n);
            if reach.is_empty() || reach.end > work.units.end {
                return Err(MISFIT);
            }
            let output = Output::rows(&mut *out, y.stride as usize, TILE_ROWS);
            let work = Work { units: reach.clone(), ..*work };
            self.split.run([output], &work, |part| product.run(k, rows, reach.start, &acts, part))?;
            at = reach.end;
        }
        Ok(())
    }
}

impl Product<'_> {
    /// Computes the row tiles of `part`; `rows` are row tiles from `first` on.
    fn run<K: Kernels>(
        &self,
        k: K,
        rows: &[u8],
        first: u32,
        acts: &Acts<'_>,
        part: &mut impl Part,
    ) -> Result<(), Error> {
        let units = part.units();
        let skip = (units.start.checked_sub(first).ok_or(MISFIT)? as usize) * self.row_tile_bytes;
        let w = rows.get(skip..).and_then(|w| w.get(..units.len() * self.row_tile_bytes)).ok_or(MISFIT)?;
        let row = units.start as usize * TILE_ROWS;
        let bias = self.bias.get(row..).unwrap_or_default();
        let mut sink = Sink { part, factor: self.factor, bias, add: self.add, lost: false };
        self.matmul(k, w, row, acts, &mut sink)?;
        if sink.lost { Err(MISFIT) } else { Ok(()) }
    }

    /// The row tiles `w`, the first of which has output `row`, for all tokens.
    fn matmul<K: Kernels>(
        &self,
        k: K,
        w: &[u8],
        row: usize,
        acts: &Acts<'_>,
        out: &mut impl Results,
    ) -> Result<(), Error> {
        let n = self.tokens;
        match acts {
            Acts::Float(_) if !FULL => return Err(MISFIT),
            Acts::Float(a) => match self.layout {
                Layout::F32 => k.matmul_f32_f32(w, n, a, out)?,
                Layout::F16 => k.matmul_f16_f32(w, n, a, out)?,
                Layout::Bf16 => k.matmul_bf16_f32(w, n, a, out)?,
                _ => return Err(MISFIT),
            },
            Acts::Int8(a) => match self.layout {
                Layout::T2r4 => {
                    let scale = match self.scale {
                        TernaryScale::Rows(all) => TernaryScale::Rows(all.get(row..).unwrap_or(&[])),
                        tensor => tensor,
                    };
                    k.matmul_t2r4_i8t(w, n, a, scale, out)?;
                }
                Layout::Q8r4 => k.matmul_q8r4_i8g32(w, n, a, out)?,
                // A model with another layout was refused before; this is what leaves the kernels out of a small firmware.
                _ if !FULL => return Err(MISFIT),
                Layout::Q4r4 => k.matmul_q4r4_i8g32(w, n, a, out)?,
                Layout::Q4m4 => k.matmul_q4m4_i8g32(w, n, a, out)?,
                Layout::Q6r4 => k.matmul_q6r4_i8g256(w, n, a, out)?,
                Layout::Q4k4 => k.matmul_q4k4_i8g256(w, n, a, out)?,
                Layout::Q5r4 => k.matmul_q5r4_i8g32(w, n, a, out)?,
                Layout::Q5k4 => k.matmul_q5k4_i8g256(w, n, a, out)?,
                _ => return Err(MISFIT),
            },
        }
        Ok(())
    }
}

/// Puts `y = result * factor + bias` where it belongs, added to what is there if asked for.
struct Sink<'a, P> {
    part: &'a mut P,
    factor: f32,
    /// From the first row of the call on; shorter than the rows, which are padded, or empty.
    bias: &'a [f32],
    add: bool,
    /// Whether a result had no place.
    lost: bool,
}

impl<P: Part> Results for Sink<'_, P> {
    #[inline(always)]
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        let y = elements::<f32>(self.part, token).unwrap_or_default();
        let Some(y) = y.get_mut(row..).and_then(|y| y.get_mut(..values.len())) else {
            self.lost = true;
            return;
        };
        let (factor, bias) = (self.factor, self.bias.get(row..).unwrap_or_default());
        match (self.add, bias) {
            (false, []) => y.iter_mut().zip(values).for_each(|(y, &v)| *y = v * factor),
            (true, []) => y.iter_mut().zip(values).for_each(|(y, &v)| *y += v * factor),
            _ => {
                for (i, (y, &v)) in y.iter_mut().zip(values).enumerate() {
                    let mut v = v * factor;
                    if let Some(bias) = bias.get(i) {
                        v += bias;
                    }
                    *y = if self.add { *y + v } else { v };
                }
            }
        }
    }
}
