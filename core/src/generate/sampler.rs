//! One draw from the logits. The order of operations is part of the arithmetic contract.

use core::ops::ControlFlow;

use bitnet_edge_kernels::attention::order;
use bitnet_edge_kernels::math::exp;
use bitnet_edge_kernels::simd::{F32x16, Scalar16};

use super::config::GenerationConfig;
#[cfg(feature = "full")]
use super::filter::Filter;
use crate::Error;

/// The `n`-th number of the generator with this seed: `SplitMix64` (Steele, Lea, Flood 2014), by counter.
///
/// A draw depends on the seed and on how many tokens were sampled before, and on nothing else.
///
/// ```
/// use bitnet_edge_core::generate::random;
/// assert_eq!(random(0, 0), 0xe220_a839_7b1d_cdaf); // the published first output for seed 0
/// ```
pub const fn random(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Chooses a token. `logits`: `[vocab]`; `n`: how many tokens were sampled before. Biases and penalties come before it:
/// [`penalize`](super::penalize).
///
/// The order is that of llama.cpp's default chain of samplers: top-k, typical, top-p, min-p, temperature.
///
/// 1. With temperature 0, or a `top_k` of 1: the largest logit, the lowest id of equals.
/// 2. Candidates are the `top_k` largest logits, of equals the lowest ids; all if `top_k` is 0.
/// 3. With any of `typical_p`, `top_p` and `min_p` a candidate has the distance `far = floor((best - logit) * 2^24)` from the
///    largest logit, and the weight `exp(logit - best) * 2^32`, truncated to an integer; only weights of at least 1 stay.
///    Probabilities are relative to the sum of the weights that are left at each stage, and sums are exact:
///    - `typical_p`: by `|far - mean|`, where the mean is by weight, and then by id, up to the first that
///      brings the running sum of weights to `typical_p` of all. (What that distance is of, the information less the
///      entropy, is the same: the logarithm of the sum is in both.)
///    - `top_p`: by `far` and then by id, up to the first that brings the running sum to `top_p` of all.
///    - `min_p`: weights of at least `min_p` of the largest.
/// 4. A candidate's weight is now `exp((logit - largest) / temperature) * 2^32`, truncated to an integer: their sum is
///    exact in any order.
/// 5. `r = random(seed, n) * sum / 2^64`; the token is the first in id order whose running sum exceeds `r`.
///
/// # Errors
/// [`Error::Kernel`] for a logit that is NaN or infinite, or no logits; those of [`GenerationConfig::validate`].
///
/// ```
/// use bitnet_edge_core::{GenerationConfig, generate::sample};
/// let config = GenerationConfig { top_k: 1, ..GenerationConfig::default() };
/// assert_eq!(sample(&[0.5, 2.0, 2.0], &config, 0), Ok(1));
/// assert!(sample(&[0.5, f32::NAN], &config, 0).is_err());
/// ```
pub fn sample(logits: &[f32], config: &GenerationConfig, n: u64) -> Result<u32, Error> {
    config.validate()?;
    if logits.is_empty() || !logits.iter().fold(true, |finite, l| finite & l.is_finite()) {
        return Err(Error::Kernel(bitnet_edge_kernels::Error::NonFinite));
    }
    Ok(draw(logits, config, n))
}

/// [`sample`] of logits that are known to be finite.
pub(super) fn draw(logits: &[f32], config: &GenerationConfig, n: u64) -> u32 {
    let blocks = Blocks::new(logits);
    let (best, largest) = blocks.first_largest();
    if config.temperature <= 0.0 || config.top_k == 1 {
        return best;
    }
    let candidates = Candidates::new(&blocks, config.top_k);
    let r = random(config.seed, n);
    #[cfg(feature = "full")]
    if Filter::is_in(config) {
        let near = candidates.above(largest - 24.0);
        let filter = Filter::new(config, near.iter(&blocks), largest);
        let near = near.above(filter.least_logit());
        let kept = near.iter(&blocks).filter(|&(id, l)| filter.keeps(id, l));
        return pick(kept, filter.largest, config.temperature, r).unwrap_or(best);
    }
    pick(candidates.iter(&blocks), largest, config.temperature, r).unwrap_or(best)
}

/// One of the candidates, ids and logits in the order of the ids, at random: `r` is uniform over all numbers.
fn pick(
    candidates: impl Iterator<Item = (u32, f32)> + Clone,
    largest: f32,
    temperature: f32,
    r: u64,
) -> Option<u32> {
    let x = |l: f32| (l - largest) / temperature;
    let mut total = 0u64;
    let _ = weigh(candidates.clone(), x, |_, _, w| {
        total = total.saturating_add(w);
        ControlFlow::<()>::Continue(())
    });
    let r = ((u128::from(r) * u128::from(total)) >> 64) as u64;
    let mut sum = 0u64;
    weigh(candidates, x, |id, _, w| {
        sum = sum.saturating_add(w);
        if sum > r { ControlFlow::Break(id) } else { ControlFlow::Continue(()) }
    })
    .break_value()
}

/// Calls `each` with the id, the logit and the weight of each candidate, in their order: `exp(x) * 2^32`, truncated to an
/// integer, where `x` is below 0 but for rounding. Exponentials come for sixteen at a time.
pub(super) fn weigh<B>(
    mut candidates: impl Iterator<Item = (u32, f32)>,
    x: impl Fn(f32) -> f32,
    mut each: impl FnMut(u32, f32, u64) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let (mut some, mut xs, mut count) = ([(0u32, 0.0f32); LANES], [0.0; LANES], 0usize);
    let mut flush = |some: &[(u32, f32); LANES], xs: &[f32; LANES], count: usize| {
        let mut exps = [0.0; LANES];
        exp(Scalar16::load(xs)).store(&mut exps);
        for ((&(id, l), &x), exp) in some.iter().zip(xs).zip(exps).take(count) {
            // exp(-23) * 2^32 is below 1. What is not is at most 2^32, which an i64 holds.
            let w = if x < -23.0 { 0 } else { (exp * 4_294_967_296.0) as i64 as u64 };
            each(id, l, w)?;
        }
        ControlFlow::Continue(())
    };
    candidates.try_for_each(|(id, l)| {
        if let (Some(place), Some(of)) = (some.get_mut(count), xs.get_mut(count)) {
            (*place, *of) = ((id, l), x(l));
        }
        count = count.saturating_add(1);
        if count < LANES {
            return ControlFlow::Continue(());
        }
        count = 0;
        flush(&some, &xs, LANES)
    })?;
    flush(&some, &xs, count)
}

const LANES: usize = 16;

/// Most blocks that logits are cut into.
const BLOCKS: usize = 256;
/// Sixteen logits, so that a block is a whole number of vectors.
const LEAST_BLOCK: usize = 16;

/// The logits in blocks of which the largest is known: a few of 128,000 are found without looking at the others again.
pub(super) struct Blocks<'l> {
    logits: &'l [f32],
    /// Logits of a block.
    size: usize,
    /// Of each block.
    largest: [f32; BLOCKS],
}

impl<'l> Blocks<'l> {
    pub(super) fn new(logits: &'l [f32]) -> Self {
        let size = logits.len().div_ceil(BLOCKS).next_multiple_of(LEAST_BLOCK).max(LEAST_BLOCK);
        let mut largest = [f32::NEG_INFINITY; BLOCKS];
        for (largest, block) in largest.iter_mut().zip(logits.chunks(size)) {
            *largest = largest_of(block);
        }
        Self { logits, size, largest }
    }

    /// The largest logit, and the lowest id that has it.
    pub(super) fn first_largest(&self) -> (u32, f32) {
        self.from(largest_of(&self.largest)).next().unwrap_or((0, f32::NEG_INFINITY))
    }

    /// The logits of at least `least`, in the order of their ids.
    fn from(&self, least: f32) -> impl Iterator<Item = (u32, f32)> + Clone {
        // The compiler sees that this is not 0, and leaves no panic.
        let size = self.size.max(LEAST_BLOCK);
        let blocks = (0u32..).step_by(size).zip(self.logits.chunks(size)).zip(&self.largest);
        blocks
            .filter(move |(_, largest)| **largest >= least)
            .flat_map(|((start, block), _)| (start..).zip(block.iter().copied()))
            .filter(move |(_, l)| *l >= least)
    }
}

fn largest_of(logits: &[f32]) -> f32 {
    let (whole, rest) = logits.as_chunks::<LEAST_BLOCK>();
    let mut lanes = [f32::NEG_INFINITY; LEAST_BLOCK];
    let mut add = |part: &[f32]| {
        for (lane, &l) in lanes.iter_mut().zip(part) {
            *lane = if l > *lane { l } else { *lane };
        }
    };
    whole.iter().for_each(|part| add(part));
    add(rest);
    lanes.into_iter().fold(f32::NEG_INFINITY, |largest, l| if l > largest { l } else { largest })
}

/// The `k` largest logits: all above `threshold`, and the first `ties` that equal it.
pub(super) struct Candidates {
    threshold: f32,
    ties: u32,
}

impl Candidates {
    pub(super) fn new(blocks: &Blocks<'_>, k: u32) -> Self {
        if k == 0 || k as usize >= blocks.logits.len() {
            return Self { threshold: f32::NEG_INFINITY, ties: u32::MAX };
        }
        // The k-th largest block has a logit that is no larger than the k-th largest of all.
        let maxima = blocks.largest.iter().copied();
        let least = if k as usize <= BLOCKS { kth_largest(maxima, k).0 } else { f32::NEG_INFINITY };
        let (threshold, ties) = kth_largest(blocks.from(least).map(|(_, l)| l), k);
        Self { threshold, ties }
    }

    /// These candidates, without those below `least`.
    #[cfg(feature = "full")]
    fn above(&self, least: f32) -> Self {
        if least > self.threshold { Self { threshold: least, ties: u32::MAX } } else { Self { ..*self } }
    }

    /// Ids and logits, in the order of the ids.
    pub(super) fn iter(&self, blocks: &Blocks<'_>) -> impl Iterator<Item = (u32, f32)> + Clone {
        let (threshold, mut ties) = (self.threshold, self.ties);
        blocks.from(threshold).filter(move |&(_, l)| {
            if l > threshold {
                return true;
            }
            let tie = ties > 0;
            ties = ties.saturating_sub(1);
            tie
        })
    }
}

/// The order of a logit as an unsigned number; -0.0 and +0.0 are one value.
fn key(l: f32) -> u32 {
    order(l + 0.0) as u32 ^ 0x8000_0000
}

/// The `k`-th largest number, and how many of those that equal it are among the `k` largest. Its key is found a byte at a
/// time from the top: four passes, no memory but a histogram.
fn kth_largest(numbers: impl Iterator<Item = f32> + Clone, k: u32) -> (f32, u32) {
    let (mut prefix, mut mask, mut wanted) = (0u32, 0u32, k);
    for shift in [24, 16, 8, 0] {
        let mut histogram = [0u32; 256];
        for key in numbers.clone().map(key).filter(|key| key & mask == prefix) {
            if let Some(count) = histogram.get_mut((key >> shift & 255) as usize) {
                *count = count.saturating_add(1);
            }
        }
        for (byte, count) in (0u32..256).rev().zip(histogram.into_iter().rev()) {
            if count >= wanted {
                prefix |= byte << shift;
                break;
            }
            wanted -= count;
        }
        mask |= 255 << shift;
    }
    let bits = if prefix & 0x8000_0000 == 0 { !prefix } else { prefix ^ 0x8000_0000 };
    (f32::from_bits(bits), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| (random(seed, i as u64) >> 40) as f32 / 65536.0 - 128.0).collect()
    }

    #[test]
    fn candidates_are_the_largest_by_sorting() {
        for (n, k) in
            [(1, 1), (7, 3), (512, 40), (512, 511), (1000, 64), (5000, 40), (70_000, 256), (70_000, 300)]
        {
            check_candidates(&noise(n, k), k as u32);
            // Many ties, and zeros of both signs.
            let ties = noise(n, k).into_iter().enumerate().map(|(i, l)| match i {
                i if i % 11 == 0 => [0.0, -0.0][i % 2],
                i if i % 5 == 0 => 3.25,
                _ => l,
            });
            check_candidates(&ties.collect::<Vec<_>>(), k as u32);
            check_candidates(&[0.0, -0.0].repeat(n)[..n], k as u32);
        }
    }

    fn check_candidates(logits: &[f32], k: u32) {
        let n = logits.len();
        let mut sorted: Vec<(u32, f32)> = (0u32..).zip(logits.iter().copied()).collect();
        sorted.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        let mut want: Vec<u32> = sorted.iter().take(k as usize).map(|c| c.0).collect();
        want.sort_unstable();
        let blocks = Blocks::new(logits);
        let got: Vec<u32> = Candidates::new(&blocks, k).iter(&blocks).map(|c| c.0).collect();
        assert!(got == want, "{n} logits, top {k}");
        assert_eq!(blocks.first_largest().0, sorted[0].0, "{n} logits");
    }

    #[test]
    fn draws_follow_the_distribution() {
        // Chi-square over 8 candidates with a fixed seed: 7 degrees of freedom, 24.3 at p = 0.001.
        let logits: Vec<f32> = (0..8).map(|i| i as f32 * 0.3).collect();
        let config = GenerationConfig { temperature: 1.0, top_k: 0, seed: 7, ..GenerationConfig::default() };
        let weights: Vec<f64> = logits.iter().map(|&l| f64::from(l).exp()).collect();
        let total: f64 = weights.iter().sum();
        let n = 100_000u64;
        let mut counts = [0f64; 8];
        for i in 0..n {
            counts[sample(&logits, &config, i).unwrap() as usize] += 1.0;
        }
        let chi: f64 = counts
            .iter()
            .zip(&weights)
            .map(|(c, w)| {
                let e = w / total * n as f64;
                (c - e) * (c - e) / e
            })
            .sum();
        assert!(chi < 24.3, "chi-square {chi}");
    }

    #[test]
    fn greedy_takes_the_lowest_of_equal_ids() {
        let config = GenerationConfig { temperature: 0.0, ..GenerationConfig::default() };
        assert_eq!(sample(&[1.0, 3.0, 3.0], &config, 0), Ok(1));
        assert_eq!(sample(&[-1.0, -3.0], &config, 5), Ok(0));
    }
}
