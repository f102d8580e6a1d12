//! Bytes between a program and the interrupt handler that moves them.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use heapless::spsc::{Consumer, Producer, Queue};

/// Bytes that a handler offers its hardware at once.
const PIECE: usize = 64;

/// Queues between a program and an interrupt handler, for a line that the hardware must serve whatever the program does, and
/// that somebody may hang up: a serial port over USB.
///
/// The handler has the [`Line`]: it puts in what came, takes out what there is to send, and says whether somebody listens.
/// The program has the [`Port`]. Neither waits for the other. One byte of each queue's length is not used.
///
/// ```
/// use bitnet_edge_board::Pipe;
///
/// let mut pipe = Pipe::<16, 64>::new();
/// let (mut port, mut line) = pipe.split();
/// line.set_open(true);
/// assert!(port.answer());
/// assert_eq!(line.receive(b"hi"), 2);
/// assert_eq!((port.read(), port.read(), port.read()), (Some(b'h'), Some(b'i'), None));
/// assert_eq!(port.write(b"hello"), 5);
/// line.send(|bytes| {
///     assert_eq!(bytes, b"hello");
///     bytes.len() // the hardware took all of them
/// });
/// line.set_open(false);
/// assert!(!port.is_answered()); // what `Board::is_gone` needs to know
/// ```
#[derive(Debug)]
pub struct Pipe<const IN: usize, const OUT: usize> {
    input: Queue<u8, IN>,
    output: Queue<u8, OUT>,
    calls: AtomicU32,
    before: AtomicU32,
}

impl<const IN: usize, const OUT: usize> Pipe<IN, OUT> {
    /// Nobody listens, and nothing waits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            input: Queue::new(),
            output: Queue::new(),
            calls: AtomicU32::new(0),
            before: AtomicU32::new(0),
        }
    }

    /// The program's end and the handler's.
    pub fn split(&mut self) -> (Port<'_>, Line<'_>) {
        let Self { input, output, calls, before } = self;
        // What is left of an earlier use would not be counted.
        while input.dequeue().is_some() {}
        before.store(0, Relaxed);
        let (to_program, input) = input.split();
        let (output, to_line) = output.split();
        let (calls, before) = (&*calls, &*before);
        let port = Port { input, output, calls, before, call: 0, taken: 0 };
        let line = Line {
            input: to_program,
            output: to_line,
            calls,
            before,
            received: 0,
            piece: [0; PIECE],
            start: 0,
            end: 0,
        };
        (port, line)
    }
}

impl<const IN: usize, const OUT: usize> Default for Pipe<IN, OUT> {
    fn default() -> Self {
        Self::new()
    }
}

/// Odd while somebody listens; it changes when they come and when they go.
const fn is_open(call: u32) -> bool {
    call % 2 == 1
}

/// The program's end of a [`Pipe`].
pub struct Port<'p> {
    input: Consumer<'p, u8>,
    output: Producer<'p, u8>,
    calls: &'p AtomicU32,
    before: &'p AtomicU32,
    /// The call that was answered.
    call: u32,
    /// Bytes taken out of the queue.
    taken: u32,
}

impl Port<'_> {
    /// Whether somebody listens; if so, what is read and written from now on is theirs.
    pub fn answer(&mut self) -> bool {
        let call = self.calls.load(Acquire);
        if !is_open(call) {
            return false;
        }
        if call != self.call {
            // What those before have sent. What these have sent already is kept.
            let before = self.before.load(Relaxed);
            while self.taken != before && self.take().is_some() {}
        }
        self.call = call;
        true
    }

    /// Whether the caller that was answered is still there.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        is_open(self.call) && self.calls.load(Acquire) == self.call
    }

    /// The next byte that came. Of a caller that hung up none does.
    pub fn read(&mut self) -> Option<u8> {
        if self.is_answered() { self.take() } else { None }
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.input.dequeue()?;
        self.taken = self.taken.wrapping_add(1);
        Some(byte)
    }

    /// How many of these bytes found room; for a caller that hung up all do, and are lost.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if !self.is_answered() {
            return bytes.len();
        }
        let taken = bytes.iter().take_while(|&&byte| self.output.enqueue(byte).is_ok());
        taken.count()
    }
}

/// The interrupt handler's end of a [`Pipe`].
pub struct Line<'p> {
    input: Producer<'p, u8>,
    output: Consumer<'p, u8>,
    calls: &'p AtomicU32,
    /// Bytes that had come when the call began.
    before: &'p AtomicU32,
    /// Bytes that have come.
    received: u32,
    /// What was taken out of the queue, of which `start..end` is not sent.
    piece: [u8; PIECE],
    start: usize,
    end: usize,
}

impl Line<'_> {
    /// Whether somebody listens. What was to be sent to those who go is lost.
    pub fn set_open(&mut self, open: bool) {
        let call = self.calls.load(Acquire);
        if is_open(call) == open {
            return;
        }
        if !open {
            (self.start, self.end) = (0, 0);
        }
        // What the program wrote for those who went, some of it after they did.
        while self.output.dequeue().is_some() {}
        self.before.store(self.received, Relaxed);
        self.calls.store(call.wrapping_add(1), Release);
    }

    /// How many bytes there is room for: the hardware keeps what there is none for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.input.capacity() - self.input.len()
    }

    /// How many of these bytes there was room for.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.iter().take_while(|&&byte| self.input.enqueue(byte).is_ok()).count();
        self.received = self.received.wrapping_add(taken as u32);
        taken
    }

    /// Offers what there is to send, in pieces, until `send`, which says how many bytes the hardware took, takes no more.
    pub fn send(&mut self, mut send: impl FnMut(&[u8]) -> usize) {
        while is_open(self.calls.load(Acquire)) {
            if self.start == self.end {
                self.fill();
            }
            let piece = self.piece.get(self.start..self.end).unwrap_or_default();
            if piece.is_empty() {
                return;
            }
            let taken = send(piece).min(piece.len());
            self.start += taken;
            if taken == 0 {
                return;
            }
        }
    }

    fn fill(&mut self) {
        (self.start, self.end) = (0, 0);
        for place in &mut self.piece {
            let Some(byte) = self.output.dequeue() else { return };
            *place = byte;
            self.end += 1;
        }
    }
}

#[cfg(test)]
mod tests;
