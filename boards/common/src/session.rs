//! From power to the last word.

use core::fmt::{Display, Write};

use bitnet_edge_core::model::{InPlace, Split};
use bitnet_edge_core::text::{Ending, Message, Piece, Role, Utf8Stream};
use bitnet_edge_core::{
    Backend, Cpu, Error as CoreError, Event, GenerationConfig, Generator, Line, MemoryPlan, Model,
    PlanOptions, StopReason,
};
use bitnet_edge_kernels::Kernels;

use crate::console::Input;
use crate::settings::{Command, HELP};
use crate::{Board, Console, Error, Hex, Stats, choose, plan_for};

/// Units of work of the tokenizer (a byte looked at is one, a search of the vocabulary sixteen) between two calls of
/// [`Board::alive`].
const TEXT_STEP: u32 = 256;

/// What [`run`] works with.
pub struct Machine<'a, K, S> {
    /// What this is, for the first line.
    pub title: &'a dyn Display,
    /// The flash image, at a multiple of 64; it is executed where it is.
    pub model: &'a [u8],
    /// Memory for everything that changes.
    pub arena: &'a mut [Line],
    /// Kernels to choose from, the ones to prefer first; the last should be the scalar definition.
    pub kernels: &'a [K],
    /// The cores.
    pub split: S,
    /// The plan's options; `None` takes the longest context that fits the arena.
    pub options: Option<PlanOptions>,
    /// Multiply-accumulates between two looks at the keyboard and two calls of [`Board::alive`]. With further cores it
    /// should be [`u32::MAX`]: an operation that is cut has less to spread.
    pub budget: u32,
}

/// Checks kernels and model, then answers what is typed until the user ends it.
///
/// # Errors
/// [`Error`]: what stops the board for good. It is not printed.
pub fn run<B: Board, K: Kernels, S: Split>(board: &mut B, machine: Machine<'_, K, S>) -> Result<(), Error> {
    let Machine { title, model, arena, kernels, split, options, budget } = machine;
    let mut console = Console::new(board);
    say(&mut console, format_args!("bitnet-edge {} on {title}", env!("CARGO_PKG_VERSION")));
    if !crate::cores::keeps_subnormals() {
        return Err(Error::FlushesSubnormals);
    }
    let kernels = choose(kernels, &mut console)?;
    let image = model.len();
    let model = Model::new_checked(model)?;
    model.verify_between(&mut || console.board().alive())?;
    if model.tokenizer().is_none() {
        return Err(Error::NoTokenizer);
    }
    let config = model.config();
    let have = size_of_val(arena);
    let plan = match options {
        Some(options) => MemoryPlan::new(&config, &options)?,
        None => plan_for(&config, have)?,
    };
    if have < plan.bytes() {
        return Err(CoreError::ArenaTooSmall { need: plan.bytes(), have }.into());
    }
    say(
        &mut console,
        format_args!(
            "model: {} layers of {}, {} tokens, {image} bytes in place, every checksum right",
            config.layers, config.dim, config.vocab
        ),
    );
    let context = plan.options().context;
    say(&mut console, format_args!("arena: {} of {have} bytes, context {context}", plan.bytes()));
    Session { console, model: &model, plan: &plan, arena, kernels, split, budget }.converse();
    Ok(())
}

fn say(out: &mut dyn Write, line: core::fmt::Arguments<'_>) {
    // A console takes all text.
    let _ = writeln!(out, "{line}");
}

struct Session<'a, 'b, B, K, S> {
    console: Console<'b, B>,
    model: &'a Model<'a>,
    plan: &'a MemoryPlan,
    arena: &'a mut [Line],
    kernels: K,
    split: S,
    budget: u32,
}

impl<B: Board, K: Kernels, S: Split> Session<'_, '_, B, K, S> {
    fn converse(&mut self) {
        let mut config = GenerationConfig { digest: true, ..GenerationConfig::default() };
        self.console.write("a line is a prompt; /help lists what else there is\n");
        loop {
            match self.console.read_line("> ") {
                Input::End => return,
                Input::NotText => self.console.write("error: the line is not UTF-8\n"),
                Input::Line => match Command::read(self.console.line()) {
                    Some(Ok(Command::Quit)) => return,
                    Some(Ok(Command::Help)) => self.console.write(HELP),
                    Some(Ok(command)) => command.apply(&mut config),
                    Some(Err(wrong)) => say(&mut self.console, format_args!("error: {wrong}")),
                    None => {
                        if let Err(error) = self.answer(&config) {
                            say(&mut self.console, format_args!("error: {error}"));
                        }
                    }
                },
            }
        }
    }

    /// Answers the line, in a context of its own: the answer is that of the same prompt on any machine.
    fn answer(&mut self, config: &GenerationConfig) -> Result<(), CoreError> {
        let Self { console, model, plan, arena, kernels, split, budget } = self;
        let cpu = Cpu::new(model, plan, arena, *kernels, &*split, InPlace)?;
        let mut generator = Generator::new(model, plan, cpu, config.clone())?;
        let tokens = give(console, model, &mut generator)?;
        let stats = generate(console, &mut generator, tokens, *budget)?;
        if let Some(digest) = generator.digest() {
            say(console, format_args!("logit digest {}", Hex(&digest)));
        }
        let (arena, backend, cores, seed) = (plan.bytes(), kernels.name(), split.threads(), config.seed);
        let plural = if cores == 1 { "" } else { "s" };
        say(
            console,
            format_args!(
                "{stats} | arena {arena} bytes | backend {backend}, {cores} core{plural} | seed {seed}"
            ),
        );
        Ok(())
    }
}

/// Gives the line to the model: as a user's message where there is a chat template, else as the beginning of the text, which
/// is shown with it. The number of tokens.
fn give<B: Board, C: Backend>(
    console: &mut Console<'_, B>,
    model: &Model<'_>,
    generator: &mut Generator<'_, C>,
) -> Result<u32, CoreError> {
    if let Some(template) = model.chat() {
        let (line, board) = console.line_and_board();
        let messages = [Message { role: Role::User, content: line.as_bytes() }];
        let pieces = template.render(None, &messages, Ending::Reply)?;
        return generator.pieces(pieces, false, TEXT_STEP, &mut || board.alive());
    }
    let (line, board) = console.line_and_board();
    let tokens = generator.pieces([Piece::from(line)].into_iter(), true, TEXT_STEP, &mut || board.alive())?;
    console.show_line();
    Ok(tokens)
}

/// Streams the answer.
fn generate<B: Board, C: Backend>(
    console: &mut Console<'_, B>,
    generator: &mut Generator<'_, C>,
    prompt: u32,
    budget: u32,
) -> Result<Stats, CoreError> {
    let mut stats = Stats::start(prompt, console.board().now_us());
    let mut stream = Utf8Stream::new();
    let end = loop {
        match generator.step(budget)? {
            Event::Working => {}
            Event::Token { bytes, .. } => {
                stats.token(console.board().now_us());
                stream.feed(bytes, |text| console.write(text));
            }
            Event::Done(StopReason::ContextFull) => break "note: the context is full\n",
            Event::Done(_) => break "",
        }
        if console.interrupted() {
            break "note: interrupted\n";
        }
    };
    stream.finish(|text| console.write(text));
    console.write("\n");
    console.write(end);
    Ok(stats)
}

#[cfg(test)]
mod alive_tests;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
