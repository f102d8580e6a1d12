//! `bitnet run`: a prompt in, text out.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::{Ending, Message, Piece, Role, Utf8Stream};
use bitnet_edge_core::{Backend, Error, Event, GenerationConfig, Generator, StopReason};
use bitnet_pack::cli::{HOST_BATCH, ImportArgs, PlanArgs, print_notes};
use bitnet_pack::convert::{Options, convert, hex};
use bitnet_pack::report::{advised, say};
use bitnet_pack::source::{self, Source};
use bitnet_pack::verify;
use clap::Args;

use crate::engine::{self, BackendArgs, Engine};
use crate::stats::Stats;

/// The story model, as the repository ships it.
static STORY: &[u8] = include_bytes!("../../../models/tinystories-micro/tinystories-micro-i2_s.gguf");

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
    /// Check every checksum of the image first
    #[arg(long)]
    verify: bool,
    /// Threads that compute [default: one a physical core]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    import: ImportArgs,
}

/// What is generated, and how; a board is asked for the same with the same options.
#[derive(Debug, Args)]
pub(crate) struct SamplingArgs {
    /// Tokens to generate at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub(crate) max_tokens: u32,
    /// Higher is more varied; 0 is greedy
    #[arg(short, long, default_value_t = 0.7, value_parser = temperature)]
    temperature: f32,
    /// Draw from this many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = 40)]
    top_k: u32,
    /// Seed of the draws: same image, prompt and seed, same text
    #[arg(short, long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// A token id that ends the text besides the model's own (repeatable)
    #[arg(long = "stop-token", value_name = "ID")]
    stop_tokens: Vec<u32>,
    /// Go on behind the model's own end token
    #[arg(long)]
    ignore_eos: bool,
    /// Drop bytes of the prompt that the model has no token for, instead of refusing it
    #[arg(long)]
    lossy: bool,
    /// Print the SHA-256 of the logits: equal digests are equal runs, on every backend
    #[arg(long)]
    pub(crate) digest: bool,
}

impl SamplingArgs {
    /// The configuration, for a vocabulary of `vocab` tokens.
    pub(crate) fn config(&self, vocab: u32) -> Result<GenerationConfig> {
        let mut config = GenerationConfig {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            seed: self.seed,
            ignore_end: self.ignore_eos,
            lossy: self.lossy,
            digest: self.digest,
            ..GenerationConfig::default()
        };
        for &id in &self.stop_tokens {
            if id >= vocab {
                return Err(Error::TokenOutOfRange { id, vocab }).context("--stop-token");
            }
            if config.stop_tokens.push(id).is_err() {
                bail!("at most {} stop tokens", bitnet_edge_core::generate::MAX_STOP_TOKENS);
            }
        }
        Ok(config)
    }
}

fn temperature(text: &str) -> Result<f32> {
    let number = text.parse().ok().filter(|t: &f32| t.is_finite() && *t >= 0.0);
    number.context("a number from 0 up is needed")
}

pub(crate) fn threads(text: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|n| (1..=1024).contains(n));
    number.context("a number from 1 to 1024 is needed")
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let engine = Engine::new(&args.backend.select()?, args.threads)?;
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
    let mut arena = engine::arena(&plan)?;
    let cpu = engine.cpu(&model, &plan, &mut arena)?;
    let mut generator = Generator::new(&model, &plan, cpu, args.sampling.config(model.config().vocab)?)?;
    let tokens = generator
        .pieces(pieces.into_iter(), template.is_none(), u32::MAX, &mut || {})
        .map_err(advised)
        .context("the prompt cannot be given to the model")?;
    let mut stats = Stats::start(tokens);
    // A model without a chat template goes on with the prompt, so the text begins with it.
    let echo = if template.is_none() && !args.no_echo { prompt } else { "" };
    if generate(&mut generator, &mut stats, echo)? == StopReason::ContextFull {
        let context = plan.options().context;
        say(format_args!(
            "note: the text ends because the context of {context} positions is full (--context)"
        ));
    }
    if let Some(digest) = generator.digest() {
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

/// Opens a model as the user names it, or the story model.
pub(crate) fn open(model: Option<&Path>, import: &ImportArgs, huge_pages: bool) -> Result<Source> {
    let source = open_in_place(model, import)?;
    if huge_pages { source.in_huge_pages() } else { Ok(source) }
}

fn open_in_place(model: Option<&Path>, import: &ImportArgs) -> Result<Source> {
    let Some(path) = model else {
        if import.is_set() {
            bail!("import options need --model: the story model is what it is");
        }
        let options = Options {
            lowercase: true,
            source_name: "tinystories-micro-i2_s.gguf".to_owned(),
            ..Options::default()
        };
        let done = convert(STORY, &options).context("the story model that the program carries")?;
        return Ok(Source::Converted { image: done.image, notes: Vec::new() });
    };
    let source = Source::open(path, &import.options()?)?;
    match &source {
        Source::Converted { notes, .. } => {
            say(format_args!(
                "{}: converted in memory; `bitnet-pack convert` makes an image that starts at once",
                path.display()
            ));
            print_notes(notes);
        }
        Source::Image(_) if import.is_set() => {
            bail!("{} is a flash image: import options are for GGUF files", path.display())
        }
        Source::Image(file) => file.read_ahead(),
        Source::Copied(_) => {}
    }
    Ok(source)
}

/// Streams the text to stdout, whole characters only.
fn generate<B: Backend>(
    generator: &mut Generator<'_, B>,
    stats: &mut Stats,
    echo: &str,
) -> Result<StopReason> {
    let mut out = stdout().lock();
    let mut print = |text: &str| {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to stdout")
    };
    let mut stream = Utf8Stream::new();
    print(echo)?;
    let reason = loop {
        match generator.step(u32::MAX).map_err(advised)? {
            Event::Working => {}
            Event::Token { bytes, .. } => {
                stats.token();
                let mut text = String::new();
                stream.feed(bytes, |part| text.push_str(part));
                print(&text)?;
            }
            Event::Done(reason) => break reason,
        }
    };
    let mut text = String::new();
    stream.finish(|part| text.push_str(part));
    print(&(text + "\n"))?;
    Ok(reason)
}
