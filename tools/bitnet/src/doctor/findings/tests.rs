//! Each rule, on a machine that breaks it and on one that does not.

use super::*;
use crate::doctor::kernels::Tier;
use crate::machine::{HugePages, Limits, Memory, Processor, System};

const GIB: u64 = 1 << 30;

fn machine() -> Machine {
    Machine {
        processor: Processor { threads: Some(8), cores: Some(4), ..Processor::default() },
        memory: Memory {
            total: Some(16 * GIB),
            available: Some(8 * GIB),
            swap_total: Some(0),
            swap_used: Some(0),
        },
        huge_pages: Some(HugePages { transparent: "madvise".to_owned(), bytes: Some(2 << 20) }),
        limits: Limits { allowed_threads: Some(8), allowed_cores: Some(4), ..Limits::default() },
        system: System { os: "linux".to_owned(), ..System::default() },
    }
}

fn backends() -> Backends {
    Backends {
        tiers: vec![Tier { name: "fast".to_owned(), missing: None }],
        asked: None,
        chosen: Some("fast".to_owned()),
        why: "the best there is".to_owned(),
        refused: None,
        best: "fast".to_owned(),
    }
}

fn model() -> Subject {
    Subject {
        name: "m.bpk".to_owned(),
        path: Some("m.bpk".into()),
        file_bytes: Some(GIB),
        memory_bytes: Some(GIB),
        converted: false,
        bytes_per_token: Some(GIB),
        by_file_size: false,
        obstacle: None,
    }
}

/// A value for as long as the tests run.
fn kept<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// What is found of a good set-up after these changes.
fn after(
    change_machine: impl FnOnce(&mut Machine),
    change_case: impl FnOnce(&mut Case<'static>),
) -> Vec<(Level, String)> {
    let mut machine = machine();
    change_machine(&mut machine);
    let mut case = Case {
        machine: kept(machine),
        backends: kept(backends()),
        self_test: &[],
        threads: 4,
        keeps_subnormals: true,
        debug_build: false,
        model: Some(kept(model())),
        file_system: Some("ext4".to_owned()),
        unopened: None,
    };
    change_case(&mut case);
    let found = find(&case);
    assert!(found.iter().all(|finding| !finding.advice.is_empty() && !finding.what.is_empty()));
    found.into_iter().map(|finding| (finding.level, finding.what)).collect()
}

/// The one thing that is found after a change of the machine.
#[track_caller]
fn one(level: Level, part: &str, change: impl FnOnce(&mut Machine)) {
    let found = after(change, |_| ());
    assert!(matches!(&found[..], [(l, what)] if *l == level && what.contains(part)), "{part}: {found:?}");
}

/// The one thing that is found after a change of what is run.
#[track_caller]
fn one_of(level: Level, part: &str, change: impl FnOnce(&mut Case<'static>)) {
    let found = after(|_| (), change);
    assert!(matches!(&found[..], [(l, what)] if *l == level && what.contains(part)), "{part}: {found:?}");
}

#[test]
fn nothing_is_wrong_with_a_good_set_up() {
    assert_eq!(after(|_| (), |_| ()), []);
}

#[test]
fn wrong_results_are_broken() {
    let test = |passed, failures| SelfTest {
        tier: "fast".to_owned(),
        passed,
        cases: 9,
        failures,
        seconds: 0.1,
        differences: Vec::new(),
    };
    let (wrong, right) = (kept([test(true, 0), test(false, 2)]), kept([test(true, 0)]));
    one_of(Level::Broken, "2 of 9 cases differ", |case| case.self_test = wrong);
    assert_eq!(after(|_| (), |case| case.self_test = right), []);
    one_of(Level::Broken, "FTZ or DAZ", |case| case.keeps_subnormals = false);
    one_of(Level::Broken, "not there", |case| case.unopened = Some("not there".to_owned()));
}

#[test]
fn the_backend_that_is_asked_for_is_judged() {
    let refused = kept(Backends { chosen: None, refused: Some("no `mmx`".to_owned()), ..backends() });
    one_of(Level::Broken, "no `mmx`", |case| case.backends = refused);
    let slower =
        kept(Backends { asked: Some("-fast".to_owned()), chosen: Some("old".to_owned()), ..backends() });
    one_of(Level::Warning, "is old, not fast, because `-fast`", |case| case.backends = slower);
    let same = kept(Backends { asked: Some("fast".to_owned()), ..backends() });
    assert_eq!(after(|_| (), |case| case.backends = same), []);
    let scalar =
        kept(Backends { chosen: Some("scalar".to_owned()), best: "scalar".to_owned(), ..backends() });
    one_of(Level::Warning, "scalar definition", |case| case.backends = scalar);
}

#[test]
fn a_program_that_is_slow_by_itself() {
    one_of(Level::Warning, "debug assertions", |case| case.debug_build = true);
    one(Level::Warning, "emulated: QEMU", |machine| machine.system.emulation = Some("QEMU".to_owned()));
    one(Level::Note, "a Jetson", |machine| machine.system.note = Some("this is a Jetson".to_owned()));
    let strange = kept(Subject { obstacle: Some("its format is TL2".to_owned()), ..model() });
    one_of(Level::Warning, "cannot run m.bpk: its format is TL2", |case| case.model = Some(strange));
    one_of(Level::Warning, "m.bpk lies on nfs4", |case| case.file_system = Some("nfs4".to_owned()));
}

#[test]
fn processors_that_a_run_does_not_get() {
    one(Level::Warning, "gives 1.5 processors to 4 threads", |machine| machine.limits.processors = Some(1.5));
    let quota = |machine: &mut Machine| machine.limits.processors = Some(2.0);
    let found = after(quota, |case| case.threads = 2);
    assert!(found[0].1.contains("2.0 processors of 4 cores") && found[0].0 == Level::Note, "{found:?}");
    one(Level::Note, "4 of the machine's 8", |machine| machine.limits.allowed_threads = Some(4));
    one_of(Level::Warning, "8 threads are to run on 4 cores, two of them on one core", |case| {
        case.threads = 8;
    });
    let siblings = |machine: &mut Machine| {
        (machine.limits.allowed_threads, machine.limits.allowed_cores) = (Some(2), Some(1));
    };
    let found = after(siblings, |case| case.threads = 2);
    assert!(found[0].1.contains("2 threads are to run on 1 core, two"), "{found:?}");
    one(Level::Warning, "other programs are busy: 2.5 threads", |machine| machine.system.load = Some(2.5));
    assert_eq!(after(|machine| machine.system.load = Some(1.5), |_| ()), []);
    one(Level::Warning, "powersave", |machine| {
        machine.processor.governor = Some("powersave".to_owned());
        machine.processor.clock_driver = Some("acpi-cpufreq".to_owned());
    });
    let pstate = |machine: &mut Machine| {
        machine.processor.governor = Some("powersave".to_owned());
        machine.processor.clock_driver = Some("intel_pstate".to_owned());
    };
    assert_eq!(after(pstate, |_| ()), []);
}

#[test]
fn memory_that_is_short() {
    one(Level::Warning, "512 MiB are free: parts of it would be read from the disk again", |machine| {
        machine.memory.available = Some(GIB / 2);
    });
    let swapped = kept(Subject { converted: true, ..model() });
    let found = after(|machine| machine.memory.available = Some(GIB / 2), |case| case.model = Some(swapped));
    assert!(
        found[0].1.contains("would be swapped") && found[1].1.contains("converted in memory"),
        "{found:?}"
    );
    one(Level::Warning, "the control group may have 512 MiB", |machine| {
        machine.limits.memory = Some(GIB / 2);
    });
    one(Level::Warning, "256 MiB of addresses", |machine| machine.limits.address_space = Some(GIB / 4));
    one(Level::Warning, "2.00 GiB of memory are swapped out", |machine| {
        machine.memory.swap_used = Some(2 * GIB);
    });
    // Without a model there is nothing to be short of.
    assert_eq!(after(|machine| machine.memory.available = Some(0), |case| case.model = None), []);
}

#[test]
fn pages_are_linux_s() {
    one(Level::Note, "no huge pages", |machine| machine.huge_pages = None);
    one(Level::Note, "switched off", |machine| {
        machine.huge_pages = Some(HugePages { transparent: "never".to_owned(), bytes: None });
    });
    let other = |machine: &mut Machine| {
        machine.system.os = "macos".to_owned();
        machine.huge_pages = None;
    };
    assert_eq!(after(other, |_| ()), []);
}

#[test]
fn the_worst_comes_first() {
    let all = |case: &mut Case<'static>| (case.debug_build, case.keeps_subnormals) = (true, false);
    let found = after(|machine| machine.huge_pages = None, all);
    let levels: Vec<Level> = found.into_iter().map(|(level, _)| level).collect();
    assert_eq!(levels, [Level::Broken, Level::Warning, Level::Note]);
}
