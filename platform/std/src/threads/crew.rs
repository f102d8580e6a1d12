//! Threads that wait for work, spinning at first, and the thread that gives it to them.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::PoolError;
use crate::keeps_subnormals;

/// In the job word: workers may join. The bits above count jobs, those below the workers that joined.
const OPEN: u64 = 1 << 31;
/// In the job word: the crew is dismissed.
const STOP: u64 = 1 << 30;
const JOINED: u64 = STOP - 1;
const JOB: u64 = 1 << 32;

/// Looks at the job word between two operations of a pass, which are microseconds apart: the fastest answer.
const SPINS: u32 = 1 << 12;
/// How long a worker goes on looking, and lets others run between two looks, before it sleeps: longer than what a thread
/// does alone between two tokens.
const PATIENCE: Duration = Duration::from_millis(2);

type Task<'t> = dyn Fn() + Sync + 't;

/// What caller and workers share.
struct Shared {
    job: Job,
    /// Workers that sleep or are about to.
    sleeping: AtomicUsize,
    workers: Box<[Worker]>,
    panicked: AtomicBool,
}

/// The job word and what it announces, on a cache line of their own: a worker gets both in one transfer.
#[repr(align(128))]
struct Job {
    word: AtomicU64,
    /// Valid while the word is open or a worker has joined.
    task: UnsafeCell<Option<*const Task<'static>>>,
}

// SAFETY: `task` is written by the one caller while the word is closed and no worker has joined, and read by workers that
// joined an open word, whose store came after the write; the pointer leads to a closure that is `Sync`.
unsafe impl Sync for Job {}
// SAFETY: as above; the pointer is not used by whoever drops the job.
unsafe impl Send for Job {}

#[derive(Default)]
struct Worker {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

/// Threads that work together with the caller of [`Crew::run`].
pub(super) struct Crew {
    shared: Arc<Shared>,
    /// Keeps the threads; they end when the crew is dismissed.
    _threads: ThreadPool,
}

impl Crew {
    /// Starts `workers` threads besides the caller's, each of which keeps subnormals.
    pub(super) fn new(workers: usize) -> Result<Self, PoolError> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|i| format!("bitnet-{}", i + 1))
            .build()
            .map_err(PoolError::Threads)?;
        let shared = Arc::new(Shared {
            job: Job { word: AtomicU64::new(0), task: UnsafeCell::new(None) },
            sleeping: AtomicUsize::new(0),
            workers: (0..workers).map(|_| Worker::default()).collect(),
            panicked: AtomicBool::new(false),
        });
        let started = Arc::new((Barrier::new(workers + 1), AtomicBool::new(false)));
        threads.spawn_broadcast({
            let (shared, started) = (Arc::clone(&shared), Arc::clone(&started));
            move |context| {
                let (all, flushes) = &*started;
                flushes.fetch_or(!keeps_subnormals(), Relaxed);
                all.wait();
                shared.work(&shared.workers[context.index()]);
            }
        });
        let (all, flushes) = &*started;
        all.wait();
        let crew = Self { shared, _threads: threads };
        if flushes.load(Relaxed) { Err(PoolError::FlushesSubnormals) } else { Ok(crew) }
    }

    /// Runs `task` on this thread and on every worker that comes before this thread is done with it; returns when all of
    /// them are. One call at a time.
    ///
    /// # Panics
    /// If the task does, on any thread.
    ///
    /// # Safety
    /// No other call may be under way.
    pub(super) unsafe fn run(&self, task: &Task<'_>) {
        let job = &self.shared.job;
        // SAFETY: Only the lifetime changes. Workers use the pointer only between joining and leaving the job, and this
        // call neither returns nor unwinds before all have left (`Open`).
        let erased = unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
        // SAFETY: The word is closed and nobody has joined: the last call left it so, and there is no other one.
        unsafe { *job.task.get() = Some(erased) };
        let number = job.word.load(Relaxed) & !(JOB - 1);
        job.word.store(number.wrapping_add(JOB) | OPEN, SeqCst);
        let open = Open(job);
        if self.shared.sleeping.load(SeqCst) > 0 {
            self.shared.wake();
        }
        task();
        drop(open);
        assert!(!self.shared.panicked.load(Relaxed), "a thread of the pool panicked");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.job.word.fetch_or(STOP, SeqCst);
        self.shared.wake();
    }
}

/// An open job: closed, and left by everybody, when it is dropped.
struct Open<'a>(&'a Job);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.word.fetch_and(!OPEN, AcqRel);
        let mut wait = Wait::new();
        while self.0.word.load(Acquire) & JOINED != 0 {
            wait.once();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, me: &Worker) {
        me.thread.get_or_init(thread::current);
        let mut done = 0;
        loop {
            let mut word = self.next(me, done);
            while word & (OPEN | STOP) == OPEN {
                match self.job.word.compare_exchange(word, word + 1, AcqRel, Acquire) {
                    Ok(_) => break,
                    Err(now) => word = now,
                }
            }
            if word & STOP != 0 {
                return;
            }
            done = word & !(JOB - 1);
            if word & OPEN != 0 {
                self.join();
            }
        }
    }

    /// Runs the task of the job that this thread has joined, and leaves it.
    fn join(&self) {
        // SAFETY: This thread has joined the job, so the task was written before and lives until all have left.
        let task = unsafe { (*self.job.task.get()).map(|task| &*task) };
        if catch_unwind(AssertUnwindSafe(|| task.map(|task| task()))).is_err() {
            self.panicked.store(true, Relaxed);
        }
        self.job.word.fetch_sub(1, Release);
    }

    /// Waits for a job other than `done`; the word that announced it, or the end.
    fn next(&self, me: &Worker, done: u64) -> u64 {
        let mut wait = Wait::new();
        loop {
            let word = self.job.word.load(Acquire);
            if word & !(JOB - 1) != done || word & STOP != 0 {
                return word;
            }
            if wait.once() > PATIENCE {
                self.sleep(me, done);
            }
        }
    }

    fn sleep(&self, me: &Worker, done: u64) {
        me.asleep.store(true, SeqCst);
        self.sleeping.fetch_add(1, SeqCst);
        // The caller stores the word before it looks for sleepers; this thread became one before it looks at the word.
        loop {
            let word = self.job.word.load(SeqCst);
            if word & !(JOB - 1) != done || word & STOP != 0 {
                break;
            }
            thread::park();
        }
        self.sleeping.fetch_sub(1, SeqCst);
        me.asleep.store(false, SeqCst);
    }

    fn wake(&self) {
        for worker in &self.workers {
            if worker.asleep.load(SeqCst)
                && let Some(thread) = worker.thread.get()
            {
                thread.unpark();
            }
        }
    }
}

/// Waiting for another thread: spins at first, then lets others run.
struct Wait {
    spins: u32,
    since: Option<Instant>,
}

impl Wait {
    const fn new() -> Self {
        Self { spins: 0, since: None }
    }

    /// Waits a little; how long that has been so, without the spinning.
    fn once(&mut self) -> Duration {
        if self.spins < SPINS {
            self.spins += 1;
            spin_loop();
            return Duration::ZERO;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        thread::yield_now();
        since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn together(crew: &Crew, threads: usize) {
        let all = Barrier::new(threads);
        let task = || {
            all.wait();
        };
        // SAFETY: No other call is under way.
        unsafe { crew.run(&task) };
    }

    #[test]
    fn threads_that_sleep_wake_up() {
        let crew = Crew::new(3).unwrap();
        for _ in 0..3 {
            while crew.shared.sleeping.load(SeqCst) < 3 {
                thread::yield_now();
            }
            together(&crew, 4);
            together(&crew, 4); // the next one finds them awake
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_when_all_have_left() {
        let crew = Crew::new(2).unwrap();
        for caller in [true, false] {
            let (all, me) = (Barrier::new(3), thread::current().id());
            let task = || {
                all.wait();
                assert_ne!(thread::current().id() == me, caller, "as planned");
            };
            // SAFETY: No other call is under way.
            assert!(catch_unwind(AssertUnwindSafe(|| unsafe { crew.run(&task) })).is_err());
            assert_eq!(crew.shared.job.word.load(SeqCst) & (OPEN | JOINED), 0);
        }
    }
}
