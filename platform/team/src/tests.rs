//! What does not depend on who works: the pool and the crew of cores test the same with their own threads.

use super::*;
use bitnet_edge_core::model::Part;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::vec;
use std::vec::Vec;

const ALL: Limits = Limits { small: 0, part: 0 };

/// Threads that are started for one operation.
fn together(threads: usize) -> impl Fn(&(dyn Fn() + Sync)) {
    move |task| {
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(task);
            }
            task();
        });
    }
}

#[test]
fn every_unit_is_worked_on_once_in_parts_of_whole_grains() {
    for (units, grain) in [(0..0, 1), (0..1, 1), (3..100, 1), (5..1000, 8), (0..7, 8), (0..9, 0)] {
        for threads in [1, 2, 5] {
            let mut times = vec![0u8; units.end as usize];
            let work = Work { units: units.clone(), grain, cost: 1 };
            let count = |part: &mut TeamPart<'_>| {
                assert!((part.units().start - units.start).is_multiple_of(grain.max(1)));
                let [times] = part.bytes([0]);
                times.iter_mut().for_each(|times| *times += 1);
                Ok(())
            };
            let outputs = [Output::units_of(&mut times, 1)];
            Sharing::new(ALL).run(threads, outputs, &work, count, together(threads)).unwrap();
            let (before, of_units) = times.split_at(units.start as usize);
            assert!(before.iter().all(|&times| times == 0), "{work:?}");
            assert!(of_units.iter().all(|&times| times == 1), "{work:?}, {threads} threads");
        }
    }
}

#[test]
fn small_operations_and_those_within_others_stay_where_they_are() {
    let work = Work { units: 0..100, grain: 1, cost: 10 };
    let alone = |sharing: &Sharing, threads| {
        let parts = AtomicUsize::new(0);
        let whole = |part: &mut TeamPart<'_>| {
            assert_eq!(part.units(), 0..100);
            parts.fetch_add(1, Relaxed);
            Ok(())
        };
        sharing.run(threads, [], &work, whole, |_| unreachable!("nobody else is called")).unwrap();
        assert_eq!(parts.into_inner(), 1);
    };
    alone(&Sharing::new(Limits { small: 1001, part: 0 }), 2);
    alone(&Sharing::new(ALL), 1);
    let sharing = Sharing::new(ALL);
    let called = AtomicUsize::new(0);
    sharing
        .run(
            2,
            [],
            &work,
            |_| Ok(()),
            |task| {
                called.fetch_add(1, Relaxed);
                alone(&sharing, 2);
                task();
            },
        )
        .unwrap();
    assert_eq!(called.into_inner(), 1);
    // The operation is over: the next one is shared again.
    let mut again = 0;
    sharing.run(2, [], &work, |_| Ok(()), |_| again += 1).unwrap();
    assert_eq!(again, 1);
}

#[test]
fn an_operation_that_unwinds_is_over() {
    let sharing = Sharing::new(ALL);
    let work = Work { units: 0..9, grain: 1, cost: 1 };
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sharing.run(2, [], &work, |_| Ok(()), |_| panic!("as planned"))
    }));
    assert!(unwound.is_err());
    let mut called = 0;
    sharing.run(2, [], &work, |_| Ok(()), |_| called += 1).unwrap();
    assert_eq!(called, 1);
}

#[test]
fn parts_become_smaller_down_to_the_limit() {
    let work = Work { units: 0..1000, grain: 1, cost: 2 };
    let sizes = std::sync::Mutex::new(Vec::new());
    let note = |part: &mut TeamPart<'_>| {
        sizes.lock().unwrap().push(part.units().len());
        Ok(())
    };
    Sharing::new(Limits { small: 0, part: 40 }).run(2, [], &work, note, |task| task()).unwrap();
    let sizes = sizes.into_inner().unwrap();
    assert_eq!((sizes.first(), sizes.iter().sum()), (Some(&250), 1000));
    let (last, before) = sizes.split_last().unwrap();
    assert!(before.is_sorted_by(|a, b| a >= b) && before.iter().all(|&size| size >= 20), "{sizes:?}");
    assert!(*last <= 20, "{sizes:?}");
}

#[test]
fn the_error_of_the_part_that_begins_first_counts() {
    let work = Work { units: 0..100, grain: 1, cost: 1 };
    let fail = |part: &mut TeamPart<'_>| match part.units().find(|unit| [40, 60, 99].contains(unit)) {
        Some(need) => Err(Error::ContextFull { need, have: 0 }),
        None => Ok(()),
    };
    for _ in 0..100 {
        let result = Sharing::new(ALL).run(3, [], &work, fail, together(3));
        assert_eq!(result, Err(Error::ContextFull { need: 40, have: 0 }));
    }
}

#[test]
fn units_without_memory_are_refused_before_any_work() {
    let work = Work { units: 0..9, grain: 1, cost: 1 };
    let mut small = [0u8; 8];
    let never = |_: &mut TeamPart<'_>| unreachable!("nothing to work on");
    let refused =
        Sharing::new(ALL).run(2, [Output::units_of(&mut small, 1)], &work, never, |_| unreachable!());
    assert!(matches!(refused, Err(Error::Kernel(_))));
}
