//! ATAGs: what loaders say of the machine where they give no device tree.
//!
//! A list of words: each tag is its length in words, its name, and its data; the list starts with `ATAG_CORE` and ends with a
//! tag of no name.

use core::ops::Range;

const CORE: u32 = 0x5441_0001;
const INITRD: u32 = 0x5442_0005;
const END: u32 = 0;

/// The file that came with the program, if this is a list of ATAGs that names one.
///
/// ```
/// use bitnet_edge_board_aarch64::atags::initrd;
/// let words = [2, 0x5441_0001, 4, 0x5442_0005, 0x0800_0000, 0x1000, 0, 0];
/// assert_eq!(initrd(&words), Some(0x0800_0000..0x0800_1000));
/// ```
#[must_use]
pub fn initrd(words: &[u32]) -> Option<Range<u64>> {
    let (mut rest, mut first) = (words, true);
    while let [length, name, data @ ..] = rest {
        if first != (*name == CORE) || *name == END {
            return None;
        }
        if let (INITRD, [start, size, ..]) = (*name, data) {
            let start = u64::from(*start);
            return (*size > 0).then(|| start..start + u64::from(*size));
        }
        // A tag is never shorter than its head: a list that says so is none.
        rest = rest.get((*length).max(2) as usize..)?;
        first = false;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU writes them: core with its data, memory, initrd, command line, end.
    const LIST: [u32; 20] = [
        5,
        CORE,
        1,
        0x1000,
        0,
        4,
        0x5441_0002,
        0x3c00_0000,
        0,
        4,
        INITRD,
        0x0800_0000,
        583_360,
        3,
        0x5441_0009,
        0,
        0,
        END,
        7,
        7,
    ];

    #[test]
    fn the_initrd_is_found_behind_other_tags() {
        assert_eq!(initrd(&LIST), Some(0x0800_0000..0x0808_e6c0));
    }

    #[test]
    fn what_is_no_such_list_names_none() {
        let mut without = LIST;
        without[10] = 0x5441_0004;
        let mut empty = LIST;
        empty[12] = 0;
        let mut end = LIST;
        end[6] = END;
        let mut long = LIST;
        long[5] = u32::MAX;
        let mut short = LIST;
        short[0] = 0;
        for words in [&without[..], &empty, &end, &long, &short, &LIST[1..], &LIST[..10], &[], &[0; 20]] {
            assert_eq!(initrd(words), None, "{words:x?}");
        }
    }
}
