//! Typical, top-p and min-p: which of the candidates can be drawn. All of it is arithmetic of integers, which is exact in any
//! order, and nothing is sorted: the place where a sum is reached is found a part of the key at a time.

use core::ops::ControlFlow;

use bitnet_edge_kernels::math::{exp1, ln1};

use super::config::GenerationConfig;
use super::sampler::weigh;

/// What can be drawn of the candidates of top-k.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    /// The largest logit of all.
    best: f32,
    /// The expected distance from it, and which distances from that are kept.
    typical: Option<(u32, Cut)>,
    /// Which distances from the largest logit are kept.
    nucleus: Cut,
    /// Only weights of at least this.
    least: u64,
    /// As far as a weight surely is that much, and as far as it may be.
    sure: u32,
    far: u32,
    /// The largest logit that can be drawn.
    pub(super) largest: f32,
}

impl Filter {
    /// The filters of a configuration, if it has any, for candidates (ids and logits, in the order of the ids) of which the
    /// largest logit is `best`.
    pub(super) fn new(
        config: &GenerationConfig,
        candidates: impl Iterator<Item = (u32, f32)> + Clone,
        best: f32,
    ) -> Self {
        let mut filter =
            Self { best, typical: None, nucleus: Cut::ALL, least: 1, sure: SURE, far: FAR, largest: best };
        let near = candidates.filter(move |&(_, l)| distance(best, l).is_some());
        let far = |l| distance(best, l).unwrap_or(0);
        if config.typical_p < 1.0 {
            let mean = mean(near.clone(), best);
            let key = |l| far(l).abs_diff(mean);
            filter.typical = Some((mean, cut(near.clone(), key, best, config.typical_p)));
        }
        if config.top_p < 1.0 {
            let kept = near.clone().filter(|&(id, l)| filter.keeps(id, l));
            filter.nucleus = cut(kept, far, best, config.top_p);
        }
        if filter.typical.is_some() || filter.nucleus.key == 0 {
            let kept = near.filter(|&(id, l)| filter.keeps(id, l)).map(|(_, l)| l);
            filter.largest = kept.reduce(|a, b| if b > a { b } else { a }).unwrap_or(best);
        }
        if config.min_p > 0.0 {
            filter.least = part(config.min_p, weight(best, filter.largest));
            // The rounding of a logarithm and an exponential is far below 2^-12.
            let edge = (0.0 - ln1(filter.least as f32 / 4_294_967_296.0)) * UNIT;
            filter.sure = (edge as u32).saturating_sub(1 << 12).min(SURE);
            filter.far = (edge as u32).saturating_add(1 << 12).min(FAR);
        }
        filter
    }

    /// Whether a configuration has any.
    pub(super) fn is_in(config: &GenerationConfig) -> bool {
        config.typical_p < 1.0 || config.top_p < 1.0 || config.min_p > 0.0
    }

    /// No logit below this is kept.
    pub(super) fn least_logit(&self) -> f32 {
        let far = self.nucleus.key.min(self.far);
        // A distance was rounded and then cut off, both by far less than 1.
        self.best - (far as f32 / UNIT + 1.0)
    }

    /// Whether a candidate can be drawn.
    pub(super) fn keeps(&self, id: u32, l: f32) -> bool {
        let Some(far) = distance(self.best, l) else { return false };
        self.nucleus.keeps(far, id)
            && self.typical.is_none_or(|(mean, cut)| cut.keeps(far.abs_diff(mean), id))
            && (far < self.sure || (far <= self.far && weight(self.best, l) >= self.least))
    }
}

/// Distances are in units of `2^-24`.
const UNIT: f32 = 16_777_216.0;
/// As far as a weight can be 1 or more: `exp(-23) * 2^32` is below 1.
const FAR: u32 = 23 << 24;
/// As far as it surely is: `exp(-22) * 2^32` is above 1.
const SURE: u32 = 22 << 24;

/// How far a logit lies below the largest, rounded down to a whole number of units; `None` for what has no weight.
fn distance(best: f32, l: f32) -> Option<u32> {
    let far = best - l;
    (far <= 23.0).then_some((far * UNIT) as u32)
}

/// The weight of a logit at temperature 1, at most `2^32`.
fn weight(best: f32, l: f32) -> u64 {
    (exp1(l - best) * 4_294_967_296.0) as u64
}

/// `p` of a sum, rounded down, but at least 1.
fn part(p: f32, sum: u64) -> u64 {
    let p = (p * 4_294_967_296.0) as u64;
    let part = (u128::from(p) * u128::from(sum)) >> 32;
    (part as u64).max(1)
}

/// The mean of distances by their weights, rounded down.
fn mean(candidates: impl Iterator<Item = (u32, f32)>, best: f32) -> u32 {
    let (mut sum, mut weights) = (0u128, 0u64);
    let _ = weigh(
        candidates,
        |l| l - best,
        |_, l, w| {
            let far = distance(best, l).unwrap_or(0);
            sum = sum.saturating_add(u128::from(far) * u128::from(w));
            weights = weights.saturating_add(w);
            ControlFlow::<()>::Continue(())
        },
    );
    // The quotient, bit by bit: a division of 128 bits would be larger than all of this.
    let quotient = |mean: u32, bit: u32| {
        let more = mean | 1 << bit;
        if u128::from(more) * u128::from(weights) <= sum { more } else { mean }
    };
    (0..29).rev().fold(0, quotient)
}

/// The last that is kept, in the order of keys and then of ids.
#[derive(Clone, Copy)]
struct Cut {
    key: u32,
    id: u32,
}

impl Cut {
    const ALL: Self = Self { key: u32::MAX, id: u32::MAX };

    fn keeps(&self, key: u32, id: u32) -> bool {
        key < self.key || (key == self.key && id <= self.id)
    }
}

/// Where the running sum of weights, in the order of keys (below `2^29`) and then of ids, reaches `p` of the whole sum. The
/// key is found a few bits at a time from the top: only those that share the bits found so far are weighed again.
fn cut(
    candidates: impl Iterator<Item = (u32, f32)> + Clone,
    key: impl Fn(f32) -> u32,
    best: f32,
    p: f32,
) -> Cut {
    let (mut prefix, mut mask, mut left) = (0u32, 0u32, None);
    for (shift, bits) in [(21, 255), (13, 255), (5, 255), (0, 31)] {
        let mut sums = [0u64; 256];
        let alike = candidates.clone().filter(|&(_, l)| key(l) & mask == prefix);
        let _ = weigh(
            alike,
            |l| l - best,
            |_, l, w| {
                if let Some(sum) = sums.get_mut((key(l) >> shift & bits) as usize) {
                    *sum = sum.saturating_add(w);
                }
                ControlFlow::<()>::Continue(())
            },
        );
        let mut wanted =
            left.unwrap_or_else(|| part(p, sums.iter().fold(0u64, |all, s| all.saturating_add(*s))));
        for (bits, sum) in (0u32..).zip(sums) {
            if sum >= wanted {
                prefix |= bits << shift;
                break;
            }
            wanted -= sum;
        }
        left = Some(wanted);
        mask |= bits << shift;
    }
    let mut left = left.unwrap_or(0);
    let last = weigh(
        candidates.filter(|&(_, l)| key(l) == prefix),
        |l| l - best,
        |id, _, w| {
            left = left.saturating_sub(w);
            if left == 0 { ControlFlow::Break(id) } else { ControlFlow::Continue(()) }
        },
    );
    Cut { key: prefix, id: last.break_value().unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests;
