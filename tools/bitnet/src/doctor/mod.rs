//! `bitnet doctor`: what this machine is, what runs on it and how fast, and what is wrong.

mod findings;
mod kernels;
mod print;
mod speed;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bitnet_edge_std::{keeps_subnormals, physical_cores};
use bitnet_pack::report::print;
use clap::Args;
use serde::Serialize;

use crate::engine;
use crate::machine::{Machine, Root, file_system};
use findings::{Case, Finding, Level};
use kernels::{Backends, SelfTest};
use speed::{Bus, Expected, Subject};

pub(crate) const EXAMPLES: &str = "Examples:\n  bitnet doctor\n  bitnet doctor --model model.bpk\n  \
    bitnet doctor --full --json > report.json\n\nThe exit code is 0 if all is well or only slower than it could be, 1 if \
    something is broken: a kernel that computes other bits than the definition, a backend that is asked for and not there, \
    a thread that flushes subnormals, a model that cannot be opened.";

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// What to judge the machine for: a flash image, a GGUF file, or a name of `bitnet pull --list`
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The backend that runs will ask for: a name forces it, -NAME forbids it [default: the best of this machine]
    #[arg(long, value_name = "NAME", env = "BITNET_BACKEND", allow_hyphen_values = true)]
    backend: Option<String>,
    /// Threads that runs will have [default: one a physical core]
    #[arg(long, value_name = "N", value_parser = engine::threads)]
    threads: Option<usize>,
    /// Test the kernels with all cases, not only with those that a board runs at boot
    #[arg(long)]
    full: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found out. Sizes are in bytes, speeds in bytes or tokens a second.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// With checks that cost speed.
    debug_build: bool,
    machine: Machine,
    /// Threads that a run has.
    threads: usize,
    backends: Backends,
    self_test: Vec<SelfTest>,
    keeps_subnormals: bool,
    bus: Bus,
    model: Option<Subject>,
    expected: Option<Expected>,
    findings: Vec<Finding>,
    healthy: bool,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let report = examine(args);
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { print::text(&report)? };
    print(&text)?;
    let broken = report.findings.iter().find(|finding| finding.level == Level::Broken);
    match broken {
        None => Ok(()),
        Some(finding) => bail!("{}", finding.what),
    }
}

fn examine(args: &DoctorArgs) -> Report {
    let root = Root::system();
    let machine = Machine::read(&root);
    let backends = Backends::of_this_machine(args.backend.as_deref());
    let self_test = kernels::self_test(args.full);
    let threads = args.threads.unwrap_or_else(physical_cores);
    let (model, unopened) = match args.model.as_deref().map(Subject::find) {
        None => (None, None),
        Some(Ok(subject)) => (Some(subject), None),
        Some(Err(error)) => (None, Some(format!("{error:#}"))),
    };
    // Behind the model, which a system that is short of memory needs more.
    let bus = Bus::measure(&root, threads);
    let expected = model.as_ref().and_then(|model| Expected::of(model, &bus, &root));
    let keeps_subnormals = keeps_subnormals();
    let findings = findings::find(&Case {
        machine: &machine,
        backends: &backends,
        self_test: &self_test,
        threads,
        keeps_subnormals,
        debug_build: cfg!(debug_assertions),
        model: model.as_ref(),
        file_system: model.as_ref().and_then(|model| file_system(&root, &real(model.path.as_deref()?))),
        unopened,
    });
    Report {
        version: env!("CARGO_PKG_VERSION"),
        debug_build: cfg!(debug_assertions),
        healthy: findings.iter().all(|finding| finding.level != Level::Broken),
        machine,
        threads,
        backends,
        self_test,
        keeps_subnormals,
        bus,
        model,
        expected,
        findings,
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
