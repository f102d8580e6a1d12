//! `bitnet inspect`: what a model file has in it, how its numbers are distributed, and whether they can be right.

mod gate;
mod policy;
mod report;
mod role;
mod stats;
mod subject;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use bitnet_pack::report::{Failure, print};
use bitnet_pack::{inspect, source};
use clap::{Args, ValueEnum};

use policy::Policy;
use report::Report;
use subject::Subject;

pub(crate) const EXAMPLES: &str = "Examples:\n  bitnet inspect model.gguf\n  bitnet inspect model.gguf --stats\n  \
    bitnet inspect model.bpk --stats --gate auto\n  \
    bitnet inspect model.gguf --stats --gate policy --policy rules.toml --json\n\nA gate that finds something wrong exits \
    with 8. docs/inspect.md has the rules and their format.";

/// Exit code of a model that does not keep the rules of a gate.
const VIOLATION: u8 = 8;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A GGUF file or a flash image (.bpk)
    #[arg(value_name = "MODEL", required_unless_present = "print_rules")]
    model: Option<PathBuf>,
    /// Show the RMS of every tensor, and zero fraction and scale of ternary ones
    #[arg(long)]
    stats: bool,
    /// Check the statistics against rules: auto takes those of the program for the model's architecture and type, policy those of --policy
    #[arg(long, value_enum, requires = "stats", default_value_t = Gate::None)]
    gate: Gate,
    /// The rules of --gate policy
    #[arg(long, value_name = "RULES.toml", requires = "stats")]
    policy: Option<PathBuf>,
    /// Print the statistics as one JSON object
    #[arg(long, requires = "stats")]
    json: bool,
    /// Print the rules of --gate auto, to begin rules of one's own with
    #[arg(long, exclusive = true)]
    print_rules: bool,
}

/// Which rules a model has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Gate {
    None,
    Auto,
    Policy,
}

pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    if args.print_rules {
        return print(policy::BUILT_IN);
    }
    let path = args.model.as_deref().context("a model is needed")?;
    if !args.stats {
        return inspect::file(path);
    }
    let policy = policy(args)?;
    let file = source::map(path)?;
    let is_image = source::is_image(&file, path)?;
    let subject =
        if is_image { Subject::of_image(&source::model(&file, path)?) } else { Subject::of_gguf(&file) };
    let subject = subject.with_context(|| path.display().to_string())?;
    let stats = subject.stats();
    let mut report = Report::new(path, &subject, &stats);
    if let Some(policy) = &policy {
        let set = policy.set_for(&subject)?;
        report.gate = Some(gate::check(set, &stats));
    }
    print(&if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() })?;
    let violations = report.gate.as_ref().map_or(0, |gate| gate.violations.len());
    if violations > 0 {
        let s = if violations == 1 { "" } else { "s" };
        let what = anyhow!("{}: {violations} violation{s} of the rules, listed above", path.display());
        return Err(Failure::error(VIOLATION, what));
    }
    // A gate that looked at nothing has let nothing pass.
    if let Some(gate) = report.gate.as_ref().filter(|gate| gate.checked == 0) {
        let (path, set) = (path.display(), &gate.set);
        let what = match gate.unchecked {
            0 => anyhow!("{path}: nothing was checked: the model has no tensors"),
            n => anyhow!("{path}: nothing was checked: the rules {set} have none for any of the {n} tensors"),
        };
        return Err(Failure::error(VIOLATION, what));
    }
    Ok(())
}

/// The rules that are asked for.
fn policy(args: &InspectArgs) -> Result<Option<Policy>> {
    match (args.gate, &args.policy) {
        (Gate::None, None) => Ok(None),
        (Gate::Auto, None) => Ok(Some(Policy::built_in()?)),
        (Gate::Policy, Some(path)) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Some(Policy::parse(&text).with_context(|| path.display().to_string())?))
        }
        (Gate::Policy, None) => bail!("--gate policy needs the rules: --policy FILE.toml"),
        (Gate::None | Gate::Auto, Some(_)) => bail!("--policy is for --gate policy"),
    }
}
