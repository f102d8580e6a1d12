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
fn there_is_nothing_to_take_back_on_an_empty_line() {
    assert_eq!(typed(b"\x7f\x08\x15\r"), (Input::Line, "".into(), "> \r\n".into()));
    assert_eq!(typed(b"a\x7f\x7f\x7fb\r"), (Input::Line, "b".into(), "> a\x08 \x08b\r\n".into()));
    // A character of two bytes is one place on the screen; a tail without a head is one, too.
    assert_eq!(typed("é\x7f\x7f\r".as_bytes()).2, "> é\x08 \x08\r\n");
    assert_eq!(typed(b"\x80\x7f\r"), (Input::Line, "".into(), "> \u{fffd}\x08 \x08\r\n".into()));
}

#[test]
fn an_escape_ends_with_its_line() {
    let mut board = Fake::new(b"a\x1b\rb\x1b[\rOk\x1b\x03[A\r\x1b\x1b[Ae\r");
    let mut console = Console::new(&mut board);
    let mut lines = std::vec![];
    for _ in 0..4 {
        assert_eq!(console.read_line(""), Input::Line);
        lines.push(std::string::String::from(console.line()));
    }
    // The escape that Ctrl-C ended takes nothing of the next line; one behind another begins anew.
    assert_eq!(lines, ["a", "b", "[A", "e"]);
}

#[test]
fn an_end_or_an_interrupt_within_an_escape_is_what_it_is() {
    assert_eq!(typed(b"\x1b\x04").0, Input::End);
    assert_eq!(typed(b"a\x1b[\x03b\r"), (Input::Line, "b".into(), "> a^C\r\n> b\r\n".into()));
}

#[test]
fn arrow_keys_and_control_characters_are_left_out() {
    assert_eq!(typed(b"a\x1b[Ab\x1bOPc\x1b[1;5Cd\x01e\r").1, "abcde");
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

#[test]
fn a_zero_that_begins_nothing_swallows_no_interrupt() {
    let mut board = Fake::new(&[0]);
    board.later(b"\x03");
    let mut console = Console::new(&mut board);
    assert!((0..20_000).any(|_| console.interrupted()));
}

/// A line on which there is no end of keys.
struct Flood;

impl Board for Flood {
    fn read(&mut self) -> Option<u8> {
        Some(b'x')
    }
    fn write(&mut self, _: &[u8]) {}
    fn now_us(&mut self) -> u64 {
        0
    }
    fn alive(&mut self) {}
}

#[test]
fn a_flood_does_not_hold_an_answer_up() {
    assert!(!Console::new(&mut Flood).interrupted());
}
