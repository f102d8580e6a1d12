//! Ratios of two engines, round by round.

use super::engines::{Speeds, peer};
use crate::synth::Shape;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Speeds of llama.cpp that were measured on another machine: what a sound run reaches, too.
pub(super) struct Table {
    machine: &'static str,
    rows: &'static [TableRow],
}

/// What one number of threads reached there.
struct TableRow {
    threads: usize,
    /// In bytes/s: a machine that reads slower is not compared.
    bandwidth: f64,
    decode: f64,
    prefill: &'static [(u32, f64)],
}

/// The least share of the table's speed.
const LEAST: f64 = 0.75;

/// The table of a shape with TQ2_0 matrices and a Q6_K head.
pub(super) fn table(shape: Shape) -> Option<Table> {
    const ROWS: &[TableRow] = &[
        TableRow { threads: 1, bandwidth: 14.6e9, decode: 5.9, prefill: &[(128, 22.0), (512, 18.0)] },
        TableRow { threads: 2, bandwidth: 24.2e9, decode: 10.2, prefill: &[(128, 43.0), (512, 40.0)] },
    ];
    let machine = "2 cores with AVX-512 VNNI and AMX that read 14.6 and 24.2 GB/s";
    (shape == Shape::B2T4).then_some(Table { machine, rows: ROWS })
}

/// A turn of both.
#[derive(Serialize)]
pub(super) struct Round {
    pub(super) round: u32,
    pub(super) threads: usize,
    pub(super) theirs: Speeds,
    pub(super) ours: Speeds,
}

impl Round {
    /// What both measured: name, their speed, ours.
    fn pairs(&self) -> Vec<(String, f64, f64)> {
        let prefill = self.theirs.prefill.iter().filter_map(|(tokens, &theirs)| {
            Some((format!("prefill {tokens}"), theirs, *self.ours.prefill.get(tokens)?))
        });
        let decode = self.theirs.decode.zip(self.ours.decode);
        prefill.chain(decode.map(|(theirs, ours)| ("decode".to_owned(), theirs, ours))).collect()
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}, {} threads:", self.round, self.threads)?;
        for (what, theirs, ours) in self.pairs() {
            write!(f, "  {what} {ours:.1} / {theirs:.1} = {:.2}", ours / theirs)?;
        }
        Ok(())
    }
}

/// Median, least and largest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |i: usize| all.get(i).copied().unwrap_or(f64::NAN);
        let half = all.len() / 2;
        let median = if all.len().is_multiple_of(2) {
            f64::midpoint(at(half.wrapping_sub(1)), at(half))
        } else {
            at(half)
        };
        Self { median, min: at(0), max: at(all.len().wrapping_sub(1)) }
    }
}

#[derive(Serialize)]
struct Line {
    threads: usize,
    what: String,
    theirs: Spread,
    ours: Spread,
    ratio: Spread,
}

/// All rounds.
#[derive(Serialize)]
pub(super) struct Comparison {
    model: String,
    peer: String,
    peer_about: String,
    backend: String,
    lines: Vec<Line>,
    bandwidth_percent: Vec<(usize, Spread)>,
    rounds: Vec<Round>,
    pub(super) problems: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Comparison {
    pub(super) fn new(gguf: &Path, rounds: Vec<Round>, table: Option<Table>) -> Self {
        let about =
            |speeds: fn(&Round) -> &Speeds| rounds.first().map_or(String::new(), |r| speeds(r).about.clone());
        let (peer_about, backend) = (about(|round| &round.theirs), about(|round| &round.ours));
        let mut threads: Vec<usize> = rounds.iter().map(|round| round.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        let lines = threads.iter().flat_map(|&threads| lines(&rounds, threads)).collect::<Vec<_>>();
        let percent = |threads| {
            let of = rounds.iter().filter(|round| round.threads == threads);
            let all: Vec<f64> = of.filter_map(|round| round.ours.bandwidth_percent).collect();
            (!all.is_empty()).then(|| (threads, Spread::of(all)))
        };
        let bandwidth_percent = threads.iter().filter_map(|&threads| percent(threads)).collect();
        let problems = |round: &Round| round.ours.problems.clone();
        let mut problems: Vec<String> = rounds.iter().flat_map(problems).collect();
        if let Some(table) = table {
            table.judge(&lines, &rounds, &mut problems);
        }
        let model = gguf.display().to_string();
        Self {
            model,
            peer: peer(),
            peer_about,
            backend,
            lines,
            bandwidth_percent,
            rounds,
            problems,
            notes: Vec::new(),
        }
    }
}

/// The lines of a number of threads, in the order in which they were measured.
fn lines(rounds: &[Round], threads: usize) -> Vec<Line> {
    let of = || rounds.iter().filter(move |round| round.threads == threads);
    let names = of().next().map(Round::pairs).unwrap_or_default();
    let line = |what: String| {
        let pairs: Vec<(f64, f64)> = of()
            .flat_map(Round::pairs)
            .filter(|(name, ..)| *name == what)
            .map(|(_, theirs, ours)| (theirs, ours))
            .collect();
        let spread = |f: fn(&(f64, f64)) -> f64| Spread::of(pairs.iter().map(f).collect());
        Line {
            threads,
            what,
            theirs: spread(|(theirs, _)| *theirs),
            ours: spread(|(_, ours)| *ours),
            ratio: spread(|(theirs, ours)| ours / theirs),
        }
    };
    names.into_iter().map(|(what, ..)| line(what)).collect()
}

impl Table {
    /// A peer that is much slower than it was elsewhere was disturbed, or built wrongly. What decoding may take follows from
    /// the read bandwidth, where that is lower than it was there; prefill does not depend on it.
    fn judge(&self, lines: &[Line], rounds: &[Round], problems: &mut Vec<String>) {
        for row in self.rows {
            let bandwidths = rounds.iter().filter(|round| round.threads == row.threads);
            let bandwidth = bandwidths.filter_map(|round| round.ours.bandwidth).max_by(f64::total_cmp);
            let slower = bandwidth.map_or(1.0, |bandwidth| (bandwidth / row.bandwidth).min(1.0));
            for line in lines.iter().filter(|line| line.threads == row.threads) {
                let prefill =
                    |tokens: &str| row.prefill.iter().find(|(n, _)| n.to_string() == tokens).map(|p| p.1);
                let expected = match line.what.strip_prefix("prefill ") {
                    Some(tokens) => prefill(tokens),
                    None => Some(row.decode * slower),
                };
                if let Some(expected) = expected.filter(|expected| line.theirs.median < LEAST * expected) {
                    problems.push(format!(
                        "llama.cpp's {} at {} threads is {:.1} tokens/s; {expected:.1} are to be expected from {}",
                        line.what, line.threads, line.theirs.median, self.machine
                    ));
                }
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model    {}", self.model)?;
        writeln!(f, "theirs   {} ({})", self.peer, self.peer_about)?;
        writeln!(f, "ours     bitnet, backend {}", self.backend)?;
        writeln!(
            f,
            "\n{:>7}  {:<12} {:>10} {:>10}  ratio (min - max), speeds in tokens/s",
            "threads", "what", "theirs", "ours"
        )?;
        for line in &self.lines {
            let (theirs, ours, ratio) = (line.theirs.median, line.ours.median, line.ratio);
            writeln!(
                f,
                "{:>7}  {:<12} {theirs:>10.1} {ours:>10.1}  {:.2} ({:.2} - {:.2})",
                line.threads, line.what, ratio.median, ratio.min, ratio.max
            )?;
        }
        for (threads, percent) in &self.bandwidth_percent {
            let Spread { median, min, max } = percent;
            writeln!(
                f,
                "decode at {threads} threads reads {median:.1} % ({min:.1} - {max:.1}) of the read bandwidth"
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "INVALID: {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn round(round: u32, theirs: f64, ours: f64, bandwidth: f64) -> Round {
        let speeds = |decode| Speeds {
            prefill: BTreeMap::from([(128, 10.0 * decode)]),
            decode: Some(decode),
            about: String::new(),
            bandwidth: Some(bandwidth),
            bandwidth_percent: None,
            problems: Vec::new(),
        };
        Round { round, threads: 1, theirs: speeds(theirs), ours: speeds(ours) }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // A machine that halves its speed between rounds changes no ratio.
        let rounds = [round(1, 8.0, 16.0, 2e10), round(2, 4.0, 8.0, 2e10), round(3, 4.0, 12.0, 2e10)];
        let lines = lines(&rounds, 1);
        let decode = lines.iter().find(|line| line.what == "decode").unwrap();
        assert_eq!(decode.ratio, Spread { median: 2.0, min: 2.0, max: 3.0 });
        assert_eq!(decode.theirs.median, 4.0);
    }

    #[test]
    fn a_slow_peer_makes_a_run_invalid_unless_the_machine_is_slow() {
        let table = table(Shape::B2T4).unwrap();
        let judged = |decode, bandwidth| {
            let mut problems = Vec::new();
            let rounds = [round(1, decode, 9.0, bandwidth)];
            table.judge(&lines(&rounds, 1), &rounds, &mut problems);
            problems.len()
        };
        assert_eq!((judged(5.0, 2e10), judged(4.0, 2e10)), (0, 1));
        // A bus of two thirds of the table's: two thirds of its speed are to be expected, but no less.
        assert_eq!((judged(4.0, 1e10), judged(2.9, 1e10)), (0, 1));
    }
}
