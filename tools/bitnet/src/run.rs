//! `bitnet run`: a prompt in, text out.

use std::io::{Write, stdout};
use std::mem::take;

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::{Ending, Message, Piece, Role};
use bitnet_edge_core::{Generator, MemoryPlan, Model, StopReason};
use bitnet_edge_std::Arena;
use bitnet_pack::convert::hex;
use bitnet_pack::report::{Failure, INTERRUPTED, advised, be_quiet, say};
use clap::Args;

use crate::choice::{ChoiceArgs, Decision, choose};
use crate::engine::{self, HostCpu};
use crate::generation::{Ended, Outcome, Part, generate};
use crate::interrupt;
use crate::json::{self, Ran};
use crate::prompt::PromptArgs;
use crate::receipt::{Facts, Pending, ReceiptArgs};
use crate::sampling::{SamplingArgs, logprobs_line};
use crate::session::{ModelArgs, Opened};

pub(crate) const EXAMPLES: &str = "\
Examples:
  bitnet run \"once upon a time\"
  bitnet run --model model.bpk \"Explain gravity in one sentence.\"
  bitnet run --model model.bpk --system \"Answer in French.\" --file question.txt
  git diff | bitnet run --model model.bpk --quiet - > summary.txt
  bitnet run --json --temperature 0 \"once upon a time\" | tail -n 1
  bitnet run --temperature 0 \"lily was very\" --choose \" happy\" --choose \" sad\"

The text is on stdout, all else on stderr. Exit codes: 0; 1 for an error; 2 for a command line that cannot be understood; 9 if --strict refuses; 130 if \
Ctrl-C ended the text, of which what was there is printed. docs/command-line.md has the JSON lines.";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// A system message, for models with a chat template
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Give the prompt as it is, without the model's chat template
    #[arg(long)]
    raw: bool,
    /// Print only what is generated, not the prompt that it continues
    #[arg(long)]
    no_echo: bool,
    /// Print JSON, one object a line: each token, then what came of it all
    #[arg(long)]
    json: bool,
    /// Print the text and errors, nothing else
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print how the model was read, what it runs on, the plan by buffer, and what each phase took
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    receipt: ReceiptArgs,
    /// Refuse to run what is a fallback, or kernels that are not right on this machine (exit code 9)
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// A prompt as the model gets it.
struct Given<'p> {
    pieces: Vec<Piece<'p>>,
    /// Whether a chat template made the pieces: it has the marks of beginning and end.
    is_chat: bool,
    /// What the text begins with.
    echo: &'p [u8],
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    if args.quiet {
        be_quiet();
    }
    if args.choice.texts.len() == 1 {
        return Err(Failure::usage("--choose needs two texts or more"));
    }
    let prompt = args.prompt.read()?;
    let opened = args.model.open()?;
    let pending = args.receipt.begin(&opened.name, args.prompt.file())?;
    let model = opened.model()?;
    let messages = conversation(args, &prompt);
    let given = given(args, &model, &prompt, &messages)?;
    let bytes = given.pieces.iter().map(|p| if let Piece::Text(t) = p { t.len() } else { 0 }).sum();
    // The texts of a choice are read behind the prompt, in the same memory.
    let longest = args.choice.texts.iter().map(String::len).max().unwrap_or(0).max(bytes);
    let plan = args.model.plan(&model, longest)?;
    if args.verbose {
        opened.describe(&model, &plan)?;
    }
    if args.strict {
        opened.engine.strict(&model, &plan)?;
    }
    let mut config = args.sampling.config(model.config().vocab)?;
    config.digest |= pending.is_some();
    let job = Job {
        args,
        given: &given,
        ran: Ran { opened: &opened, model: &model, plan: &plan, config: &config },
    };
    let is_whole = if args.choice.texts.is_empty() { job.answer(pending)? } else { job.decide()? };
    if is_whole { Ok(()) } else { Err(Failure::silent(INTERRUPTED)) }
}

fn conversation<'a>(args: &'a RunArgs, prompt: &'a [u8]) -> Vec<Message<'a>> {
    let system = args.system.as_deref();
    let system = system.map(|text| Message { role: Role::System, content: text.as_bytes() });
    system.into_iter().chain([Message { role: Role::User, content: prompt }]).collect()
}

fn given<'p>(
    args: &RunArgs,
    model: &Model<'p>,
    prompt: &'p [u8],
    messages: &'p [Message<'p>],
) -> Result<Given<'p>> {
    let Some(template) = model.chat().filter(|_| !args.raw) else {
        if args.system.is_some() {
            bail!(
                "--system needs a model with a chat template, and this one has none (or --raw leaves it out)"
            );
        }
        // The model goes on with the prompt, so the text begins with it.
        let echo = if args.no_echo { &[] } else { prompt };
        return Ok(Given { pieces: vec![Piece::Text(prompt)], is_chat: false, echo });
    };
    let refused = "the model's chat template has no place for these messages; leave out --system, or --raw";
    let pieces = template.render(None, messages, Ending::Reply).context(refused)?.collect();
    Ok(Given { pieces, is_chat: true, echo: &[] })
}

/// A prompt, and what it is given to.
#[derive(Clone, Copy)]
struct Job<'j> {
    args: &'j RunArgs,
    given: &'j Given<'j>,
    ran: Ran<'j>,
}

impl<'j> Job<'j> {
    /// A generator that was given the prompt, and the prompt's tokens.
    fn begin(&self, arena: &'j mut Arena) -> Result<(Generator<'j, HostCpu<'j>>, u32)> {
        let Ran { opened, model, plan, config } = self.ran;
        let cpu = opened.engine.cpu(model, plan, arena)?;
        let mut generator = Generator::new(model, plan, cpu, config.clone())?;
        let pieces = self.given.pieces.iter().copied();
        let tokens = generator
            .pieces(pieces, !self.given.is_chat, u32::MAX, &mut || {})
            .map_err(advised)
            .context("the prompt cannot be given to the model")?;
        interrupt::watch()?;
        Ok((generator, tokens))
    }

    /// Generates, and streams to stdout. Whether it was not interrupted.
    fn answer(&self, pending: Option<Pending>) -> Result<bool> {
        let (args, Ran { opened, model, plan, config }) = (self.args, self.ran);
        let mut arena = engine::arena(plan)?;
        let (mut generator, tokens) = self.begin(&mut arena)?;
        let tokenizer = model.tokenizer().context("a prompt needs a tokenizer")?;
        let prompt = generator.given(tokens).map(<[u32]>::to_vec).context("the prompt is not in memory")?;
        let outcome = if args.json {
            let outcome =
                generate(&mut generator, tokens, &mut |part| print(&[&json::part(&part, &tokenizer)?]))?;
            if let Some(rest) = outcome.rest() {
                print(&[&json::part(&rest, &tokenizer)?])?;
            }
            print(&[&json::end(&self.ran, &outcome)?])?;
            outcome
        } else {
            // What comes before the text waits for it, so that an error stands alone.
            let mut echo = self.given.echo;
            let mut tell = |part: Part<'_>| {
                print(&[take(&mut echo), part.text.as_bytes()])?;
                if let Some(logprobs) = part.logprobs {
                    say(logprobs_line(Some(&tokenizer), logprobs));
                }
                Ok(())
            };
            let outcome = generate(&mut generator, tokens, &mut tell)?;
            print(&[echo, &outcome.text.as_bytes()[outcome.told..], b"\n"])?;
            outcome
        };
        if let Some(pending) = pending {
            let (prompt, sampled) = (&prompt[..], generator.sampled());
            pending.write(&Facts { opened, model, plan, config, prompt, outcome: &outcome, sampled })?;
        }
        report(args, opened, plan, &outcome);
        Ok(outcome.ended != Ended::Interrupted)
    }

    /// Chooses among the texts, and prints the choice. Whether it was not interrupted.
    fn decide(&self) -> Result<bool> {
        let (args, Ran { opened, plan, .. }) = (self.args, self.ran);
        let texts = &args.choice.texts;
        let mut arena = engine::arena(plan)?;
        let (mut generator, tokens) = self.begin(&mut arena)?;
        let Some(decision) = choose(&mut generator, tokens, texts)? else {
            say("note: interrupted");
            return Ok(false);
        };
        if args.json {
            print(&[&json::choice(&self.ran, texts, &decision)?])?;
        } else {
            let text = texts.get(decision.choice.index).map_or("", String::as_str);
            print(&[self.given.echo, text.as_bytes(), b"\n"])?;
            for (text, probability) in texts.iter().zip(&decision.probabilities) {
                say(format_args!("probability {probability:.4} of {text:?}"));
            }
        }
        let Decision { prompt, took, digest, .. } = decision;
        say_digest(args, digest);
        say(format_args!(
            "{prompt} prompt tokens, {} choices | {:.3} s | arena {} bytes | {} | seed {}",
            texts.len(),
            took.as_secs_f64(),
            plan.bytes(),
            opened.engine.describe(),
            args.sampling.seed
        ));
        Ok(true)
    }
}

fn print(parts: &[&[u8]]) -> Result<()> {
    let mut out = stdout().lock();
    let written = parts.iter().try_for_each(|part| out.write_all(part)).and_then(|()| out.flush());
    written.context("cannot write to stdout")
}

/// What is said behind the text.
fn report(args: &RunArgs, opened: &Opened, plan: &MemoryPlan, outcome: &Outcome) {
    match outcome.ended {
        Ended::Stop(StopReason::ContextFull) => {
            let context = plan.options().context;
            say(format_args!(
                "note: the text ends because the context of {context} positions is full (--context)"
            ));
        }
        Ended::Interrupted => say("note: interrupted"),
        Ended::Stop(StopReason::StopString(index)) if args.verbose => {
            let text = args.sampling.stop_strings.get(index).map(String::as_str);
            say(format_args!("ended: stop string {:?}", text.unwrap_or_default()));
        }
        Ended::Stop(reason) if args.verbose => say(format_args!("ended: {reason}")),
        Ended::Stop(_) => {}
    }
    say_digest(args, outcome.digest);
    let statistics = &outcome.statistics;
    if args.verbose {
        let [open, prefill, decode] =
            [opened.took, statistics.prefill, statistics.decode].map(|t| t.as_secs_f64());
        say(format_args!("phases: open {open:.3} s, prefill {prefill:.3} s, decode {decode:.3} s"));
    }
    say(statistics.line(plan.bytes(), &opened.engine.describe(), args.sampling.seed));
}

fn say_digest(args: &RunArgs, digest: Option<[u8; 32]>) {
    if let Some(digest) = digest.filter(|_| args.sampling.digest) {
        say(format_args!("logit digest {}", hex(&digest)));
    }
}
