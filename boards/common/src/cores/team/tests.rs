use super::*;
use bitnet_edge_core::model::Part as _;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::vec;
use std::vec::Vec;

/// As a core would wait, on a machine that has fewer of them than the test has threads.
struct Yield;

impl Wait for Yield {
    fn wait() {
        thread::yield_now();
    }
    fn wake() {}
}

/// Runs a test with a team of one core and `further` others.
fn with_team<R>(further: usize, test: impl FnOnce(&Team<'_, Yield>) -> R) -> R {
    let crew = Crew::<Yield>::new();
    thread::scope(|scope| {
        for _ in 0..further {
            scope.spawn(|| crew.join());
        }
        while crew.present() < further {
            thread::yield_now();
        }
        let team = crew.assemble().unwrap().with_limit(0);
        assert_eq!(team.threads(), further + 1);
        test(&team)
    })
}

#[test]
fn every_unit_is_worked_on_once() {
    for further in 0..4 {
        with_team(further, |team| {
            for units in [1_u32, 2, 7, 64, 1000] {
                for grain in [1, 4] {
                    let mut rows = vec![0_u8; 3 * units as usize];
                    let work = Work { units: 0..units, grain, cost: 100_000 };
                    let outputs = [Output::rows(&mut rows, units as usize, 1)];
                    let parts = AtomicUsize::new(0);
                    team.run(outputs, &work, |part| {
                        parts.fetch_add(1, Relaxed);
                        assert_eq!(part.units().start % grain, 0);
                        for row in 0..3 {
                            let [bytes] = part.bytes([row]);
                            bytes.iter_mut().for_each(|byte| *byte += 1);
                        }
                        Ok(())
                    })
                    .unwrap();
                    assert!(rows.iter().all(|&times| times == 1), "{further} {units} {grain}");
                    assert!(further == 0 || units <= grain || parts.into_inner() > 1);
                }
            }
        });
    }
}

#[test]
fn thousands_of_small_jobs_follow_each_other() {
    with_team(2, |team| {
        let mut sums = [0_u64; 6];
        for _ in 0..3000 {
            let work = Work { units: 0..6, grain: 1, cost: 100_000 };
            team.run([Output::units_of(&mut sums, 1)], &work, |part| {
                let [bytes] = part.bytes([0]);
                for sum in bytes.chunks_exact_mut(8) {
                    let value = u64::from_ne_bytes(sum.try_into().unwrap()) + 1;
                    sum.copy_from_slice(&value.to_ne_bytes());
                }
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(sums, [3000; 6]);
    });
}

#[test]
fn the_first_error_is_the_one_that_counts() {
    with_team(2, |team| {
        let work = Work { units: 0..100, grain: 1, cost: 100_000 };
        let result = team.run([], &work, |part| {
            let failing: Vec<u32> = part.units().filter(|unit| [40, 60, 99].contains(unit)).collect();
            match failing.first() {
                Some(&need) => Err(Error::ContextFull { need, have: 0 }),
                None => Ok(()),
            }
        });
        assert_eq!(result, Err(Error::ContextFull { need: 40, have: 0 }));
    });
}

#[test]
fn who_comes_late_is_sent_away() {
    let crew = Crew::<Yield>::new();
    let team = crew.assemble().unwrap();
    crew.join();
    assert_eq!((crew.present(), team.threads()), (0, 1));
}

#[test]
fn an_output_without_memory_for_its_units_is_refused() {
    with_team(1, |team| {
        let mut small = [0_u8; 3];
        let work = Work { units: 0..4, grain: 1, cost: 1 };
        assert!(team.run([Output::units_of(&mut small, 1)], &work, |_| Ok(())).is_err());
    });
}
