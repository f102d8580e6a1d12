//! A board whose keyboard has typed everything already.

use std::cell::Cell;
use std::collections::VecDeque;
use std::string::String;
use std::vec::Vec;

use crate::Board;

std::thread_local! {
    /// Units of work since [`Board::alive`] was called last: whoever works adds to it.
    pub(crate) static WORK: Cell<u64> = const { Cell::new(0) };
}

pub(crate) struct Fake {
    keys: VecDeque<u8>,
    /// What is typed a long time after all keys were read.
    later: VecDeque<u8>,
    screen: Vec<u8>,
    ticks: u64,
    idle: u64,
    pub(crate) alive: u64,
    /// The most work that was done between two calls of `alive`.
    pub(crate) longest: u64,
}

impl Fake {
    pub(crate) fn new(keys: &[u8]) -> Self {
        Self {
            keys: keys.iter().copied().collect(),
            later: VecDeque::new(),
            screen: Vec::new(),
            ticks: 0,
            idle: 0,
            alive: 0,
            longest: 0,
        }
    }

    /// Types these keys later.
    pub(crate) fn later(&mut self, keys: &[u8]) {
        self.later.extend(keys);
    }

    /// What was written so far.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    /// The same, byte by byte.
    pub(crate) fn written(&self) -> &[u8] {
        &self.screen
    }
}

impl Board for Fake {
    fn read(&mut self) -> Option<u8> {
        if self.keys.is_empty() {
            self.idle += 1;
            if self.idle > 10_000 {
                self.keys.append(&mut self.later);
            }
        }
        self.keys.pop_front()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.screen.extend_from_slice(bytes);
    }
    fn now_us(&mut self) -> u64 {
        self.ticks += 1000;
        self.ticks
    }
    fn alive(&mut self) {
        self.alive += 1;
        self.longest = self.longest.max(WORK.take());
        assert!(self.alive < 1_000_000 || !self.keys.is_empty(), "waits for keys that never come");
    }
}
