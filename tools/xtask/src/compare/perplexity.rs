//! A text's perplexity by both engines, over the same windows.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

use super::Engines;
use super::engines::peer;
use crate::command::output;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// How far the perplexities may be apart, in percent.
const BOUND: f64 = 0.5;

#[derive(clap::Args)]
#[command(next_help_heading = "Perplexity")]
pub(crate) struct PerplexityArgs {
    /// Compare the perplexity of a text; it must be within 0.5 % of llama.cpp's
    #[arg(long, value_name = "FILE", requires = "gguf")]
    pub(super) perplexity: Option<PathBuf>,
    /// Windows to score at most [default: all of the text]
    #[arg(long, value_name = "N", requires = "perplexity")]
    chunks: Option<u32>,
    /// Tokens of a window [default: 512, or the model's context if that is shorter]
    #[arg(long, value_name = "TOKENS", requires = "perplexity")]
    context: Option<u32>,
}

/// What is read of `bitnet perplexity --json`.
#[derive(Deserialize)]
struct Ours {
    context: u32,
    windows_in_text: u64,
    tokens_scored: u64,
    standard_error: f64,
    running: Vec<Window>,
}

#[derive(Deserialize)]
struct Window {
    perplexity: f64,
}

/// What `compare_perplexity.py` prints.
#[derive(Deserialize)]
struct Theirs {
    about: String,
    /// Of the text.
    tokens: u64,
    scored: u64,
    running: Vec<f64>,
}

/// The perplexities after each window.
#[derive(Serialize)]
pub(super) struct Perplexities {
    model: PathBuf,
    text: PathBuf,
    peer: String,
    peer_about: String,
    context: u32,
    tokens_scored: u64,
    /// Of our last one.
    standard_error: f64,
    running: Vec<Pair>,
    pub(super) problems: Vec<String>,
}

#[derive(Clone, Copy, Serialize)]
struct Pair {
    theirs: f64,
    ours: f64,
    difference_percent: f64,
}

pub(super) fn compare(engines: &Engines, args: &PerplexityArgs, text: &Path) -> Result<Perplexities> {
    let mut bitnet = engines.bitnet.command("perplexity", engines.threads);
    // llama.cpp drops bytes that have no token.
    bitnet.arg(text).args(["--json", "--lossy"]);
    for (option, value) in [("--chunks", args.chunks), ("--context", args.context)] {
        if let Some(value) = value {
            bitnet.args([option, &value.to_string()]);
        }
    }
    let ours: Ours = serde_json::from_str(&output(&mut bitnet)?)
        .context("`bitnet perplexity` printed something else than its figures")?;
    let file = text.to_str().context("the text's path is not UTF-8")?.to_owned();
    let windows = ours.running.len().to_string();
    let arguments = [file, ours.context.to_string(), windows];
    let theirs = engines.ask("compare_perplexity.py", &arguments)?;
    Ok(Perplexities::new(&engines.gguf, text, ours, theirs))
}

impl Perplexities {
    fn new(model: &Path, text: &Path, ours: Ours, theirs: Theirs) -> Self {
        let Ours { context, windows_in_text, tokens_scored, standard_error, running } = ours;
        let pair = |(theirs, ours): (f64, f64)| Pair {
            theirs,
            ours,
            difference_percent: (ours / theirs - 1.0) * 100.0,
        };
        let windows = [theirs.running.len(), running.len()];
        let ours = running.iter().map(|window| window.perplexity);
        let mut problems = Vec::new();
        if theirs.tokens / u64::from(context) != windows_in_text {
            let tokens = theirs.tokens;
            problems.push(format!(
                "the text has {tokens} tokens in llama.cpp, and {windows_in_text} windows of {context} in bitnet"
            ));
        }
        if let [theirs, ours] = windows
            && theirs != ours
        {
            problems.push(format!("llama.cpp scored {theirs} windows, bitnet {ours}"));
        }
        if theirs.scored != tokens_scored {
            problems.push(format!("llama.cpp scored {} tokens, bitnet {tokens_scored}", theirs.scored));
        }
        let running: Vec<Pair> = theirs.running.into_iter().zip(ours).map(pair).collect();
        // Not within the bound is what a NaN is, too.
        let last = running.last().map_or(f64::NAN, |pair| pair.difference_percent);
        if last.is_nan() || last.abs() > BOUND {
            problems.push(format!("the perplexities are {last:+.3} % apart; {BOUND} % are the bound"));
        }
        Self {
            model: model.to_owned(),
            text: text.to_owned(),
            peer: peer(),
            peer_about: theirs.about,
            context,
            tokens_scored,
            standard_error,
            running,
            problems,
        }
    }
}

impl fmt::Display for Perplexities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (windows, context) = (self.running.len(), self.context);
        writeln!(f, "perplexity of {} by {}", self.text.display(), self.model.display())?;
        writeln!(f, "theirs   {} ({})", self.peer, self.peer_about)?;
        writeln!(f, "ours     bitnet")?;
        writeln!(f, "\n{:>7}  {:>10} {:>10}  difference", "windows", "theirs", "ours")?;
        for (index, pair) in self.running.iter().enumerate() {
            let Pair { theirs, ours, difference_percent } = pair;
            writeln!(f, "{:>7}  {theirs:>10.4} {ours:>10.4}  {difference_percent:+.3} %", index + 1)?;
        }
        let Self { tokens_scored, standard_error, .. } = self;
        writeln!(
            f,
            "{tokens_scored} tokens scored in {windows} windows of {context}; standard error {standard_error:.4}"
        )?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "INVALID: {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(theirs: [f64; 2], ours: [f64; 2], tokens: u64, scored: u64) -> Perplexities {
        let ours = Ours {
            context: 512,
            windows_in_text: 3,
            tokens_scored: 510,
            standard_error: 0.1,
            running: ours.map(|perplexity| Window { perplexity }).into(),
        };
        let theirs = Theirs { about: String::new(), tokens, scored, running: theirs.into() };
        Perplexities::new(Path::new("m.gguf"), Path::new("t.txt"), ours, theirs)
    }

    #[test]
    fn the_last_figures_are_within_the_bound() {
        let within = compared([10.0, 20.0], [11.0, 20.09], 1600, 510);
        assert!(within.problems.is_empty(), "{:?}", within.problems);
        assert!(within.to_string().contains("\n      2     20.0000    20.0900  +0.450 %\n"), "{within}");
        for (theirs, ours) in [(20.0, 20.11), (20.0, 19.89), (f64::NAN, 20.0), (0.0, 0.0)] {
            let beyond = compared([10.0, theirs], [10.0, ours], 1600, 510);
            assert_eq!(beyond.problems.len(), 1, "{theirs} {ours}");
            assert!(beyond.to_string().contains("INVALID: the perplexities are"));
        }
    }

    #[test]
    fn other_tokens_make_a_comparison_invalid() {
        let same = [10.0, 20.0];
        assert_eq!(compared(same, same, 1535, 510).problems.len(), 1);
        assert_eq!(compared(same, same, 2048, 511).problems.len(), 2);
    }
}
