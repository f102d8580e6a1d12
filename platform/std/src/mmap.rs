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

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
