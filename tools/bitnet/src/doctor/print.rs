//! The report as text.

use std::fmt::{self, Write as _};

use anyhow::Result;

use super::Report;
use super::findings::Level;
use super::speed::Expected;
use crate::machine::{Limits, Machine};

/// A number of bytes for a reader.
pub(super) fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n >= (1u64 << 30) as f64 => format!("{:.2} GiB", n / (1u64 << 30) as f64),
        n if n >= (1u64 << 20) as f64 => format!("{:.0} MiB", n / (1u64 << 20) as f64),
        n => format!("{:.0} KiB", n / 1024.0),
    }
}

pub(super) fn text(report: &Report) -> Result<String> {
    let mut out = String::new();
    machine(&mut out, &report.machine)?;
    let build = if report.debug_build { "debug build" } else { "release build" };
    let threads =
        if report.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", report.threads) };
    writeln!(out, "program     bitnet {}, {build}, {threads} a run", report.version)?;
    kernels(&mut out, report)?;
    bandwidth(&mut out, report)?;
    findings(&mut out, report)?;
    Ok(out)
}

fn machine(out: &mut String, machine: &Machine) -> fmt::Result {
    let Machine { processor, memory, huge_pages, limits, system } = machine;
    let count =
        |n: Option<usize>, unit: &str| n.map(|n| format!(", {n} {unit}{}", if n == 1 { "" } else { "s" }));
    let cores = count(processor.cores, "core").unwrap_or_default();
    let threads = count(processor.threads, "hardware thread").unwrap_or_default();
    writeln!(out, "machine     {}{cores}{threads}", processor.name)?;
    let caches = processor.caches.iter().map(|cache| {
        let times = if cache.count > 1 { format!("{} x ", cache.count) } else { String::new() };
        format!("{} {times}{}", cache.name, bytes(cache.bytes))
    });
    writeln!(out, "caches      {}", list(caches))?;
    let memories = [
        memory.total.map(bytes),
        memory.available.map(|n| format!("{} free", bytes(n))),
        memory.swap_total.map(|n| if n == 0 { "no swap".to_owned() } else { format!("{} swap", bytes(n)) }),
        memory.swap_used.filter(|&n| n > 0).map(|n| format!("{} of it used", bytes(n))),
    ];
    writeln!(out, "memory      {}", list(memories.into_iter().flatten()))?;
    let pages = huge_pages.as_ref().map(|pages| {
        let size = pages.bytes.map(|n| format!(" ({} each)", bytes(n))).unwrap_or_default();
        format!("{}{size}", pages.transparent)
    });
    writeln!(out, "huge pages  {}", list(pages))?;
    let kernel = system.kernel.as_ref().map(|kernel| format!("kernel {kernel}"));
    let names = [Some(format!("{} {}", system.os, system.architecture)), system.release.clone(), kernel];
    writeln!(out, "system      {}", list(names.into_iter().flatten()))?;
    writeln!(out, "limits      {}", limited(limits))?;
    let load = system.load.map(|load| format!("{load:.1} threads on the average of a minute"));
    writeln!(out, "load        {}", list(load))?;
    writeln!(out, "clock       {}", list(processor.governor.iter().chain(&processor.clock_driver).cloned()))
}

/// What the system tells, or that it does not.
fn list(parts: impl IntoIterator<Item = String>) -> String {
    let text = parts.into_iter().collect::<Vec<_>>().join(", ");
    if text.is_empty() { "not told by the system".to_owned() } else { text }
}

fn limited(limits: &Limits) -> String {
    let parts = [
        limits.processors.map(|n| format!("{n:.1} processors")),
        limits.memory.map(|n| format!("{} of memory", bytes(n))),
        limits
            .allowed_threads
            .map(|n| format!("affinity to {n} hardware thread{}", if n == 1 { "" } else { "s" })),
        limits.address_space.map(|n| format!("{} of addresses", bytes(n))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn kernels(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "\nbackends")?;
    let backends = &report.backends;
    for tier in &backends.tiers {
        let chosen = backends.chosen.as_ref() == Some(&tier.name);
        let state = match &tier.missing {
            Some(missing) => format!("not here: {missing} is missing"),
            None if chosen => format!("chosen: {}", backends.why),
            None => "available".to_owned(),
        };
        let test = report.self_test.iter().find(|test| test.tier == tier.name);
        let test = test.map(|test| match test.passed {
            true => format!("; {} cases agree with the definition ({:.2} s)", test.cases, test.seconds),
            false => format!("; FAILED {} of {} cases", test.failures, test.cases),
        });
        writeln!(out, "  {:<12}  {state}{}", tier.name, test.unwrap_or_default())?;
    }
    for test in &report.self_test {
        for difference in &test.differences {
            writeln!(out, "  {}: {difference}", test.tier)?;
        }
    }
    Ok(())
}

fn bandwidth(out: &mut String, report: &Report) -> fmt::Result {
    let bus = &report.bus;
    if let Some(failed) = &bus.failed {
        writeln!(out, "\nbandwidth   not measured: {failed}")?;
    } else {
        let runs =
            bus.runs.iter().map(|run| format!("{:.1} GB/s with {}", run.bytes_per_second / 1e9, run.threads));
        writeln!(out, "\nbandwidth   reads {} threads ({} of memory)", list(runs), bytes(bus.bytes))?;
    }
    let Some(model) = &report.model else {
        return writeln!(
            out,
            "speed       --model FILE, or a name of bitnet pull --list, says what to expect"
        );
    };
    let size = model.bytes_per_token.map_or_else(
        || "how many bytes it has is not known".to_owned(),
        |n| {
            format!(
                "{}{:.3} GB read a token",
                if model.by_file_size { "at most " } else { "" },
                n as f64 / 1e9
            )
        },
    );
    writeln!(out, "model       {}: {size}", model.name)?;
    match &report.expected {
        None => writeln!(
            out,
            "speed       none derived: caches can hold much of what a token reads, or a figure is missing"
        ),
        Some(expected) => speeds(out, expected),
    }
}

fn speeds(out: &mut String, expected: &Expected) -> fmt::Result {
    for speed in &expected.runs {
        let threads =
            if speed.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", speed.threads) };
        write!(out, "speed       {threads}: {:.1} tokens/s if only the reading took time", speed.at_most)?;
        match (speed.likely, speed.measured_percent) {
            (Some([low, high]), Some([from, to])) => {
                writeln!(
                    out,
                    "; {low:.1} to {high:.1} at the {from:.0} to {to:.0} % of docs/performance.md"
                )?;
            }
            _ => writeln!(out, "; what share is reached was not measured for so many")?,
        }
    }
    writeln!(out, "            derived, not measured: bitnet bench measures it")
}

fn findings(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out)?;
    for finding in &report.findings {
        let level = match finding.level {
            Level::Broken => "BROKEN",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        writeln!(out, "{level}: {}\n  -> {}", finding.what, finding.advice)?;
    }
    let warnings = report.findings.iter().filter(|finding| finding.level == Level::Warning).count();
    match (report.healthy, warnings) {
        (false, _) => writeln!(out, "something is broken"),
        (true, 0) => writeln!(out, "healthy"),
        (true, 1) => writeln!(out, "healthy, with 1 warning"),
        (true, n) => writeln!(out, "healthy, with {n} warnings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes(0), "0 KiB");
        assert_eq!(bytes(48 << 10), "48 KiB");
        assert_eq!(bytes(32 << 20), "32 MiB");
        assert_eq!(bytes(3 << 29), "1.50 GiB");
    }
}
