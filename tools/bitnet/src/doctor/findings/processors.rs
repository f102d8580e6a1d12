//! Processors that a run does not get, or shares.

use super::{Case, Findings};

pub(super) fn find(case: &Case<'_>, found: &mut Findings) {
    let (processor, limits) = (&case.machine.processor, &case.machine.limits);
    quota(case, found);
    // Without a quota, so that it is the affinity that keeps threads away.
    if let (Some(allowed), Some(all)) = (limits.allowed_threads, processor.threads)
        && allowed < all
    {
        found.note(
            format!("this process may run on {allowed} of the machine's {all} hardware threads"),
            "if more are free, widen the affinity (taskset, cpuset, docker --cpuset-cpus)",
        );
    }
    let cores = limits.allowed_cores.or(processor.cores);
    if let (Some(cores), threads) = (cores, case.threads)
        && threads > cores
    {
        let shared = limits.allowed_threads.is_some_and(|allowed| allowed >= threads);
        found.warn(
            format!(
                "{threads} threads are to run on {cores} {}{}",
                if cores == 1 { "core" } else { "cores" },
                if shared { ", two of them on one core (SMT)" } else { "" }
            ),
            format!("--threads {cores}: a second thread of a core waits for the same memory"),
        );
    }
    busy(case, found);
    clock(case, found);
}

fn busy(case: &Case<'_>, found: &mut Findings) {
    let Some((load, cores)) = case.machine.system.load.zip(case.machine.processor.cores) else { return };
    if load > 0.5 * cores as f64 {
        found.warn(
            format!(
                "other programs are busy: {load:.1} threads on the average of a minute, on {cores} cores"
            ),
            "end them, or expect less than the figures here, which are of what they leave",
        );
    }
}

fn quota(case: &Case<'_>, found: &mut Findings) {
    let Some(quota) = case.machine.limits.processors else { return };
    let advice = "raise the limit (docker --cpus, systemd CPUQuota), or give --threads no more than it";
    if quota < case.threads as f64 {
        found.warn(
            format!(
                "the control group gives {quota:.1} processors to {} threads: all are stopped when it is used up",
                case.threads
            ),
            advice,
        );
    } else if let Some(cores) = case.machine.processor.cores.filter(|&cores| quota < cores as f64) {
        found.note(format!("the control group gives {quota:.1} processors of {cores} cores"), advice);
    }
}

fn clock(case: &Case<'_>, found: &mut Findings) {
    let processor = &case.machine.processor;
    // These drivers leave the clock to the processor, whatever the governor's name.
    let by_itself = ["intel_pstate", "amd-pstate-epp", "amd_pstate_epp"];
    if processor.governor.as_deref() == Some("powersave")
        && !processor.clock_driver.as_deref().is_some_and(|driver| by_itself.contains(&driver))
    {
        found.warn(
            "the clock governor is powersave, which keeps the processor at its lowest clock",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        );
    }
}
