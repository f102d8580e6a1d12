//! Perplexity and its standard error.

use super::Distribution;

/// Negative log likelihoods of tokens, summed up.
///
/// ```
/// use bitnet_edge_std::measure::Perplexity;
/// let mut perplexity = Perplexity::default();
/// for _ in 0..10 {
///     perplexity.add(&[0.0, 0.0, 0.0, 0.0], 2); // four tokens, all as likely
/// }
/// assert_eq!(perplexity.tokens(), 10);
/// assert!((perplexity.value() - 4.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perplexity {
    tokens: u64,
    sum: f64,
    squares: f64,
}

impl Perplexity {
    /// Counts the token `next`, which the logits `[vocab]` were to predict.
    ///
    /// # Panics
    /// If there is no such token.
    pub fn add(&mut self, logits: &[f32], next: u32) {
        self.add_nll(-Distribution::new(logits).log_probability(next));
    }

    /// Counts a token by its negative log likelihood.
    pub fn add_nll(&mut self, nll: f64) {
        self.tokens += 1;
        self.sum += nll;
        self.squares += nll * nll;
    }

    /// How many tokens were counted.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The mean negative log likelihood, in nats.
    #[must_use]
    pub fn nll(&self) -> f64 {
        self.sum / self.tokens as f64
    }

    /// The perplexity; NaN without tokens.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.nll().exp()
    }

    /// Its standard error, as that of the mean carries over; 0 of a single token, NaN of none.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.value() * standard_error(self.tokens, self.sum, self.squares)
    }
}

/// The standard error of a mean.
pub(super) fn standard_error(count: u64, sum: f64, squares: f64) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let mean = sum / count as f64;
    let variance = squares / count as f64 - mean * mean;
    // Rounding can make it negative where all values are equal.
    if variance > 0.0 { (variance / (count - 1) as f64).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_three_tokens() {
        let mut perplexity = Perplexity::default();
        for nll in [1.0, 2.0, 6.0] {
            perplexity.add_nll(nll);
        }
        assert_eq!((perplexity.tokens(), perplexity.nll()), (3, 3.0));
        assert!((perplexity.value() - 3_f64.exp()).abs() < 1e-12);
        // Variance 14 / 3, over 2 degrees of freedom.
        let expected = 3_f64.exp() * (14.0 / 3.0 / 2.0_f64).sqrt();
        assert!((perplexity.standard_error() - expected).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_known_of_no_token_and_little_of_one() {
        let mut perplexity = Perplexity::default();
        assert!(perplexity.value().is_nan() && perplexity.standard_error().is_nan());
        perplexity.add(&[0.0, 0.0], 0);
        assert_eq!(perplexity.standard_error(), 0.0);
        perplexity.add(&[0.0, 0.0], 0);
        assert_eq!(perplexity.standard_error(), 0.0);
    }
}
