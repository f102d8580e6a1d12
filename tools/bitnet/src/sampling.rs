//! What is generated, and how: the options of every command that generates.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use bitnet_edge_core::generate::{Logprobs, MAX_BIAS, MAX_TEMPERATURE};
use bitnet_edge_core::text::Tokenizer;
use bitnet_edge_core::{Error, GenerationConfig};
use bitnet_pack::report::advised;
use clap::{Args, ValueEnum};

/// What is generated, and how; a board is asked for the same with the same options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct SamplingArgs {
    /// Tokens to generate at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub(crate) max_tokens: u32,
    /// Options to begin with, which those besides it replace: greedy; balanced (temperature 0.7, top-k 40, top-p 0.95, min-p 0.05); creative (temperature 1, no top-k, min-p 0.05, repeat-penalty 1.1)
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Higher is more varied, up to 1000; 0 is greedy [default: 0.7]
    #[arg(short, long, visible_alias = "temp", value_parser = temperature)]
    temperature: Option<f32>,
    /// Draw from this many of the likeliest tokens; 0 for all [default: 40]
    #[arg(long, value_name = "N")]
    top_k: Option<u32>,
    /// Draw from the fewest tokens whose probabilities add up to P, the likeliest first [default: 1]
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Draw from tokens at least P times as likely as the likeliest [default: 0]
    #[arg(long, value_name = "P")]
    min_p: Option<f32>,
    /// Draw from the fewest tokens whose probabilities add up to P, the most typical first [default: 1]
    #[arg(long, visible_alias = "typical", value_name = "P")]
    typical_p: Option<f32>,
    /// Divide the logits of late tokens by X (where positive; else multiply) [default: 1]
    #[arg(long, visible_alias = "repetition-penalty", value_name = "X")]
    repeat_penalty: Option<f32>,
    /// Take X from the logit of a token as often as it came lately [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,
    /// Take X from the logit of a token that came lately [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,
    /// How many tokens, prompt included, the penalties look back at; -1 for all; at most 256 with --logprobs [default: 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = window)]
    repeat_last_n: Option<u32>,
    /// Add to the logit of a token: 42=1.5, 42+1.5, 42-1.5; 42-inf bans it (repeatable)
    #[arg(long, value_name = "ID=X", value_parser = bias)]
    logit_bias: Vec<(u32, f32)>,
    /// Seed of the draws: same image, prompt and seed, same text
    #[arg(short, long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Text that ends the answer, and is no part of it; \n, \t and \\ are escapes (repeatable)
    #[arg(long = "stop", value_name = "TEXT", value_parser = unescaped)]
    pub(crate) stop_strings: Vec<String>,
    /// A token id that ends the text besides the model's own (repeatable)
    #[arg(long = "stop-token", value_name = "ID")]
    stop_tokens: Vec<u32>,
    /// Go on behind the model's own end token
    #[arg(long)]
    ignore_eos: bool,
    /// Write the names of control tokens, too
    #[arg(long)]
    special: bool,
    /// Do not begin the text with the token that the vocabulary wants there
    #[arg(long)]
    no_bos: bool,
    /// Print how likely each token was, and N of the likeliest
    #[arg(long, value_name = "N")]
    logprobs: Option<u8>,
    /// Drop bytes of the prompt that the model has no token for, instead of refusing it
    #[arg(long)]
    lossy: bool,
    /// Print the SHA-256 of the logits: equal digests are equal runs, on every backend
    #[arg(long)]
    pub(crate) digest: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    // Comments of documentation here would spread every option's help over several lines.
    Greedy,
    Balanced,
    Creative,
}

impl SamplingArgs {
    /// The configuration, for a vocabulary of `vocab` tokens.
    pub(crate) fn config(&self, vocab: u32) -> Result<GenerationConfig> {
        for (&id, option) in self
            .stop_tokens
            .iter()
            .map(|id| (id, "--stop-token"))
            .chain(self.logit_bias.iter().map(|(id, _)| (id, "--logit-bias")))
        {
            if id >= vocab {
                return Err(Error::TokenOutOfRange { id, vocab }).context(option);
            }
        }
        let config = match self.preset {
            None => GenerationConfig::default(),
            Some(Preset::Greedy) => GenerationConfig::greedy(),
            Some(Preset::Balanced) => GenerationConfig::balanced(),
            Some(Preset::Creative) => GenerationConfig::creative(),
        };
        let strings: Vec<&str> = self.stop_strings.iter().map(String::as_str).collect();
        let config = GenerationConfig {
            max_tokens: self.max_tokens,
            temperature: self.temperature.unwrap_or(config.temperature),
            top_k: self.top_k.unwrap_or(config.top_k),
            top_p: self.top_p.unwrap_or(config.top_p),
            min_p: self.min_p.unwrap_or(config.min_p),
            typical_p: self.typical_p.unwrap_or(config.typical_p),
            repetition_penalty: self.repeat_penalty.unwrap_or(config.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(config.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(config.presence_penalty),
            penalty_window: self.repeat_last_n.unwrap_or(config.penalty_window),
            seed: self.seed,
            skip_special_tokens: !self.special,
            add_bos: !self.no_bos,
            ignore_eos: self.ignore_eos,
            logprobs: self.logprobs,
            lossy: self.lossy,
            digest: self.digest,
            ..config
        }
        .with_stop_tokens(&self.stop_tokens)
        .and_then(|config| config.with_stop_strings(&strings))
        .and_then(|config| config.with_logit_bias(&self.logit_bias))
        .map_err(advised)?;
        config.validate().map_err(advised)?;
        Ok(config)
    }
}

/// A line on how likely a token was: its log-probability, its text where the vocabulary is known, and the likeliest ones.
pub(crate) fn logprobs_line(
    tokenizer: Option<&Tokenizer<'_>>,
    Logprobs { id, logprob, top }: &Logprobs,
) -> String {
    let name = |id: u32| match tokenizer {
        Some(tokenizer) => format!("{id} {:?}", String::from_utf8_lossy(tokenizer.token_bytes(id))),
        None => id.to_string(),
    };
    let mut line = format!("logprob {logprob:.4} of {}", name(*id));
    for (n, (id, logprob)) in top.iter().enumerate() {
        let _ = write!(line, "{} {logprob:.4} {}", if n == 0 { " |" } else { "," }, name(*id)); // a String takes all
    }
    line
}

fn temperature(text: &str) -> Result<f32> {
    let number = text.parse().ok().filter(|t| (0.0..=MAX_TEMPERATURE).contains(t));
    number.context("a number from 0 to 1000 is needed")
}

fn window(text: &str) -> Result<u32> {
    if text == "-1" {
        return Ok(u32::MAX);
    }
    text.parse().context("a number of tokens is needed, or -1 for all")
}

fn bias(text: &str) -> Result<(u32, f32)> {
    let (id, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number = match rest.strip_prefix('=').unwrap_or(rest) {
        "-inf" | "false" => Some(-MAX_BIAS),
        number => number.parse().ok().filter(|n: &f32| (-MAX_BIAS..=MAX_BIAS).contains(n)),
    };
    match (id.parse(), number) {
        (Ok(id), Some(number)) if !rest.is_empty() => Ok((id, number)),
        _ => bail!("a token id and what is added to its logit are needed, such as 42=-1.5, or 42-inf"),
    }
}

/// A text with its escapes replaced.
pub(crate) fn unescaped(text: &str) -> Result<String> {
    let (mut plain, mut characters) = (String::new(), text.chars());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('\\') => '\\',
                _ => bail!("a backslash stands before n, t, r, or another backslash"),
            },
            other => other,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        sampling: SamplingArgs,
    }

    fn config(options: &str) -> Result<GenerationConfig> {
        let words = std::iter::once("program").chain(options.split_ascii_whitespace());
        Program::try_parse_from(words)?.sampling.config(100)
    }

    #[test]
    fn without_options_it_is_the_default_of_the_runtime() {
        assert_eq!(config("").unwrap(), GenerationConfig::default());
    }

    #[test]
    fn every_option_sets_its_field() {
        let all = config(
            "-n 5 -t 0.5 --top-k 3 --top-p 0.9 --min-p 0.1 --typical-p 0.8 --repeat-penalty 1.2 --frequency-penalty -0.5 \
             --presence-penalty 0.25 --repeat-last-n 16 --logit-bias 42=1.5 --logit-bias 7-inf --logit-bias 8-2 -s 9 \
             --stop \\n\\n --stop User: --stop-token 3 --stop-token 4 --ignore-eos --special --no-bos --logprobs 2 --lossy --digest",
        )
        .unwrap();
        let want = GenerationConfig::default()
            .with_max_tokens(5)
            .with_temperature(0.5)
            .with_top_k(3)
            .with_top_p(0.9)
            .with_min_p(0.1)
            .with_typical_p(0.8)
            .with_repetition_penalty(1.2)
            .with_frequency_penalty(-0.5)
            .with_presence_penalty(0.25)
            .with_penalty_window(16)
            .with_seed(9)
            .with_ignore_eos(true)
            .with_skip_special_tokens(false)
            .with_add_bos(false)
            .with_logprobs(Some(2))
            .with_lossy(true)
            .with_digest(true)
            .with_stop_tokens(&[3, 4])
            .and_then(|config| config.with_stop_strings(&["\n\n", "User:"]))
            .and_then(|config| config.with_logit_bias(&[(42, 1.5), (7, -MAX_BIAS), (8, -2.0)]));
        assert_eq!(all, want.unwrap());
    }

    #[test]
    fn options_replace_those_of_a_preset() {
        assert_eq!(config("--preset greedy").unwrap(), GenerationConfig::greedy());
        assert_eq!(config("--preset balanced").unwrap(), GenerationConfig::balanced());
        let creative = config("--preset creative --top-k 7 --temp 0.9 --repeat-last-n -1").unwrap();
        let want = GenerationConfig::creative().with_top_k(7).with_temperature(0.9);
        assert_eq!(creative, want.with_penalty_window(u32::MAX));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        for wrong in [
            "-t -1",
            "-t nan",
            "--top-p 1.5",
            "--min-p -0.1",
            "--typical-p 0",
            "--repeat-penalty 0",
            "--logit-bias 100=1",
            "--logit-bias x=1",
            "--logit-bias 4",
            "--logit-bias 4=nan",
            "--stop-token 100",
            "--stop a\\",
            "--logprobs 21",
            "--repeat-last-n -2",
            "--preset wild",
        ] {
            assert!(config(wrong).is_err(), "{wrong}");
        }
        assert!(config(&"--stop-token 1 ".repeat(64)).is_ok());
        assert!(config(&"--stop-token 1 ".repeat(65)).is_err());
        assert!(config(&"--stop a ".repeat(9)).is_err());
    }

    #[test]
    fn a_line_of_logprobs_has_the_likeliest_tokens() {
        let logprobs = Logprobs::of(&[0.0, 0.0, -100.0], 1, 2).unwrap();
        assert_eq!(logprobs_line(None, &logprobs), "logprob -0.6931 of 1 | -0.6931 0, -0.6931 1");
    }
}
