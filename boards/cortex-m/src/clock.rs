//! A counter of 24 bits as a clock that counts for years.

/// The largest value of the counter (`SYST_RVR`): it counts from here to 0, then starts again.
pub const RELOAD: u32 = 0xff_ffff;

/// Ticks since the counter was started, of what it shows and of how often it has reached 0 before.
///
/// The counter reaches 0 in the same tick in which its exception is counted, so that 0 is the first tick of a round.
///
/// ```
/// use bitnet_edge_board_cortex_m::clock::{RELOAD, ticks};
/// assert_eq!((ticks(3, 1) + 1, ticks(4, 0) + 1), (ticks(4, 0), ticks(4, RELOAD)));
/// ```
#[must_use]
pub const fn ticks(rounds: u32, value: u32) -> u64 {
    ((rounds as u64) << 24) | (value.wrapping_neg() & RELOAD) as u64
}

/// Microseconds of a number of ticks, at `hz` ticks a second. It rounds down.
///
/// ```
/// use bitnet_edge_board_cortex_m::clock::microseconds;
/// assert_eq!(microseconds(50_000_025, 25_000_000), 2_000_001);
/// assert_eq!(microseconds(u64::MAX, 1_000_000), u64::MAX);
/// ```
#[must_use]
pub const fn microseconds(ticks: u64, hz: u32) -> u64 {
    let hz = if hz == 0 { 1 } else { hz as u64 };
    (ticks / hz).wrapping_mul(1_000_000).wrapping_add((ticks % hz).wrapping_mul(1_000_000) / hz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_follows_the_last_without_a_gap() {
        let mut before = None;
        for (rounds, value) in
            [(0, 2), (0, 1), (1, 0), (1, RELOAD), (1, RELOAD - 1)].into_iter().chain([(1, 2), (1, 1), (2, 0)])
        {
            let now = ticks(rounds, value);
            assert!(before.is_none_or(|before| now > before), "{rounds} {value}");
            before = Some(now);
        }
        assert_eq!(ticks(0, 0), 0);
        assert_eq!(ticks(7, 0) - ticks(6, 0), u64::from(RELOAD) + 1);
    }
}
