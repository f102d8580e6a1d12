//! Products with packed weights: the part of the CPU backend that spreads its work.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::tile::{FloatActs, Int8Acts, Layout, Results, TILE_ROWS, TernaryScale};

use super::cpu::{Cpu, MISFIT, act_shape};
use super::op::{Input, Matrix, Rows};
use super::split::{Columns, Split};
use super::weights::Weights;
use crate::Error;
use crate::image::Data;
use crate::memory::{disjoint, typed};

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
        units: Range<u32>,
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
        // Rows beyond the slot would be empty columns, and their results lost in silence.
        if out.len() < tokens.saturating_mul(y.stride as usize) || units.end > m.row_tiles() {
            return Err(MISFIT);
        }
        let mut at = units.start;
        while at < units.end {
            let (n, rows) = self.weights.rows(tiles, row_tile_bytes, at..units.end)?;
            if n == 0 {
                return Err(MISFIT);
            }
            let first = at as usize * TILE_ROWS;
            let columns = first..first + n as usize * TILE_ROWS;
            let failed = AtomicBool::new(false);
            let k = self.kernels;
            self.split.columns(out, y.stride as usize, columns, TILE_ROWS, &|part: &mut dyn Columns| {
                if product.run(k, rows, first, &acts, part).is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
            });
            if failed.into_inner() {
                return Err(MISFIT);
            }
            at = at.saturating_add(n);
        }
        Ok(())
    }
}

impl Product<'_> {
    /// Computes the columns of `part`; `rows` are row tiles from output `first` on.
    fn run<K: Kernels>(
        &self,
        k: K,
        rows: &[u8],
        first: usize,
        acts: &Acts<'_>,
        part: &mut dyn Columns,
    ) -> Result<(), Error> {
        let range = part.range();
        let tiles = range.len().div_ceil(TILE_ROWS);
        let skip = range.start.checked_sub(first).ok_or(MISFIT)? / TILE_ROWS * self.row_tile_bytes;
        let w = rows.get(skip..).and_then(|w| w.get(..tiles * self.row_tile_bytes)).ok_or(MISFIT)?;
        self.matmul(k, w, range.start, acts, &mut Sink { product: self, start: range.start, part })
    }

    /// The row tiles `w`, the first of which has output `row`, for all tokens.
    fn matmul<K: Kernels>(
        &self,
        k: K,
        w: &[u8],
        row: usize,
        acts: &Acts<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let n = self.tokens;
        match acts {
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
struct Sink<'a> {
    product: &'a Product<'a>,
    /// Output of the call's first row.
    start: usize,
    part: &'a mut dyn Columns,
}

impl Results for Sink<'_> {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        let Product { factor, bias, add, .. } = *self.product;
        let bias = bias.get(self.start.saturating_add(row)..).unwrap_or_default();
        let y = self.part.row(token).get_mut(row..).unwrap_or_default();
        for (i, (y, &v)) in y.iter_mut().zip(values).enumerate() {
            let mut v = v * factor;
            if let Some(bias) = bias.get(i) {
                v += bias;
            }
            *y = if add { *y + v } else { v };
        }
    }
}
