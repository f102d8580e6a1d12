//! The operations of the CPU backend whose unit is a token: each works on rows that nothing else writes.

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::gate::Activation;
use bitnet_edge_kernels::tile::Activations;

use super::cpu::{Cpu, MISFIT, act_shape, nth, row, two};
use super::linear::FULL;
use super::op::Rows;
use super::split::{Output, Part, Split, Work, elements};
use super::weights::Weights;
use crate::Error;
use crate::image::TensorId;
use crate::memory::{ActSlots, disjoint, typed};

impl<K: Kernels, S: Split, W: Weights> Cpu<'_, K, S, W> {
    pub(super) fn angles(&mut self, y: Rows, factor: f32, work: &Work) -> Result<(), Error> {
        let (turns, position) = (self.model.turns(), self.position()?);
        let ys = typed(self.arena.get_mut(y.slot.bytes()).ok_or(MISFIT)?)?;
        each_row(&self.split, ys, y, work, &|t, angles| {
            Ok(bitnet_edge_kernels::rope::angles(turns, position.wrapping_add(t), factor, angles)?)
        })
    }

    pub(super) fn norm(&mut self, w: TensorId, eps: f32, x: Rows, y: Rows, work: &Work) -> Result<(), Error> {
        let (w, k) = (self.vector(w)?, self.kernels);
        let [xs, ys] = two(self.arena, x, y)?;
        let xs = &*xs;
        each_row(&self.split, ys, y, work, &|t, y| Ok(k.rms_norm(row(xs, x, t)?, w, eps, y)?))
    }

    pub(super) fn head_norm(
        &mut self,
        w: TensorId,
        eps: f32,
        x: Rows,
        hd: u32,
        work: &Work,
    ) -> Result<(), Error> {
        let (w, k) = (self.vector(w)?, self.kernels);
        let xs = typed(self.arena.get_mut(x.slot.bytes()).ok_or(MISFIT)?)?;
        each_row(&self.split, xs, x, work, &|_, x| {
            x.chunks_exact_mut(hd.max(1) as usize).try_for_each(|head| Ok(k.rms_norm_in_place(head, w, eps)?))
        })
    }

    pub(super) fn rope(&mut self, x: Rows, hd: u32, angles: Rows, work: &Work) -> Result<(), Error> {
        let k = self.kernels;
        let [xs, all] = two(self.arena, x, angles)?;
        let all = &*all;
        each_row(&self.split, xs, x, work, &|t, x| {
            let angles = row(all, angles, t)?;
            x.chunks_exact_mut(hd.max(1) as usize).try_for_each(|head| Ok(k.rope(head, angles)?))
        })
    }

    pub(super) fn gate(&mut self, act: Activation, g: Rows, u: Rows, work: &Work) -> Result<(), Error> {
        let k = self.kernels;
        let [gs, us] = two(self.arena, g, u)?;
        let us = &*us;
        each_row(&self.split, gs, g, work, &|t, g| Ok(k.gate(act, g, row(us, u, t)?)?))
    }

    pub(super) fn add(&mut self, x: Rows, y: Rows, work: &Work) -> Result<(), Error> {
        let [xs, ys] = two(self.arena, x, y)?;
        let xs = &*xs;
        each_row(&self.split, ys, y, work, &|t, y| {
            for (y, x) in y.iter_mut().zip(row(xs, x, t)?) {
                *y += *x;
            }
            Ok(())
        })
    }

    pub(super) fn quant(
        &mut self,
        x: Rows,
        acts: ActSlots,
        form: Activations,
        work: &Work,
    ) -> Result<(), Error> {
        let k = self.kernels;
        let (stride, groups) = act_shape(x.cols, form);
        let ranges = [x.slot.bytes(), acts.q.bytes(), acts.scales.bytes(), acts.sums.bytes()];
        let [xs, qs, scales, sums] = disjoint(self.arena, ranges)?;
        let xs: &[f32] = typed(xs)?;
        let outputs = [
            Output::units_of(typed::<i8>(qs)?, stride),
            Output::units_of(typed::<f32>(scales)?, groups),
            Output::units_of(typed::<i32>(sums)?, groups),
        ];
        self.split.run(outputs, work, |part| {
            let units = part.units();
            let [qs, scales, sums] = part.bytes([0; 3]);
            let (qs, scales, sums) = (typed::<i8>(qs)?, typed::<f32>(scales)?, typed::<i32>(sums)?);
            for (i, t) in units.enumerate() {
                let (x, q) = (row(xs, x, t)?, nth(qs, i, stride)?);
                let (a, sum) = (nth(scales, i, groups)?, nth(sums, i, groups)?);
                match (form, a.first_mut(), sum.first_mut()) {
                    (Activations::Token, Some(s), Some(sum)) => (*s, *sum) = k.quantize_token(x, q)?,
                    (Activations::Group32, ..) => k.quantize_g32(x, q, a, sum)?,
                    (Activations::Group256, ..) if FULL => k.quantize_g256(x, q, a, sum)?,
                    _ => return Err(MISFIT),
                }
            }
            Ok(())
        })
    }
}

/// What an operation does with a token and its row. One type for all operations, so that [`each_row`] is one function: a row is long,
/// a call is not.
type OfRow<'f> = dyn Fn(u32, &mut [f32]) -> Result<(), Error> + Sync + 'f;

/// Calls `f` with every token of `work` and its row of `ys`.
fn each_row<S: Split>(split: &S, ys: &mut [f32], y: Rows, work: &Work, f: &OfRow<'_>) -> Result<(), Error> {
    let stride = y.stride as usize;
    split.run([Output::units_of(ys, stride)], work, |part| {
        let units = part.units();
        let ys = elements(part, 0)?;
        for (i, t) in units.enumerate() {
            f(t, nth(ys, i, stride)?.get_mut(..y.cols as usize).ok_or(MISFIT)?)?;
        }
        Ok(())
    })
}
