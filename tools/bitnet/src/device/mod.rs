//! `bitnet device`: a prompt to a board, its answer back.

mod answer;
mod check;
mod connection;
mod link;
mod qemu;
mod receipt;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bitnet_edge_protocol::{Description, Error, KvCache, Request, Response, decode};
use bitnet_pack::convert::hex;
use clap::Args;

use crate::engine::BackendArgs;
use crate::receipt::ReceiptArgs;
use crate::sampling::SamplingArgs;
use connection::ConnectionArgs;
use link::Link;

pub(crate) const EXAMPLES: &str = "\
Examples:
  bitnet device --port /dev/ttyACM0 \"once upon a time\"
  bitnet device --port COM3 --baud 921600 --describe
  bitnet device --tcp 192.168.1.20:7000 --self-test
  bitnet device --qemu mps2-an500 --firmware FILE \"once upon a time\"
  bitnet device --port /dev/ttyACM0 --receipt board.json \"once upon a time\"
  bitnet device --port /dev/ttyACM0 --check --model story.bpk \"once upon a time\"

`cargo xtask simulate BOARD --build` makes a firmware and prints the command that starts it. Ctrl-C ends the answer on the \
board; once more, this program. With --check the exit code is 0 only if board and host sampled the same tokens from the \
same logits, bit for bit. The protocol is docs/device-protocol.md.";

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// The prompt
    #[arg(
        value_name = "PROMPT",
        conflicts_with = "prompt",
        required_unless_present_any = ["prompt", "describe", "self_test"]
    )]
    text: Option<String>,
    /// The prompt, as an option
    #[arg(short, long)]
    prompt: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Seconds without a word from the board after which it is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print what the board is: its program, model, memory and backend
    #[arg(long, conflicts_with_all = ["text", "prompt", "check"])]
    describe: bool,
    /// Have the board compare its kernels with their definition
    #[arg(long, conflicts_with_all = ["text", "prompt", "check"])]
    self_test: bool,
    /// Compute the same here, and compare every token and the logit digest
    #[arg(long)]
    check: bool,
    /// With --check: the board's model, a flash image (.bpk) or a GGUF file [default: the story model]
    #[arg(short, long, requires = "check")]
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
    /// With --check: threads that compute here [default: one a physical core]
    #[arg(long, help_heading = "With --check", value_name = "N", requires = "check", value_parser = crate::engine::threads)]
    threads: Option<usize>,
    #[command(flatten, next_help_heading = "With --check")]
    backend: BackendArgs,
}

impl DeviceArgs {
    fn prompt(&self) -> &str {
        self.text.as_deref().or(self.prompt.as_deref()).unwrap_or_default()
    }
}

/// How often Ctrl-C was typed.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn run(args: &DeviceArgs) -> Result<()> {
    ctrlc::set_handler(|| {
        // The second one is seen where the board is listened to. The third ends what does not listen.
        if INTERRUPTS.fetch_add(1, Ordering::SeqCst) >= 2 {
            std::process::exit(130);
        }
    })
    .context("Ctrl-C cannot be caught")?;
    let pending = args.receipt.begin(args.model.as_deref().unwrap_or(Path::new("")), None)?;
    let timeout = Duration::from_secs(args.timeout);
    let mut link = Link::new(args.connection.open(timeout)?, timeout);
    let message = link.hello()?;
    let (_, Ok(Response::Description(board))) = decode(&message) else { bail!("{}", link.unexpected()) };
    if args.describe {
        stdout().write_all(description(&board).as_bytes()).context("cannot write to stdout")?;
    }
    if args.self_test {
        self_test(&mut link)?;
    }
    if args.describe || args.self_test {
        return Ok(());
    }
    if args.system.is_some() && (args.raw || !board.chat) {
        bail!("--system needs a model with a chat template, and this one has none (or --raw leaves it out)");
    }
    if args.check { check::run(args, &mut link, &board) } else { answer::run(args, &mut link, &board) }?;
    pending.map_or(Ok(()), |pending| pending.write_as_it_is(receipt::receipt(&mut link)?))
}

fn description(board: &Description<'_>) -> String {
    let kv = match board.kv {
        KvCache::F32 => "f32",
        KvCache::F16 => "f16",
        KvCache::Int8 => "int8",
        _ => "of a type that this program does not know",
    };
    let step = match board.budget {
        u32::MAX => "steps without a limit".to_owned(),
        budget => format!("steps of at most {budget} multiply-accumulates"),
    };
    format!(
        "board    {}, firmware {}, protocol {}\n\
         model    {} layers of {}, {} tokens{}, {} bytes\n\
         image    {}\n\
         memory   {} of {} bytes, context {}, KV cache {kv}, prompts of up to {} bytes\n\
         backend  {}, {step}\n",
        board.title,
        board.firmware,
        board.protocol,
        board.layers,
        board.dim,
        board.vocab,
        if board.chat { ", a chat template" } else { "" },
        board.image_bytes,
        hex(&board.image),
        board.plan_bytes,
        board.arena_bytes,
        board.context,
        board.prompt_bytes,
        backend(board)
    )
}

/// The board's backend and cores.
fn backend(board: &Description<'_>) -> String {
    let plural = if board.cores == 1 { "" } else { "s" };
    format!("{}, {} core{plural}", board.backend, board.cores)
}

fn self_test(link: &mut Link) -> Result<()> {
    let message = link.ask(&Request::SelfTest)?;
    match decode(&message) {
        (_, Ok(Response::SelfTest { backend, cases, failures: 0, .. })) => {
            println!("self-test: backend {backend} is the definition, bit for bit, in {cases} cases");
            Ok(())
        }
        (_, Ok(Response::SelfTest { backend, cases, failures, first })) => bail!(
            "the self-test failed: backend {backend} is wrong in {failures} of {cases} cases, the first is {first}; \
             processor or memory of the board are broken or set up wrongly"
        ),
        _ => bail!("{}", link.unexpected()),
    }
}

/// What the board refuses, and what can be done about it.
fn refused(error: &Error<'_>) -> anyhow::Error {
    let advice = match error {
        Error::PromptTooLong { .. } | Error::ContextFull { .. } => "shorten the prompt",
        Error::NoToken { .. } => "--lossy drops such bytes",
        Error::EmptyPrompt => "this model needs text to begin with",
        Error::UnknownMessage { .. } => "the board's program is older than this one: build it again",
        _ => return anyhow::anyhow!("the board: {error}"),
    };
    anyhow::anyhow!("the board: {error}; {advice}")
}
