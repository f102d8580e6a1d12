//! What it costs to hand an operation to other threads and to wait for them, and what rayon takes for it.
//!
//!     cargo bench -p bitnet-edge-std --bench fork [-- THREADS]
//!
//! Nanoseconds an operation: the median and the fastest of many runs. Its parts do nothing, or wait until as many of them
//! have begun as there are threads, so that every thread has to come.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bitnet_edge_core::model::{Output, Part, Split, Work};
use bitnet_edge_std::{Pool, physical_cores};
use rayon::ThreadPoolBuilder;

const RUNS: usize = 400;
const OPERATIONS: u32 = 1000;

fn report(name: &str, operations: u32, mut run: impl FnMut()) {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            (0..operations).for_each(|_| run());
            start.elapsed().as_nanos() as f64 / f64::from(operations)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<48}{:>10.0}{:>10.0}", times[RUNS / 2], times[0]);
}

/// Parts that write a byte a unit.
fn operation(pool: &Pool, units: u32, bytes: &mut [u8]) {
    let work = Work { units: 0..units, grain: 1, cost: 1 << 20 };
    let done = pool.run([Output::units_of(bytes, 1)], &work, |part| {
        let [bytes] = part.bytes([0]);
        bytes.fill(1);
        Ok(())
    });
    black_box(done).unwrap();
}

/// Where all threads meet.
struct Meeting {
    threads: usize,
    arrived: AtomicUsize,
}

impl Meeting {
    fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0) }
    }
    fn wait(&self) {
        let before = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (before / self.threads + 1) * self.threads;
        while self.arrived.load(Ordering::Acquire) < all {
            std::hint::spin_loop();
        }
    }
}

/// Keeps this thread busy.
fn wait(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn main() {
    let threads = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or_else(physical_cores);
    println!("{threads} threads{:<39}{:>10}{:>10}", "", "median ns", "best ns");
    let mut bytes = [0; 64];
    let pool = Pool::new(threads).unwrap();
    let meeting = Meeting::new(threads);
    let all = Work { units: 0..threads as u32, grain: 1, cost: 1 << 20 };
    let meet = || {
        let met = pool.run([], &all, |part| {
            part.units().for_each(|_| meeting.wait());
            Ok(())
        });
        met.unwrap();
    };
    report("pool: all threads meet", OPERATIONS, meet);
    report("pool: all threads meet, after 5 us alone", OPERATIONS, || {
        wait(Duration::from_micros(5));
        meet();
    });
    report("(5 us alone)", OPERATIONS, || wait(Duration::from_micros(5)));
    report("pool: up to 64 parts", OPERATIONS, || operation(&pool, 64, &mut bytes));
    // Waking costs the caller a system call; the others come when they come.
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            thread::sleep(Duration::from_millis(10));
            let start = Instant::now();
            operation(&pool, 64, &mut bytes);
            start.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{:<48}{:>10.0}{:>10.0}", "pool: others asleep", times[25], times[0]);
    drop(pool);

    let rayon = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let meeting = Meeting::new(2);
    let join = || {
        rayon::join(|| meeting.wait(), || meeting.wait());
    };
    report("rayon: two threads meet, join from outside", OPERATIONS / 10, || rayon.install(join));
    rayon.install(|| report("rayon: two threads meet, join from within", OPERATIONS / 10, join));
    let meeting = Meeting::new(threads);
    rayon.install(|| {
        report("rayon: all threads meet, broadcast from within", OPERATIONS / 10, || {
            rayon::broadcast(|_| meeting.wait());
        });
        report("rayon: the same, after 5 us alone", OPERATIONS / 10, || {
            wait(Duration::from_micros(5));
            rayon::broadcast(|_| meeting.wait());
        });
    });
}
