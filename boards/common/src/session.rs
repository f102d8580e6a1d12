//! From power to the last word.

mod receipt;
mod requests;
mod terminal;

use core::fmt::{Display, Write};

use bitnet_edge_core::model::Split;
use bitnet_edge_core::{Error as CoreError, GenerationConfig, Line, MemoryPlan, Model, PlanOptions};
use bitnet_edge_kernels::{Counts, Kernels};

use crate::console::Input;
use crate::engine::{Answer, Engine};
use crate::selftest::chosen;
use crate::settings::{Command, HELP};
use crate::{Board, Console, Error, plan_for};
use receipt::Boot;

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

/// Checks kernels and model, then answers what is typed, and what a host asks in frames, until the user ends it.
///
/// # Errors
/// [`Error`]: what stops the board for good. It is not printed.
pub fn run<B: Board, K: Kernels, S: Split>(board: &mut B, machine: Machine<'_, K, S>) -> Result<(), Error> {
    let Machine { title, model, arena, kernels, split, options, budget } = machine;
    let begin = board.now_us();
    let mut console = Console::new(board);
    say(&mut console, format_args!("bitnet-edge {} on {title}", env!("CARGO_PKG_VERSION")));
    if !crate::cores::keeps_subnormals() {
        return Err(Error::FlushesSubnormals);
    }
    let chosen = chosen(kernels, &mut console)?;
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
    info!("model: {=u32} layers of {=u32}, {=usize} bytes", config.layers, config.dim, image);
    info!("arena: {=usize} of {=usize} bytes, context {=u32}", plan.bytes(), have, context);
    say(&mut console, format_args!("arena: {} of {have} bytes, context {context}", plan.bytes()));
    let engine = Engine {
        model: &model,
        plan: &plan,
        arena,
        kernels: chosen.kernels,
        split,
        budget,
        counts: Counts::new(),
    };
    let config = GenerationConfig { digest: true, ..GenerationConfig::default() };
    let load_us = console.board().now_us().saturating_sub(begin);
    let boot = Boot { cases: chosen.cases, is_first: chosen.is_first, load_us, program: None };
    Session {
        console,
        engine,
        config,
        title,
        arena_bytes: have,
        system: 0,
        last: None,
        boot,
        receipt: false,
    }
    .converse();
    Ok(())
}

fn say(out: &mut dyn Write, line: core::fmt::Arguments<'_>) {
    // A console takes all text.
    let _ = writeln!(out, "{line}");
}

/// One engine, and the two that it is asked by: whoever types lines ([`terminal`]), and a host ([`requests`]).
struct Session<'a, 'b, B, K, S> {
    console: Console<'b, B>,
    engine: Engine<'a, K, S>,
    config: GenerationConfig,
    title: &'a dyn Display,
    arena_bytes: usize,
    /// Bytes of the line that are a system message.
    system: usize,
    last: Option<Answer>,
    boot: Boot,
    /// Whether all that the last answer's receipt says is still there: its prompt, and its configuration.
    receipt: bool,
}

impl<B: Board, K: Kernels, S: Split> Session<'_, '_, B, K, S> {
    fn converse(&mut self) {
        self.console.write("a line is a prompt; /help lists what else there is\n");
        let mut input = self.console.read_line("> ");
        loop {
            match input {
                Input::End => return,
                Input::Message => {
                    self.request();
                    input = self.console.wait("> ");
                    continue;
                }
                Input::NotText => self.console.write("error: the line is not UTF-8\n"),
                Input::Line => match Command::read(self.console.line()) {
                    Some(Ok(Command::Quit)) => return,
                    Some(Ok(Command::Help)) => self.console.write(HELP),
                    Some(Ok(command)) => {
                        command.apply(&mut self.config);
                        self.receipt = false;
                    }
                    Some(Err(wrong)) => say(&mut self.console, format_args!("error: {wrong}")),
                    None => self.answer_line(),
                },
            }
            input = self.console.read_line("> ");
        }
    }
}

#[cfg(test)]
mod alive_tests;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
