//! The pool hands out every unit once, whatever the work looks like, and reports what went wrong.

use std::sync::atomic::{AtomicUsize, Ordering};

use bitnet_edge_core::Error;
use bitnet_edge_core::model::{OneThread, Output, Part, Split, Work};
use bitnet_edge_std::Pool;

const ROWS: usize = 3;

/// Adds its number to what each unit owns, in every row.
fn number_units(split: &impl Split, work: &Work, width: usize) -> Vec<u8> {
    let stride = work.units.end as usize * width + 1;
    let mut out = vec![0u8; ROWS * stride];
    let mut sums = vec![0u32; work.units.end as usize];
    let outputs = [Output::rows(&mut out, stride, width), Output::units_of(&mut sums, 1)];
    let result = split.run(outputs, work, |part| {
        let units = part.units();
        assert!((units.start - work.units.start).is_multiple_of(work.grain));
        assert!(units.end == work.units.end || (units.len() as u32).is_multiple_of(work.grain));
        for row in 0..ROWS {
            let [bytes, sums] = part.bytes([row, 0]);
            for ((bytes, sum), unit) in
                bytes.chunks_exact_mut(width).zip(sums.chunks_exact_mut(4)).zip(units.clone())
            {
                bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add((unit as u8).wrapping_add(1)));
                sum[0] += 1;
            }
        }
        let [beyond, _] = part.bytes([ROWS + 1, 1]);
        assert!(beyond.is_empty());
        Ok(())
    });
    result.unwrap();
    let (before, mine) = sums.split_at(work.units.start as usize);
    assert!(before.iter().all(|sum| *sum == 0) && mine.iter().all(|sum| *sum == ROWS as u32));
    out
}

#[test]
fn every_unit_is_worked_on_once() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads).unwrap().with_limits(0, 0);
        assert_eq!(pool.threads(), threads);
        for (units, grain) in [(0..0, 1), (0..1, 1), (0..2, 1), (3..100, 1), (5..1000, 8), (0..7, 8)] {
            for width in [1, 3] {
                let work = Work { units: units.clone(), grain, cost: 1 };
                let expected = number_units(&OneThread, &work, width);
                for _ in 0..50 {
                    assert_eq!(number_units(&pool, &work, width), expected, "{threads} threads, {work:?}");
                }
            }
        }
    }
}

#[test]
fn an_operation_within_an_operation_stays_on_its_thread() {
    thread_local!(static POOL: Pool = Pool::new(3).unwrap().with_limits(0, 0));
    let work = Work { units: 0..100, grain: 1, cost: 1 };
    let inner = AtomicUsize::new(0);
    POOL.with(|pool| {
        for _ in 0..20 {
            pool.run([], &work, |_| {
                // On the thread that called, this is the same pool; the others have one of their own.
                POOL.with(|pool| {
                    pool.run([], &work, |part| {
                        inner.fetch_add(part.units().len(), Ordering::Relaxed);
                        Ok(())
                    })
                })
            })
            .unwrap();
        }
    });
    let inner = inner.into_inner();
    assert!(inner >= 20 * 100 && inner.is_multiple_of(100), "{inner}");
}

#[test]
fn limits_of_any_size_are_taken() {
    for (small, part) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
        let pool = Pool::new(2).unwrap().with_limits(small, part);
        let work = Work { units: 0..1000, grain: 8, cost: 1 };
        assert_eq!(number_units(&pool, &work, 1), number_units(&OneThread, &work, 1));
    }
}

#[test]
fn the_first_unit_that_fails_decides() {
    let pool = Pool::new(3).unwrap().with_limits(0, 0);
    let work = Work { units: 0..500, grain: 1, cost: 1 };
    let need = |split: &dyn Fn(&Work) -> Result<(), Error>| match split(&work) {
        Err(Error::ArenaTooSmall { need, .. }) => need,
        other => panic!("{other:?}"),
    };
    fn fail(part: &mut impl Part) -> Result<(), Error> {
        for unit in part.units() {
            if unit > 120 && unit % 7 == 0 {
                return Err(Error::ArenaTooSmall { need: unit as usize, have: 0 });
            }
        }
        Ok(())
    }
    for _ in 0..100 {
        assert_eq!(need(&|work| pool.run([], work, |part| fail(part))), 126);
    }
    assert_eq!(need(&|work| OneThread.run([], work, |part| fail(part))), 126);
}

#[test]
fn units_without_memory_are_refused() {
    let pool = Pool::new(2).unwrap().with_limits(0, 0);
    let work = Work { units: 0..9, grain: 1, cost: 1 };
    let mut out = [0u8; 32];
    for split in [Output::rows(&mut out, 8, 1), Output::rows(&mut [0f32; 8], 8, 1)] {
        assert!(matches!(pool.run([split], &work, |_| unreachable!()), Err(Error::Kernel(_))));
    }
}

#[test]
fn small_work_stays_on_the_calling_thread() {
    let pool = Pool::new(2).unwrap();
    let parts = AtomicUsize::new(0);
    let work = Work { units: 0..100, grain: 1, cost: 1 };
    let run = |part: &mut bitnet_edge_std::PoolPart<'_>| {
        parts.fetch_add(part.units().len(), Ordering::Relaxed);
        assert_eq!(part.units(), 0..100);
        Ok(())
    };
    pool.run([], &work, run).unwrap();
    assert_eq!(parts.into_inner(), 100);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_thread_that_flushes_gets_no_pool() {
    let refused = std::thread::spawn(|| {
        let mut control = 0u32;
        // SAFETY: stores the control register of this thread into a local, then loads it back with one bit more; no
        // result of the thread depends on how it rounds or what it flushes.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control);
            control |= 1 << 15;
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control);
        }
        Pool::new(2).err()
    });
    assert!(matches!(refused.join().unwrap(), Some(bitnet_edge_std::PoolError::FlushesSubnormals)));
}
