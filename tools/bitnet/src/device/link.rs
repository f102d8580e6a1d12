//! Requests and responses over a connection.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bitnet_edge_protocol::{
    Error, FRAME_BYTES, Received, Receiver, Request, Response, VERSION, decode, encode, version_of,
};

use super::connection::Connection;
use super::{INTERRUPTS, refused};

/// How often a frame that the board could not read is sent.
pub(super) const ATTEMPTS: u32 = 3;
/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long a board has for its first word before it is asked once more: it may not have been up yet.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Bytes of text that are kept, for messages.
const TEXT_BYTES: usize = 4096;

/// What waiting brought.
pub(super) enum Heard {
    /// Tag and message.
    Message(Vec<u8>),
    /// Ctrl-C was typed.
    Interrupt,
    /// Nothing, for too long.
    Silence,
}

/// A board at the other end of a connection.
pub(super) struct Link {
    connection: Connection,
    timeout: Duration,
    frames: Receiver,
    bytes: std::vec::IntoIter<u8>,
    /// What the board wrote that is no message: the end of it.
    text: Vec<u8>,
    tag: u8,
    interrupts: u32,
}

impl Link {
    pub(super) fn new(connection: Connection, timeout: Duration) -> Self {
        Self {
            connection,
            timeout,
            frames: Receiver::new(),
            bytes: Vec::new().into_iter(),
            text: Vec::new(),
            // Not that of a program before this one, whose answers may still come.
            tag: RandomState::new().hash_one(0) as u8,
            interrupts: 0,
        }
    }

    /// The board's description, as a message, once it is up, idle, and of this version.
    pub(super) fn hello(&mut self) -> Result<Vec<u8>> {
        let begin = Instant::now();
        let (mut tag, mut asks, mut is_strange) = (0, true, false);
        while begin.elapsed() < self.timeout {
            if asks {
                tag = self.send(&Request::Describe)?;
            }
            asks = true;
            let message = match self.hear(FIRST_WORD.min(self.timeout), Some(tag))? {
                Heard::Message(message) => message,
                Heard::Interrupt => bail!("interrupted"),
                Heard::Silence => continue,
            };
            match (version_of(&message), decode(&message).1) {
                (Some(VERSION), Ok(Response::Description(_))) => return Ok(message),
                (Some(found), _) if found != VERSION => bail!(
                    "{} speaks version {found} of the device protocol and this program version {VERSION}: build the board's \
                     program again with this version of bitnet-edge, or use the bitnet that came with it",
                    self.connection.name
                ),
                // Somebody else's answer.
                (_, Ok(Response::Error(Error::Busy))) => {
                    self.send(&Request::Cancel)?;
                }
                // This frame, or one before it, was damaged.
                (_, Ok(Response::Error(_))) => {}
                // It may be what a program before this one asked, with the same tag.
                _ => (asks, is_strange) = (false, true),
            }
        }
        bail!("{}", if is_strange { self.unexpected() } else { self.silence() })
    }

    /// Asks, and gives the response, which is no error.
    pub(super) fn ask(&mut self, request: &Request<'_>) -> Result<Vec<u8>> {
        for _ in 0..ATTEMPTS {
            let tag = self.send(request)?;
            let message = match self.hear(self.timeout, Some(tag))? {
                Heard::Message(message) => message,
                Heard::Interrupt => bail!("interrupted"),
                Heard::Silence => bail!("{}", self.silence()),
            };
            match decode(&message) {
                (0, Ok(Response::Error(_))) => {}
                (_, Ok(Response::Error(error))) => return Err(refused(&error)),
                _ => return Ok(message),
            }
        }
        bail!("{}", self.noise())
    }

    /// Sends a request with a tag of its own.
    pub(super) fn send(&mut self, request: &Request<'_>) -> Result<u8> {
        self.tag = self.tag.checked_add(1).unwrap_or(1);
        let mut frame = [0; FRAME_BYTES];
        let frame = encode(self.tag, request, &mut frame)?;
        let out = &mut self.connection.out;
        out.write_all(frame)
            .and_then(|()| out.flush())
            .with_context(|| format!("cannot write to {}", self.connection.name))?;
        Ok(self.tag)
    }

    /// Waits for a message with this tag, or with tag 0; for any other message without one.
    pub(super) fn hear(&mut self, patience: Duration, tag: Option<u8>) -> Result<Heard> {
        let deadline = Instant::now() + patience;
        loop {
            while let Some(byte) = self.bytes.next() {
                match self.frames.push(byte) {
                    Received::Byte(byte) => self.keep(byte),
                    Received::Message => {
                        let message = self.frames.message().to_vec();
                        let of = message.first().copied();
                        if of == Some(0) || tag.is_none_or(|tag| of == Some(tag)) {
                            return Ok(Heard::Message(message));
                        }
                    }
                    // Text that looked like a frame, or a frame that was damaged: what is missing is noticed.
                    Received::Part | Received::Broken(_) => {}
                }
            }
            let interrupts = INTERRUPTS.load(Ordering::SeqCst);
            if interrupts > 1 {
                bail!("interrupted");
            }
            if interrupts > self.interrupts {
                self.interrupts = interrupts;
                return Ok(Heard::Interrupt);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::Silence);
            }
            match self.connection.heard.recv_timeout(left.min(TICK)) {
                Ok(Ok(bytes)) => self.bytes = bytes.into_iter(),
                Ok(Err(error)) => {
                    return Err(error).with_context(|| format!("cannot read from {}", self.connection.name));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("{}", self.gone()),
            }
        }
    }

    /// How long a board may be silent.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    fn keep(&mut self, byte: u8) {
        if self.text.len() >= TEXT_BYTES {
            self.text.drain(..TEXT_BYTES / 2);
        }
        self.text.push(byte);
    }

    /// The last line of text that the board wrote, if there is one.
    fn said(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.text).into_owned();
        // A panic, or why it did not start, is worth more than the last line.
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != ">");
        lines()
            .find(|line| line.starts_with("*** ") || line.starts_with("error: "))
            .or_else(|| lines().next_back())
            .map(str::to_owned)
    }

    pub(super) fn silence(&self) -> String {
        let (name, seconds) = (&self.connection.name, self.timeout.as_secs());
        match self.said() {
            None => format!("nothing came from {name} within {seconds} s; {}", self.connection.advice),
            Some(line) if self.frames.message().is_empty() => format!(
                "{name} writes text and answers no request within {seconds} s: its last line is {line:?}; `bitnet device` needs a \
                 board with version {VERSION} of the device protocol: build its program with this version of bitnet-edge, or use \
                 a terminal"
            ),
            Some(line) => format!(
                "{name} fell silent for {seconds} s; its last line of text is {line:?}; a longer --timeout waits longer"
            ),
        }
    }

    fn gone(&mut self) -> String {
        let mut text = format!("the connection to {} ended", self.connection.name);
        if let Some(emulator) = &mut self.connection.emulator
            && let Ok(status) = emulator.0.wait()
        {
            text = format!("{} ended: {status}", self.connection.name);
        }
        match self.said() {
            Some(line) => format!("{text}; the board's last line is {line:?}"),
            None => text,
        }
    }

    /// Several frames in a row were damaged.
    pub(super) fn noise(&self) -> String {
        format!(
            "{} could not read {ATTEMPTS} requests in a row; a lower --baud, a shorter cable or another port may help",
            self.connection.name
        )
    }

    /// A response that is none to what was asked.
    pub(super) fn unexpected(&self) -> String {
        format!(
            "{} answers with what this program does not know: build the board's program again with this version of bitnet-edge",
            self.connection.name
        )
    }
}
