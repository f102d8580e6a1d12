//! Memory that is short, or in small pages.

use super::{Case, Findings};
use crate::doctor::print::bytes;

pub(super) fn find(case: &Case<'_>, found: &mut Findings) {
    let (memory, limits) = (&case.machine.memory, &case.machine.limits);
    if let Some(need) = case.model.and_then(|model| model.memory_bytes) {
        let free = memory.available;
        let room = limits.memory.map(|limit| {
            // The page cache counts as used and can be had.
            limit.min(free.unwrap_or(u64::MAX))
        });
        if let Some(limit) = limits.memory.filter(|&limit| need > limit) {
            found.warn(
                format!(
                    "the model takes {} of memory, and the control group may have {}",
                    bytes(need),
                    bytes(limit)
                ),
                "raise the limit (docker --memory, systemd MemoryMax), or take a smaller model, --context or --kv int8",
            );
        } else if let Some(free) = room.or(free).filter(|&free| need > free) {
            let how = if case.model.is_some_and(|model| model.converted) {
                "would be swapped"
            } else {
                "would be read from the disk again for every token"
            };
            found.warn(
                format!(
                    "the model takes {} of memory and {} are free: parts of it {how}",
                    bytes(need),
                    bytes(free)
                ),
                "end other programs, or take a smaller model, --context or --kv int8",
            );
        }
        if let Some(space) = limits.address_space.filter(|&space| need > space) {
            found.warn(
                format!(
                    "the model takes {}, and the process may have {} of addresses",
                    bytes(need),
                    bytes(space)
                ),
                "raise ulimit -v",
            );
        }
    }
    if case.model.is_some_and(|model| model.converted) {
        found.note(
            "the model is converted in memory whenever it is run",
            "bitnet-pack convert makes an image that starts at once and is shared by all that run it",
        );
    }
    swap(case, found);
    pages(case, found);
}

fn swap(case: &Case<'_>, found: &mut Findings) {
    let memory = &case.machine.memory;
    let Some((used, total)) = memory.swap_used.zip(memory.total) else { return };
    if used > total / 10 {
        found.warn(
            format!(
                "{} of memory are swapped out: weights may be, too, and tokens then wait for the disk",
                bytes(used)
            ),
            "end other programs; an image (.bpk) is read from its file instead of being swapped",
        );
    }
}

fn pages(case: &Case<'_>, found: &mut Findings) {
    if case.machine.system.os != "linux" {
        return;
    }
    let missing = match &case.machine.huge_pages {
        None => "this system tells of no huge pages",
        Some(pages) if pages.transparent == "never" => "huge pages are switched off",
        Some(_) => return,
    };
    found.note(
        format!("{missing}: --huge-pages would bring nothing"),
        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled, where the kernel has them",
    );
}
