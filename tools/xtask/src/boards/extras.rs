//! What a board can have beside its console: a log, and a program with a heap of its own. Shown on one board.

use super::check::{LIMIT, PROMPT, same};
use super::console::scripted;
use super::{Board, Setup, build, defmt, keys};
use crate::paths;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// Tokens for a log.
const TOKENS: u32 = 3;

pub(super) fn check(record: bool) -> Result<()> {
    let board = Board::named("mps2-an386")?;
    log(board, record)?;
    heap(board, record)
}

fn setup(board: &Board) -> Setup<'static> {
    Setup { cpu: board.cpus[0].0, cores: board.cores, model: None, parallel: false }
}

/// The log goes to QEMU's own output, by semihosting; what is in it is what is recorded.
fn log(board: &Board, record: bool) -> Result<()> {
    let firmware = build::firmware(board, &["defmt"])?;
    let file = build::folder()?.join(format!("{}.defmt", board.name));
    let mut emulator = board.emulator(&setup(board), &firmware)?;
    emulator.stdin(Stdio::null()).stdout(File::create(&file)?);
    let said = on_a_socket(emulator, &keys(PROMPT, Some(TOKENS))?)?;
    ensure!(said.contains("logit digest "), "{} with a log said\n{said}", board.name);
    let log = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = defmt::print(&fs::read(&firmware)?, &log).context("the log")?;
    compare(&Path::new(board.folder).join("log.txt"), &lines, record)?;
    println!("{}: {} lines of a log, in {} bytes", board.name, lines.lines().count(), log.len());
    Ok(())
}

/// Types keys on a serial line that is a socket, for QEMU's output is something else. What the board said, if it ended well.
fn on_a_socket(mut qemu: Command, keys: &str) -> Result<String> {
    // The path of a socket has 107 bytes at most, which a target folder may have by itself.
    let path = std::env::temp_dir().join(format!("bitnet-edge-{}", std::process::id()));
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let name = path.to_str().context("the path of the socket is not UTF-8")?.replace(',', ",,");
    qemu.args(["-chardev", &format!("socket,id=console,path={name}"), "-serial", "chardev:console"]);
    let started = qemu.spawn().context("cannot start QEMU");
    let said = started.and_then(|mut child| {
        let said = heard(listener, keys);
        // It has nobody to talk to any more, or has ended.
        if said.is_err() {
            child.kill()?;
        }
        Ok((said, child.wait()?))
    });
    fs::remove_file(&path)?;
    let (said, status) = said?;
    let said = said?;
    ensure!(status.success(), "the board ended with {status}; it said\n{said}");
    Ok(said)
}

/// What comes on a socket that keys are typed on, until its other end is closed.
fn heard(listener: UnixListener, keys: &str) -> Result<String> {
    let (send, receive) = mpsc::channel();
    let keys = keys.to_owned();
    thread::spawn(move || {
        // Nobody waits for it any more after the time is over.
        let _ = send.send(typed(&listener, &keys));
    });
    let Ok(said) = receive.recv_timeout(LIMIT) else {
        bail!("the board did not end within {} s", LIMIT.as_secs());
    };
    said.context("the console's socket")
}

/// Types as soon as the board has said something, and hears it until it ends.
fn typed(listener: &UnixListener, keys: &str) -> std::io::Result<String> {
    let (mut line, _) = listener.accept()?;
    let mut said = vec![0; 1];
    line.read_exact(&mut said)?;
    line.write_all(keys.as_bytes())?;
    line.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// The program with a heap says what is recorded.
fn heap(board: &Board, record: bool) -> Result<()> {
    let program = build::program(board, "answers", &["heap"])?;
    let ended = scripted(board.emulator(&setup(board), &program)?, "", LIMIT, false)?;
    ensure!(ended.status == 0, "answers ended with status {}\n{}", ended.status, ended.said);
    compare(&Path::new(board.folder).join("answers.txt"), &ended.said, record)?;
    println!("{}: a program with a heap of its own", board.name);
    Ok(())
}

/// Compares with a file of the repository, or writes it.
fn compare(file: &Path, said: &str, record: bool) -> Result<()> {
    let path = paths::root().join(file);
    if record {
        fs::write(&path, said)?;
    }
    let expected = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    same(&expected, said).with_context(|| file.display().to_string())
}
