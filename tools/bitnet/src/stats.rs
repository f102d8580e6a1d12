//! The line of statistics behind a generation.

use std::time::{Duration, Instant};

/// Counts and times of a generation.
#[derive(Debug)]
pub(crate) struct Stats {
    start: Instant,
    first: Option<Instant>,
    last: Instant,
    prompt: u32,
    generated: u32,
}

impl Stats {
    /// Starts the clock, behind the encoding of `prompt` tokens.
    pub(crate) fn start(prompt: u32) -> Self {
        let now = Instant::now();
        Self { start: now, first: None, last: now, prompt, generated: 0 }
    }

    /// Counts a sampled token; the first one ends the prefill.
    pub(crate) fn token(&mut self) {
        self.last = Instant::now();
        self.first.get_or_insert(self.last);
        self.generated += 1;
    }

    /// To the first token, and from there to the last.
    pub(crate) fn times(&self) -> (Duration, Duration) {
        let first = self.first.unwrap_or(self.last);
        (first - self.start, self.last - first)
    }

    /// One line: tokens, speeds, memory, backend and threads, seed.
    pub(crate) fn line(&self, arena: usize, engine: &str, seed: u64) -> String {
        let first = self.first.unwrap_or(self.last);
        // The first token comes out of the prefill; the others took a decode step each.
        let decoded = self.generated.saturating_sub(1);
        format!(
            "{} prompt tokens, {} generated | prefill {} tokens/s, decode {} tokens/s | arena {arena} bytes | \
             {engine} | seed {seed}",
            self.prompt,
            self.generated,
            speed(self.prompt, first - self.start),
            speed(decoded, self.last - first)
        )
    }
}

/// Tokens a second, with a digit behind the point.
pub(crate) fn speed(tokens: u32, time: Duration) -> String {
    if tokens == 0 || time.is_zero() {
        "-".to_owned()
    } else {
        format!("{:.1}", f64::from(tokens) / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_tokens_has_no_speed() {
        let line = Stats::start(5).line(64, "backend scalar (asked for), 1 thread", 1);
        assert_eq!(
            line,
            "5 prompt tokens, 0 generated | prefill - tokens/s, decode - tokens/s | arena 64 bytes | \
             backend scalar (asked for), 1 thread | seed 1"
        );
    }
}
