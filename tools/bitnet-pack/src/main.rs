//! `bitnet-pack`: convert, inspect, verify and plan.

use std::process::ExitCode;

use bitnet_pack::{cli, report};

fn main() -> ExitCode {
    report::finish(cli::run(report::parse()))
}
