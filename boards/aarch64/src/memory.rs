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

/// The blocks of a piece of memory that [`Map::add_memory`](crate::Map::add_memory) maps: those from `lowest` on, and below
/// 4 GiB only up to `devices`. None if there is none.
///
/// ```
/// use bitnet_edge_board_aarch64::memory::whole_blocks;
/// assert_eq!(whole_blocks(&(0x1000..0x70_0000), 0x20_0000, 0xfc00_0000), Some(0x20_0000..0x60_0000));
/// assert_eq!(whole_blocks(&(0x1000..0x70_0000), 0x60_0000, 0xfc00_0000), None);
/// ```
#[must_use]
pub fn whole_blocks(piece: &Range<u64>, lowest: u64, devices: u64) -> Option<Range<u64>> {
    const HIGH: u64 = 4 << 30;
    let start = piece.start.max(lowest);
    let (block, end) = if start < HIGH { (2 << 20, piece.end.min(devices)) } else { (1 << 30, piece.end) };
    let blocks = start.checked_next_multiple_of(block)?..end / block * block;
    (!blocks.is_empty()).then_some(blocks)
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

    #[test]
    fn blocks_lie_within_and_away_from_devices() {
        const GIB: u64 = 1 << 30;
        let of = |piece: Range<u64>| whole_blocks(&piece, GIB, 0xfc00_0000);
        assert_eq!(of(0..0x3c00_0000), None);
        assert_eq!(of(0..2 * GIB), Some(GIB..2 * GIB));
        assert_eq!(of(GIB..0xfc00_0000), Some(GIB..0xfc00_0000));
        assert_eq!(of(GIB..8 * GIB), Some(GIB..0xfc00_0000));
        assert_eq!(of(0xfc00_0000..0x1_0000_0000), None);
        assert_eq!(of(4 * GIB + 1..8 * GIB), Some(5 * GIB..8 * GIB));
        assert_eq!(of(4 * GIB..6 * GIB - 1), Some(4 * GIB..5 * GIB));
        assert_eq!(of(u64::MAX - 1..u64::MAX), None);
    }
}
