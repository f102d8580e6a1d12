//! One draw from the logits. The order of operations is part of the arithmetic contract.

use bitnet_edge_kernels::attention::order;
use bitnet_edge_kernels::math::exp1;

use super::config::GenerationConfig;

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

/// Chooses a token. `logits`: `[vocab]`, finite; `n`: how many tokens were sampled before.
///
/// 1. With temperature 0: the largest logit, the lowest id of equals.
/// 2. Candidates are the `top_k` largest logits, of equals the lowest ids; all if `top_k` is 0.
/// 3. A candidate's weight is `exp((logit - largest) / temperature) * 2^32`, truncated to an integer: their sum is exact
///    in any order.
/// 4. `r = random(seed, n) * sum / 2^64`; the token is the first in id order whose running sum exceeds `r`.
///
/// ```
/// use bitnet_edge_core::{GenerationConfig, generate::sample};
/// let config = GenerationConfig { top_k: 1, ..GenerationConfig::default() };
/// assert_eq!(sample(&[0.5, 2.0, 2.0], &config, 0), 1);
/// ```
pub fn sample(logits: &[f32], config: &GenerationConfig, n: u64) -> u32 {
    let (best, largest) = argmax(logits);
    if config.temperature <= 0.0 || config.top_k == 1 {
        return best;
    }
    let candidates = Candidates::new(logits, config.top_k);
    let weight = |l: f32| (exp1((l - largest) / config.temperature) * 4_294_967_296.0) as u64;
    let total: u64 = candidates.iter(logits).fold(0, |sum, (_, l)| sum.saturating_add(weight(l)));
    let r = ((u128::from(random(config.seed, n)) * u128::from(total)) >> 64) as u64;
    let mut sum = 0u64;
    for (id, l) in candidates.iter(logits) {
        sum = sum.saturating_add(weight(l));
        if sum > r {
            return id;
        }
    }
    best
}

fn argmax(logits: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &l) in (0u32..).zip(logits) {
        if l > best.1 {
            best = (id, l);
        }
    }
    best
}

/// The `k` largest logits: all above `threshold`, and the first `ties` that equal it.
struct Candidates {
    threshold: u32,
    ties: u32,
}

/// The order of a logit as an unsigned number; -0.0 and +0.0 are one value.
fn key(l: f32) -> u32 {
    order(l + 0.0) as u32 ^ 0x8000_0000
}

impl Candidates {
    /// Finds the `k`-th largest key, a byte at a time from the top: four passes, no memory but a histogram.
    fn new(logits: &[f32], k: u32) -> Self {
        if k == 0 || k as usize >= logits.len() {
            return Self { threshold: 0, ties: u32::MAX };
        }
        let (mut prefix, mut mask, mut wanted) = (0u32, 0u32, k);
        for shift in [24, 16, 8, 0] {
            let mut histogram = [0u32; 256];
            for key in logits.iter().map(|&l| key(l)).filter(|key| key & mask == prefix) {
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
        Self { threshold: prefix, ties: wanted }
    }

    fn iter<'l>(&self, logits: &'l [f32]) -> impl Iterator<Item = (u32, f32)> + use<'l> {
        let (threshold, mut ties) = (self.threshold, self.ties);
        (0u32..).zip(logits).filter_map(move |(id, &l)| {
            let key = key(l);
            let tie = key == threshold && ties > 0;
            if tie {
                ties -= 1;
            }
            (key > threshold || tie).then_some((id, l))
        })
    }
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
        for (n, k) in [(1, 1), (7, 3), (512, 40), (512, 511), (1000, 64)] {
            let mut logits = noise(n, k);
            for (i, l) in logits.iter_mut().enumerate() {
                if i % 5 == 0 {
                    *l = 3.25; // many ties
                }
                if i % 11 == 0 {
                    *l = if i % 2 == 0 { 0.0 } else { -0.0 };
                }
            }
            let mut sorted: Vec<(u32, f32)> = (0u32..).zip(logits.iter().copied()).collect();
            sorted.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            let mut want: Vec<u32> = sorted.iter().take(k as usize).map(|c| c.0).collect();
            want.sort_unstable();
            let got: Vec<u32> = Candidates::new(&logits, k as u32).iter(&logits).map(|c| c.0).collect();
            assert_eq!(got, want, "{n} logits, top {k}");
        }
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
            counts[sample(&logits, &config, i) as usize] += 1.0;
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
        assert_eq!(sample(&[1.0, 3.0, 3.0], &config, 0), 1);
        assert_eq!(sample(&[-1.0, -3.0], &config, 5), 0);
    }
}
