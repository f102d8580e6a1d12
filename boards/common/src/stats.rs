//! What is printed behind an answer.

use core::fmt;

use bitnet_edge_protocol::Statistics;

/// Counts and times of a generation. Times are microseconds of the board's clock.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    start: u64,
    first: Option<u64>,
    last: u64,
    prompt: u32,
    generated: u32,
    steps: u32,
    stepped: u64,
    longest_step: u64,
}

impl Stats {
    /// Starts the clock, behind the encoding of `prompt` tokens.
    #[must_use]
    pub const fn start(prompt: u32, now_us: u64) -> Self {
        Self {
            start: now_us,
            first: None,
            last: now_us,
            prompt,
            generated: 0,
            steps: 0,
            stepped: now_us,
            longest_step: 0,
        }
    }

    /// Counts a step, from [`begin_step`](Self::begin_step) to now.
    pub fn step(&mut self, now_us: u64) {
        self.steps = self.steps.saturating_add(1);
        self.longest_step = self.longest_step.max(now_us.saturating_sub(self.stepped));
    }

    /// Where the next step begins.
    pub const fn begin_step(&mut self, now_us: u64) {
        self.stepped = now_us;
    }

    /// The figures, as they travel.
    #[must_use]
    pub fn figures(&self) -> Statistics {
        let first = self.first.unwrap_or(self.last);
        Statistics {
            prompt: self.prompt,
            generated: self.generated,
            prefill_us: first.saturating_sub(self.start),
            decode_us: self.last.saturating_sub(first),
            steps: self.steps,
            longest_step_us: self.longest_step,
        }
    }

    /// Counts a sampled token; the first one ends the prefill.
    pub fn token(&mut self, now_us: u64) {
        self.last = now_us;
        self.first.get_or_insert(now_us);
        self.generated = self.generated.saturating_add(1);
    }

    /// The end: of the prefill, too, where the answer has no token.
    pub fn end(&mut self, now_us: u64) {
        if self.first.is_none() {
            (self.first, self.last) = (Some(now_us), now_us);
        }
    }
}

/// `5 prompt tokens, 20 generated | prefill 10.0 tokens/s, decode 9.5 tokens/s | 2.50 s`
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures();
        // The first token comes out of the prefill; the others took a decode step each.
        let prefill = Speed(self.prompt, figures.prefill_us);
        let decode = Speed(self.generated.saturating_sub(1), figures.decode_us);
        let hundredths = self.last.saturating_sub(self.start) / 10_000;
        write!(
            f,
            "{} prompt tokens, {} generated | prefill {prefill} tokens/s, decode {decode} tokens/s | {}.{:02} s",
            self.prompt,
            self.generated,
            hundredths / 100,
            hundredths % 100
        )
    }
}

/// Tokens in microseconds. Floats are not for this: formatting them would be a good part of a small firmware.
struct Speed(u32, u64);

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = u64::from(self.0).saturating_mul(10_000_000).checked_div(self.1).filter(|_| self.0 > 0);
        match tenths {
            Some(tenths) => write!(f, "{}.{}", tenths / 10, tenths % 10),
            None => f.write_str("-"),
        }
    }
}

/// Bytes in hexadecimal, as digests are written.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn speeds_are_those_of_prefill_and_decode() {
        let mut stats = Stats::start(5, 1_000_000);
        assert_eq!(
            stats.to_string(),
            "5 prompt tokens, 0 generated | prefill - tokens/s, decode - tokens/s | 0.00 s"
        );
        stats.token(1_500_000);
        for at in 0..19 {
            stats.token(1_600_000 + at * 105_263);
        }
        assert_eq!(
            stats.to_string(),
            "5 prompt tokens, 20 generated | prefill 10.0 tokens/s, decode 9.5 tokens/s | 2.49 s"
        );
    }

    #[test]
    fn an_answer_without_tokens_has_a_prefill() {
        let mut stats = Stats::start(5, 1_000_000);
        stats.end(1_500_000);
        let line = "5 prompt tokens, 0 generated | prefill 10.0 tokens/s, decode - tokens/s | 0.50 s";
        assert_eq!(stats.to_string(), line);
        let mut stats = Stats::start(5, 1_000_000);
        stats.token(2_000_000);
        let before = stats.to_string();
        stats.end(9_000_000);
        assert_eq!(stats.to_string(), before);
    }

    #[test]
    fn bytes_have_two_digits() {
        assert_eq!(Hex(&[0, 0xab, 7]).to_string(), "00ab07");
    }
}
