//! What can be set between two prompts.

use bitnet_edge_core::GenerationConfig;

/// A line that begins with a slash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Quit,
    Tokens(u32),
    Seed(u64),
    Temperature(f32),
}

pub(crate) const HELP: &str = "\
a line is a prompt; Ctrl-C ends its answer, Ctrl-U drops the line
/tokens N        at most N tokens an answer
/temperature T   0 is greedy, more is more varied
/seed N          the same prompt and seed, the same answer
/quit            the end (also Ctrl-D)
";

impl Command {
    /// The command in a line; `None` if the line is a prompt.
    pub(crate) fn read(line: &str) -> Option<Result<Self, &'static str>> {
        let mut words = line.strip_prefix('/')?.split_ascii_whitespace();
        let (name, value) = (words.next().unwrap_or_default(), words.next());
        let command = match (name, value) {
            ("help", None) => Some(Self::Help),
            ("quit", None) => Some(Self::Quit),
            ("tokens", Some(value)) => value.parse().ok().map(Self::Tokens),
            ("seed", Some(value)) => value.parse().ok().map(Self::Seed),
            ("temperature", Some(value)) => decimal(value).map(Self::Temperature),
            _ => None,
        };
        Some(command.filter(|_| words.next().is_none()).ok_or("no such command; /help lists them"))
    }

    /// Changes what it sets.
    pub(crate) fn apply(self, config: &mut GenerationConfig) {
        match self {
            Self::Tokens(n) => config.max_tokens = n,
            Self::Seed(n) => config.seed = n,
            Self::Temperature(t) => config.temperature = t,
            Self::Help | Self::Quit => {}
        }
    }
}

/// A decimal of few digits, as the nearest float: both parts of the division are exact, so that it rounds once. The
/// library's parser for all decimals would be larger than the rest of a console.
fn decimal(text: &str) -> Option<f32> {
    const EXACT: u32 = 1 << 24;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = !whole.is_empty() && whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit());
    if !all_digits {
        return None;
    }
    let mut digits: u32 = 0;
    for byte in whole.bytes().chain(part.bytes()) {
        digits = digits.checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
    }
    let unit = 10_u32.checked_pow(u32::try_from(part.len()).ok()?)?;
    (digits <= EXACT && unit <= EXACT).then_some(digits as f32 / unit as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_the_library() {
        for text in ["0", "0.7", "1.25", "2", "0.001", "12.5", "0.3", "9.99"] {
            assert_eq!(decimal(text), text.parse().ok(), "{text}");
        }
        for text in ["", ".", ".5", "-1", "1e3", "0x1", "inf", "NaN", "99999999", "1.000000000", "0.7.1"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn commands_are_known_by_their_whole_line() {
        assert_eq!(Command::read("once /quit"), None);
        assert_eq!(Command::read("/quit"), Some(Ok(Command::Quit)));
        assert_eq!(Command::read("/help "), Some(Ok(Command::Help)));
        assert_eq!(Command::read("/tokens 12"), Some(Ok(Command::Tokens(12))));
        assert_eq!(Command::read("/seed 7"), Some(Ok(Command::Seed(7))));
        assert_eq!(Command::read("/temperature 0.7"), Some(Ok(Command::Temperature(0.7))));
        for wrong in ["/", "/x", "/tokens", "/tokens a", "/tokens 1 2", "/quit now", "/temperature -1"] {
            assert!(matches!(Command::read(wrong), Some(Err(_))), "{wrong}");
        }
    }
}
