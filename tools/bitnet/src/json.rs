//! What `bitnet run --json` prints: one object a line, `"type"` first.

use anyhow::Result;
use bitnet_edge_core::text::Tokenizer;
use bitnet_edge_core::{GenerationConfig, MemoryPlan, Model, StopReason};
use bitnet_pack::convert::hex;
use serde::Serialize;
use serde_json::{Value, json};

use crate::choice::Decision;
use crate::generation::{Ended, Outcome, Part};
use crate::session::Opened;
use crate::stats::rate;

/// A line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'l> {
    Token {
        id: u32,
        text: &'l str,
        #[serde(flatten)]
        logprobs: Option<Likely>,
    },
    /// Text of earlier tokens, which was held back.
    Text {
        text: &'l str,
    },
    Choice(Box<Chosen<'l>>),
    End(Box<End<'l>>),
}

/// How likely a token was, and the likeliest ones.
#[derive(Serialize)]
struct Likely {
    logprob: f32,
    top_logprobs: Vec<Alternative>,
}

/// A token that could have come.
#[derive(Serialize)]
struct Alternative {
    id: u32,
    text: String,
    logprob: f32,
}

/// The last line.
#[derive(Serialize)]
struct End<'l> {
    /// Why the text ended: `stop_token`, `stop_string`, `max_tokens`, `context_full` or `interrupted`.
    stop: &'static str,
    stop_token: Option<u32>,
    stop_string: Option<&'l str>,
    /// The text, whole.
    text: &'l str,
    token_ids: &'l [u32],
    prompt_tokens: u32,
    generated_tokens: u32,
    /// In seconds.
    prefill_seconds: f64,
    decode_seconds: f64,
    prefill_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
    #[serde(flatten)]
    run: Run<'l>,
}

/// The only line of a choice.
#[derive(Serialize)]
struct Chosen<'l> {
    text: &'l str,
    index: usize,
    probability: f32,
    /// All texts, in the order in which they were given.
    choices: Vec<Likelihood<'l>>,
    prompt_tokens: u32,
    /// For the prompt and all texts.
    choice_seconds: f64,
    #[serde(flatten)]
    run: Run<'l>,
}

#[derive(Serialize)]
struct Likelihood<'l> {
    text: &'l str,
    probability: f32,
}

/// What ran.
#[derive(Serialize)]
struct Run<'l> {
    open_seconds: f64,
    arena_bytes: usize,
    backend: &'static str,
    backend_reason: &'l str,
    threads: usize,
    logit_digest: Option<String>,
    config: Value,
    model: Value,
    version: &'static str,
}

impl<'l> Run<'l> {
    fn new(ran: &Ran<'l>, digest: Option<[u8; 32]>) -> Result<Self> {
        let Ran { opened, model, plan, config } = *ran;
        Ok(Self {
            open_seconds: opened.took.as_secs_f64(),
            arena_bytes: plan.bytes(),
            backend: opened.engine.backend(),
            backend_reason: opened.engine.why(),
            threads: opened.engine.threads(),
            logit_digest: digest.map(|digest| hex(&digest)),
            config: serde_json::to_value(config)?,
            model: json!({
                "name": opened.name.display().to_string(),
                "bytes": opened.source.bytes().len(),
                "digest": hex(&model.image().digest()),
                "context": plan.options().context,
                "kv_cache": plan.options().kv.name(),
                "batch": plan.options().batch,
            }),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// What ran, and how.
#[derive(Clone, Copy)]
pub(crate) struct Ran<'r> {
    pub(crate) opened: &'r Opened,
    pub(crate) model: &'r Model<'r>,
    pub(crate) plan: &'r MemoryPlan,
    pub(crate) config: &'r GenerationConfig,
}

/// The line of a token, or of text that was held back.
pub(crate) fn part(part: &Part<'_>, tokenizer: &Tokenizer<'_>) -> Result<Vec<u8>> {
    let text = part.text;
    let Some(id) = part.id else { return line(&Line::Text { text }) };
    let name = |id| String::from_utf8_lossy(tokenizer.token_bytes(id)).into_owned();
    let logprobs = part.logprobs.map(|likely| Likely {
        logprob: likely.logprob,
        top_logprobs: likely
            .top
            .iter()
            .map(|&(id, logprob)| Alternative { id, text: name(id), logprob })
            .collect(),
    });
    line(&Line::Token { id, text, logprobs })
}

/// The line behind the last token.
pub(crate) fn end(ran: &Ran<'_>, outcome: &Outcome) -> Result<Vec<u8>> {
    let s = &outcome.statistics;
    let (stop, stop_token) = match outcome.ended {
        Ended::Stop(StopReason::Stop(id)) => ("stop_token", Some(id)),
        Ended::Stop(StopReason::MaxTokens) => ("max_tokens", None),
        Ended::Stop(StopReason::ContextFull) => ("context_full", None),
        Ended::Stop(StopReason::StopString(_)) => ("stop_string", None),
        Ended::Stop(_) => ("other", None),
        Ended::Interrupted => ("interrupted", None),
    };
    let stop_string = match outcome.ended {
        Ended::Stop(StopReason::StopString(index)) => ran.config.stop_strings.get(index).map(AsRef::as_ref),
        _ => None,
    };
    line(&Line::End(Box::new(End {
        stop,
        stop_token,
        stop_string,
        text: &outcome.text,
        token_ids: &outcome.ids,
        prompt_tokens: s.prompt,
        generated_tokens: s.generated,
        prefill_seconds: s.prefill.as_secs_f64(),
        decode_seconds: s.decode.as_secs_f64(),
        prefill_tokens_per_second: rate(s.prompt, s.prefill),
        decode_tokens_per_second: rate(s.generated.saturating_sub(1), s.decode),
        run: Run::new(ran, outcome.digest)?,
    })))
}

/// The line of a choice among some texts.
pub(crate) fn choice(ran: &Ran<'_>, texts: &[String], decision: &Decision) -> Result<Vec<u8>> {
    let choices = texts.iter().zip(&decision.probabilities);
    line(&Line::Choice(Box::new(Chosen {
        text: texts.get(decision.choice.index).map_or("", String::as_str),
        index: decision.choice.index,
        probability: decision.choice.probability,
        choices: choices.map(|(text, &probability)| Likelihood { text, probability }).collect(),
        prompt_tokens: decision.prompt,
        choice_seconds: decision.took.as_secs_f64(),
        run: Run::new(ran, decision.digest)?,
    })))
}

fn line(line: &Line<'_>) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}
