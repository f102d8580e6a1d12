//! A bar on the terminal for work that lasts over a second. Nothing else is ever printed of it, and nothing of it stays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is not slow needs no bar.
const DELAY: Duration = Duration::from_secs(1);

static HIDDEN: AtomicBool = AtomicBool::new(false);

/// No bars from here on.
pub fn hide() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Tokens.
    Tokens,
}

/// The progress of some work. It is drawn on stderr, if that is a terminal, and gone when it is dropped.
#[derive(Debug)]
pub struct Progress {
    title: String,
    unit: Unit,
    total: u64,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work on `total` units begins.
    #[must_use]
    pub fn new(title: impl Into<String>, unit: Unit, total: u64) -> Self {
        Self { title: title.into(), unit, total, start: Instant::now(), state: Mutex::default() }
    }

    /// So many units more are done. Any thread may say so.
    pub fn add(&self, units: u64) {
        self.update(|done| done.saturating_add(units));
    }

    /// So many units are done in all.
    pub fn set(&self, done: u64) {
        self.update(|_| done);
    }

    fn update(&self, change: impl FnOnce(u64) -> u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = change(state.done).min(self.total);
        if let Some(bar) = &state.bar {
            bar.set_position(state.done);
        } else if self.start.elapsed() >= DELAY && !HIDDEN.load(Ordering::Relaxed) {
            state.bar = Some(self.draw(state.done));
        }
    }

    fn draw(&self, done: u64) -> ProgressBar {
        // The template is right, or a test fails.
        let style = style(self.unit).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(self.total), ProgressDrawTarget::stderr());
        bar.with_style(style)
            .with_prefix(self.title.clone())
            .with_elapsed(self.start.elapsed())
            .with_position(done)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn style(unit: Unit) -> Result<ProgressStyle, TemplateError> {
    let counts = match unit {
        Unit::Bytes => "{bytes} of {total_bytes}, {bytes_per_sec}",
        Unit::Tokens => "{pos} of {len} tokens, {per_sec}",
    };
    ProgressStyle::with_template(&format!("{{prefix}} [{{bar:30}}] {counts}, {{eta}} left"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_right() {
        assert!(style(Unit::Bytes).is_ok() && style(Unit::Tokens).is_ok());
    }

    #[test]
    fn work_is_counted_and_not_beyond_its_end() {
        let progress = Progress::new("work", Unit::Bytes, 10);
        progress.add(7);
        progress.add(7);
        assert_eq!(progress.state.lock().unwrap().done, 10);
    }
}
