//! The figures, as text and as JSON.

use std::fmt::Write;
use std::path::Path;

use bitnet_edge_std::measure::{Divergence, Perplexity, Summary, Windows};
use serde::Serialize;

/// What was measured. Fields are those of the JSON (docs/perplexity.md).
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    model: String,
    text: String,
    context: usize,
    /// Windows that the text has; scored ones are in `running`.
    windows_in_text: usize,
    tokens_scored: u64,
    perplexity: f64,
    standard_error: f64,
    /// After each window.
    running: Vec<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against>,
}

/// The estimate after a window.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Window {
    #[serde(skip)]
    tokens: u64,
    perplexity: f64,
    standard_error: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl_standard_error: Option<f64>,
}

impl Window {
    /// What is known so far.
    pub(super) fn of(perplexity: &Perplexity, divergence: Option<&Summary>) -> Self {
        Self {
            tokens: perplexity.tokens(),
            perplexity: perplexity.value(),
            standard_error: perplexity.standard_error(),
            kl_mean: divergence.map(|d| d.mean),
            kl_standard_error: divergence.map(|d| d.standard_error),
        }
    }
}

/// How far the model is from another. Divergences are in nats a token.
#[derive(Clone, Debug, Serialize)]
struct Against {
    model: String,
    perplexity: Option<f64>,
    standard_error: Option<f64>,
    kl: Option<Kl>,
    same_top: Option<f64>,
    same_top_error: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Kl {
    mean: f64,
    standard_error: f64,
    median: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(model: &Path, text: &Path, windows: &Windows<'_>, against: Option<&Path>) -> Self {
        Self {
            model: model.display().to_string(),
            text: text.display().to_string(),
            context: windows.context(),
            windows_in_text: windows.count(),
            tokens_scored: 0,
            perplexity: 0.0,
            standard_error: 0.0,
            running: Vec::new(),
            against: against.map(|path| Against {
                model: path.display().to_string(),
                perplexity: None,
                standard_error: None,
                kl: None,
                same_top: None,
                same_top_error: None,
            }),
        }
    }

    /// Adds a window; returns its line.
    pub(super) fn push(&mut self, window: Window) -> String {
        (self.tokens_scored, self.perplexity) = (window.tokens, window.perplexity);
        self.standard_error = window.standard_error;
        self.running.push(window);
        let mut line = format!(
            "window {:>4}: perplexity {:.4} +/- {:.4}",
            self.running.len(),
            self.perplexity,
            self.standard_error
        );
        if let (Some(mean), Some(error)) = (window.kl_mean, window.kl_standard_error) {
            let _ = write!(line, ", KL divergence {mean:.6} +/- {error:.6}");
        }
        line
    }

    /// Adds what is known of the other model at the end.
    pub(super) fn divergence(&mut self, divergence: &Divergence) {
        let (Some(against), Some(s)) = (&mut self.against, divergence.summary()) else { return };
        let base = divergence.base();
        against.perplexity = Some(base.value());
        against.standard_error = Some(base.standard_error());
        (against.same_top, against.same_top_error) = (Some(s.same_top), Some(s.same_top_error));
        let Summary { mean, standard_error, median, p90, p95, p99, max, .. } = s;
        against.kl = Some(Kl { mean, standard_error, median, p90, p95, p99, max });
    }

    /// The figures at the end.
    pub(super) fn text(&self) -> String {
        let Self { context, perplexity, standard_error, tokens_scored, running, .. } = self;
        let windows = running.len();
        let s = if windows == 1 { "" } else { "s" };
        let mut text = format!(
            "perplexity {perplexity:.4} +/- {standard_error:.5}: {tokens_scored} tokens scored, {windows} window{s} of {context}\n"
        );
        let Some(against) = &self.against else { return text };
        if let (Some(base), Some(error)) = (against.perplexity, against.standard_error) {
            let _ =
                writeln!(text, "\nagainst {}, whose perplexity is {base:.4} +/- {error:.5}", against.model);
        }
        if let Some(Kl { mean, standard_error, median, p90, p95, p99, max }) = against.kl {
            let _ = writeln!(text, "KL divergence    mean {mean:.6} +/- {standard_error:.6}");
            for (name, value) in
                [("median", median), ("90 %", p90), ("95 %", p95), ("99 %", p99), ("maximum", max)]
            {
                let _ = writeln!(text, "  {name:<14} {value:.6}");
            }
        }
        if let (Some(same), Some(error)) = (against.same_top, against.same_top_error) {
            let _ = writeln!(text, "same top token   {:.3} +/- {:.3} %", same * 100.0, error * 100.0);
        }
        text
    }
}
