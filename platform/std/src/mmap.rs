//! Files mapped into memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// A file mapped for reading: an image is executed where the page cache has it, a GGUF file read without a copy.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a file.
    ///
    /// Nobody may write to the file or truncate it while it is mapped: weights would change under a run, strings cease to
    /// be UTF-8, and reads behind the new end would end the process (SIGBUS). Replacing it by renaming another is fine,
    /// and is what `bitnet-pack convert` does.
    ///
    /// # Errors
    /// The system's, for a file that cannot be opened or mapped; `InvalidInput` for what is empty or not a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if metadata.is_dir() {
            return refused("it is a directory");
        }
        if !metadata.is_file() {
            return refused("it is not a regular file, which alone can be mapped");
        }
        if metadata.len() == 0 {
            return refused("the file is empty");
        }
        // SAFETY: The mapping is private and read-only, and lives as long as what borrows from it. What no check here can
        // rule out is another process that writes to the file or truncates it meanwhile: the caller's duty, as the
        // documentation says. Bounds are checked against the mapping's length and never against offsets read twice, so
        // that even then no index goes astray; text that the GGUF reader found to be UTF-8 is not checked again.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl MappedFile {
    /// Tells the system that all of the file will be read soon: what is not in memory yet is read ahead, in order, while the
    /// program goes on. It costs a millisecond a gigabyte, and nothing waits for it.
    ///
    /// Pages that are in memory are mapped when they are first read, many at a time, by the thread that reads them: to map them
    /// here takes as long, and only one thread.
    pub fn read_ahead(&self) {
        #[cfg(unix)]
        {
            // Advice that the system does not take changes nothing.
            let _ = self.0.advise(memmap2::Advice::WillNeed);
        }
    }

    /// Tells the system that these bytes of the file are not needed for now: its pages stay in the page cache, if there is
    /// room, but no longer count as this process's memory. Reading them again works as before.
    pub fn release(&self, bytes: &[u8]) {
        let start = bytes.as_ptr().addr().checked_sub(self.0.as_ptr().addr());
        let inside = start.filter(|start| start + bytes.len() <= self.0.len());
        #[cfg(unix)]
        if let Some(start) = inside {
            // SAFETY: the mapping is read-only and of a file: pages that are dropped come back from the file with the bytes
            // that they had. Only anonymous or changed private pages would lose their content.
            let advice = unsafe {
                self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, bytes.len())
            };
            // Advice that the system does not take changes nothing.
            let _ = advice;
        }
        #[cfg(not(unix))]
        let _ = inside;
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes in anonymous memory for which the system was asked to use huge pages.
///
/// A file is mapped in pages of 4 KiB, and a processor that reads a gigabyte of them for every token also walks a quarter of a
/// million page table entries. A copy in huge pages spares it that, and costs the bytes a second time and the time to copy
/// them: `docs/performance.md` says what that brings.
#[derive(Debug)]
pub struct HugePages(Mmap);

impl HugePages {
    /// Copies `bytes`.
    ///
    /// # Errors
    /// The system's, if it has not so much memory or does not know huge pages; `Unsupported` elsewhere than on Linux.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use bitnet_edge_std::HugePages;
    /// assert_eq!(HugePages::copy_of(&[7; 100])?[99], 7);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        Self::copy_between(bytes, &mut |_| {})
    }

    /// The same in parts, with a call behind each that tells its bytes: a file that is not in memory takes as long as the disk.
    ///
    /// # Errors
    /// As [`copy_of`](Self::copy_of).
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use bitnet_edge_std::HugePages;
    /// let mut copied = 0;
    /// let copy = HugePages::copy_between(&[7; 5_000_000], &mut |bytes| copied += bytes)?;
    /// assert_eq!((copied, copy.len()), (5_000_000, 5_000_000));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn copy_between(bytes: &[u8], between: &mut dyn FnMut(usize)) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            /// Bytes of a part: some huge pages.
            const PART: usize = 8 << 20;
            let mut map = memmap2::MmapMut::map_anon(bytes.len())?;
            map.advise(memmap2::Advice::HugePage)?;
            for (to, from) in map.chunks_mut(PART).zip(bytes.chunks(PART)) {
                to.copy_from_slice(from);
                between(from.len());
            }
            Ok(Self(map.make_read_only()?))
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (bytes, between);
            Err(io::Error::new(io::ErrorKind::Unsupported, "huge pages can be asked for on Linux only"))
        }
    }
}

impl Deref for HugePages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
