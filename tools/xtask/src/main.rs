//! Developer tasks: `cargo xtask --help`.

mod arm;
mod boards;
mod command;
mod compare;
mod deb;
mod fetch;
mod fuzz;
mod instructions;
mod no_panic;
mod paths;
mod qemu;
mod stages;
mod synth;
mod toolchain;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer tasks of bitnet-edge")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test, and set up what they need
    Test(stages::Args),
    /// Obtain models and vocabularies that the repository does not contain
    Fetch(fetch::Args),
    /// Fuzz every parser of untrusted bytes
    Fuzz(fuzz::Args),
    /// Link a firmware for each board target and look for panic paths in it
    NoPanic(no_panic::Args),
    /// Count the instructions of the operations, and compare them with what is recorded
    Instructions(instructions::Args),
    /// Measure what the runtime takes of a microcontroller's flash, RAM and stack, and compare it with what is recorded
    Size(boards::size::Args),
    /// Make a Debian package of the programs
    Deb(deb::Args),
    /// Build a board's firmware, start it in QEMU, and give it a prompt
    Simulate(boards::Args),
    /// Make what a board starts from: the folder for an SD card, the file for a BOOTSEL drive
    #[command(subcommand)]
    Board(boards::Made),
    /// Write a model of a real shape with random ternary weights, that llama.cpp loads as well
    Synth(synth::Args),
    /// Measure llama.cpp and bitnet on the same file, in turns
    Compare(compare::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(args) => stages::run(&args),
        Task::Fetch(args) => fetch::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::NoPanic(args) => no_panic::run(&args),
        Task::Instructions(args) => instructions::run(&args),
        Task::Size(args) => boards::size::run(&args),
        Task::Deb(args) => deb::run(&args),
        Task::Board(board) => boards::make(&board),
        Task::Simulate(args) => boards::simulate(&args),
        Task::Synth(args) => synth::run(&args),
        Task::Compare(args) => compare::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
