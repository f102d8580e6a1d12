//! Cores that wait, and the word that calls them.

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::marker::PhantomData;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::keeps_subnormals;
use super::team::Team;
use crate::Error;

/// How a core waits for another one.
pub trait Wait {
    /// Waits a little, or until another core calls [`wake`](Self::wake).
    fn wait();
    /// Wakes the cores that wait: what was written before is seen by them.
    fn wake();
}

/// Waits by looking again at once.
#[derive(Clone, Copy, Debug)]
pub struct Spin;

impl Wait for Spin {
    fn wait() {
        spin_loop();
    }
    fn wake() {}
}

/// In the word of members: nobody joins any more.
const CLOSED: u32 = 1 << 31;
/// In the word of members: a core that joined flushes subnormals.
const FLUSHES: u32 = 1 << 30;
/// The job that ends all: cores leave.
const LEAVE: u32 = u32::MAX;

pub(super) type Task<'t> = dyn Fn() + Sync + 't;

/// Cores that work together. A `static` of the firmware.
pub struct Crew<W = Spin> {
    /// How many have joined.
    members: AtomicU32,
    /// Which have joined, of those that said their number: a bit each.
    numbers: AtomicU32,
    /// The number of the last job. A job is open until `left` is zero.
    job: AtomicU32,
    /// Members that have not finished the last job.
    left: AtomicU32,
    /// The last job.
    task: UnsafeCell<Option<*const Task<'static>>>,
    wait: PhantomData<fn() -> W>,
}

// SAFETY: `task` is written by the holder of the only `Team` while `left` is zero, so that no member reads it: a member reads
// it between the change of `job`, which comes after the write, and its own decrement of `left`. What the pointer leads to is
// `Sync`.
unsafe impl<W> Sync for Crew<W> {}

impl<W> core::fmt::Debug for Crew<W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Crew({} further cores)", self.present())
    }
}

impl<W> Crew<W> {
    /// Cores that have joined so far, without the one that assembles them.
    pub fn present(&self) -> usize {
        (self.members.load(Acquire) & !(CLOSED | FLUSHES)) as usize
    }

    /// Whether the core of this number (0 to 31) has joined by [`join_as`](Crew::join_as).
    pub fn has(&self, number: u32) -> bool {
        1_u32.checked_shl(number).is_some_and(|bit| self.numbers.load(Acquire) & bit != 0)
    }
}

impl<W: Wait> Default for Crew<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: Wait> Crew<W> {
    /// Nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: AtomicU32::new(0),
            numbers: AtomicU32::new(0),
            job: AtomicU32::new(0),
            left: AtomicU32::new(0),
            task: UnsafeCell::new(None),
            wait: PhantomData,
        }
    }

    /// What a further core does for the rest of its life: it takes part in every job. It returns when the team is dropped, and
    /// at once if the team was assembled before it came.
    pub fn join(&self) {
        self.work(0);
    }

    /// As [`join`](Self::join), with the core's number (0 to 31), so that whoever started it sees that this one is there.
    ///
    /// ```
    /// # use bitnet_edge_board::cores::{Crew, Spin};
    /// static CREW: Crew<Spin> = Crew::new();
    /// let core = std::thread::spawn(|| CREW.join_as(3)); // a board starts core 3 here
    /// while !CREW.has(3) {}
    /// assert!(!CREW.has(1));
    /// drop(CREW.assemble()?);
    /// core.join().unwrap();
    /// # Ok::<(), bitnet_edge_board::Error>(())
    /// ```
    pub fn join_as(&self, number: u32) {
        self.work(1_u32.checked_shl(number).unwrap_or(0));
    }

    fn work(&self, bit: u32) {
        let flushes = if keeps_subnormals() { 0 } else { FLUSHES };
        let joined = self.members.fetch_update(AcqRel, Acquire, |members| {
            (members & CLOSED == 0).then_some((members + 1) | flushes)
        });
        if joined.is_err() {
            return;
        }
        self.numbers.fetch_or(bit, AcqRel);
        W::wake();
        let mut done = 0;
        loop {
            let job = self.next(done);
            if job == LEAVE {
                return;
            }
            // SAFETY: The job that was announced has this task, which lives and stays until `left` is zero: this member has
            // not been counted off yet.
            let task = unsafe { (*self.task.get()).map(|task| &*task) };
            if let Some(task) = task {
                let abort = Abort;
                task();
                core::mem::forget(abort);
            }
            done = job;
            if self.left.fetch_sub(1, Release) == 1 {
                W::wake();
            }
        }
    }

    /// Waits for a job other than `done`.
    fn next(&self, done: u32) -> u32 {
        loop {
            let job = self.job.load(Acquire);
            if job != done {
                return job;
            }
            W::wait();
        }
    }

    /// The calling core with all that have joined: who comes later is not needed.
    ///
    /// # Errors
    /// [`Error::FlushesSubnormals`] if one of them, or the calling core, does.
    ///
    /// # Panics
    /// If it was called before: a crew has one team.
    pub fn assemble(&self) -> Result<Team<'_, W>, Error> {
        let members = self.members.fetch_or(CLOSED, AcqRel);
        assert!(members & CLOSED == 0, "a crew has one team");
        let team = Team::new(self, members & !FLUSHES);
        if members & FLUSHES != 0 || !keeps_subnormals() {
            return Err(Error::FlushesSubnormals);
        }
        Ok(team)
    }

    /// Runs `task` on this core and on `members` others, and returns when all are done.
    ///
    /// # Safety
    /// `members` is the number of those that joined, the crew is closed, and no other call is under way.
    pub(super) unsafe fn run(&self, members: u32, task: &Task<'_>) {
        // SAFETY: Only the lifetime changes. Members use the pointer only until they have counted themselves off, and this
        // call returns when all have; nothing unwinds here, for a panic ends the firmware (or the test's process: `Abort`).
        let erased = unsafe { core::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
        // SAFETY: No job is open: `left` is zero since the last call returned, so no member reads the task.
        unsafe { *self.task.get() = Some(erased) };
        self.left.store(members, Relaxed);
        let last = self.job.load(Relaxed);
        // Any number but those of the last job, of the beginning, and of the end.
        self.job.store(if last >= LEAVE - 1 { 1 } else { last + 1 }, Release);
        W::wake();
        let abort = Abort;
        task();
        core::mem::forget(abort);
        while self.left.load(Acquire) != 0 {
            W::wait();
        }
    }

    /// Lets all members go.
    pub(super) fn dismiss(&self) {
        self.job.store(LEAVE, Release);
        W::wake();
    }
}

/// A task that unwinds would leave other cores with pointers into frames that are gone: a second panic while the first one
/// unwinds ends the process. Firmware does not unwind at all.
struct Abort;

impl Drop for Abort {
    #[allow(clippy::panic)] // the purpose
    fn drop(&mut self) {
        panic!("a job of further cores panicked");
    }
}
