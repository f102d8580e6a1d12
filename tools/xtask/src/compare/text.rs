//! What both engines say to a prompt, greedily.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

use super::Engines;
use super::engines::peer;
use super::side::Rows;
use crate::command::output;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::path::PathBuf;

/// How far llama.cpp may be for another token than ours: more is not explained by the rounding of activations, see docs/arithmetic.md.
const BOUND: f64 = 0.75;

#[derive(clap::Args)]
#[command(next_help_heading = "Text")]
pub(crate) struct TextArgs {
    /// Compare greedy text, token by token; llama.cpp may not prefer another token by more than 0.75 nats
    #[arg(long, requires = "gguf")]
    pub(super) text: bool,
    /// What both go on with
    #[arg(long, value_name = "TEXT", default_value = "Once upon a time", requires = "text")]
    prompt: String,
    /// Ask the prompt as a user, below this system message, through the model's own chat template
    #[arg(long, value_name = "TEXT", requires = "text")]
    system: Option<String>,
    /// Text that ends the answer; \n, \t and \\ are escapes (repeatable)
    #[arg(long = "stop", value_name = "TEXT", requires = "text")]
    stops: Vec<String>,
    /// Tokens to generate at most
    #[arg(long, value_name = "N", default_value_t = 64, requires = "text", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
}

/// A line of `bitnet run --json`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Token(Token),
    Text {},
    End(Box<End>),
}

#[derive(Clone, Deserialize)]
struct Token {
    id: u32,
    logprob: f64,
    top_logprobs: Vec<Named>,
}

#[derive(Clone, Deserialize)]
struct Named {
    text: String,
}

#[derive(Deserialize)]
struct End {
    stop: String,
    stop_token: Option<u32>,
    text: String,
    prompt_tokens: u32,
    backend: String,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    stop_strings: Vec<String>,
}

/// What `compare_text.py` prints.
#[derive(Deserialize)]
struct Theirs {
    about: String,
    prompt_tokens: u32,
    text: String,
    reason: String,
    ids: Vec<u32>,
    steps: Vec<Step>,
}

/// What llama.cpp says behind some of our tokens: its likeliest token, and the log-probabilities of that and of our next one.
#[derive(Clone, Deserialize)]
struct Step {
    best: u32,
    name: String,
    logprob: f64,
    given_logprob: f64,
}

#[derive(Serialize)]
struct Said {
    text: String,
    reason: String,
    tokens: usize,
}

/// The first token of ours that is not llama.cpp's likeliest.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    /// From 0.
    token: usize,
    theirs: String,
    ours: String,
    /// By how much llama.cpp's own was ahead of ours there, in nats.
    margin: f64,
}

/// Both texts, and where they differ.
#[derive(Serialize)]
pub(super) struct Texts {
    model: PathBuf,
    prompt: String,
    system: Option<String>,
    stops: Vec<String>,
    peer: String,
    peer_about: String,
    backend: String,
    prompt_tokens: u32,
    theirs: Said,
    ours: Said,
    difference: Option<Difference>,
    /// How many of our tokens, behind those before them, are llama.cpp's likeliest as well, an end token counted.
    same: usize,
    of: usize,
    /// Between the log-probabilities of our tokens: the median, and the largest.
    distance: Option<(f64, f64)>,
    pub(super) problems: Vec<String>,
}

pub(super) fn compare(engines: &Engines, args: &TextArgs) -> Result<Texts> {
    let mut bitnet = engines.bitnet.command("run", engines.threads);
    bitnet.args(["--json", "--quiet", "--temperature", "0", "--logprobs", "1"]);
    bitnet.args(["--max-tokens", &args.max_tokens.to_string()]);
    match &args.system {
        Some(system) => bitnet.arg(format!("--system={system}")),
        None => bitnet.arg("--raw"),
    };
    bitnet.args(args.stops.iter().map(|stop| format!("--stop={stop}")));
    bitnet.arg(format!("--prompt={}", args.prompt));
    let (tokens, end) = lines(&output(&mut bitnet)?)?;
    let ids: Vec<u32> = tokens.iter().map(|token| token.id).chain(end.stop_token).collect();
    let question = json!({
        "prompt": args.prompt,
        "system": args.system,
        // Without their escapes.
        "stops": end.config.stop_strings,
        "max_tokens": args.max_tokens,
        "ids": ids,
    });
    let theirs = engines.ask("compare_text.py", &[question.to_string()])?;
    Ok(Texts::new(engines, args, &tokens, *end, theirs))
}

/// The tokens of a run, and its last line.
fn lines(printed: &str) -> Result<(Vec<Token>, Box<End>)> {
    let (mut tokens, mut end) = (Vec::new(), None);
    for line in printed.lines() {
        match serde_json::from_str(line).context("`bitnet run` printed something else than its lines")? {
            Line::Token(token) => tokens.push(token),
            Line::Text {} => {}
            Line::End(line) => end = Some(line),
        }
    }
    Ok((tokens, end.context("`bitnet run` printed no last line")?))
}

impl Texts {
    fn new(engines: &Engines, args: &TextArgs, tokens: &[Token], end: End, theirs: Theirs) -> Self {
        let difference = difference(tokens, end.stop_token, &theirs.steps);
        let mut problems = problems(&end, &theirs, difference.as_ref());
        let given = tokens.len() + end.stop_token.iter().len();
        if theirs.steps.len() != given {
            problems.push(format!("llama.cpp took {} of our {given} tokens", theirs.steps.len()));
        }
        let ids = tokens.iter().map(|token| token.id).chain(end.stop_token);
        let same = ids.zip(&theirs.steps).filter(|(id, step)| *id == step.best).count();
        let distance = |(token, step): (&Token, &Step)| (token.logprob - step.given_logprob).abs();
        let mut distances: Vec<f64> = tokens.iter().zip(&theirs.steps).map(distance).collect();
        distances.sort_by(f64::total_cmp);
        let median = distances.get(distances.len() / 2).copied();
        Self {
            model: engines.gguf.clone(),
            prompt: args.prompt.clone(),
            system: args.system.clone(),
            stops: end.config.stop_strings,
            peer: peer(),
            peer_about: theirs.about,
            backend: end.backend,
            prompt_tokens: end.prompt_tokens,
            theirs: Said { text: theirs.text, reason: theirs.reason, tokens: theirs.ids.len() },
            ours: Said { text: end.text, reason: end.stop, tokens: tokens.len() },
            difference,
            same,
            of: theirs.steps.len(),
            distance: median.zip(distances.last().copied()),
            problems,
        }
    }
}

fn difference(tokens: &[Token], end: Option<u32>, steps: &[Step]) -> Option<Difference> {
    let ids = tokens.iter().map(|token| token.id).chain(end);
    let (token, (_, step)) = ids.zip(steps).enumerate().find(|(_, (id, step))| *id != step.best)?;
    let name = |token: &Token| token.top_logprobs.first().map_or(String::new(), |named| named.text.clone());
    Some(Difference {
        token,
        theirs: step.name.clone(),
        ours: tokens.get(token).map_or_else(|| "end token".to_owned(), name),
        margin: step.logprob - step.given_logprob,
    })
}

/// The only difference that is meant to be is in it.
const ELSEWHERE: &str = "all tokens are llama.cpp's likeliest, but the texts end at other places; where one token completes \
    several stop texts, llama-cpp-python takes the first of the list, bitnet the first to be complete";

/// What rounding does not explain.
fn problems(end: &End, theirs: &Theirs, difference: Option<&Difference>) -> Vec<String> {
    let mut problems = Vec::new();
    if theirs.prompt_tokens != end.prompt_tokens {
        problems.push(format!(
            "the prompt has {} tokens in llama.cpp, {} in bitnet",
            theirs.prompt_tokens, end.prompt_tokens
        ));
    }
    match difference {
        // A NaN is beyond it, too.
        Some(difference) if difference.margin <= BOUND => {}
        Some(Difference { token, margin, .. }) => {
            problems.push(format!(
                "llama.cpp prefers another token {token} by {margin:.3} nats; {BOUND} are the bound"
            ));
        }
        // The tokens up to the limit are compared, and the rest of a character is printed in other ways.
        None if theirs.reason == "length" && end.stop == "max_tokens" => {}
        None if theirs.text != end.text => problems.push(ELSEWHERE.to_owned()),
        None => {}
    }
    problems
}

impl fmt::Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "greedy text of {}, {} tokens of prompt", self.model.display(), self.prompt_tokens)?;
        writeln!(f, "theirs   {} ({})", self.peer, self.peer_about)?;
        writeln!(f, "ours     bitnet, backend {}\n", self.backend)?;
        write!(f, "{}", Rows { theirs: &self.theirs.text, ours: &self.ours.text })?;
        for (whose, said) in [("theirs", &self.theirs), ("ours  ", &self.ours)] {
            writeln!(f, "{whose}   {} tokens, ended by: {}", said.tokens, said.reason)?;
        }
        match &self.difference {
            None => writeln!(f, "no token differs")?,
            Some(Difference { token, theirs, ours, margin }) => writeln!(
                f,
                "first difference: token {token} (from 0) is {theirs:?} in llama.cpp, by {margin:.3} nats, and {ours:?} in bitnet"
            )?,
        }
        write!(f, "behind the same tokens, the likeliest is the same at {} of {}", self.same, self.of)?;
        if let Some((median, largest)) = self.distance {
            write!(f, "; log-probabilities are {median:.3} apart (median), {largest:.3} at most")?;
        }
        writeln!(f)?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "INVALID: {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"
{"type":"token","id":5,"text":" a","logprob":-0.5,"top_logprobs":[{"id":5,"text":" a","logprob":-0.5}]}
{"type":"token","id":6,"text":"","logprob":-0.1,"top_logprobs":[{"id":6,"text":"b","logprob":-0.1}]}
{"type":"text","text":"b"}
{"type":"end","stop":"stop_token","stop_token":2,"stop_string":null,"text":" ab","token_ids":[5,6],"prompt_tokens":3,"backend":"avx2","config":{"stop_strings":["bc\n"]}}
"#;

    fn step(best: u32, logprob: f64, given_logprob: f64) -> Step {
        Step { best, name: format!("<{best}>"), logprob, given_logprob }
    }

    fn judged(steps: &[Step], text: &str, prompt_tokens: u32) -> (Option<Difference>, usize) {
        let (tokens, mut end) = lines(PRINTED.trim()).unwrap();
        if steps.len() == tokens.len() {
            (end.stop, end.stop_token) = ("max_tokens".to_owned(), None);
        }
        let reason = if text.ends_with('…') { "length" } else { "stop" };
        let theirs = Theirs {
            about: String::new(),
            prompt_tokens,
            text: text.to_owned(),
            reason: reason.to_owned(),
            ids: vec![5, 6],
            steps: steps.to_vec(),
        };
        let difference = difference(&tokens, end.stop_token, steps);
        let problems = problems(&end, &theirs, difference.as_ref()).len();
        (difference, problems)
    }

    #[test]
    fn lines_of_a_run_are_read() {
        let (tokens, end) = lines(PRINTED.trim()).unwrap();
        assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), [5, 6]);
        assert_eq!((end.stop_token, end.config.stop_strings.as_slice()), (Some(2), &["bc\n".to_owned()][..]));
        assert!(lines("").is_err() && lines("no JSON").is_err());
    }

    #[test]
    fn the_first_other_token_is_found_the_end_token_among_them() {
        let same = [step(5, -0.5, -0.5), step(6, -0.1, -0.1), step(2, -0.3, -0.3)];
        assert_eq!(judged(&same, " ab", 3), (None, 0));
        let mut other = same.clone();
        other[1] = step(7, -0.25, -0.75);
        let expected = |token, theirs: &str, ours: &str, margin| {
            Some(Difference { token, theirs: theirs.to_owned(), ours: ours.to_owned(), margin })
        };
        assert_eq!(judged(&other, " ax", 3), (expected(1, "<7>", "b", 0.5), 0));
        let mut other = same;
        other[2] = step(9, -0.25, -2.25);
        assert_eq!(judged(&other, " abc", 3), (expected(2, "<9>", "end token", 2.0), 1));
    }

    #[test]
    fn what_rounding_does_not_explain_is_a_problem() {
        let same = [step(5, -0.5, -0.5), step(6, -0.1, -0.1), step(2, -0.3, -0.3)];
        assert_eq!(judged(&same, " a", 3).1, 1, "the same tokens, another text");
        assert_eq!(judged(&same, " ab", 4).1, 1, "another prompt");
        assert_eq!(judged(&same[..2], " a", 3).1, 1, "a stop text that only llama.cpp found");
        assert_eq!(judged(&same[..2], " a…", 3).1, 0, "the limit");
        let mut nan = same;
        nan[0] = step(7, f64::NAN, -0.5);
        assert_eq!(judged(&nan, " x", 3).1, 1);
    }
}
