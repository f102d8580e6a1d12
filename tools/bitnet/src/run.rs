//! `bitnet run`: a prompt in, text out.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::{Ending, Message, Piece, Role, Utf8Stream};
use bitnet_edge_core::{Backend, Event, Generator, StopReason};
use bitnet_pack::cli::{HOST_BATCH, ImportArgs, PlanArgs};
use bitnet_pack::convert::hex;
use bitnet_pack::report::{advised, say};
use bitnet_pack::source;
use bitnet_pack::verify;
use clap::Args;

use crate::engine::{self, BackendArgs, Engine};
use crate::model::open;
use crate::receipt::{Facts, Program, ReceiptArgs};
use crate::sampling::{SamplingArgs, logprobs_line};
use crate::stats::Stats;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The prompt
    #[arg(value_name = "PROMPT", conflicts_with = "prompt", required_unless_present = "prompt")]
    text: Option<String>,
    /// The prompt, as an option
    #[arg(short, long)]
    prompt: Option<String>,
    /// A flash image (.bpk), or a GGUF file, which is converted in memory
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// A system message, for models with a chat template
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Give the prompt as it is, without the model's chat template
    #[arg(long)]
    raw: bool,
    /// Print only what is generated, not the prompt that it continues
    #[arg(long)]
    no_echo: bool,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    receipt: ReceiptArgs,
    /// Refuse to run what is a fallback, or kernels that are not right on this machine (exit code 9)
    #[arg(long)]
    strict: bool,
    /// Check every checksum of the image first
    #[arg(long)]
    verify: bool,
    /// Threads that compute [default: one a physical core]
    #[arg(long, value_name = "N", value_parser = engine::threads)]
    threads: Option<usize>,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    import: ImportArgs,
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let begin = Instant::now();
    let pending = args.receipt.begin(args.model.as_deref())?;
    let program = pending.is_some().then(Program::begin);
    let mut engine = Engine::new(&args.backend.select()?, args.threads)?;
    let source = open(args.model.as_deref(), &args.import, args.backend.huge_pages)?;
    let name = args.model.as_deref().unwrap_or(Path::new("the story model"));
    let model = source::model(source.bytes(), name)?;
    if args.verify {
        verify::image(source.bytes()).map_err(advised).with_context(|| name.display().to_string())?;
    }
    if model.tokenizer().is_none() {
        bail!("{} has no tokenizer, which a prompt needs; convert a GGUF file that has one", name.display());
    }
    let prompt = args.text.as_deref().or(args.prompt.as_deref()).unwrap_or_default();
    let messages = conversation(args, prompt);
    let template = model.chat().filter(|_| !args.raw);
    if template.is_none() && args.system.is_some() {
        bail!("--system needs a model with a chat template, and this one has none (or --raw leaves it out)");
    }
    let pieces: Vec<Piece<'_>> = match &template {
        Some(template) => {
            let refused =
                "the model's chat template has no place for these messages; leave out --system, or --raw";
            template.render(None, &messages, Ending::Reply).context(refused)?.collect()
        }
        None => vec![Piece::from(prompt)],
    };
    let bytes = pieces.iter().map(|p| if let Piece::Text(t) = p { t.len() } else { 0 }).sum();
    let plan = args.plan.plan(&model, bytes, HOST_BATCH)?;
    if args.strict {
        engine.strict(&model, &plan)?;
    }
    let mut arena = engine::arena(&plan)?;
    let cpu = engine.cpu(&model, &plan, &mut arena)?;
    let mut config = args.sampling.config(model.config().vocab)?;
    config.digest |= pending.is_some();
    let mut generator = Generator::new(&model, &plan, cpu, config.clone())?;
    let tokens = generator
        .pieces(pieces.into_iter(), template.is_none(), u32::MAX, &mut || {})
        .map_err(advised)
        .context("the prompt cannot be given to the model")?;
    let given = generator.given(tokens).map(<[u32]>::to_vec).context("the prompt is not in memory")?;
    let load = begin.elapsed();
    let mut stats = Stats::start(tokens);
    // A model without a chat template goes on with the prompt, so the text begins with it.
    let echo = if template.is_none() && !args.no_echo { prompt } else { "" };
    let (stop, answer) = generate(&mut generator, &mut stats, echo)?;
    if stop == StopReason::ContextFull {
        let context = plan.options().context;
        say(format_args!(
            "note: the text ends because the context of {context} positions is full (--context)"
        ));
    }
    if let (Some(pending), Some(program), Some(logits)) = (pending, program, generator.digest()) {
        let (prefill, decode) = stats.times();
        let facts = Facts {
            engine: &engine,
            model: &model,
            plan: &plan,
            config: &config,
            prompt: &given,
            answer: &answer,
            sampled: generator.sampled(),
            stop: Some(stop),
            logits,
            load,
            prefill,
            decode,
        };
        pending.write(facts.receipt(program))?;
    }
    if let Some(digest) = generator.digest().filter(|_| args.sampling.digest) {
        say(format_args!("logit digest {}", hex(&digest)));
    }
    say(stats.line(plan.bytes(), &engine.describe(), args.sampling.seed));
    Ok(())
}

fn conversation<'a>(args: &'a RunArgs, prompt: &'a str) -> Vec<Message<'a>> {
    let message = |role, content: &'a str| Message { role, content: content.as_bytes() };
    let system = args.system.as_deref().map(|content| message(Role::System, content));
    system.into_iter().chain([message(Role::User, prompt)]).collect()
}

/// Streams the text to stdout, whole characters only.
fn generate<B: Backend>(
    generator: &mut Generator<'_, B>,
    stats: &mut Stats,
    echo: &str,
) -> Result<(StopReason, Vec<u32>)> {
    let mut out = stdout().lock();
    let mut print = |text: &str| {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to stdout")
    };
    let mut stream = Utf8Stream::new();
    let mut ids = Vec::new();
    print(echo)?;
    let reason = loop {
        let event = generator.step(u32::MAX).map_err(advised)?;
        let is_token = matches!(event, Event::Token { .. });
        if let Event::Token { id, .. } = event {
            stats.token();
            ids.push(id);
        }
        match event {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => {
                let mut text = String::new();
                stream.feed(bytes, |part| text.push_str(part));
                print(&text)?;
            }
            Event::Done(reason) => break reason,
        }
        if let Some(logprobs) = generator.logprobs().filter(|_| is_token) {
            say(logprobs_line(generator.session().model().tokenizer().as_ref(), logprobs));
        }
    };
    let mut text = String::new();
    stream.finish(|part| text.push_str(part));
    print(&(text + "\n"))?;
    Ok((reason, ids))
}
