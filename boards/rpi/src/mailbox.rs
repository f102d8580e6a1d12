//! The mailbox of the Raspberry Pi's own firmware, which runs on the GPU: its property channel.

use core::ops::Range;

use bitnet_edge_board_aarch64::processor::{clean_and_drop, now_us};

use crate::pi::{Pi, Register};

/// Questions and answers go through memory; the mailbox carries the address.
pub(crate) struct Mailbox {
    answer: Register,
    answer_status: Register,
    question: Register,
    question_status: Register,
}

/// Status: no room for a question; no answer yet.
const FULL: u32 = 1 << 31;
const EMPTY: u32 = 1 << 30;
/// The channel of properties.
const PROPERTIES: u32 = 8;
/// Where the GPU sees memory, past its cache.
const AS_THE_GPU: u32 = 0xc000_0000;
/// In a message: it was understood.
const DONE: u32 = 1 << 31;
/// How long an answer may take.
const PATIENCE_US: u64 = 1_000_000;

/// Property tags, and the clocks that they are about.
const FIRMWARE_REVISION: u32 = 0x1;
const BOARD_REVISION: u32 = 0x1_0002;
const ARM_MEMORY: u32 = 0x1_0005;
const GET_CLOCK: u32 = 0x3_0002;
const GET_MAX_CLOCK: u32 = 0x3_0004;
const SET_CLOCK: u32 = 0x3_8002;
const CLOCK_UART: u32 = 2;
const CLOCK_ARM: u32 = 3;

/// A message has whole cache lines of its own.
#[repr(C, align(64))]
struct Message([u32; 16]);

impl Mailbox {
    pub(crate) const fn of(pi: Pi) -> Self {
        const MAILBOX: usize = 0xb880;
        Self {
            answer: pi.register(MAILBOX),
            answer_status: pi.register(MAILBOX + 0x18),
            question: pi.register(MAILBOX + 0x20),
            question_status: pi.register(MAILBOX + 0x38),
        }
    }

    pub(crate) fn firmware_revision(&self) -> Option<u32> {
        self.ask(FIRMWARE_REVISION, [0]).map(|[revision]| revision)
    }

    pub(crate) fn board_revision(&self) -> Option<u32> {
        self.ask(BOARD_REVISION, [0]).map(|[revision]| revision)
    }

    /// The memory below the GPU's, in the first GiB.
    pub(crate) fn arm_memory(&self) -> Option<Range<u64>> {
        let [start, bytes] = self.ask(ARM_MEMORY, [0, 0])?;
        Some(u64::from(start)..u64::from(start) + u64::from(bytes))
    }

    /// Sets the clock of the serial line; the rate that it has then.
    pub(crate) fn set_uart_clock(&self, hertz: u32) -> Option<u32> {
        self.set_clock(CLOCK_UART, hertz)
    }

    /// Sets the clock of the cores to the highest rate that is configured, and returns what it is then: the firmware starts a
    /// program at a lower one, and raises it when asked to.
    pub(crate) fn run_at_full_speed(&self) -> Option<u32> {
        let [_, highest] = self.ask(GET_MAX_CLOCK, [CLOCK_ARM, 0])?;
        self.set_clock(CLOCK_ARM, highest)?;
        self.ask(GET_CLOCK, [CLOCK_ARM, 0]).map(|[_, hertz]| hertz)
    }

    fn set_clock(&self, clock: u32, hertz: u32) -> Option<u32> {
        // The last word: other clocks may follow (0).
        self.ask(SET_CLOCK, [clock, hertz, 0]).map(|[_, hertz, _]| hertz).filter(|&hertz| hertz > 0)
    }

    /// Asks about a property: the words of the question become those of the answer. None where there is none in time.
    fn ask<const WORDS: usize>(&self, tag: u32, words: [u32; WORDS]) -> Option<[u32; WORDS]> {
        const { assert!(WORDS <= 10) };
        let mut message = Message([0; 16]);
        let bytes = 4 * WORDS as u32;
        message.0[..4].copy_from_slice(&[size_of::<Message>() as u32, 0, tag, bytes]);
        message.0[5..5 + WORDS].copy_from_slice(&words);
        self.send(&mut message)?;
        let answered = message.0[1] == DONE && message.0[4] & DONE != 0 && message.0[4] & !DONE > 0;
        message.0[5..5 + WORDS].try_into().ok().filter(|_| answered)
    }

    /// Has the GPU read a message and write its answer into it.
    fn send(&self, message: &mut Message) -> Option<()> {
        let address = &raw mut *message as usize;
        // The first GiB, where the program is: the GPU sees no other memory.
        let mail = u32::try_from(address).ok()? | AS_THE_GPU | PROPERTIES;
        let deadline = now_us() + PATIENCE_US;
        let in_time = || (now_us() < deadline).then_some(());
        clean_and_drop(message);
        while self.question_status.read() & FULL != 0 {
            in_time()?;
        }
        self.question.write(mail);
        loop {
            while self.answer_status.read() & EMPTY != 0 {
                in_time()?;
            }
            if self.answer.read() == mail {
                break;
            }
        }
        clean_and_drop(message);
        // What the GPU wrote is none of the compiler's business: it has to read the words anew.
        // SAFETY: They are the message's.
        message.0 = unsafe { (address as *const [u32; 16]).read_volatile() };
        Some(())
    }
}
