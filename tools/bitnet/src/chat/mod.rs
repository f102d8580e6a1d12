//! `bitnet chat`: a conversation at a terminal.

mod commands;
mod conversation;
mod editor;
mod receipts;
mod settings;
mod talk;

use std::fmt::{self, Display};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::{Backend, GenerationConfig, Generator, MemoryPlan, Model};
use bitnet_pack::convert::hex;
use bitnet_pack::report::{Failure, be_quiet, complain_of, say};
use clap::{ArgMatches, Args};

use crate::generation::{Outcome, Part};
use crate::receipt::{Facts, Pending};
use crate::sampling::{SamplingArgs, logprobs_line};
use crate::session::{ModelArgs, Opened};
use crate::{engine, interrupt};
use commands::{Action, Typed, parse};
use editor::{Entry, Lines};
use receipts::{Receipts, ReceiptsArgs};
use settings::Settings;
pub(crate) use settings::without_limit;
use talk::{Talk, is_unanswered};

pub(crate) const EXAMPLES: &str = "\
Examples:
  bitnet chat --model model.bpk
  bitnet chat --model model.bpk --system \"Answer in one sentence.\" --temperature 0.3
  bitnet chat --model model.bpk --load yesterday.json
  bitnet chat --model model.bpk --receipts talk && bitnet receipt verify talk/answer-001.json --replay model.bpk
  bitnet chat --raw

Each line is a message, and /help lists what else there is. Ctrl-C stops an answer, Ctrl-D leaves. Answers are on stdout, \
all else that is not asked for on stderr. What is typed is kept in $XDG_STATE_HOME/bitnet-edge/chat-history, but for lines that \
begin with a space.";

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// A system message
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["raw", "load"])]
    system: Option<String>,
    /// Without the model's chat template: the model goes on with what is typed, as it is
    #[arg(long)]
    raw: bool,
    /// Go on with a conversation that /save wrote
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Keep no history of what is typed
    #[arg(long)]
    no_history: bool,
    /// Print answers and errors, nothing else
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print how the model was read, what it runs on, the plan by buffer, and what each answer took
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    receipts: ReceiptsArgs,
    /// Refuse to answer by what is a fallback, or by kernels that are not right on this machine (exit code 9)
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Runs the command; `matches` is what `args` were made of.
pub(crate) fn run(args: &ChatArgs, matches: &ArgMatches) -> Result<()> {
    if args.quiet {
        be_quiet();
    }
    let opened = args.model.open()?;
    let model = opened.model()?;
    let template = model.chat().filter(|_| !args.raw);
    if template.is_none() && !args.raw {
        bail!(
            "{} has no chat template, so it does not know what a message is; --raw goes on with what is typed as it is, and \
             `bitnet run` continues one text",
            opened.name.display()
        );
    }
    let plan = args.model.plan(&model, 0)?;
    if args.verbose {
        opened.describe(&model, &plan)?;
    }
    if args.strict {
        opened.engine.strict(&model, &plan)?;
    }
    let receipts = args.receipts.begin()?;
    let mut arena = engine::arena(&plan)?;
    let cpu = opened.engine.cpu(&model, &plan, &mut arena)?;
    let settings = Settings::of(matches);
    let config = settings.args()?.config(model.config().vocab)?;
    let mut chat = Chat {
        talk: Talk::new(Generator::new(&model, &plan, cpu, config)?, template),
        settings,
        model: &model,
        plan: &plan,
        opened: &opened,
        receipts,
        verbose: args.verbose,
        last: None,
    };
    if let Some(system) = &args.system {
        chat.talk.set_system(Some(system))?;
    }
    if let Some(path) = &args.load {
        chat.load(path)?;
    }
    interrupt::watch()?;
    chat.greet(plan.options().context);
    chat.talk_on(&mut Lines::new(!args.no_history)?)
}

/// The program's state while it talks.
struct Chat<'c, 'm, B> {
    talk: Talk<'m, B>,
    settings: Settings,
    model: &'c Model<'m>,
    plan: &'c MemoryPlan,
    opened: &'c Opened,
    receipts: Option<Receipts>,
    verbose: bool,
    last: Option<Outcome>,
}

impl<B: Backend> Chat<'_, '_, B> {
    fn greet(&self, context: u32) {
        if stdin().is_terminal() {
            let name = self.opened.name.display();
            say(format_args!(
                "{name}, context of {context} positions; /help lists what can be typed, Ctrl-D leaves"
            ));
        }
    }

    /// Until the person leaves. Where nobody is at a terminal to see an error, the exit code tells of it.
    fn talk_on(&mut self, lines: &mut Lines) -> Result<()> {
        let mut has_failed = false;
        loop {
            let text = match lines.read()? {
                Entry::Text(text) => text,
                Entry::Interrupt => {
                    say("note: Ctrl-D or /quit leaves");
                    continue;
                }
                Entry::End => break,
            };
            match self.obey(&text) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.is::<NobodyReads>() => return Err(error),
                Err(error) => {
                    has_failed = true;
                    complain_of(&error);
                }
            }
        }
        if has_failed && !stdin().is_terminal() { Err(Failure::silent(1)) } else { Ok(()) }
    }

    /// Does what was typed. False leaves.
    fn obey(&mut self, text: &str) -> Result<bool> {
        let tokenizer = self.model.tokenizer();
        let mut tell = |part: Part<'_>| {
            print(part.text)?;
            if let Some(logprobs) = part.logprobs {
                say(logprobs_line(tokenizer.as_ref(), logprobs));
            }
            Ok(())
        };
        match parse(text) {
            Typed::Message(text) if text.trim().is_empty() => {}
            Typed::Message(text) => {
                let pending = self.begin()?;
                let outcome = self.talk.ask(text, &mut tell);
                self.finish(outcome, pending)?;
            }
            Typed::Command(Action::Quit, _) => return Ok(false),
            Typed::Command(Action::Help, _) => print(&commands::help())?,
            Typed::Command(Action::Clear, _) => {
                self.talk.clear();
                say("note: the conversation begins anew");
            }
            Typed::Command(Action::System, text) => {
                self.talk.set_system(Some(text).filter(|text| !text.is_empty()))?;
                let what =
                    if text.is_empty() { "there is no system message" } else { "the system message is set" };
                say(format_args!("note: {what}; the model sees it with the next message"));
            }
            Typed::Command(Action::Regenerate, _) => {
                let pending = self.begin()?;
                let outcome = self.talk.again(&mut tell);
                self.finish(outcome, pending)?;
            }
            Typed::Command(Action::Save, file) => {
                conversation::save(named(file)?, &self.digest(), self.talk.turns())?;
                say(format_args!("note: {} messages are in {file}", self.talk.turns().len()));
            }
            Typed::Command(Action::Load, file) => {
                self.load(named(file)?)?;
                say(format_args!("note: {} messages from {file}", self.talk.turns().len()));
            }
            Typed::Command(Action::Set, "") => print(&self.settings.list())?,
            Typed::Command(Action::Set, text) => self.set(text)?,
            Typed::Command(Action::Statistics, _) => print(&self.statistics())?,
            Typed::Unknown(name) => {
                bail!("there is no command {name}; /help lists them, and // begins a message with a slash")
            }
        }
        Ok(true)
    }

    /// Before an answer of which there will be a receipt: it is that of a run of its own, by counts and draws that begin with it.
    fn begin(&mut self) -> Result<Option<(Pending, GenerationConfig)>> {
        let Some(receipts) = &mut self.receipts else { return Ok(None) };
        let config = self.settings.args()?.config(self.model.config().vocab)?;
        let seed = config.seed.wrapping_add(receipts.draw());
        let config = config.with_seed(seed).with_digest(true);
        let pending = receipts.next()?;
        self.talk.restart();
        self.talk.configure(config.clone())?;
        self.opened.engine.counts().reset();
        Ok(Some((pending, config)))
    }

    /// Ends what was streamed, and says what is to be said of it.
    fn finish(
        &mut self,
        outcome: Result<Outcome>,
        pending: Option<(Pending, GenerationConfig)>,
    ) -> Result<()> {
        let is_answered = outcome.as_ref().is_ok_and(|outcome| !is_unanswered(outcome));
        if let (false, Some(receipts)) = (is_answered, &mut self.receipts) {
            receipts.take_back();
        }
        let outcome = outcome?;
        print(&outcome.text[outcome.told..])?;
        print("\n")?;
        if let Some(note) = talk::note(&outcome, self.talk.positions().1) {
            say(format_args!("note: {note}"));
        }
        if let Some(digest) = outcome.digest.filter(|_| self.settings.args().is_ok_and(|args| args.digest)) {
            say(format_args!("logit digest {}", hex(&digest)));
        }
        if self.verbose {
            say(outcome.statistics.speeds());
        }
        if let Some((pending, config)) = pending.filter(|_| is_answered) {
            let file = pending.name().display().to_string();
            let (opened, model, plan) = (self.opened, self.model, self.plan);
            let (prompt, sampled) = (self.talk.given(), self.talk.sampled());
            pending.write(&Facts {
                opened,
                model,
                plan,
                config: &config,
                prompt,
                outcome: &outcome,
                sampled,
            })?;
            if self.verbose {
                say(format_args!("receipt {file}"));
            }
        }
        self.last = Some(outcome);
        Ok(())
    }

    fn set(&mut self, text: &str) -> Result<()> {
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let mut settings = self.settings.clone();
        let args = settings.set(name, value.trim())?;
        self.talk.configure(args.config(self.model.config().vocab)?)?;
        self.settings = settings;
        Ok(())
    }

    fn load(&mut self, path: &Path) -> Result<()> {
        let (turns, model) = conversation::load(path)?;
        self.talk.replace(turns)?;
        if model != self.digest() {
            say("note: another model answered in this conversation");
        }
        Ok(())
    }

    fn digest(&self) -> String {
        hex(&self.model.image().digest())
    }

    fn statistics(&self) -> String {
        let last = self.last.as_ref().map_or_else(|| "none yet".to_owned(), |last| last.statistics.speeds());
        let (used, all) = self.talk.positions();
        format!(
            "last answer: {last}\ncontext: {used} of {all} positions, {} messages\n{}, {}\n",
            self.talk.turns().len(),
            self.opened.name.display(),
            self.opened.engine.describe()
        )
    }
}

/// The file that a command names.
fn named(file: &str) -> Result<&Path> {
    if file.is_empty() {
        bail!("a file is needed, as in `/save talk.json`");
    }
    Ok(Path::new(file))
}

fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context(NobodyReads)
}

/// The one error that ends a conversation.
#[derive(Clone, Copy, Debug)]
struct NobodyReads;

impl Display for NobodyReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write to stdout")
    }
}
