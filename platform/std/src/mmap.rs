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
        // SAFETY: The mapping is private and read-only. Another process that truncates the file while it is mapped makes
        // reads fail with SIGBUS, and one that writes to it changes weights under the run; both are what mapping a model
        // file means everywhere, and neither gives this process a wrong type or a dangling pointer: the bytes are only
        // ever read as integers and floats, for which every bit pattern is valid, through accessors that re-check bounds
        // against the mapping's length and never against offsets read twice.
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
