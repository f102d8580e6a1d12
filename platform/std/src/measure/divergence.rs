//! Distributions over a vocabulary, and how far they are apart.

use super::perplexity::{Perplexity, standard_error};

/// The distribution that logits stand for: their softmax, in f64.
///
/// ```
/// use bitnet_edge_std::measure::Distribution;
/// let even = Distribution::new(&[1.0, 1.0]);
/// assert_eq!(even.log_probability(0), 0.5_f64.ln());
/// assert_eq!(Distribution::new(&[0.0, 2.0, 2.0]).top(), 1); // ties go to the lowest id
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Distribution<'a> {
    logits: &'a [f32],
    max: f64,
    /// The logarithm of the sum of `exp(logit - max)`.
    log_sum: f64,
}

impl<'a> Distribution<'a> {
    /// The distribution of finite logits `[vocab]`.
    #[must_use]
    pub fn new(logits: &'a [f32]) -> Self {
        let max = logits.iter().fold(f32::NEG_INFINITY, |max, &logit| if logit > max { logit } else { max });
        let max = f64::from(max);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
        Self { logits, max, log_sum: sum.ln() }
    }

    /// The natural logarithm of the probability of a token.
    ///
    /// # Panics
    /// If there is no such token.
    #[must_use]
    pub fn log_probability(&self, id: u32) -> f64 {
        self.log(self.logits[id as usize])
    }

    fn log(&self, logit: f32) -> f64 {
        f64::from(logit) - self.max - self.log_sum
    }

    /// The likeliest token; of equals the lowest id.
    #[must_use]
    pub fn top(&self) -> u32 {
        self.logits.iter().position(|&logit| f64::from(logit) == self.max).unwrap_or(0) as u32
    }

    /// The Kullback-Leibler divergence of this distribution from `other`, in nats: what is lost where `other` stands in
    /// for this one.
    #[must_use]
    pub fn divergence_from(&self, other: &Self) -> f64 {
        let pairs = self.logits.iter().zip(other.logits);
        let terms = pairs.map(|(&here, &there)| {
            let log = self.log(here);
            log.exp() * (log - other.log(there))
        });
        terms.sum()
    }
}

/// How far a model is from a base model, token by token.
#[derive(Clone, Debug, Default)]
pub struct Divergence {
    values: Vec<f64>,
    same_top: u64,
    base: Perplexity,
}

impl Divergence {
    /// Counts the token `next`, which both were to predict.
    ///
    /// # Panics
    /// If there is no such token.
    pub fn add(&mut self, base: &Distribution<'_>, model: &Distribution<'_>, next: u32) {
        self.values.push(base.divergence_from(model));
        self.same_top += u64::from(base.top() == model.top());
        self.base.add_nll(-base.log_probability(next));
    }

    /// The perplexity of the base model.
    #[must_use]
    pub const fn base(&self) -> Perplexity {
        self.base
    }

    /// The figures over all tokens; `None` without any.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let (&max, count) = (sorted.last()?, sorted.len() as u64);
        let (sum, squares) = sorted.iter().fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
        let same_top = self.same_top as f64 / count as f64;
        let same_top_error = standard_error(count, self.same_top as f64, self.same_top as f64);
        Some(Summary {
            tokens: count,
            mean: sum / count as f64,
            standard_error: standard_error(count, sum, squares),
            median: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.90),
            p95: quantile(&sorted, 0.95),
            p99: quantile(&sorted, 0.99),
            max,
            same_top,
            same_top_error,
        })
    }
}

/// What a divergence comes to. Divergences are in nats a token.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // p90 to p99 are percentiles
pub struct Summary {
    /// Tokens counted.
    pub tokens: u64,
    pub mean: f64,
    /// Of the mean.
    pub standard_error: f64,
    pub median: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    /// The share of tokens before which both models think the same token likeliest.
    pub same_top: f64,
    /// Its standard error.
    pub same_top_error: f64,
}

/// The value that a share of `sorted` lies below, between neighbours in proportion; 0 without values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let at = |index: usize| sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let (below, part) = (place as usize, place.fract());
    (1.0 - part) * at(below) + part * at(below + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_of_two_known_distributions() {
        let logits = |p: [f64; 2]| p.map(|p| p.ln() as f32);
        let (one, other) = (logits([0.5, 0.5]), logits([0.9, 0.1]));
        let (one, other) = (Distribution::new(&one), Distribution::new(&other));
        let expected = 0.5 * (0.5_f64 / 0.9).ln() + 0.5 * (0.5_f64 / 0.1).ln();
        assert!((one.divergence_from(&other) - expected).abs() < 1e-6);
        // It is not symmetric, and nothing is lost where nothing differs.
        assert!((other.divergence_from(&one) - expected).abs() > 0.1);
        assert_eq!(one.divergence_from(&one), 0.0);
    }

    #[test]
    fn large_logits_overflow_nothing() {
        let far = Distribution::new(&[3.0e38, -3.0e38]);
        assert_eq!(far.log_probability(0), 0.0);
        assert_eq!(far.divergence_from(&far), 0.0);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [0.0, 1.0, 2.0, 3.0, 10.0];
        assert_eq!([0.0, 0.5, 0.625, 1.0].map(|share| quantile(&values, share)), [0.0, 2.0, 2.5, 10.0]);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
    }

    #[test]
    fn the_figures_of_a_few_tokens() {
        assert_eq!(Divergence::default().summary(), None);
        let (even, sure) = ([0.0, 0.0], [4.0_f32, 0.0]);
        let (even, sure) = (Distribution::new(&even), Distribution::new(&sure));
        let mut divergence = Divergence::default();
        divergence.add(&even, &even, 0);
        divergence.add(&even, &sure, 1);
        let summary = divergence.summary().unwrap();
        assert_eq!((summary.tokens, summary.same_top), (2, 1.0));
        assert_eq!(summary.max, even.divergence_from(&sure));
        assert_eq!(summary.mean, summary.max / 2.0);
        assert!((divergence.base().value() - 2.0).abs() < 1e-12);
        let other = [0.0, 1.0];
        divergence.add(&Distribution::new(&other), &sure, 0);
        assert!((divergence.summary().unwrap().same_top - 2.0 / 3.0).abs() < 1e-12);
    }
}
