//! Files that are whole or not there.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A place that a file can be written to.
#[derive(Clone, Debug)]
pub struct Destination {
    /// As the user named it.
    name: PathBuf,
    /// Behind symbolic links, which stay.
    path: PathBuf,
    /// What is there is not written over.
    is_new: bool,
}

impl Destination {
    /// Checks what can be checked before any work is done. `source` must not be what is written over.
    pub fn new(name: &Path, source: &Path) -> Result<Self> {
        let shown = name.display();
        let path = fs::canonicalize(name).unwrap_or_else(|_| name.to_owned());
        if let Ok(there) = fs::metadata(&path) {
            if there.is_dir() {
                bail!("cannot write {shown}: it is a directory; name a file in it");
            }
            if !there.is_file() {
                bail!("cannot write {shown}: it is not a regular file, which an image could replace");
            }
            if fs::canonicalize(source).is_ok_and(|source| source == path) {
                bail!("cannot write {shown}: it is the model that is read; name another file");
            }
        }
        let folder = folder(&path);
        if !folder.is_dir() {
            bail!("cannot write {shown}: the folder {} does not exist", folder.display());
        }
        Ok(Self { name: name.to_owned(), path, is_new: false })
    }

    /// A place where nothing is, and nothing may come to be before the file does: that is an error, and changes nothing.
    pub fn new_file(name: &Path) -> Result<Self> {
        if name.symlink_metadata().is_ok() {
            bail!("cannot write {}: it is there already, and is not written over", name.display());
        }
        Ok(Self { is_new: true, ..Self::new(name, Path::new(""))? })
    }

    /// The name that the user gave.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// A file beside the place, which gets its name when it is whole: an interrupted or failed write changes nothing, and leaves
    /// nothing (of an interrupt, that is so on Unix).
    pub fn begin(&self) -> Result<Partial> {
        #[cfg(unix)]
        end_cleanly().context("cannot watch for signals")?;
        let (file, listed) = temporary(folder(&self.path)).map_err(|error| self.failed(0, error))?;
        Ok(Partial {
            to: self.clone(),
            file,
            _listed: listed,
            buffer: Vec::with_capacity(BUFFER),
            flushed: 0,
        })
    }

    /// Whether a file is the one that is there now, by whatever name: a write would replace it.
    #[must_use]
    pub fn is(&self, file: &Path) -> bool {
        fs::canonicalize(file).is_ok_and(|file| file == self.path)
    }

    /// Writes a small file at once: whole and on the disk, or nothing is changed.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let write = || {
            let (mut file, _listed) = temporary(folder(&self.path))?;
            file.write_all(bytes)?;
            // Before it has its name: a loss of power must not leave the name of a file without content.
            file.as_file().sync_all()?;
            let kept =
                if self.is_new { file.persist_noclobber(&self.path) } else { file.persist(&self.path) };
            kept.map(|_| ()).map_err(|error| error.error)
        };
        write().map_err(|error| self.failed(0, error))
    }

    fn failed(&self, bytes: u64, error: std::io::Error) -> anyhow::Error {
        let name = self.name.display();
        anyhow::Error::new(error)
            .context(format!("cannot write {name} (after {bytes} bytes), nothing is changed"))
    }
}

/// What is written at a time.
const BUFFER: usize = 1 << 20;

/// A file that is not whole yet.
#[derive(Debug)]
pub struct Partial {
    to: Destination,
    file: NamedTempFile,
    /// Behind the file, which is removed first.
    _listed: Listed,
    buffer: Vec<u8>,
    /// Bytes in the file; those of the buffer follow.
    flushed: u64,
}

impl Partial {
    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes behind what is there.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() < BUFFER {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.file.write_all(bytes);
        self.done(written)?;
        self.flushed += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is behind the first `len` bytes.
    pub fn truncate(&mut self, len: u64) -> Result<()> {
        self.flush()?;
        let file = self.file.as_file_mut();
        let cut = file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len)));
        self.done(cut.map(|_| ()))?;
        self.flushed = len;
        Ok(())
    }

    /// Replaces bytes that are there.
    pub fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let file = self.at(at)?;
        let written = file.write_all(bytes).and_then(|()| file.seek(SeekFrom::End(0)));
        self.done(written.map(|_| ()))
    }

    /// Reads bytes that are there.
    pub fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> Result<()> {
        let file = self.at(at)?;
        let read = file.read_exact(bytes).and_then(|()| file.seek(SeekFrom::End(0)));
        self.done(read.map(|_| ()))
    }

    /// The file, to be mapped for reading; nothing may be written while it is.
    pub fn path(&mut self) -> Result<&Path> {
        self.flush()?;
        Ok(self.file.path())
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        let (bytes, to) = (self.flushed, self.to);
        let persisted = self.file.as_file().sync_all();
        let persisted = persisted.and_then(|()| self.file.persist(&to.path).map(|_| ()).map_err(|e| e.error));
        persisted.map_err(|error| to.failed(bytes, error))
    }

    fn at(&mut self, at: u64) -> Result<&mut fs::File> {
        self.flush()?;
        let sought = self.file.as_file_mut().seek(SeekFrom::Start(at));
        self.done(sought.map(|_| ()))?;
        Ok(self.file.as_file_mut())
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.done(written)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn done(&self, result: std::io::Result<()>) -> Result<()> {
        result.map_err(|error| self.to.failed(self.flushed, error))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is removed unless it is renamed, and that is then as readable as any other.
fn temporary(folder: &Path) -> std::io::Result<(NamedTempFile, Listed)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bitnet-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less what the user's mask takes away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // Until it is on the list, an interrupt waits.
    let mut list = unfinished();
    let file = builder.tempfile_in(folder)?;
    list.push(file.path().to_owned());
    let listed = Listed(file.path().to_owned());
    Ok((file, listed))
}

/// The files that an interrupt removes, for it ends the process without a destructor.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry of that list, for as long as it is needed.
#[derive(Debug)]
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        unfinished().retain(|path| *path != self.0);
    }
}

/// Has an interrupt (Ctrl-C) and a request to terminate remove what is on the list before they end the process as ever.
#[cfg(unix)]
fn end_cleanly() -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    static WATCHED: Mutex<bool> = Mutex::new(false);
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if *watched {
        return Ok(());
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            // Locked until the process ends: no file is begun any more.
            let list = unfinished();
            for path in list.iter() {
                // One that has its name by now is whole.
                let _ = fs::remove_file(path);
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    })?;
    *watched = true;
    Ok(())
}
