//! Instructions of the ARM kernels, as QEMU counts them: a board whose clock ticks once an instruction.

use super::build::program;
use super::console::scripted;
use super::{AARCH64_TARGET, BOARDS, Setup, kernels};
use crate::instructions::{TOLERANCE, value};
use crate::paths;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::time::Duration;

const AARCH64: &str = "benches/instructions-aarch64.toml";
const CORTEX_M: &str = "benches/instructions-cortex-m.toml";
const LIMIT: Duration = Duration::from_secs(500);

/// What was counted of one kernel.
#[derive(Debug, PartialEq)]
struct Count {
    /// `TIER/OPERATION-LAYOUT-ROWSxCOLUMNS`
    name: String,
    /// Instructions a weight, and for a GEMM a token.
    each: f64,
}

/// Counts on every processor there is a file for, and compares with what is recorded and with the gates beside it. Returns the
/// names of all that is counted, whether `only` is in them or not.
pub(crate) fn count(record: bool, only: &str) -> Result<Vec<String>> {
    let targets = [&[AARCH64_TARGET][..], &kernels::TARGETS].concat();
    let compiler = Toolchain::bare_metal(&targets)?.version()?;
    let (aarch64, cortex_m) = (on_aarch64()?, on_cortex_m()?);
    let compared = [(AARCH64, &aarch64), (CORTEX_M, &cortex_m)]
        .map(|(file, counts)| compare(file, counts, &compiler, record, only));
    compared.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(aarch64.into_iter().chain(cortex_m).map(|count| count.name).collect())
}

/// On the processor that has every tier.
fn on_aarch64() -> Result<Vec<Count>> {
    let board = &BOARDS[0];
    let image = program(board, "instructions", &[])?;
    let setup = Setup { cpu: "max", cores: 1, model: None, parallel: false };
    let mut qemu = board.emulator(&setup, &image)?;
    qemu.args(["-icount", "shift=0"]);
    let ended = scripted(qemu, "", LIMIT, false)?;
    ensure!(ended.status == 0, "the board ended with status {}; it said:\n{}", ended.status, ended.said);
    all(&ended.said)
}

/// On every Cortex-M. A counter that ticks once in some instructions says in how many.
fn on_cortex_m() -> Result<Vec<Count>> {
    let mut counts = Vec::new();
    for core in &kernels::CORES {
        let said = core.run("instructions")?;
        let (clock, lines) = said.split_once('\n').context("the program said nothing")?;
        let each = instructions_a_tick(clock)?;
        for count in all(lines)? {
            counts.push(Count { name: format!("{}/{}", core.name, count.name), each: count.each * each });
        }
    }
    Ok(counts)
}

/// `clock 4000000 100000`: so many instructions took so many ticks.
fn instructions_a_tick(line: &str) -> Result<f64> {
    let parse = || {
        let (instructions, ticks) = line.trim().strip_prefix("clock ")?.split_once(' ')?;
        let (instructions, ticks) = (instructions.parse::<f64>().ok()?, ticks.parse::<f64>().ok()?);
        // A clock of 20 to 100 MHz in a processor that takes a nanosecond for an instruction.
        Some(instructions / ticks).filter(|each| (10.0..=50.0).contains(each))
    };
    parse().with_context(|| format!("the program said {line:?}"))
}

fn compare(file: &str, counts: &[Count], compiler: &str, record: bool, only: &str) -> Result<()> {
    let path = paths::root().join(file);
    let recorded = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
    if record {
        return fs::write(&path, written(&recorded, compiler, counts))
            .with_context(|| format!("cannot write {file}"));
    }
    let same_compiler = value(&recorded, "rustc") == Some(compiler);
    if !same_compiler {
        println!(
            "{file} was recorded with rustc {}, and this is {compiler}: only the gates are checked",
            value(&recorded, "rustc").unwrap_or("of no known version")
        );
    }
    let mut problems = Vec::new();
    for count in counts.iter().filter(|count| count.name.contains(only)) {
        let before = value(&recorded, &count.name).and_then(|number| number.parse::<f64>().ok());
        let change = before.map(|before| 100.0 * (count.each / before - 1.0));
        let shown = change.map_or_else(|| "not recorded".to_owned(), |change| format!("{change:+.2} %"));
        println!("{:>12.4}  {:<48} {shown}", count.each, count.name);
        match change {
            _ if !same_compiler => {}
            None => problems.push(format!("{} is not recorded", count.name)),
            Some(change) if change > TOLERANCE => {
                problems.push(format!("{} takes {change:.2} % more", count.name));
            }
            Some(_) => {}
        }
    }
    if only.is_empty() {
        problems.extend(gone(&recorded, counts));
        problems.extend(broken_gates(&recorded, counts)?);
    }
    ensure!(
        problems.is_empty(),
        "{}; if that is right, `cargo xtask instructions --record` and say why",
        problems.join(", ")
    );
    Ok(())
}

/// What the board said. A board that counts nothing is broken: it must not pass, and not erase what is recorded.
fn all(said: &str) -> Result<Vec<Count>> {
    let counts = said.lines().map(read).collect::<Result<Vec<_>>>()?;
    ensure!(!counts.is_empty(), "the board counted nothing");
    Ok(counts)
}

/// `neon/gemv-t2r4-2560x2560 1643520`
fn read(line: &str) -> Result<Count> {
    let parse = || {
        let (name, count) = line.trim().split_once(' ')?;
        let (kernel, shape) = name.rsplit_once('-')?;
        let (rows, columns) = shape.split_once('x')?;
        let products = rows.parse::<f64>().ok()? * columns.parse::<f64>().ok()?;
        let tokens = if kernel.contains("/gemm-") { 16.0 } else { 1.0 };
        Some(Count { name: name.to_owned(), each: count.parse::<f64>().ok()? / products / tokens })
    };
    parse().with_context(|| format!("the board said {line:?}"))
}

/// What is recorded and was not counted.
fn gone(recorded: &str, counts: &[Count]) -> Vec<String> {
    let names = recorded.lines().filter_map(|line| line.strip_prefix('"')?.split('"').next());
    let gone = names.filter(|name| !name.contains(' ') && !counts.iter().any(|count| count.name == *name));
    gone.map(|name| format!("{name} is recorded and no longer counted")).collect()
}

/// The gates: lines `"at most KERNEL" = N`, in instructions a weight, and `"gain KERNEL KERNEL" = N`, how many times fewer the
/// second takes than the first. A kernel is named without its shape, and each shape must pass; or with it.
fn broken_gates(recorded: &str, counts: &[Count]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let of = |kernel: &str| -> Result<Vec<&Count>> {
        let found: Vec<_> = counts
            .iter()
            .filter(|count| {
                count.name == kernel || count.name.rsplit_once('-').is_some_and(|(k, _)| k == kernel)
            })
            .collect();
        ensure!(!found.is_empty(), "there is a gate for {kernel}, which was not counted");
        Ok(found)
    };
    for line in recorded.lines() {
        let Some((gate, limit)) = line.strip_prefix('"').and_then(|line| line.split_once("\" = ")) else {
            continue;
        };
        let limit = || limit.parse::<f64>().with_context(|| format!("no number: {line}"));
        match gate.split(' ').collect::<Vec<_>>()[..] {
            ["at", "most", kernel] => {
                for count in of(kernel)? {
                    if count.each > limit()? {
                        broken.push(format!(
                            "{} takes {:.4}, and {} are allowed",
                            count.name,
                            count.each,
                            limit()?
                        ));
                    }
                }
            }
            ["gain", first, second] => {
                for (a, b) in of(first)?.iter().zip(of(second)?) {
                    if a.each < limit()? * b.each {
                        let gain = a.each / b.each;
                        broken.push(format!(
                            "{} gains {gain:.2} over {}, and {} must be",
                            b.name,
                            a.name,
                            limit()?
                        ));
                    }
                }
            }
            [_] => {}
            _ => bail!("this is no gate: {line}"),
        }
    }
    Ok(broken)
}

/// The file with other figures: comments and gates stay.
fn written(recorded: &str, compiler: &str, counts: &[Count]) -> String {
    // A kernel's name has no space, and a gate's has.
    let is_kernel = |line: &str| line.split('"').nth(1).is_some_and(|name| !name.contains(' '));
    let is_figure = |line: &&str| line.starts_with("rustc") || line.starts_with('"') && is_kernel(line);
    let kept = recorded.lines().filter(|line| !is_figure(line)).map(str::to_owned);
    let figures = counts.iter().map(|count| format!("\"{}\" = {:.4}", count.name, count.each));
    let lines: Vec<_> = kept.chain([format!("rustc = \"{compiler}\"")]).chain(figures).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Vec<Count> {
        ["neon/gemv-t2r4-4x8 16", "neon/gemv-t2r4-8x8 64", "neon/gemm-t2r4-4x8 128", "neon/gemm-t2r4-8x8 512"]
            .map(|line| read(line).unwrap())
            .into()
    }

    #[test]
    fn figures_are_for_a_weight_and_a_token() {
        let each: Vec<_> = counts().iter().map(|count| count.each).collect();
        assert_eq!(each, [0.5, 1.0, 0.25, 0.5]);
        assert!(read("error: no memory").is_err());
    }

    #[test]
    fn a_clock_is_known_by_a_loop() {
        assert_eq!(instructions_a_tick("clock 4000000 100000").unwrap(), 40.0);
        for line in ["clock 4000000 0", "clock 4000000 4000000", "clock 4000000", "4000000 100000", ""] {
            assert!(instructions_a_tick(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_board_that_says_nothing_has_counted_nothing() {
        assert_eq!(all("neon/gemv-t2r4-4x8 16\n").unwrap(), counts()[..1]);
        assert!(all("").unwrap_err().to_string().contains("counted nothing"));
    }

    #[test]
    fn gates_hold_for_every_shape() {
        let broken = |gates: &str| broken_gates(gates, &counts());
        assert!(
            broken("\"at most neon/gemv-t2r4\" = 1.0\n\"gain neon/gemv-t2r4 neon/gemm-t2r4\" = 2.0")
                .unwrap()
                .is_empty()
        );
        assert_eq!(broken("\"at most neon/gemv-t2r4\" = 0.9").unwrap().len(), 1);
        assert_eq!(broken("\"gain neon/gemv-t2r4 neon/gemm-t2r4\" = 2.1").unwrap().len(), 2);
        assert!(broken("\"at most neon/gemv-none\" = 1.0").is_err());
        assert!(broken("\"at least neon/gemv-t2r4\" = 1.0").is_err());
    }

    #[test]
    fn recording_keeps_comments_and_gates() {
        let before = "# why\n\"at most neon/gemv-t2r4\" = 1.0\nrustc = \"1\"\n\"old/gemv-t2r4-4x8\" = 9.0\n";
        let after = written(before, "2", &counts()[..1]);
        assert_eq!(
            after,
            "# why\n\"at most neon/gemv-t2r4\" = 1.0\nrustc = \"2\"\n\"neon/gemv-t2r4-4x8\" = 0.5000\n"
        );
        assert_eq!(gone(before, &counts()), ["old/gemv-t2r4-4x8 is recorded and no longer counted"]);
    }
}
