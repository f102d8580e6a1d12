//! The statistics, as text and as JSON.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::gate::{Outcome, number};
use super::stats::Stats;
use super::subject::Subject;

/// What was found. Fields are those of the JSON (docs/inspect.md).
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    model: String,
    architecture: &'a str,
    /// What most weights of the projections are stored as.
    #[serde(rename = "type")]
    ty: &'a str,
    tensors: &'a [Stats],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gate: Option<Outcome>,
}

impl<'a> Report<'a> {
    pub(super) fn new(path: &Path, subject: &'a Subject<'_>, tensors: &'a [Stats]) -> Self {
        let Subject { architecture, ty, .. } = subject;
        Self { model: path.display().to_string(), architecture, ty, tensors, gate: None }
    }

    /// A table, and what the gate found.
    pub(super) fn text(&self) -> String {
        let mut text = format!("architecture {}, weights of type {}\n\n", self.architecture, self.ty);
        let width =
            self.tensors.iter().map(|tensor| tensor.name.escape_debug().count()).max().unwrap_or(0).min(60);
        let _ = writeln!(
            text,
            "{:width$}  {:<10}  {:<6}  {:>15}  {:>10}  {:>7}  scale",
            "tensor", "kind", "type", "rows x columns", "rms", "zeros"
        );
        for tensor in self.tensors {
            line(&mut text, tensor, width);
        }
        if let Some(gate) = &self.gate {
            outcome(&mut text, gate);
        }
        text
    }
}

fn line(text: &mut String, tensor: &Stats, width: usize) {
    let numbers = &tensor.numbers;
    let dash = || "-".to_owned();
    let shape = format!("{} x {}", tensor.rows, tensor.columns);
    let kind = format!("{:?}", tensor.kind).to_lowercase();
    let _ = write!(
        text,
        "{:width$}  {kind:<10}  {:<6}  {shape:>15}  {:>10}  {:>7}  ",
        tensor.name.escape_debug().to_string(),
        tensor.ty,
        numbers.rms.map_or_else(dash, number),
        numbers.zeros.map_or_else(dash, |zeros| format!("{:.2} %", zeros * 100.0)),
    );
    let last = match (&numbers.problem, numbers.scale) {
        (Some(problem), _) => format!("problem: {problem}"),
        (None, None) => dash(),
        (None, Some(scale)) if scale.min < scale.max => {
            format!("{} to {}", number(scale.min), number(scale.max))
        }
        (None, Some(scale)) => number(scale.min),
    };
    let _ = writeln!(text, "{last}");
}

fn outcome(text: &mut String, gate: &Outcome) {
    let Outcome { set, checked, unchecked, violations } = gate;
    let _ = write!(text, "\nrules {set}: {checked} tensors checked");
    if *unchecked > 0 {
        let _ = write!(text, ", no rule for {unchecked}");
    }
    let count = violations.len();
    let s = if count == 1 { "" } else { "s" };
    let _ = writeln!(text, ", {count} violation{s}");
    for violation in violations {
        let tensor = violation.tensor.escape_debug();
        let (what, found, allowed, rule) =
            (violation.what, &violation.found, &violation.allowed, &violation.rule);
        let _ = writeln!(text, "  {tensor}: {what} is {found}; allowed: {allowed} ({rule})");
    }
}
