//! The line of statistics behind a generation.

use std::time::Duration;

/// Counts and times of a generation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    /// Tokens that the model was given.
    pub(crate) prompt: u32,
    /// Tokens that it generated.
    pub(crate) generated: u32,
    /// To the first token, or to the end where there is none.
    pub(crate) prefill: Duration,
    /// From the first token to the last.
    pub(crate) decode: Duration,
}

impl Statistics {
    /// Tokens and speeds.
    pub(crate) fn speeds(&self) -> String {
        // The first token comes out of the prefill; the others took a decode step each.
        let decoded = self.generated.saturating_sub(1);
        format!(
            "{} prompt tokens, {} generated | prefill {} tokens/s, decode {} tokens/s",
            self.prompt,
            self.generated,
            speed(self.prompt, self.prefill),
            speed(decoded, self.decode)
        )
    }

    /// One line: tokens, speeds, memory, backend and threads, seed.
    pub(crate) fn line(&self, arena: usize, engine: &str, seed: u64) -> String {
        format!("{} | arena {arena} bytes | {engine} | seed {seed}", self.speeds())
    }
}

/// Tokens a second, with a digit behind the point.
pub(crate) fn speed(tokens: u32, time: Duration) -> String {
    rate(tokens, time).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
}

/// Tokens a second, where there are both.
pub(crate) fn rate(tokens: u32, time: Duration) -> Option<f64> {
    (tokens > 0 && !time.is_zero()).then(|| f64::from(tokens) / time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_tokens_has_no_speed() {
        let statistics = Statistics { prompt: 5, ..Statistics::default() };
        assert_eq!(
            statistics.line(64, "backend scalar (asked for), 1 thread", 1),
            "5 prompt tokens, 0 generated | prefill - tokens/s, decode - tokens/s | arena 64 bytes | \
             backend scalar (asked for), 1 thread | seed 1"
        );
    }
}
