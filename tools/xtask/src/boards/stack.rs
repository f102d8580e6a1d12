//! The deepest stack of a board, painted, against what is recorded.

use super::Board;
use crate::instructions::value;
use crate::paths;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;

const FILE: &str = "benches/stack.toml";
/// What a figure may grow by until it has to be recorded anew, in percent.
const TOLERANCE: u64 = 2;
/// What must be left of any board's stack, in bytes.
const LEFT: u64 = 256;

/// What a board said of its stack, self-test and a whole story included, against [`FILE`], or written there with `record`. Boards that say
/// nothing of it are not looked at: they would differ from their transcript if they had to.
pub(super) fn check(board: &Board, said: &str, record: bool) -> Result<()> {
    let Some((used, size)) = used(said) else { return Ok(()) };
    let path = paths::root().join(FILE);
    let Board { name: board, target, .. } = board;
    let recorded = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let compiler = Toolchain::bare_metal(&[target])?.version()?;
    if record {
        return fs::write(&path, written(&recorded, &compiler, board, used))
            .with_context(|| format!("cannot write {FILE}"));
    }
    println!("{board}: {used} of {size} bytes of stack");
    fits(&recorded, &compiler, board, used, size)
}

/// Used bytes and all of them, of the line `stack: 12 of 345 bytes used`.
fn used(said: &str) -> Option<(u64, u64)> {
    let line = said.lines().find_map(|line| line.strip_prefix("stack: "))?;
    let (used, rest) = line.split_once(" of ")?;
    Some((used.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

fn fits(recorded: &str, compiler: &str, board: &str, used: u64, size: u64) -> Result<()> {
    ensure!(used + LEFT <= size, "{board}: {used} of {size} bytes of stack are used: it is nearly full");
    if value(recorded, "rustc") != Some(compiler) {
        // Another compiler has other frames.
        return Ok(());
    }
    let Some(before) = value(recorded, board) else {
        bail!("{FILE} has no figure of {board}; `cargo xtask simulate --record` writes it");
    };
    let before: u64 = before.parse().with_context(|| format!("{FILE}: {board}"))?;
    ensure!(
        used * 100 <= before * (100 + TOLERANCE),
        "{board} takes {used} bytes of stack and took {before}; if that is right, record it \
         (`cargo xtask simulate --record`) and say why"
    );
    Ok(())
}

/// The file with this figure, in place of another one or as its last line.
fn written(recorded: &str, compiler: &str, board: &str, used: u64) -> String {
    let of =
        |line: &str, key: &str| line.split(" = ").next().is_some_and(|name| name.trim_matches('"') == key);
    let kept =
        recorded.lines().filter(|line| line.starts_with('#') || !of(line, "rustc") && !of(line, board));
    let (mut head, mut figures): (Vec<_>, Vec<_>) =
        kept.map(str::to_owned).partition(|line| line.is_empty() || line.starts_with('#'));
    head.push(format!("rustc = \"{compiler}\""));
    figures.push(format!("\"{board}\" = {used}"));
    figures.sort();
    head.extend(figures);
    head.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "# why\n\nrustc = \"1\"\n\"a b\" = 1000\n\"c\" = 5\n";

    #[test]
    fn a_stack_is_held_to_its_figure_by_the_same_compiler() {
        assert!(fits(RECORDED, "1", "a b", 1020, 2000).is_ok());
        assert!(fits(RECORDED, "1", "a b", 1021, 2000).is_err());
        assert!(fits(RECORDED, "2", "a b", 1021, 2000).is_ok());
        assert!(fits(RECORDED, "2", "a b", 1021, 1200).is_err(), "nearly full with any compiler");
        assert!(fits(RECORDED, "1", "d", 1, 2000).is_err(), "not recorded");
        assert!(fits(RECORDED, "1", "d", 1800, 2000).is_err(), "not recorded, and nearly full");
    }

    #[test]
    fn figures_are_written_and_the_others_kept() {
        let after = written(RECORDED, "2", "a b", 7);
        assert_eq!(after, "# why\n\nrustc = \"2\"\n\"a b\" = 7\n\"c\" = 5\n");
        assert_eq!(
            written(&after, "2", "b", 9),
            "# why\n\nrustc = \"2\"\n\"a b\" = 7\n\"b\" = 9\n\"c\" = 5\n"
        );
    }

    #[test]
    fn the_line_of_a_board_is_found() {
        assert_eq!(used("x\nstack: 12 of 345 bytes used\n"), Some((12, 345)));
        assert_eq!(used("no stack here\n"), None);
    }
}
