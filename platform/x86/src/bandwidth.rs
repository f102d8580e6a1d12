//! Readers of memory with the widest loads of this machine, to measure its read bandwidth with.

/// A way to read words: gives their sum.
pub type Reader = fn(&[u64]) -> u64;

/// The readers of this machine, with their names: each returns the sum of the words. None on other architectures.
///
/// ```
/// let words = [1, 2, 3, 4, 5];
/// for (name, read) in bitnet_edge_x86::bandwidth::readers() {
///     assert_eq!(read(&words), 15, "{name}");
/// }
/// ```
#[must_use]
pub fn readers() -> Vec<(&'static str, Reader)> {
    #[cfg(target_arch = "x86_64")]
    {
        x86::readers()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Vec::new()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Reader;
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _MM_HINT_T0, _mm_add_epi64, _mm_prefetch, _mm256_add_epi64,
        _mm512_add_epi64,
    };

    /// How far ahead the reader with prefetch asks for a line, in bytes.
    const AHEAD: usize = 4096;

    pub(super) fn readers() -> Vec<(&'static str, Reader)> {
        if is_x86_feature_detected!("avx512f") {
            vec![("64-byte loads", zmm::<false>), ("64-byte loads, prefetch", zmm::<true>)]
        } else if is_x86_feature_detected!("avx2") {
            vec![("32-byte loads", ymm::<false>), ("32-byte loads, prefetch", ymm::<true>)]
        } else {
            vec![("16-byte loads", xmm::<false>), ("16-byte loads, prefetch", xmm::<true>)]
        }
    }

    /// A reader: eight vectors an iteration, each added to its own sum; words in front of and behind aligned blocks one by
    /// one.
    macro_rules! reader {
        ($name:ident, $features:literal, $vector:ty, $add:ident) => {
            fn $name<const PREFETCH: bool>(words: &[u64]) -> u64 {
                #[target_feature(enable = $features)]
                fn sums<const PREFETCH: bool>(blocks: &[[$vector; 8]]) -> [$vector; 8] {
                    // SAFETY: all bits zero are a vector of integers.
                    let mut sums: [$vector; 8] = unsafe { std::mem::zeroed() };
                    for block in blocks {
                        if PREFETCH {
                            for line in 0..size_of_val(block) / 64 {
                                let ahead =
                                    std::ptr::from_ref(block).cast::<i8>().wrapping_add(AHEAD + 64 * line);
                                _mm_prefetch::<_MM_HINT_T0>(ahead);
                            }
                        }
                        for (sum, vector) in sums.iter_mut().zip(block) {
                            *sum = $add(*sum, *vector);
                        }
                    }
                    sums
                }
                // SAFETY: vectors of integers have no invalid values.
                let (front, blocks, back) = unsafe { words.align_to::<[$vector; 8]>() };
                // SAFETY: `readers` gives this function out only where the machine has the features.
                let sums = unsafe { sums::<PREFETCH>(blocks) };
                // SAFETY: as above, the other way round; words are aligned wherever vectors are.
                let (_, lanes, _) = unsafe { sums.align_to::<u64>() };
                front.iter().chain(lanes).chain(back).fold(0, |sum, &word| sum.wrapping_add(word))
            }
        };
    }

    reader!(xmm, "sse2", __m128i, _mm_add_epi64);
    reader!(ymm, "avx2", __m256i, _mm256_add_epi64);
    reader!(zmm, "avx512f", __m512i, _mm512_add_epi64);

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_width_reads_every_word() {
            let mut all = readers();
            all.extend([("16", xmm::<false> as Reader), ("16 prefetch", xmm::<true>)]);
            if is_x86_feature_detected!("avx2") {
                all.extend([("32", ymm::<false> as Reader), ("32 prefetch", ymm::<true>)]);
            }
            for len in [0, 1, 7, 64, 65, 200, 1000] {
                let words: Vec<u64> = (0..len).map(|i| 1 << (i % 64)).collect();
                for start in 0..words.len().min(9) {
                    let words = &words[start..];
                    let expected = words.iter().fold(0u64, |sum, &word| sum.wrapping_add(word));
                    for (name, reader) in &all {
                        assert_eq!(reader(words), expected, "{name}, {len} words from {start}");
                    }
                }
            }
        }
    }
}
