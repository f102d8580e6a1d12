//! What is wrong with a set-up, and what to do about it.

mod memory;
mod processors;

use serde::Serialize;

use super::kernels::{Backends, SelfTest};
use super::speed::Subject;
use crate::machine::Machine;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Runs are refused, or results are wrong.
    Broken,
    /// Runs are slower than this machine could, or may fail.
    Warning,
    /// Good to know.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) what: String,
    /// What to do about it.
    pub(super) advice: String,
}

/// What is judged.
pub(super) struct Case<'a> {
    pub(super) machine: &'a Machine,
    pub(super) backends: &'a Backends,
    pub(super) self_test: &'a [SelfTest],
    pub(super) threads: usize,
    pub(super) keeps_subnormals: bool,
    pub(super) debug_build: bool,
    pub(super) model: Option<&'a Subject>,
    /// What the model lies on.
    pub(super) file_system: Option<String>,
    /// Why the model that was named cannot be opened.
    pub(super) unopened: Option<String>,
}

/// A list of findings that grows.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, what: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { level, what: what.into(), advice: advice.into() });
    }

    fn broken(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Broken, what, advice);
    }

    fn warn(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Warning, what, advice);
    }

    fn note(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Note, what, advice);
    }
}

/// All findings, the worst first.
pub(super) fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut found = Findings::default();
    results(case, &mut found);
    backend(case, &mut found);
    program(case, &mut found);
    processors::find(case, &mut found);
    memory::find(case, &mut found);
    found.0.sort_by_key(|finding| finding.level);
    found.0
}

/// What makes results wrong, or keeps a run from beginning.
fn results(case: &Case<'_>, found: &mut Findings) {
    for test in case.self_test.iter().filter(|test| !test.passed) {
        found.broken(
            format!(
                "the kernels of {} do not compute what the definition does: {} of {} cases differ",
                test.tier, test.failures, test.cases
            ),
            format!(
                "forbid it with BITNET_BACKEND=-{}, and report this with the output of bitnet doctor --full --json: \
                 the processor, its emulator or this program is at fault",
                test.tier
            ),
        );
    }
    if !case.keeps_subnormals {
        found.broken(
            "this thread flushes subnormal numbers to zero (FTZ or DAZ), with which results would differ",
            "run bitnet without what sets the mode (a library compiled with -ffast-math in LD_PRELOAD, for instance)",
        );
    }
    if let Some(why) = &case.unopened {
        found.broken(why.clone(), "name a flash image, a GGUF file, or a model of bitnet pull --list");
    }
}

fn backend(case: &Case<'_>, found: &mut Findings) {
    let Backends { asked, chosen, refused, best, .. } = case.backends;
    if let Some(why) = refused {
        found.broken(
            format!("no backend can be chosen: {why}"),
            "unset BITNET_BACKEND, or give a name of the list above",
        );
    }
    if let (Some(asked), Some(chosen)) = (asked, chosen)
        && chosen != best
    {
        found.warn(
            format!("the backend is {chosen}, not {best}, because `{asked}` is asked for"),
            "unset BITNET_BACKEND (or leave --backend out) for the fastest of this machine",
        );
    }
    if chosen.as_deref() == Some("scalar") && asked.is_none() {
        found.warn(
            "no backend but the scalar definition runs here, which is ten to fifty times slower than SIMD",
            "run it on a processor with SSE4.1 or NEON; in a virtual machine, give it the host's processor model",
        );
    }
}

fn program(case: &Case<'_>, found: &mut Findings) {
    if case.debug_build {
        found.warn(
            "this bitnet was built with debug assertions, which cost speed",
            "build it with cargo build --release (or cargo install)",
        );
    }
    let system = &case.machine.system;
    if let Some(how) = &system.emulation {
        found.warn(
            format!("the processor is emulated: {how}; speeds say nothing about the machine"),
            "run the program that was built for this machine's own processor",
        );
    }
    if let Some(note) = &system.note {
        found.note(note.clone(), "nothing: the CPU backends give the same results");
    }
    if let Some((model, why)) = case.model.and_then(|model| Some((model, model.obstacle.as_ref()?))) {
        found.warn(
            format!("this version cannot run {}: {why}", model.name),
            "bitnet pull --list says which models it can",
        );
    }
    let Some((kind, model)) = case.file_system.as_deref().zip(case.model) else { return };
    if crate::machine::is_remote(kind) {
        found.warn(
            format!(
                "{} lies on {kind}, so that its weights may come over a network at every token",
                model.name
            ),
            "copy it to a local disk",
        );
    }
}

#[cfg(test)]
mod tests;
