//! The command line: options and what they do.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::{Error, KvType, MemoryPlan, Model, PlanOptions};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use clap::{Args, Parser, Subcommand};

use crate::board::{Board, Need, Room};
use crate::convert::{BlockType, Manifest, Options, convert_to, hex};
use crate::output::Destination;
use crate::source::{Source, default_output, is_image, map, model, name};
use crate::{inspect, plan, report, verify};

const NO_STDOUT: &str = "cannot write to stdout";

/// Convert GGUF models into flash images that bitnet-edge executes in place.
#[derive(Debug, Parser)]
#[command(name = "bitnet-pack", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: report::OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Convert a GGUF file into a flash image (.bpk)
    #[command(
        after_help = "Examples:\n  bitnet-pack convert model.gguf\n  bitnet-pack convert model.gguf --embedding-type q8_0 -o small.bpk"
    )]
    Convert {
        /// The GGUF file
        model: PathBuf,
        /// Where the image goes [default: the model's name with .bpk]
        #[arg(short, long)]
        output: Option<PathBuf>,
        #[command(flatten)]
        import: ImportArgs,
    },
    /// Show metadata, tensors and sizes, and what would be assumed on import
    #[command(after_help = "Examples:\n  bitnet-pack inspect model.gguf")]
    Inspect {
        /// A GGUF file or a flash image
        model: PathBuf,
    },
    /// Check every checksum and every bound of a flash image
    #[command(after_help = "Examples:\n  bitnet-pack verify model.bpk")]
    Verify {
        /// The flash image
        image: PathBuf,
    },
    /// Show the memory plan: each buffer, its bytes, its lifetime; and whether the model fits a board
    #[command(
        after_help = "Examples:\n  bitnet-pack plan model.bpk --context 1024 --kv int8\n  bitnet-pack plan model.bpk --flash 4M --ram 512K"
    )]
    Plan {
        /// A flash image or a GGUF file
        model: PathBuf,
        #[command(flatten)]
        plan: PlanArgs,
        #[command(flatten)]
        board: BoardArgs,
        #[command(flatten)]
        import: ImportArgs,
    },
}

/// What is decided on import.
#[derive(Clone, Debug, Default, Args)]
pub struct ImportArgs {
    /// Byte order of I2_S tensors: 128, 64 or interleaved; no file states it [default: 128]
    #[arg(long, value_name = "ORDER", value_parser = i2s_layout)]
    i2s_layout: Option<I2sLayout>,
    /// Requantize the embedding: q8_0, q6_k or q4_0
    #[arg(long, value_name = "TYPE", value_parser = BlockType::from_name)]
    embedding_type: Option<BlockType>,
    /// Requantize the output head: q8_0, q6_k or q4_0
    #[arg(long, value_name = "TYPE", value_parser = BlockType::from_name)]
    head_type: Option<BlockType>,
    /// Record that prompts are put in lower case before they are encoded
    #[arg(long)]
    lowercase: bool,
    /// Describe the model's architecture (docs/adding-a-model.md)
    #[arg(long, value_name = "FILE.toml")]
    manifest: Option<PathBuf>,
}

impl ImportArgs {
    /// The options they stand for.
    pub fn options(&self) -> Result<Options> {
        let manifest = match &self.manifest {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Some(Manifest::parse(&text).with_context(|| path.display().to_string())?)
            }
        };
        Ok(Options {
            i2s_layout: self.i2s_layout,
            embedding_type: self.embedding_type,
            head_type: self.head_type,
            lowercase: self.lowercase,
            manifest,
            source_name: String::new(),
        })
    }

    /// Whether any option was given.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.i2s_layout.is_some()
            || self.embedding_type.is_some()
            || self.head_type.is_some()
            || self.lowercase
            || self.manifest.is_some()
    }
}

/// Tokens of a batch in the plan for a board, where memory is short.
const BOARD_BATCH: u32 = 8;

/// Tokens of a prompt that go through the model together on a host, unless something else is asked for: enough that unpacking
/// weights is a small part of the work, few enough that activations stay in a core's cache.
pub const HOST_BATCH: u32 = 128;

/// What a memory plan is made for.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanArgs {
    /// Positions of the KV cache [default: the model's, at most 4096]
    #[arg(short, long, value_name = "TOKENS")]
    context: Option<u32>,
    /// Type of the KV cache: f16, f32 or int8 [default: f16]
    #[arg(long, value_name = "TYPE", value_parser = kv_type)]
    kv: Option<KvType>,
    /// Tokens of a prompt that go through the model together, at most 4096 [default: 128 in bitnet; 8, for boards, in bitnet-pack plan]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// Refuse a plan of more bytes than a board has; K and M are 1024 and 1024 x 1024
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    arena: Option<usize>,
}

impl PlanArgs {
    /// The plan for a model and a prompt of `prompt_bytes` bytes, with batches of `batch` tokens, or of the context if that
    /// is shorter, unless the user asks for others. Up to four bytes a position it is the same plan, whatever the prompt.
    pub fn plan(&self, model: &Model<'_>, prompt_bytes: usize, batch: u32) -> Result<MemoryPlan> {
        let options = self.options(model, prompt_bytes, batch);
        let plan = MemoryPlan::new(&model.config(), &options).map_err(report::advised)?;
        match self.arena {
            Some(have) if have < plan.bytes() => {
                Err(report::advised(Error::ArenaTooSmall { need: plan.bytes(), have }))
            }
            _ => Ok(plan),
        }
    }

    fn options(&self, model: &Model<'_>, prompt_bytes: usize, batch: u32) -> PlanOptions {
        let config = model.config();
        let mut options = PlanOptions::new(&config);
        options.context = self.context.unwrap_or(options.context);
        options.kv = self.kv.unwrap_or(options.kv);
        options.batch = self.batch.unwrap_or_else(|| batch.min(options.context.max(1)));
        let prompt_bytes = u32::try_from(prompt_bytes).unwrap_or(u32::MAX);
        options.prompt_bytes = prompt_bytes.max(options.context.saturating_mul(4));
        options
    }
}

/// The board that a model is to fit.
#[derive(Clone, Debug, Default, Args)]
struct BoardArgs {
    /// A board by name: its flash and RAM, with what its firmware takes of them
    #[arg(long, value_name = "NAME", value_parser = Board::from_name)]
    board: Option<Board>,
    /// Bytes of flash for model and program; K and M are 1024 and 1024 x 1024
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    flash: Option<usize>,
    /// Bytes of RAM for arena, stack and program
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    ram: Option<usize>,
}

impl BoardArgs {
    /// What is said of flash or RAM goes over what the board has.
    fn room(&self) -> Room {
        let room = self.board.map_or_else(Room::default, Room::from);
        Room { flash: self.flash.or(room.flash), ram: self.ram.or(room.ram), ..room }
    }
}

/// A number of bytes, as options take it.
pub(crate) fn bytes(text: &str) -> Result<usize> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let number: Option<usize> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .context("a number of bytes is needed, such as 65536 or 64K")
}

fn i2s_layout(name: &str) -> Result<I2sLayout> {
    I2sLayout::from_name(name).with_context(|| {
        format!(
            "{name:?} is not a byte order of I2_S; {} are",
            I2sLayout::ALL.map(I2sLayout::name).join(", ")
        )
    })
}

/// Reads a type of KV cache.
pub fn kv_type(name: &str) -> Result<KvType> {
    let all = [KvType::F16, KvType::F32, KvType::I8];
    all.into_iter().find(|kv| kv.name() == name).with_context(|| {
        format!("{name:?} is not a type of KV cache; {} are", all.map(KvType::name).join(", "))
    })
}

/// Prints notes on an import to stderr.
pub fn print_notes(notes: &[String]) {
    for note in notes {
        report::say(format_args!("note: {note}"));
    }
}

/// Runs the command.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Convert { model, output, import } => convert_file(&model, output, &import),
        Command::Inspect { model } => inspect::file(&model),
        Command::Verify { image } => verify_file(&image),
        Command::Plan { model, plan, board, import } => plan_file(&model, &plan, &board, &import),
    }
}

fn convert_file(path: &Path, output: Option<PathBuf>, import: &ImportArgs) -> Result<()> {
    let file = map(path)?;
    if is_image(&file, path)? {
        bail!("{} is a flash image already", path.display());
    }
    let options = Options { source_name: name(path), ..import.options()? };
    let to = Destination::new(&output.unwrap_or_else(|| default_output(path)), path)?;
    let (notes, bytes) = convert_to(&file, &options, &to).with_context(|| path.display().to_string())?;
    print_notes(&notes);
    let from = file.len();
    report::say(format_args!(
        "{}: {bytes} bytes, from {from}; every tensor was decoded on both sides and compared",
        to.name().display()
    ));
    Ok(())
}

fn verify_file(path: &Path) -> Result<()> {
    let file = map(path)?;
    let digest = verify::image(&file).map_err(report::advised).with_context(|| path.display().to_string())?;
    writeln!(stdout().lock(), "{}: ok, image digest {}", path.display(), hex(&digest)).context(NO_STDOUT)
}

fn plan_file(path: &Path, args: &PlanArgs, board: &BoardArgs, import: &ImportArgs) -> Result<()> {
    let source = Source::open(path, &import.options()?)?;
    if let Source::Converted { notes, .. } = &source {
        print_notes(notes);
    }
    let model = model(source.bytes(), path)?;
    // What is not said is as in the board's firmware.
    let args = PlanArgs { kv: args.kv.or(board.board.map(|board| board.kv)), ..args.clone() };
    let plan = args.plan(&model, 0, board.board.map_or(BOARD_BATCH, |board| board.batch))?;
    let need = Need { image: model.image().bytes().len(), plan: &plan };
    need.check(board.room())?;
    let out = &mut stdout().lock();
    plan::print(&model, &plan, out).context(NO_STDOUT)?;
    if args.batch.is_none() {
        let (board, host) = (plan.options().batch, HOST_BATCH.min(plan.options().context));
        writeln!(
            out,
            "\na batch of {board} suits a board; `bitnet` takes {host} on a host: --batch {host} shows its plan"
        )
        .context(NO_STDOUT)?;
    }
    need.print(board.room(), out).context(NO_STDOUT)
}
