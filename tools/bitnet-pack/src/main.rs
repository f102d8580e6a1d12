//! `bitnet-pack`: convert, inspect, verify and plan.

use std::process::ExitCode;

use bitnet_pack::cli;
use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
