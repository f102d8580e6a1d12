//! How fast this machine reads memory: what a decode step is compared with.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use memmap2::MmapMut;
use zerocopy::FromBytes;

/// A way to read words: gives a number that depends on every one of them, so that no read can be left out.
pub type Reader = fn(&[u64]) -> u64;

/// Readers that every machine has, with their names: a plain sum, and one in eight sums that do not wait for each other.
pub const READERS: [(&str, Reader); 2] = [("sum", sum), ("eight sums", eight_sums)];

/// The readers to measure this machine with: a plain sum, and the widest loads that there are.
///
/// ```
/// let words = [1, 2, 3, 4, 5];
/// for (name, read) in bitnet_edge_std::bandwidth::readers() {
///     assert_eq!(read(&words), 15, "{name}");
/// }
/// ```
#[must_use]
pub fn readers() -> Vec<(&'static str, Reader)> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut readers = vec![READERS[0]];
        readers.extend(bitnet_edge_x86::bandwidth::readers());
        readers
    }
    // Everywhere else a compiler has the widest loads in its baseline: eight sums are eight vectors on AArch64.
    #[cfg(not(target_arch = "x86_64"))]
    {
        READERS.to_vec()
    }
}

/// Adds the words.
#[must_use]
pub fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, &word| sum.wrapping_add(word))
}

fn eight_sums(words: &[u64]) -> u64 {
    let mut sums = [[0u64; 8]; 8];
    let (blocks, rest) = words.as_chunks::<64>();
    for block in blocks {
        for (sums, words) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = sum.wrapping_add(*word);
            }
        }
    }
    sums.as_flattened().iter().fold(sum(rest), |sum, &word| sum.wrapping_add(word))
}

/// Memory to read, larger than every cache: in huge pages where the system has them, for with small ones part of the time goes
/// into page tables, and files may lie in larger pages than other memory.
#[derive(Debug)]
pub struct Memory(MmapMut);

impl Memory {
    /// `bytes` bytes, all of them in memory; `None` if the system does not give them.
    #[must_use]
    pub fn new(bytes: usize) -> Option<Self> {
        let mut map = MmapMut::map_anon(bytes.next_multiple_of(8)).ok()?;
        #[cfg(target_os = "linux")]
        {
            // Advice that the system does not take changes nothing.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        // Numbers that are not zero: pages that were never written to could all be the same one.
        for (word, number) in map.as_chunks_mut().0.iter_mut().zip(1u64..) {
            *word = number.to_ne_bytes();
        }
        Some(Self(map))
    }

    fn words(&self) -> &[u64] {
        <[u64]>::ref_from_bytes(&self.0).unwrap_or_default()
    }

    /// Bytes a second that `threads` threads read together, each its own part: the best of `repetitions` times.
    ///
    /// ```
    /// use bitnet_edge_std::bandwidth::{Memory, READERS};
    /// let memory = Memory::new(1 << 20).expect("a megabyte");
    /// for (name, reader) in READERS {
    ///     let speed = memory.bytes_per_second(reader, 1, 3);
    ///     println!("{name}: {:.1} GB/s", speed / 1e9); // out of a cache, as 1 MiB fits into one
    ///     assert!(speed > 0.0);
    /// }
    /// ```
    #[must_use]
    pub fn bytes_per_second(&self, reader: Reader, threads: usize, repetitions: usize) -> f64 {
        let threads = threads.max(1);
        // Parts begin at a multiple of 64 bytes.
        let part = self.words().len().div_ceil(threads).next_multiple_of(8).max(8);
        let start = Barrier::new(threads);
        // Each thread's own clock: one that another thread read could be read late, where every core has a reader, and the
        // time would be too short.
        let spans = thread::scope(|scope| {
            let spawn = |i| {
                let words = self.words().get(i * part..).unwrap_or_default();
                let words = words.get(..part).unwrap_or(words);
                let start = &start;
                scope.spawn(move || {
                    let span = |_| {
                        start.wait();
                        let begun = Instant::now();
                        std::hint::black_box(reader(std::hint::black_box(words)));
                        (begun, Instant::now())
                    };
                    (0..repetitions).map(span).collect::<Vec<_>>()
                })
            };
            let readers: Vec<_> = (0..threads).map(spawn).collect();
            readers
                .into_iter()
                .map(|reader| reader.join().expect("a reader does not panic"))
                .collect::<Vec<_>>()
        });
        let mut best = f64::INFINITY;
        for repetition in 0..repetitions {
            let of_all = spans.iter().filter_map(|spans| spans.get(repetition));
            let begun = of_all.clone().map(|(begun, _)| *begun).min();
            let ended = of_all.map(|(_, ended)| *ended).max();
            let seconds =
                begun.zip(ended).map_or(f64::INFINITY, |(begun, ended)| (ended - begun).as_secs_f64());
            if seconds < best {
                best = seconds;
            }
        }
        self.0.len() as f64 / best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_reads_every_word() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let mut words: Vec<u64> = (0..len).map(|i| i * i).collect();
            for (name, reader) in READERS {
                assert_eq!(reader(&words), sum(&words), "{name} of {len}");
            }
            for at in 0..words.len() {
                words[at] += 1;
                for (name, reader) in READERS {
                    assert_eq!(reader(&words), sum(&words), "{name} of {len}, word {at}");
                }
            }
        }
    }

    #[test]
    fn memory_is_read_by_any_number_of_threads() {
        let memory = Memory::new(1 << 16).unwrap();
        for threads in [0, 1, 2, 3, 7] {
            assert!(memory.bytes_per_second(sum, threads, 2).is_finite());
        }
        assert!(Memory::new(1 << 60).is_none());
    }
}
