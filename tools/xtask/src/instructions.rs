//! `cargo xtask instructions`: how many instructions the operations take, against what is recorded: on x86-64 as callgrind
//! counts them, on `AArch64` as QEMU does (`boards/instructions.rs`).

use crate::command::{self, Missing, Unsupported, cargo, output, run as run_command};
use crate::{boards, paths};
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Record the counts of this build as what later ones are compared with
    #[arg(long)]
    pub(crate) record: bool,
    /// Count only operations whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "record")]
    pub(crate) only: String,
    /// Count only the products on 64-bit ARM, in QEMU
    #[arg(long)]
    pub(crate) arm: bool,
}

/// More instructions than recorded, in percent, that are still the same.
pub(crate) const TOLERANCE: f64 = 2.0;
/// The key that says what compiled the recorded counts: other compilers give others.
const COMPILER: &str = "rustc";

pub(crate) fn run(args: &Args) -> Result<()> {
    let arm = boards::count_instructions(args.record, &args.only);
    if args.arm || arm.as_ref().is_err_and(|error| !is_absent(error)) {
        return conclude(&args.only, [arm]);
    }
    conclude(&args.only, [count_on_x86(args), arm])
}

/// Whether the machine has not what is needed. Each count needs something else: what one cannot have does not stop the other.
fn is_absent(error: &anyhow::Error) -> bool {
    error.is::<Unsupported>() || error.is::<Missing>()
}

/// The end of counts that each had these names: the first error, or that none of the names was meant.
fn conclude(only: &str, counts: impl IntoIterator<Item = Result<Vec<String>>>) -> Result<()> {
    let (mut names, mut absent) = (Vec::new(), None);
    for count in counts {
        match count {
            Ok(more) => names.extend(more),
            Err(error) if is_absent(&error) => absent = absent.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = absent {
        return Err(error);
    }
    ensure!(
        names.iter().any(|name| name.contains(only)),
        "no operation's name contains {only:?}: nothing was counted. They are\n    {}",
        names.join("\n    ")
    );
    Ok(())
}

/// Counts, and compares. Returns the names of all operations, whether they are chosen or not.
fn count_on_x86(args: &Args) -> Result<Vec<String>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(Unsupported("the recorded counts are those of x86-64 Linux".to_owned()));
    }
    need_valgrind()?;
    let path = paths::root().join("benches/instructions.toml");
    let recorded = fs::read_to_string(&path).context("cannot read benches/instructions.toml")?;
    let compiler = compiler()?;
    if !args.record && value(&recorded, COMPILER) != Some(&compiler) {
        bail!(Unsupported(format!(
            "the counts were recorded with rustc {}, and this is {compiler}: `cargo xtask instructions --record`",
            value(&recorded, COMPILER).unwrap_or("of no known version")
        )));
    }
    let program = build()?;
    let mut lines = vec![format!("{COMPILER} = \"{compiler}\"")];
    let mut problems = Vec::new();
    let all = operations(&program)?;
    let chosen: Vec<_> = all.iter().filter(|name| name.contains(&args.only)).collect();
    ensure!(!all.is_empty(), "the program names no operation");
    if args.only.is_empty() && !args.record {
        let names = recorded.lines().filter_map(|line| line.strip_prefix('"')?.split('"').next());
        let gone = names.filter(|name| !all.iter().any(|known| known == name));
        problems.extend(gone.map(|name| format!("{name} is recorded and no longer counted")));
    }
    for name in chosen {
        let count = count(&program, name)?;
        let before = value(&recorded, name).and_then(|number| number.parse::<u64>().ok());
        let change = before.map(|before| 100.0 * (count as f64 / before as f64 - 1.0));
        let shown = change.map_or_else(|| "not recorded".to_owned(), |change| format!("{change:+.2} %"));
        println!("{count:>12}  {name:<28} {shown}");
        match change {
            _ if args.record => {}
            None => problems.push(format!("{name} is not recorded")),
            Some(change) if change > TOLERANCE => problems.push(format!("{name} takes {change:.2} % more")),
            Some(change) if change < -TOLERANCE => println!("              fewer than recorded: record them"),
            Some(_) => {}
        }
        lines.push(format!("\"{name}\" = {count}"));
    }
    if args.record {
        let comments = recorded.lines().take_while(|line| line.starts_with('#')).map(str::to_owned);
        let lines: Vec<String> = comments.chain(lines).collect();
        fs::write(&path, lines.join("\n") + "\n").context("cannot write benches/instructions.toml")?;
        return Ok(all);
    }
    ensure!(
        problems.is_empty(),
        "{}; if that is right, `cargo xtask instructions --record` and say why",
        problems.join(", ")
    );
    Ok(all)
}

fn need_valgrind() -> Result<()> {
    if command::find("valgrind").is_some() {
        return Ok(());
    }
    if !command::is_root_of_debian()? {
        bail!(Missing {
            what: "valgrind, which counts instructions".to_owned(),
            command: "apt-get install valgrind".to_owned()
        });
    }
    run_command(Command::new("apt-get").args(["-q", "update"]))?;
    command::apt_install(&["valgrind"])
}

/// The compiler's version, as `rustc --version` has it behind the name.
fn compiler() -> Result<String> {
    let version = output(Command::new("rustc").arg("--version").current_dir(paths::root()))?;
    Ok(version.split_whitespace().nth(1).context("rustc names no version")?.to_owned())
}

/// Builds the program that runs one operation.
fn build() -> Result<PathBuf> {
    let flags = ["--release", "-p", "bitnet-edge-benches", "--bin", "counted"];
    // Flags of the environment would give other code than what is recorded.
    run_command(cargo("build").args(flags).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(paths::target().join("release/counted"))
}

/// The operations of the tiers that valgrind can execute: it says so to the program in place of the processor.
fn operations(program: &Path) -> Result<Vec<String>> {
    let listed = output(Command::new("valgrind").args(["--tool=none", "-q"]).arg(program))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// The instructions of one operation.
fn count(program: &Path, name: &str) -> Result<u64> {
    let mut callgrind = Command::new("valgrind");
    callgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=counted::measured*"])
        .arg(program)
        .arg(name);
    let result = callgrind.stdin(Stdio::null()).output().context("cannot start valgrind")?;
    let log = String::from_utf8_lossy(&result.stderr).into_owned();
    ensure!(result.status.success(), "`{}` failed: {}\n{log}", command::line(&callgrind), result.status);
    let counted =
        log.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    let number: u64 = counted
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("callgrind printed no number of instructions for {name}:\n{log}"))?;
    ensure!(number > 0, "callgrind found no call of `counted::measured` for {name}");
    Ok(number)
}

/// The value in the line `key = value` or `"key" = "value"`.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let plain = |text: &'a str| text.trim().trim_matches('"');
    lines
        .map(|(name, value)| (plain(name), plain(value)))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nothing_has_is_an_error_with_the_names() {
        let names = |names: &[&str]| Ok(names.iter().map(|&name| name.to_owned()).collect());
        assert!(conclude("gemv", [names(&["avx2/gemv"]), names(&["neon/gemm"])]).is_ok());
        assert!(conclude("", [names(&["avx2/gemv"])]).is_ok());
        let error = conclude("gevm", [names(&["avx2/gemv"]), names(&["neon/gemm"])]).unwrap_err().to_string();
        assert!(error.contains("\"gevm\"") && error.contains("avx2/gemv\n    neon/gemm"), "{error}");
    }

    #[test]
    fn what_is_missing_for_one_does_not_hide_what_is_wrong_with_the_other() {
        let missing = || Err(Missing { what: "qemu".to_owned(), command: "get it".to_owned() }.into());
        let wrong = || Err(anyhow::anyhow!("avx2/gemv takes 3.00 % more"));
        assert!(conclude("", [wrong(), missing()]).unwrap_err().to_string().contains("3.00 %"));
        assert!(conclude("", [missing(), wrong()]).unwrap_err().to_string().contains("3.00 %"));
        assert!(conclude("", [Ok(vec!["avx2/gemv".to_owned()]), missing()]).unwrap_err().is::<Missing>());
    }

    #[test]
    fn values_are_found_by_their_key() {
        let text = "# rustc = 1\nrustc = \"1.95.0\"\n\"avx2/gemv\" = 12\n\"avx2/gemv-q\" = 13\n";
        assert_eq!(value(text, "rustc"), Some("1.95.0"));
        assert_eq!(
            (value(text, "avx2/gemv"), value(text, "avx2/gemv-q"), value(text, "x")),
            (Some("12"), Some("13"), None)
        );
    }
}
