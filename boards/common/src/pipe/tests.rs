use super::*;
use std::collections::VecDeque;
use std::string::String;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::Vec;

use bitnet_edge_core::Line as ArenaLine;
use bitnet_edge_core::include_image;
use bitnet_edge_core::model::OneThread;
use bitnet_edge_kernels::Scalar;

use crate::{Board, Machine, run};

/// What a line has to send, when the hardware takes at most `at_once` bytes of a piece.
fn sent(line: &mut Line<'_>, at_once: usize) -> Vec<u8> {
    let mut all = Vec::new();
    line.send(|bytes| {
        let taken = bytes.len().min(at_once);
        all.extend_from_slice(&bytes[..taken]);
        taken
    });
    all
}

#[test]
fn bytes_keep_their_order_whatever_the_hardware_takes() {
    for at_once in [1, 3, 63, 64, 65] {
        let mut pipe = Pipe::<8, 256>::new();
        let (mut port, mut line) = pipe.split();
        line.set_open(true);
        assert!(port.answer() && port.is_answered());
        let text: Vec<u8> = (0..=254).collect();
        assert_eq!(port.write(&text), 255);
        assert_eq!(port.write(b"more"), 0);
        assert_eq!(sent(&mut line, at_once), text);
        assert_eq!(port.write(b"more"), 4);
        assert_eq!(sent(&mut line, at_once), b"more");
    }
}

#[test]
fn hardware_that_takes_nothing_is_offered_the_same_again() {
    let mut pipe = Pipe::<8, 8>::new();
    let (mut port, mut line) = pipe.split();
    line.set_open(true);
    port.answer();
    port.write(b"abcd");
    let mut rest = VecDeque::from([2, 0]);
    line.send(|_| rest.pop_front().unwrap());
    // The queue has room again while the piece waits, and the order stays.
    assert_eq!(port.write(b"efg"), 3);
    assert_eq!(sent(&mut line, 64), b"cdefg");
}

#[test]
fn what_there_is_no_room_for_stays_in_the_hardware() {
    let mut pipe = Pipe::<5, 8>::new();
    let (mut port, mut line) = pipe.split();
    line.set_open(true);
    port.answer();
    assert_eq!(line.room(), 4);
    assert_eq!(line.receive(b"abcdef"), 4);
    assert_eq!((line.room(), line.receive(b"e")), (0, 0));
    assert_eq!(port.read(), Some(b'a'));
    assert_eq!((line.room(), line.receive(b"ef")), (1, 1));
    let all: Vec<u8> = core::iter::from_fn(|| port.read()).collect();
    assert_eq!(all, b"bcde");
}

#[test]
fn nobody_is_told_nothing() {
    let mut pipe = Pipe::<8, 8>::new();
    let (mut port, mut line) = pipe.split();
    assert!(!port.answer() && !port.is_answered());
    assert_eq!(port.write(b"much more than there is room for"), 32);
    line.set_open(true);
    assert_eq!(sent(&mut line, 64), b"");
    // Somebody is there, and nobody has answered yet.
    assert_eq!(port.write(b"lost"), 4);
    assert_eq!(sent(&mut line, 64), b"");
}

#[test]
fn the_next_caller_gets_nothing_of_the_last_one() {
    let mut pipe = Pipe::<8, 128>::new();
    let (mut port, mut line) = pipe.split();
    line.set_open(true);
    port.answer();
    port.write(&[b'x'; 100]);
    line.send(|_| 0);
    line.receive(b"old");
    line.set_open(false);
    line.set_open(false);
    line.set_open(true);
    assert!(!port.is_answered());
    port.write(b"for those who went");
    assert_eq!(sent(&mut line, 64), b"");
    assert!(port.answer());
    assert_eq!(port.read(), None);
    line.receive(b"new");
    assert!(port.answer(), "a second look loses nothing");
    assert_eq!(port.read(), Some(b'n'));
}

#[test]
fn what_a_caller_sends_before_the_answer_is_kept() {
    let mut pipe = Pipe::<16, 16>::new();
    let (mut port, mut line) = pipe.split();
    line.set_open(true);
    line.receive(b"first");
    assert!(port.answer());
    assert_eq!(port.read(), Some(b'f'));
    line.set_open(false);
    // Nobody is there, and the hardware has more of those who went.
    line.receive(b"old");
    line.set_open(true);
    line.receive(b"new");
    assert_eq!(port.read(), None);
    assert!(port.answer());
    let all: Vec<u8> = core::iter::from_fn(|| port.read()).collect();
    assert_eq!(all, b"new");
}

/// A board whose caller hangs up behind these keys, or while an answer is written.
struct Phone<'p> {
    port: Port<'p>,
    line: Line<'p>,
    keys: VecDeque<u8>,
    heard: Vec<u8>,
    /// Hang up when so much was heard.
    patience: usize,
}

impl Board for Phone<'_> {
    fn read(&mut self) -> Option<u8> {
        match self.keys.pop_front() {
            Some(key) => assert_eq!(self.line.receive(&[key]), 1),
            None => self.line.set_open(false),
        }
        self.port.read()
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.port.write(rest);
            rest = &rest[taken..];
            let heard = &mut self.heard;
            self.line.send(|bytes| {
                heard.extend_from_slice(bytes);
                bytes.len()
            });
        }
        if self.heard.len() > self.patience {
            self.line.set_open(false);
        }
    }
    fn now_us(&mut self) -> u64 {
        0
    }
    fn is_gone(&mut self) -> bool {
        !self.port.is_answered()
    }
}

#[test]
fn who_hangs_up_ends_the_session_wherever_it_is() {
    static MODEL: &[u8] = include_image!("../../../../core/testdata/tiny.bpk");
    for (keys, patience) in [
        ("", 1000),
        ("half a li", 1000),
        ("\0in a frame", 1000),
        ("hi\r", 1000),
        ("hi\rabc\r", 10),
        ("hi\r", 300),
    ] {
        let mut pipe = Pipe::<64, 64>::new();
        let (mut port, mut line) = pipe.split();
        line.set_open(true);
        assert!(port.answer());
        let keys = keys.bytes().collect();
        let mut board = Phone { port, line, keys, heard: Vec::new(), patience };
        let mut arena = std::vec![ArenaLine::ZERO; 4096];
        let machine = Machine {
            title: &"a phone",
            model: MODEL,
            arena: &mut arena,
            kernels: &[Scalar],
            split: OneThread,
            options: None,
            budget: 1000,
        };
        assert_eq!(run(&mut board, machine), Ok(()));
        assert!(String::from_utf8(board.heard).unwrap().starts_with("bitnet-edge "));
    }
}

#[test]
fn two_threads_lose_and_repeat_nothing() {
    const COUNT: usize = 100_000;
    static DONE: AtomicBool = AtomicBool::new(false);
    let mut pipe = Pipe::<16, 16>::new();
    let (mut port, mut line) = pipe.split();
    line.set_open(true);
    assert!(port.answer());
    std::thread::scope(|scope| {
        // The line sends back what it gets.
        scope.spawn(move || {
            let mut held = VecDeque::new();
            while !DONE.load(Ordering::Relaxed) {
                line.send(|bytes| {
                    held.extend(bytes);
                    bytes.len()
                });
                while let Some(&byte) = held.front() {
                    if line.receive(&[byte]) == 0 {
                        break;
                    }
                    held.pop_front();
                }
            }
        });
        let (mut wrote, mut read) = (0, 0);
        while read < COUNT {
            if wrote < COUNT && port.write(&[wrote as u8]) == 1 {
                wrote += 1;
            }
            while let Some(byte) = port.read() {
                assert_eq!(byte, read as u8);
                read += 1;
            }
        }
        DONE.store(true, Ordering::Relaxed);
    });
}
