//! `bitnet`: runs a model on the host, bit for bit as a board would.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed
#![allow(clippy::disallowed_methods)] // the ban on float methods is for what defines results

mod bench;
mod chat;
mod choice;
#[cfg(test)]
mod command_tree;
mod device;
mod doctor;
mod engine;
mod generation;
mod inspect;
mod interrupt;
mod jetson;
mod json;
mod machine;
mod model;
mod models;
mod pages;
mod perplexity;
mod prompt;
#[cfg(feature = "pull")]
mod pull;
mod receipt;
mod run;
mod sampling;
mod session;
mod stats;
mod text_input;
mod tokens;
mod traffic;

use std::process::ExitCode;

use bitnet_pack::report;
use clap::{Parser, Subcommand};

/// Run BitNet b1.58 and other GGUF language models
#[derive(Debug, Parser)]
#[command(name = "bitnet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: report::OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate text from a prompt; without --model, by the story model that the program carries
    #[command(allow_negative_numbers = true)]
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Talk with a model, in a terminal
    #[command(allow_negative_numbers = true)]
    #[command(after_help = chat::EXAMPLES)]
    #[command(mut_arg("max_tokens", chat::without_limit))]
    Chat(chat::ChatArgs),
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
    /// Print a completion script for a shell
    #[command(after_help = pages::COMPLETIONS_EXAMPLES)]
    Completions(pages::CompletionsArgs),
    /// Print the manual pages of bitnet and bitnet-pack, or write them to a folder
    #[command(after_help = pages::MAN_EXAMPLES)]
    Man(pages::ManArgs),
    /// Say what this machine is, test its kernels, and find what is wrong with the set-up
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Download a model from the Hugging Face hub, into the cache that its tools share
    #[cfg(feature = "pull")]
    #[command(after_help = pull::EXAMPLES)]
    Pull(pull::PullArgs),
}

fn main() -> ExitCode {
    let (Cli { command, output: _ }, matches) = report::parse_with_matches();
    report::finish(match command {
        Command::Run(args) => run::run(&args),
        Command::Chat(args) => chat::run(&args, matches.subcommand_matches("chat").unwrap_or(&matches)),
        Command::Bench(args) => bench::run(&args),
        Command::Device(args) => device::run(&args),
        Command::Receipt(command) => receipt::run(&command),
        Command::Perplexity(args) => perplexity::run(&args),
        Command::Tokenize(args) => tokens::tokenize(&args),
        Command::Detokenize(args) => tokens::detokenize(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
        Command::Doctor(args) => doctor::run(&args),
        #[cfg(feature = "pull")]
        Command::Pull(args) => pull::run(&args),
    })
}
