//! Outputs of other engines, and how far ours are from them.

use bitnet_edge_core::{Backend, Session};
use serde::Deserialize;

/// Greedy continuations that another engine computed: `tests/data/golden/`.
#[derive(Debug, Deserialize)]
pub struct Golden {
    /// The engine and its version.
    pub engine: String,
    /// One a prompt.
    pub cases: Vec<Case>,
}

/// A prompt and its greedy continuation.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// The text.
    pub prompt: String,
    /// Whether the prompt's ids begin with the token that begins a text.
    pub bos: bool,
    /// The tokens fed first.
    pub prompt_ids: Vec<u32>,
    /// The tokens chosen then, and the logits they were chosen from.
    pub steps: Vec<Step>,
}

/// One step of a continuation.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// The token chosen.
    pub id: u32,
    /// Root mean square over the vocabulary.
    pub rms: f32,
    /// The largest logits.
    pub top: Vec<(u32, f32)>,
    /// All logits, where stored.
    pub logits: Option<Vec<f32>>,
}

/// `max |ours - theirs| / rms` of every step, and the choices that differ though they should not.
#[derive(Debug, Default)]
pub struct Distances {
    /// One a step, sorted after [`Distances::of`].
    pub all: Vec<f64>,
    /// Steps whose golden margin exceeds twice the bound and whose token differs from ours.
    pub wrong: Vec<String>,
}

impl Distances {
    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.all.get(self.all.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.all.last().copied().unwrap_or(f64::NAN)
    }

    /// Feeds the golden tokens to `session` and measures every step; `bound` is the largest distance allowed.
    ///
    /// # Panics
    /// If the session fails.
    pub fn of<B: Backend>(golden: &Golden, session: &mut Session<'_, B>, bound: f64) -> Self {
        let mut found = Self::default();
        golden.each_step(session, |case, i, logits| {
            let step = &case.steps[i];
            found.all.push(distance(&step.stored(), logits, step.rms));
            let ours =
                (0u32..).zip(logits).fold((0, f32::MIN), |b, (i, &l)| if l > b.1 { (i, l) } else { b }).0;
            let margin = f64::from(step.top[0].1 - step.top[1].1) / f64::from(step.rms);
            if ours != step.id && margin > 2.0 * bound {
                found.wrong.push(format!("{:?} step {i}: {} instead of {}", case.prompt, ours, step.id));
            }
        });
        found.all.sort_by(f64::total_cmp);
        found
    }
}

/// The largest difference between some logits of another run and ours, in units of `rms`.
#[must_use]
pub fn distance(theirs: &[(u32, f32)], ours: &[f32], rms: f32) -> f64 {
    let differences = theirs.iter().map(|&(id, l)| f64::from((ours[id as usize] - l).abs()));
    differences.fold(0.0, f64::max) / f64::from(rms)
}

impl Golden {
    /// Feeds the golden tokens to `session`, prompt by prompt, and calls `f` with the logits of every step.
    ///
    /// # Panics
    /// If the session fails.
    pub fn each_step<B: Backend>(
        &self,
        session: &mut Session<'_, B>,
        mut f: impl FnMut(&Case, usize, &[f32]),
    ) {
        for case in &self.cases {
            session.rewind(0);
            session.prefill(&case.prompt_ids, true).unwrap();
            for (i, step) in case.steps.iter().enumerate() {
                f(case, i, session.logits().unwrap());
                if i + 1 < case.steps.len() {
                    session.decode(step.id).unwrap();
                }
            }
        }
    }
}

impl Step {
    /// The logits that are stored: all, or the largest.
    #[must_use]
    pub fn stored(&self) -> Vec<(u32, f32)> {
        let all = self.logits.as_ref().map(|all| (0..).zip(all.iter().copied()).collect());
        all.unwrap_or_else(|| self.top.clone())
    }
}
