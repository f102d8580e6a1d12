//! Memory that nothing else uses.

use core::ops::Range;

/// The largest part of `memory` that lies in none of `taken`.
///
/// ```
/// use bitnet_edge_board_aarch64::memory::largest_gap;
/// assert_eq!(largest_gap(0..100, &mut [40..50, 0..10]), 50..100);
/// ```
pub fn largest_gap(memory: Range<u64>, taken: &mut [Range<u64>]) -> Range<u64> {
    taken.sort_unstable_by_key(|range| range.start);
    let (mut largest, mut free) = (memory.start..memory.start, memory.start);
    for range in taken.iter().filter(|range| !range.is_empty()) {
        let gap = free..range.start.min(memory.end);
        if length(&gap) > length(&largest) {
            largest = gap;
        }
        free = free.max(range.end);
    }
    let last = free..memory.end;
    if length(&last) > length(&largest) { last } else { largest }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_between_before_and_behind() {
        assert_eq!(largest_gap(0..100, &mut []), 0..100);
        assert_eq!(largest_gap(10..100, &mut [0..20, 30..35]), 35..100);
        assert_eq!(largest_gap(10..100, &mut [0..12, 70..200]), 12..70);
        assert_eq!(largest_gap(10..100, &mut [50..60, 20..80, 0..5]), 80..100);
        assert_eq!(largest_gap(10..100, &mut [0..200, 5..5]), 10..10);
        assert_eq!(largest_gap(10..100, &mut [200..300, 5..5]), 10..100);
    }
}
