//! `bitnet`: runs a model on the host, bit for bit as a board would.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed
#![allow(clippy::disallowed_methods)] // the ban on float methods is for what defines results

mod bench;
mod device;
mod engine;
mod inspect;
mod jetson;
mod model;
mod perplexity;
mod receipt;
mod run;
mod sampling;
mod stats;
mod text_input;
mod tokens;

use std::process::ExitCode;

use bitnet_pack::report;
use clap::{Parser, Subcommand};

/// Run BitNet b1.58 and other GGUF language models
#[derive(Debug, Parser)]
#[command(name = "bitnet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate text from a prompt; without --model, by the story model that the program carries
    #[command(allow_negative_numbers = true)]
    #[command(after_help = "Examples:\n  bitnet run \"once upon a time\"\n  \
        bitnet run --model model.bpk --prompt \"Explain gravity in one sentence.\"")]
    Run(run::RunArgs),
    /// Measure prefill, decode, load and memory of a model, beside this machine's read bandwidth
    #[command(after_help = "Examples:\n  bitnet bench --model model.bpk --threads 1,2\n  \
        bitnet bench --model model.bpk --json figures.json --plot figures.svg\n\nA run whose decode reads more than 105 % of \
        the bandwidth measured beside it is invalid and fails.")]
    Bench(bench::BenchArgs),
    /// Ask a board that runs a model: on a serial port, over TCP, or in QEMU
    #[command(allow_negative_numbers = true)]
    #[command(after_help = device::EXAMPLES)]
    Device(device::DeviceArgs),
    /// Check the receipt of a run, on any machine; make keys that sign receipts
    #[command(subcommand)]
    #[command(after_help = receipt::EXAMPLES)]
    Receipt(receipt::ReceiptCommand),
    /// Measure how well a model predicts a text, and how far it is from another model
    #[command(after_help = perplexity::EXAMPLES)]
    Perplexity(perplexity::PerplexityArgs),
    /// Show the tokens of a text: ids, pieces, places
    #[command(after_help = tokens::TOKENIZE_EXAMPLES)]
    Tokenize(tokens::TokenizeArgs),
    /// Print the text of tokens
    #[command(after_help = tokens::DETOKENIZE_EXAMPLES)]
    Detokenize(tokens::DetokenizeArgs),
    /// Show what is in a model file, and whether its numbers can be right
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::InspectArgs),
}

fn main() -> ExitCode {
    let Cli { command } = report::parse();
    report::finish(match command {
        Command::Run(args) => run::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Device(args) => device::run(&args),
        Command::Receipt(command) => receipt::run(&command),
        Command::Perplexity(args) => perplexity::run(&args),
        Command::Tokenize(args) => tokens::tokenize(&args),
        Command::Detokenize(args) => tokens::detokenize(&args),
        Command::Inspect(args) => inspect::run(&args),
    })
}
