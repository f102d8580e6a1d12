//! The stage `boards`: what every board says, against its transcript and the host.

use super::build::{firmware, folder, image, on_the_host, version};
use super::console::{has_processors, scripted};
use super::{BOARDS, Board, Carries, Setup, card, extras, keys, pico2, stack};
use crate::arm;
use crate::command::{cargo, line};
use crate::{fetch, paths};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(super) const PROMPT: &str = "once upon a time";
/// What SmolLM2 is asked, and for how many tokens.
const QUESTION: (&str, u32) = ("Explain gravity in one sentence.", 6);
/// The processor whose cores run at once.
const PARALLEL: &str = "cortex-a76";
/// A prompt that nearly fills the context, and the line, when it is repeated.
const SENTENCE: &str = "once upon a time there was a little girl named lily. she loved to play outside in the park with her \
                        friends. one day, she saw a big cat. ";
const LONGEST: usize = 1018;
/// The statuses of a board whose stack is full, and of one whose watchdog was not fed in time.
const EXCEPTION: i32 = 102;
const WATCHDOG: i32 = 103;
/// How many tokens board and host compare.
const DEVICE_TOKENS: &str = "60";

/// Every filter and penalty at once.
#[rustfmt::skip]
const DEVICE_OPTIONS: &[&str] = &[
    "-n", "30", "--preset", "creative", "--temperature", "1.3", "--top-k", "60", "--typical-p", "0.97", "--top-p", "0.95",
    "--min-p", "0.01", "--repeat-penalty", "1.2", "--frequency-penalty", "0.3", "--presence-penalty", "-0.2",
    "--repeat-last-n", "24", "--logit-bias", "5-1", "--logit-bias", "74=0.75", "--seed", "99", "--stop", " the end",
];
pub(super) const LIMIT: Duration = Duration::from_secs(180);

/// Runs all boards, and compares with the host; with `record` writes their transcripts.
pub(crate) fn check(record: bool) -> Result<()> {
    let mut digests = HashMap::new();
    for board in BOARDS {
        let digest = match digests.entry(board.host) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(on_the_host(None, PROMPT, None, board.host)?),
        };
        println!("{}: {}", board.name, version(board.emulator.program)?);
        // A board with a card runs what is on it.
        let (firmware, model) = if board.model == Carries::Loader {
            let card = card::for_tests()?;
            (card.join(card::KERNEL), Some(card.join(card::MODEL)))
        } else {
            (firmware(board, &[])?, None)
        };
        for (number, (&(cpu, name), counts)) in board.cpus.iter().zip(board.tested).enumerate() {
            for &cores in *counts {
                let run = Run { board, cpu, name, cores };
                run.story(
                    &firmware,
                    model.as_deref(),
                    digest,
                    record && number == 0 && cores == board.cores,
                )?;
            }
        }
    }
    // What is the same program on every board is shown on one. First what takes the program that is built already.
    for board in ["virt-aarch64", "mps2-an500", "virt-riscv32"] {
        device(Board::named(board)?)?;
    }
    let board = &BOARDS[0];
    smollm2(board, &firmware(board, &[])?)?;
    planted_fault(board, &digests[board.host])?;
    let board = Board::named("mps2-an500")?;
    interrupted(board)?;
    watchdog(board)?;
    without_model(Board::named("rpi3")?)?;
    pico2::for_tests()?;
    extras::check(record)?;
    // A guard of ARMv7-M, and one of ARMv8-M.
    for board in ["mps2-an500", "mps3-an547"] {
        overflow(Board::named(board)?)?;
    }
    Ok(())
}

struct Run<'a> {
    board: &'a Board,
    cpu: &'a str,
    name: &'a str,
    cores: u32,
}

impl<'a> Run<'a> {
    /// The board as it is without being asked for something else.
    fn first_of(board: &'a Board) -> Self {
        let (cpu, name) = board.cpus[0];
        Self { board, cpu, name, cores: board.cores }
    }

    fn setup(&self, model: Option<&Path>) -> Setup<'a> {
        // In turns, which is as fast on a busy machine; two cores at once on one processor, for what only that can show.
        let parallel = self.is_parallel(has_processors(self.cores));
        Setup { cpu: self.cpu, cores: self.cores, model: model.map(Path::to_path_buf), parallel }
    }

    fn start(&self, firmware: &Path, model: Option<&Path>, keys: &str) -> Result<String> {
        let ended = scripted(self.board.emulator(&self.setup(model), firmware)?, keys, LIMIT, false)?;
        ensure!(
            ended.status == 0,
            "{} ended with status {}; it said:\n{}",
            self.title(),
            ended.status,
            ended.said
        );
        Ok(ended.said)
    }

    /// Whether its cores run at once, if there are so many processors for them.
    fn is_parallel(&self, has_processors: bool) -> bool {
        self.cpu == PARALLEL && self.cores > 1 && has_processors
    }

    /// What this run does not show on a machine with too few processors.
    fn not_run(&self, has_processors: bool) -> Option<String> {
        let wants = self.is_parallel(true) && !has_processors;
        wants.then(|| {
            format!("not run: {} at once: this machine has fewer processors; they ran in turns", self.title())
        })
    }

    fn title(&self) -> String {
        let plural = if self.cores == 1 { "" } else { "s" };
        format!("{} {} with {} core{plural}", self.board.name, self.cpu, self.cores)
    }

    /// The whole story, as the transcript has it.
    fn story(&self, firmware: &Path, model: Option<&Path>, digest: &str, record: bool) -> Result<()> {
        let said = self.start(firmware, model, &keys(PROMPT, None)?)?;
        has_digest(&said, digest).with_context(|| self.title())?;
        let path = paths::root().join(self.board.transcript);
        if record {
            fs::write(&path, without_times(&said))?;
        }
        let transcript =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        same(&self.expected(&transcript), &without_times(&said)).with_context(|| self.title())?;
        stack::check(self.board, &said, record)?;
        println!("{}: the transcript, digest {digest}; {}", self.title(), speeds(&said));
        if let Some(line) = self.not_run(has_processors(self.cores)) {
            println!("{line}");
        }
        Ok(())
    }

    /// The transcript, which is of the first processor, as this one would have written it: with its own name, its cores, and
    /// its best backend.
    fn expected(&self, transcript: &str) -> String {
        let first = self.board.cpus[0].1;
        let plural = if self.cores == 1 { "" } else { "s" };
        let cores = format!(", {} core{plural} | seed", self.cores);
        let mut expected = transcript
            .replace(&format!(", {first}"), &format!(", {}", self.name))
            .replace(&format!(", {} cores | seed", self.board.cores), &cores);
        if let (Some(before), Some(best)) = (backend(transcript), arm::tiers(self.cpu).last()) {
            expected = expected.replace(&format!("backend {before}"), &format!("backend {best}"));
        }
        expected
    }
}

/// The backend that the self-test names.
fn backend(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("self-test: backend ")?.split(' ').next())
}

fn has_digest(said: &str, digest: &str) -> Result<()> {
    let found = said.lines().find_map(|line| line.strip_prefix("logit digest "));
    ensure!(found == Some(digest), "the host's digest is {digest}, and the board said:\n{said}");
    Ok(())
}

/// The first line that differs.
pub(super) fn same(expected: &str, said: &str) -> Result<()> {
    for (expected, said) in expected.lines().zip(said.lines()) {
        ensure!(expected == said, "the transcript has\n    {expected}\nand the board said\n    {said}");
    }
    ensure!(
        expected.lines().count() == said.lines().count(),
        "the transcript is of another length than\n{said}"
    );
    Ok(())
}

/// What a board said, with question marks for times, speeds, the stack's use, and the bytes that its program leaves free.
fn without_times(said: &str) -> String {
    said.split_inclusive('\n')
        .map(|line| {
            let known = statistics(line).or_else(|| arena(line)).or_else(|| stack(line));
            known.unwrap_or_else(|| line.to_owned())
        })
        .collect()
}

fn statistics(line: &str) -> Option<String> {
    let ((counts, _), (_, rest)) = (line.split_once(" | prefill ")?, line.split_once(" s | arena ")?);
    Some(format!("{counts} | prefill ? tokens/s, decode ? tokens/s | ? s | arena {rest}"))
}

fn arena(line: &str) -> Option<String> {
    let (used, rest) = line.strip_prefix("arena: ")?.split_once(" of ")?;
    let (_, rest) = rest.split_once(" bytes")?;
    Some(format!("arena: {used} of ? bytes{rest}"))
}

/// The stack's use is the compiler's matter, and has a bound of its own ([`stack::check`]).
fn stack(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("stack: ")?.split_once(" of ")?;
    Some(format!("stack: ? of {rest}"))
}

fn speeds(said: &str) -> &str {
    let line = said.lines().find_map(|line| line.split_once(" | prefill ")).map(|(_, rest)| rest);
    line.and_then(|rest| rest.split(" | arena").next()).unwrap_or_default()
}

/// A board whose loader brings no model says what is missing, and ends with an error.
fn without_model(board: &Board) -> Result<()> {
    let card = card::for_tests()?;
    let setup = Setup { cpu: board.cpus[0].0, cores: board.cores, model: None, parallel: false };
    let ended = scripted(board.emulator(&setup, &card.join(card::KERNEL))?, "", LIMIT, false)?;
    let said = ended.said;
    let told = said.contains("error: the firmware loaded no model") && said.contains("initramfs model.bpk");
    ensure!(ended.status == 1 && told, "{} without a model: status {}\n{said}", board.name, ended.status);
    println!("{}: a card without a model is refused", board.name);
    Ok(())
}

/// Wrong kernels are named, passed over, and change no bit.
fn planted_fault(board: &Board, digest: &str) -> Result<()> {
    let firmware = firmware(board, &["planted-fault"])?;
    let said = Run::first_of(board).start(&firmware, None, &keys(PROMPT, None)?)?;
    for line in
        ["*** SELF-TEST FAILED: backend planted-fault", "*** kernel matmul_t2r4_i8t", "*** falling back to "]
    {
        ensure!(said.contains(line), "the self-test is blind: no {line:?} in\n{said}");
    }
    has_digest(&said, digest)?;
    println!("{}: a planted fault is named and passed over", board.name);
    Ok(())
}

/// Ctrl-C behind the prompt ends the answer in the step that is going on, before the first token.
fn interrupted(board: &Board) -> Result<()> {
    let said = Run::first_of(board).start(&firmware(board, &[])?, None, &format!("{PROMPT}\n\x03/quit\n"))?;
    let ended = said.contains("note: interrupted") && said.contains(" prompt tokens, 0 generated ");
    ensure!(ended, "{}: Ctrl-C did not end the prompt's own pass:\n{said}", board.name);
    println!("{}: Ctrl-C ends an answer within a step", board.name);
    Ok(())
}

/// With steps of the board's budget the watchdog is fed in time, whatever the prompt; without a bound it bites.
fn watchdog(board: &Board) -> Result<()> {
    let prompt: String = SENTENCE.chars().cycle().take(LONGEST).collect();
    let digest = on_the_host(None, &prompt, None, board.host)?;
    let keys = keys(&prompt, None)?;
    let run = Run::first_of(board);
    let said = run.start(&firmware(board, &[])?, None, &keys)?;
    has_digest(&said, &digest)?;
    ensure!(said.contains("note: the context is full"), "{}: the prompt is too short:\n{said}", board.name);
    let unbounded = firmware(board, &["unbounded-step"])?;
    let ended = scripted(board.emulator(&run.setup(None), &unbounded)?, &keys, LIMIT, false)?;
    let bites = ended.status == WATCHDOG && ended.said.contains("*** WATCHDOG");
    ensure!(bites, "{}: the watchdog is blind: status {}\n{}", board.name, ended.status, ended.said);
    println!(
        "{}: a prompt that fills the context, digest {digest}; with steps without a bound the watchdog bites",
        board.name
    );
    Ok(())
}

/// A stack that is full is said, although a handler needs a stack too.
fn overflow(board: &Board) -> Result<()> {
    let run = Run::first_of(board);
    let firmware = firmware(board, &["overflow"])?;
    let ended = scripted(board.emulator(&run.setup(None), &firmware)?, "", LIMIT, false)?;
    let told = ended.said.starts_with("\n*** EXCEPTION: the stack is full");
    ensure!(ended.status == EXCEPTION && told, "{}: status {}\n{}", board.name, ended.status, ended.said);
    println!("{}: a stack that is full is said", board.name);
    Ok(())
}

/// The same prompt on a board and here, by the device protocol: token by token, and by the digest.
fn device(board: &Board) -> Result<()> {
    let firmware = firmware(board, &[])?;
    let device = |args: &[&str]| {
        let mut device = cargo("run");
        device
            .args(["--quiet", "--bin", "bitnet", "--", "device", "--qemu", board.name, "--firmware"])
            .arg(&firmware)
            .args(args);
        let result = device.output().with_context(|| format!("cannot start `{}`", line(&device)))?;
        let [text, told] =
            [result.stdout, result.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(result.status.success(), "`{}` failed: {}\n{told}", line(&device), result.status);
        anyhow::Ok((text, told))
    };
    for options in [&["-n", DEVICE_TOKENS][..], DEVICE_OPTIONS] {
        let (_, told) = device(&[&["--check", PROMPT], options].concat())?;
        let compared = told.lines().find(|line| line.starts_with("check: "));
        let compared =
            compared.with_context(|| format!("`bitnet device --check` compared nothing:\n{told}"))?;
        println!("{}: {compared}, with {}", board.name, options.join(" "));
    }
    receipt(board, &device)?;
    let (tested, _) = device(&["--self-test"])?;
    ensure!(tested.starts_with("self-test: "), "`bitnet device --self-test` printed\n{tested}");
    Ok(())
}

/// What a board says it did is proved here: the same tokens, logits and work.
fn receipt(board: &Board, device: &impl Fn(&[&str]) -> Result<(String, String)>) -> Result<()> {
    let file = folder()?.join(format!("{}.receipt.json", board.name));
    let name = file.to_str().context("a path that is not UTF-8")?;
    device(&["--receipt", name, "-n", DEVICE_TOKENS, PROMPT])?;
    let mut verify = cargo("run");
    verify.args(["--quiet", "--bin", "bitnet", "--", "receipt", "verify", name, "--replay", "story"]);
    let result = verify.output().with_context(|| format!("cannot start `{}`", line(&verify)))?;
    let said = String::from_utf8_lossy(&result.stdout);
    let proved = result.status.success() && said.contains("agrees     logit digest: ");
    ensure!(
        proved,
        "{}: the receipt is not proved:\n{said}{}",
        board.name,
        String::from_utf8_lossy(&result.stderr)
    );
    println!("{}: its receipt is proved by a replay", board.name);
    Ok(())
}

/// A model of 100 MB, executed where QEMU puts it.
fn smollm2(board: &Board, firmware: &Path) -> Result<()> {
    fetch::run(&fetch::Args { what: fetch::What::SmolLm2 })?;
    let gguf = paths::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let image = image(&gguf, "SmolLM2-135M-Instruct.bpk", &[])?;
    let (question, tokens) = QUESTION;
    let digest = on_the_host(Some(&image), question, Some(tokens), board.host)?;
    let Some(&(cpu, name)) = board.cpus.last() else { bail!("{} has no processor", board.name) };
    let run = Run { board, cpu, name, cores: 4 };
    let said = run.start(firmware, Some(&image), &keys(question, Some(tokens))?)?;
    has_digest(&said, &digest)?;
    println!("{}: SmolLM2 in place, digest {digest}; {}", run.title(), speeds(&said));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATISTICS: &str = "5 prompt tokens, 200 generated | prefill 50.8 tokens/s, decode 10.8 tokens/s | 18.38 s | \
                              arena 779584 bytes | backend scalar, 2 cores | seed 1";

    #[test]
    fn times_are_not_compared_and_all_else_is() {
        let text = format!(
            "arena: 12 of 3456 bytes, context 7\n> once\nonce upon | a time s | arena\n{STATISTICS}\n> /quit\n"
        );
        let expected = "arena: 12 of ? bytes, context 7\n> once\nonce upon | a time s | arena\n5 prompt tokens, 200 generated | prefill ? tokens/s, decode ? \
                        tokens/s | ? s | arena 779584 bytes | backend scalar, 2 cores | seed 1\n> /quit\n";
        assert_eq!(without_times(&text), expected);
        assert!(same(expected, &without_times(&text)).is_ok());
        assert!(same(expected, &without_times(&text.replace("779584", "779585"))).is_err());
        assert!(same(expected, &without_times(&format!("{text}more\n"))).is_err());
    }

    #[test]
    fn the_stack_is_compared_by_its_size() {
        assert_eq!(without_times("stack: 12 of 345 bytes used\n"), "stack: ? of 345 bytes used\n");
    }

    #[test]
    fn a_transcript_is_that_of_another_processor_with_its_names() {
        let of = |cpu: &str, backend: &str, cores: &str| {
            format!(
                "bitnet-edge 0.1.0 on QEMU virt, {cpu}\nself-test: backend {backend} is\n1 s | backend {backend}, {cores} | seed 1\n"
            )
        };
        let run = Run { board: &BOARDS[0], cpu: "max", name: "QEMU max", cores: 1 };
        let said = of("QEMU max", "i8mm", "1 core");
        assert_eq!(run.expected(&of("Cortex-A72", "neon", "2 cores")), said);
    }

    #[test]
    fn cores_that_cannot_run_at_once_are_said_to_have_run_in_turns() {
        let run = |cpu, cores| Run { board: &BOARDS[0], cpu, name: "a name", cores };
        assert!(run(PARALLEL, 2).is_parallel(true) && !run(PARALLEL, 2).is_parallel(false));
        let line = run(PARALLEL, 2).not_run(false).unwrap();
        assert!(line.starts_with("not run: virt-aarch64 cortex-a76 with 2 cores at once"), "{line}");
        for (cpu, cores, processors) in [(PARALLEL, 2, true), (PARALLEL, 1, false), ("max", 2, false)] {
            assert_eq!(run(cpu, cores).not_run(processors), None);
        }
    }

    #[test]
    fn a_digest_must_be_there() {
        assert!(has_digest("a\nlogit digest 12\n", "12").is_ok());
        assert!(has_digest("a\nlogit digest 12\n", "13").is_err());
        assert!(has_digest("a\n", "13").is_err());
    }
}
