//! Lines and messages in, text and messages out.

use core::fmt;

use bitnet_edge_protocol::{
    Error, FRAME_BYTES, Received, Receiver, Request, Response, SILENCE_US, decode, encode,
};
use heapless::{Deque, Vec};

use crate::Board;

/// Bytes of the longest line that can be typed.
pub const LINE_BYTES: usize = 1024;
/// Bytes that can be typed ahead while an answer is written.
const AHEAD_BYTES: usize = 256;
/// Bytes that are looked at between two steps at most: a flood does not hold an answer up.
const LOOK_BYTES: usize = FRAME_BYTES + AHEAD_BYTES;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BELL: &[u8] = b"\x07";
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line, which [`Console::line`] has.
    Line,
    /// A line that is not UTF-8.
    NotText,
    /// A message in a frame, which [`Console::message`] has.
    Message,
    /// Whoever types is done (Ctrl-D), or gone.
    End,
}

/// Where an escape sequence, such as that of an arrow key, is: its bytes are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    Begun,
    Open,
}

/// A line editor over a board's stream of bytes.
///
/// What is typed is echoed; backspace, Ctrl-U and Ctrl-C work as everywhere; other control characters and the sequences of
/// arrow keys are left out. Text goes out with carriage returns, as terminals need it. A zero byte begins a frame: what is in
/// it is a message of the protocol, and never text.
#[derive(Debug)]
pub struct Console<'b, B> {
    board: &'b mut B,
    line: Vec<u8, LINE_BYTES>,
    /// The line is a host's prompt: what is typed is no part of it.
    is_hosts: bool,
    ahead: Deque<u8, AHEAD_BYTES>,
    frames: Receiver,
    /// Since when nothing came, if that is looked at.
    silent_since: Option<u64>,
    escape: Escape,
    /// The last line ended with a carriage return: a line feed behind it is a part of that.
    returned: bool,
}

impl<'b, B: Board> Console<'b, B> {
    /// A console with nothing typed.
    pub const fn new(board: &'b mut B) -> Self {
        Self {
            board,
            line: Vec::new(),
            is_hosts: false,
            ahead: Deque::new(),
            frames: Receiver::new(),
            silent_since: None,
            escape: Escape::No,
            returned: false,
        }
    }

    /// The board.
    pub const fn board(&mut self) -> &mut B {
        self.board
    }

    /// The line that was typed last.
    #[must_use]
    pub fn line(&self) -> &str {
        core::str::from_utf8(&self.line).unwrap_or_default()
    }

    /// That line, and the board beside it.
    pub(crate) fn line_and_board(&mut self) -> (&str, &mut B) {
        (core::str::from_utf8(&self.line).unwrap_or_default(), self.board)
    }

    /// Shows that line again.
    pub fn show_line(&mut self) {
        let (line, board) = self.line_and_board();
        board.write(line.as_bytes());
    }

    /// Tag and bytes of the message that came last.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.frames.message()
    }

    /// Bytes of a host's prompt that the line has.
    pub(crate) fn host_bytes(&self) -> usize {
        if self.is_hosts { self.line.len() } else { 0 }
    }

    /// The line, which is also where a prompt of several messages is put together, and a host's from here on.
    pub(crate) const fn host_line(&mut self) -> &mut Vec<u8, LINE_BYTES> {
        self.is_hosts = true;
        &mut self.line
    }

    /// The line, and the board, at once.
    pub(crate) fn parts(&mut self) -> (&[u8], &mut B) {
        (&self.line, self.board)
    }

    /// Shows `sign` and waits for a line.
    pub fn read_line(&mut self, sign: &str) -> Input {
        self.write(sign);
        self.clear();
        self.wait(sign)
    }

    /// Waits for the rest of the line, or for a message. The line stays as it is if one comes.
    pub fn wait(&mut self, sign: &str) -> Input {
        loop {
            let byte = match self.next() {
                None => {
                    self.board.alive();
                    if self.board.is_gone() {
                        return Input::End;
                    }
                    self.listen();
                    continue;
                }
                Some(Received::Message) => return Input::Message,
                Some(Received::Byte(byte)) => byte,
                Some(received) => {
                    self.refuse(received);
                    continue;
                }
            };
            if self.is_hosts {
                self.clear();
            }
            let feed_of_return = byte == b'\n' && self.returned;
            self.returned = byte == b'\r';
            match byte {
                b'\n' if feed_of_return => {}
                b'\r' | b'\n' => {
                    self.escape = Escape::No;
                    self.write("\n");
                    let text = core::str::from_utf8(&self.line).is_ok();
                    return if text { Input::Line } else { Input::NotText };
                }
                END if self.line.is_empty() => {
                    self.write("\n");
                    return Input::End;
                }
                INTERRUPT => {
                    self.escape = Escape::No;
                    self.line.clear();
                    self.write("^C\n");
                    self.write(sign);
                }
                _ => self.edit(byte),
            }
        }
    }

    /// A frame that falls silent is given up, so that a terminal is heard again.
    fn listen(&mut self) {
        if !self.frames.is_inside() {
            return;
        }
        let now = self.board.now_us();
        if now.saturating_sub(*self.silent_since.get_or_insert(now)) < SILENCE_US {
            return;
        }
        self.silent_since = None;
        if let Some(error) = self.frames.give_up() {
            self.reply(0, &Response::Error(error));
        }
    }

    fn refuse(&mut self, received: Received) {
        if let Received::Broken(error) = received {
            self.reply(0, &Response::Error(error));
        }
    }

    /// Looks at what came meanwhile: whether Ctrl-C was typed, a message cancels, or whoever asked is gone. Other messages are told that the board is
    /// busy; other keys are kept for the next line.
    pub fn interrupted(&mut self) -> bool {
        self.board.alive();
        if self.board.is_gone() {
            self.ahead.clear();
            return true;
        }
        for looks in 0..LOOK_BYTES {
            let Some(byte) = self.board.read() else {
                if looks == 0 {
                    self.listen();
                }
                break;
            };
            match self.push(byte) {
                Received::Byte(INTERRUPT) => {
                    self.ahead.clear();
                    return true;
                }
                Received::Byte(byte) => {
                    if self.ahead.push_back(byte).is_err() {
                        self.board.write(BELL);
                    }
                }
                Received::Message => {
                    let (tag, request) = decode(self.frames.message());
                    let cancel = request == Ok(Request::Cancel);
                    let busy = if cancel { Response::Accepted } else { Response::Error(Error::Busy) };
                    self.reply(tag, &busy);
                    if cancel {
                        return true;
                    }
                }
                received => self.refuse(received),
            }
        }
        false
    }

    /// Sends a message, with the tag of what it answers.
    pub fn reply(&mut self, tag: u8, response: &Response<'_>) {
        // What does not fit a frame is said to be too long, which fits.
        let mut frame = [0; FRAME_BYTES];
        match encode(tag, response, &mut frame) {
            Ok(frame) => self.board.write(frame),
            Err(error) => {
                if let Ok(frame) = encode(tag, &Response::Error(error), &mut frame) {
                    self.board.write(frame);
                }
            }
        }
    }

    /// Sends text, with a carriage return before each line feed.
    pub fn write(&mut self, text: &str) {
        let mut lines = text.split('\n');
        self.board.write(lines.next().unwrap_or_default().as_bytes());
        for line in lines {
            self.board.write(b"\r\n");
            self.board.write(line.as_bytes());
        }
    }

    fn next(&mut self) -> Option<Received> {
        // What was typed ahead is known to be no part of a frame.
        if let Some(byte) = self.ahead.pop_front() {
            return Some(Received::Byte(byte));
        }
        let byte = self.board.read()?;
        Some(self.push(byte))
    }

    fn push(&mut self, byte: u8) -> Received {
        self.silent_since = None;
        self.frames.push(byte)
    }

    fn clear(&mut self) {
        self.line.clear();
        self.is_hosts = false;
    }

    fn edit(&mut self, byte: u8) {
        match (self.escape, byte) {
            (_, ESCAPE) => self.escape = Escape::Begun,
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Open,
            (Escape::Open, 0x20..0x40) => {}
            (Escape::Begun | Escape::Open, _) => self.escape = Escape::No,
            (Escape::No, BACKSPACE | DELETE) => self.erase(),
            (Escape::No, KILL_LINE) => {
                while !self.line.is_empty() {
                    self.erase();
                }
            }
            (Escape::No, b'\t') => self.insert(b' '),
            (Escape::No, 0x20..) => self.insert(byte),
            (Escape::No, _) => {}
        }
    }

    fn insert(&mut self, byte: u8) {
        let echo = [byte];
        self.board.write(if self.line.push(byte).is_ok() { &echo } else { BELL });
    }

    /// Takes back a character: all of its bytes, and one place on the screen.
    fn erase(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let is_tail = |byte: u8| byte & 0xc0 == 0x80;
        while self.line.pop().is_some_and(is_tail) {}
        self.board.write(b"\x08 \x08");
    }
}

impl<B: Board> fmt::Write for Console<'_, B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
