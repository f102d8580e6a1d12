//! Lines in, text out.

use core::fmt;

use heapless::{Deque, Vec};

use crate::Board;

/// Bytes of the longest line that can be typed.
pub const LINE_BYTES: usize = 1024;
/// Bytes that can be typed ahead while an answer is written.
const AHEAD_BYTES: usize = 256;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BELL: &[u8] = b"\x07";
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;

/// What came of waiting for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line, which [`Console::line`] has.
    Line,
    /// A line that is not UTF-8.
    NotText,
    /// Whoever types is done (Ctrl-D).
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
/// arrow keys are left out. Text goes out with carriage returns, as terminals need it.
#[derive(Debug)]
pub struct Console<'b, B> {
    board: &'b mut B,
    line: Vec<u8, LINE_BYTES>,
    ahead: Deque<u8, AHEAD_BYTES>,
    escape: Escape,
    /// The last line ended with a carriage return: a line feed behind it is a part of that.
    returned: bool,
}

impl<'b, B: Board> Console<'b, B> {
    /// A console with nothing typed.
    pub const fn new(board: &'b mut B) -> Self {
        Self { board, line: Vec::new(), ahead: Deque::new(), escape: Escape::No, returned: false }
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

    /// Shows `sign` and waits for a line.
    pub fn read_line(&mut self, sign: &str) -> Input {
        self.write(sign);
        self.line.clear();
        loop {
            let Some(byte) = self.next() else {
                self.board.alive();
                continue;
            };
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

    /// Looks at what was typed meanwhile: whether Ctrl-C was. The rest is kept for the next line.
    pub fn interrupted(&mut self) -> bool {
        self.board.alive();
        while let Some(byte) = self.board.read() {
            if byte == INTERRUPT {
                self.ahead.clear();
                return true;
            }
            if self.ahead.push_back(byte).is_err() {
                self.board.write(BELL);
            }
        }
        false
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

    fn next(&mut self) -> Option<u8> {
        self.ahead.pop_front().or_else(|| self.board.read())
    }

    fn edit(&mut self, byte: u8) {
        match (self.escape, byte) {
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Open,
            (Escape::Open, 0x20..0x40) => {}
            (Escape::Begun | Escape::Open, _) => self.escape = Escape::No,
            (Escape::No, ESCAPE) => self.escape = Escape::Begun,
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
mod tests {
    use super::*;
    use crate::session::fake::Fake;

    /// The line that comes of these keys, and what the screen shows.
    fn typed(keys: &[u8]) -> (Input, std::string::String, std::string::String) {
        let mut board = Fake::new(keys);
        let mut console = Console::new(&mut board);
        let input = console.read_line("> ");
        let line = console.line().into();
        (input, line, board.screen())
    }

    #[test]
    fn keys_are_echoed_and_corrected() {
        assert_eq!(typed(b"ab\r"), (Input::Line, "ab".into(), "> ab\r\n".into()));
        assert_eq!(typed(b"ab\x7fc\x08d\n").1, "ad");
        assert_eq!(typed(b"\x7fab\r").1, "ab");
        assert_eq!(typed("aé\x7fb\r".as_bytes()).1, "ab");
        assert_eq!(typed(b"abc\x15de\r").1, "de");
        assert_eq!(typed(b"a\tb\r").1, "a b");
        assert_eq!(typed(b"abc\x03de\r"), (Input::Line, "de".into(), "> abc^C\r\n> de\r\n".into()));
    }

    #[test]
    fn arrow_keys_and_control_characters_are_left_out() {
        assert_eq!(typed(b"a\x1b[Ab\x1bOPc\x1b[1;5Cd\x00\x01e\r").1, "abcde");
    }

    #[test]
    fn the_end_is_at_the_beginning_of_a_line_only() {
        assert_eq!(typed(b"\x04").0, Input::End);
        assert_eq!(typed(b"a\x04b\r").1, "ab");
    }

    #[test]
    fn what_is_not_utf8_is_no_line() {
        assert_eq!(typed(b"a\xffb\r").0, Input::NotText);
    }

    #[test]
    fn a_return_with_a_line_feed_is_one_end() {
        let mut board = Fake::new(b"a\r\nb\n\nc\r");
        let mut console = Console::new(&mut board);
        let mut lines = std::vec![];
        for _ in 0..4 {
            assert_eq!(console.read_line(""), Input::Line);
            lines.push(std::string::String::from(console.line()));
        }
        assert_eq!(lines, ["a", "b", "", "c"]);
    }

    #[test]
    fn a_line_that_is_full_takes_no_more() {
        let mut keys = std::vec![b'x'; LINE_BYTES + 3];
        keys.push(b'\r');
        let (input, line, screen) = typed(&keys);
        assert_eq!((input, line.len()), (Input::Line, LINE_BYTES));
        assert!(screen.ends_with("\x07\x07\x07\r\n"));
    }

    #[test]
    fn what_is_typed_ahead_waits_for_its_line() {
        let mut board = Fake::new(b"next\r");
        let mut console = Console::new(&mut board);
        assert!(!console.interrupted());
        assert_eq!(console.read_line(""), Input::Line);
        assert_eq!(console.line(), "next");
        let mut board = Fake::new(b"lost\x03kept\r");
        let mut console = Console::new(&mut board);
        assert!(console.interrupted());
        assert_eq!(console.read_line(""), Input::Line);
        assert_eq!(console.line(), "kept");
    }
}
