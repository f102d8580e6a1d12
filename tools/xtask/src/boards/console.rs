//! Talking to a board in QEMU.

use crate::command::line;
use anyhow::{Context as _, Result, bail};
use std::io::{Read as _, Write as _, stdout};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// What a board said, without carriage returns, and the status that it ended with.
pub(super) struct Ended {
    pub(super) said: String,
    pub(super) status: i32,
}

/// Whether this machine has so many processors.
pub(super) fn has_processors(count: u32) -> bool {
    thread::available_parallelism().is_ok_and(|there| there.get() >= count as usize)
}

/// The board's console is this terminal, Ctrl-C included. The board's status.
pub(super) fn interactive(mut qemu: Command) -> Result<i32> {
    qemu.args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
    let status = qemu.status().with_context(|| format!("cannot start `{}`", line(&qemu)))?;
    status.code().with_context(|| format!("QEMU was ended: {status}"))
}

/// Types `keys`, shows what the board says if `show`, and waits until it ends, at most `limit`.
pub(super) fn scripted(mut qemu: Command, keys: &str, limit: Duration, show: bool) -> Result<Ended> {
    qemu.args(["-serial", "stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = qemu.spawn().with_context(|| format!("cannot start `{}`", line(&qemu)))?;
    // QEMU reads on only as the board does, so that nothing typed ahead is lost.
    let (mut typed, mut heard) =
        (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
    let keys = keys.to_owned();
    // What is typed before a board has set up its line is lost: it has, once it says something.
    let (begin, begun) = mpsc::channel();
    // The pipe stays open until the board ends: an end of input is a key of its own.
    let typing = thread::spawn(move || match begun.recv() {
        Ok(()) => typed.write_all(keys.as_bytes()).and(Ok(typed)),
        Err(_) => Ok(typed),
    });
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = heard.read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + limit;
    let mut said = Vec::new();
    loop {
        match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(bytes) => {
                // Nobody waits for it any more after the first time.
                let _ = begin.send(());
                let bytes: Vec<u8> = bytes.into_iter().filter(|&byte| byte != b'\r').collect();
                if show {
                    let mut out = stdout().lock();
                    out.write_all(&bytes).and_then(|()| out.flush()).context("cannot write to stdout")?;
                }
                said.extend(bytes);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                let said = String::from_utf8_lossy(&said);
                bail!("the board did not end within {} s; it said:\n{said}", limit.as_secs());
            }
        }
    }
    let status = child.wait()?;
    // What it did not read does not matter any more.
    drop(typing);
    let status = status.code().with_context(|| format!("QEMU was ended: {status}"))?;
    Ok(Ended { said: String::from_utf8_lossy(&said).into_owned(), status })
}
