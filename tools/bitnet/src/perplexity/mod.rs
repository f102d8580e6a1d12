//! `bitnet perplexity`: how well a model predicts a text, and how far it is from another model.

mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::Tokenizer;
use bitnet_edge_core::{Error as CoreError, KvType, MemoryPlan, Model, PlanOptions, Session};
use bitnet_edge_std::measure::{
    Distribution, Divergence, Perplexity, Windows, score, score_pair, text_tokens,
};
use bitnet_pack::cli::{HOST_BATCH, ImportArgs, kv_type};
use bitnet_pack::progress::{Progress, Unit};
use bitnet_pack::report::{advised, print, say};
use bitnet_pack::source;
use clap::Args;

use crate::engine::{self, BackendArgs, Engine, HostCpu};
use crate::model::open;
use crate::text_input;
use report::{Report, Window};

pub(crate) const EXAMPLES: &str = "Examples:\n  bitnet perplexity text.txt --model model.bpk --chunks 16\n  \
    bitnet perplexity text.txt --model small.bpk --kl-against large.bpk --json\n\nWindows and scoring are llama.cpp's: \
    of every window of --context tokens the second half is scored. docs/perplexity.md says it exactly.";

/// Tokens of a window, unless the user or the model says otherwise; llama.cpp's number.
const CONTEXT: u32 = 512;

#[derive(Debug, Args)]
pub(crate) struct PerplexityArgs {
    /// A file of text; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A flash image (.bpk), or a GGUF file, which is converted in memory; without it the story model
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// Tokens of a window [default: 512, or the model's context if that is shorter]
    #[arg(short, long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(4..))]
    context: Option<u32>,
    /// Windows to score at most [default: all of the text]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    chunks: Option<u32>,
    /// Measure how far the model is from this one, which has the same vocabulary
    #[arg(long, value_name = "MODEL")]
    kl_against: Option<PathBuf>,
    /// Type of the KV cache: f16, f32 or int8 [default: f16]
    #[arg(long, value_name = "TYPE", value_parser = kv_type)]
    kv: Option<KvType>,
    /// Type of the other model's KV cache [default: that of --kv]
    #[arg(long, value_name = "TYPE", value_parser = kv_type, requires = "kl_against")]
    kl_kv: Option<KvType>,
    /// Tokens that go through the model together
    #[arg(long, value_name = "TOKENS", default_value_t = HOST_BATCH, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Drop bytes of the text that the model has no token for, instead of refusing it
    #[arg(long)]
    lossy: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Refuse to measure what is a fallback, or kernels that are not right on this machine (exit code 9)
    #[arg(long)]
    strict: bool,
    /// Threads that compute [default: one a physical core]
    #[arg(long, value_name = "N", value_parser = engine::threads)]
    threads: Option<usize>,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    import: ImportArgs,
}

pub(crate) fn run(args: &PerplexityArgs) -> Result<()> {
    let engine = Engine::new(&args.backend.select()?, args.threads)?;
    let mut text = text_input::read(&args.file)?;
    // As llama.cpp does with a file.
    text.pop_if(|byte| *byte == b'\n');
    let source = open(args.model.as_deref(), &args.import, args.backend.huge_pages)?;
    let name = args.model.as_deref().unwrap_or(Path::new("the story model"));
    let model = source::model(source.bytes(), name)?;
    let ids = tokens(&model, name, &text, args.lossy)?;
    let bos = model.tokenizer().filter(Tokenizer::adds_bos).and_then(|tokenizer| tokenizer.bos());
    let own = model.config().context;
    let context = args.context.unwrap_or(CONTEXT.min(own));
    if context > own {
        say(format_args!("note: the model was trained on contexts of {own} tokens, not of {context}"));
    }
    let windows = Windows::new(&ids, context as usize, bos);
    let count = windows_to_score(args, &windows, ids.len(), context)?;
    let mut report = Report::new(name, &args.file, &windows, args.kl_against.as_deref());
    let started = Instant::now();
    let work = Work { args, engine: &engine, windows, count };
    work.run((name, &model), &mut report)?;
    print(&if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() })?;
    let (tokens, seconds) = (count * context as usize, started.elapsed().as_secs_f64());
    say(format_args!(
        "{tokens} tokens in {seconds:.1} s, {:.1} tokens/s | {}",
        tokens as f64 / seconds,
        engine.describe()
    ));
    Ok(())
}

fn tokens(model: &Model<'_>, name: &Path, text: &[u8], lossy: bool) -> Result<Vec<u32>> {
    let Some(tokenizer) = model.tokenizer() else {
        bail!("{} has no tokenizer, which a text needs; convert a GGUF file that has one", name.display());
    };
    text_tokens(&tokenizer, text, lossy)
        .map_err(|error| advised(CoreError::Text(error)))
        .context("the text cannot be given to the model")
}

/// How many windows there are to score.
fn windows_to_score(
    args: &PerplexityArgs,
    windows: &Windows<'_>,
    have: usize,
    context: u32,
) -> Result<usize> {
    if windows.count() == 0 {
        bail!(
            "the text is too short: a window needs at least {context} tokens, and the text has {have}; --context takes less"
        );
    }
    let Some(asked) = args.chunks.map(|chunks| chunks as usize) else { return Ok(windows.count()) };
    if asked > windows.count() {
        let count = windows.count();
        say(format_args!(
            "note: the text has {count} windows of {context} tokens: these are scored, not {asked}"
        ));
    }
    Ok(asked.min(windows.count()))
}

/// Refuses models whose distributions are not over the same tokens.
fn same_vocabulary(model: &Model<'_>, base: &Model<'_>) -> Result<()> {
    let [here, there] = [model, base].map(|model| model.config().vocab);
    if here != there {
        bail!("the vocabularies differ: {here} tokens and {there}");
    }
    // A base without a tokenizer is believed to have the same one.
    let (Some(here), Some(there)) = (model.tokenizer(), base.tokenizer()) else { return Ok(()) };
    let differs = |&id: &u32| here.token_bytes(id) != there.token_bytes(id);
    if let Some(id) = (0..here.token_count().max(there.token_count())).find(differs) {
        let [here, there] =
            [here, there].map(|tokenizer| tokenizer.token_bytes(id).escape_ascii().to_string());
        bail!("the vocabularies differ: token {id} is \"{here}\" in one and \"{there}\" in the other");
    }
    Ok(())
}

/// What is measured, on what.
struct Work<'a> {
    args: &'a PerplexityArgs,
    engine: &'a Engine,
    windows: Windows<'a>,
    count: usize,
}

impl Work<'_> {
    /// Measures a model, against another where that is asked for.
    fn run(&self, (name, model): (&Path, &Model<'_>), report: &mut Report) -> Result<()> {
        let kv = self.args.kv.unwrap_or(PlanOptions::new(&model.config()).kv);
        let Some(path) = self.args.kl_against.as_deref() else {
            return self.session(model, kv, |session| self.plain(session, report));
        };
        let source = open(Some(path), &ImportArgs::default(), self.args.backend.huge_pages)?;
        let base = source::model(source.bytes(), path)?;
        same_vocabulary(model, &base)
            .with_context(|| format!("{} and {}", name.display(), path.display()))?;
        self.session(model, kv, |session| {
            self.session(&base, self.args.kl_kv.unwrap_or(kv), |base| self.against(session, base, report))
        })
    }

    /// Runs `work` with a session of the model.
    fn session<T>(
        &self,
        model: &Model<'_>,
        kv: KvType,
        work: impl FnOnce(&mut Session<'_, HostCpu<'_>>) -> Result<T>,
    ) -> Result<T> {
        let context = self.windows.context() as u32;
        let batch = self.args.batch.min(context);
        let options = PlanOptions { context, batch, kv, ..PlanOptions::new(&model.config()) };
        let plan = MemoryPlan::new(&model.config(), &options).map_err(advised)?;
        if self.args.strict {
            self.engine.strict(model, &plan)?;
        }
        let mut arena = engine::arena(&plan)?;
        let cpu = self.engine.cpu(model, &plan, &mut arena)?;
        work(&mut Session::new(model, &plan, cpu).map_err(advised)?)
    }

    fn plain(&self, session: &mut Session<'_, HostCpu<'_>>, report: &mut Report) -> Result<()> {
        let mut perplexity = Perplexity::default();
        for (index, window) in self.windows.iter().take(self.count).enumerate() {
            let bar = self.bar(index);
            let each = |logits: &[f32], next| perplexity.add(logits, next);
            score(session, &window, each, |tokens| bar.add(tokens as u64)).map_err(advised)?;
            drop(bar);
            self.show(report.push(Window::of(&perplexity, None)))?;
        }
        Ok(())
    }

    fn against(
        &self,
        session: &mut Session<'_, HostCpu<'_>>,
        base: &mut Session<'_, HostCpu<'_>>,
        report: &mut Report,
    ) -> Result<()> {
        let (mut perplexity, mut divergence) = (Perplexity::default(), Divergence::default());
        for (index, window) in self.windows.iter().take(self.count).enumerate() {
            let bar = self.bar(index);
            let each = |here: &[f32], there: &[f32], next| {
                let (here, there) = (Distribution::new(here), Distribution::new(there));
                perplexity.add_nll(-here.log_probability(next));
                divergence.add(&there, &here, next);
            };
            score_pair(session, base, &window, each, |tokens| bar.add(tokens as u64)).map_err(advised)?;
            drop(bar);
            self.show(report.push(Window::of(&perplexity, divergence.summary().as_ref())))?;
        }
        report.divergence(&divergence);
        Ok(())
    }

    /// The progress of a window; dropped before its line is printed.
    fn bar(&self, index: usize) -> Progress {
        let title = format!("window {} of {}", index + 1, self.count);
        Progress::new(title, Unit::Tokens, self.windows.context() as u64)
    }

    /// Prints the line of a window as soon as it is scored; with JSON on stdout, on stderr.
    fn show(&self, line: String) -> Result<()> {
        if self.args.json {
            say(line);
            return Ok(());
        }
        print(&(line + "\n"))
    }
}
