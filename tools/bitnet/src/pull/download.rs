//! The bytes of a file: from where an earlier attempt ended, with a digest, under its final name only when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bitnet_pack::convert::hex;
use bitnet_pack::progress::{Progress, Unit, hide};
use bitnet_pack::report::say;
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode};

use super::address::Address;
use super::cache::Store;
use super::hub::{Description, Hub, Refusal};
use super::{present, space};

/// What is read at a time.
const BUFFER: usize = 1 << 20;

/// A file to fetch.
pub(super) struct Download<'a> {
    pub(super) hub: &'a Hub,
    pub(super) store: &'a Store,
    pub(super) address: &'a Address,
    pub(super) file: &'a str,
    pub(super) description: &'a Description,
    /// Attempts without a single byte, before it is given up.
    pub(super) retries: u32,
    pub(super) quiet: bool,
}

impl Download<'_> {
    /// Brings the file into the cache's blobs.
    pub(super) fn run(&self) -> Result<()> {
        let Description { etag, bytes, .. } = self.description;
        let blob = self.store.blob(etag)?;
        let _lock = self.store.lock(etag)?;
        if fs::metadata(&blob).is_ok_and(|there| there.len() == *bytes) && self.is_intact(&blob)? {
            return Ok(());
        }
        // The name that huggingface_hub uses: each goes on with what the other began.
        let partial = blob.with_file_name(format!("{etag}.incomplete"));
        let have = fs::metadata(&partial).map_or(0, |there| there.len());
        space::check(blob.parent().unwrap_or(self.store.root()), bytes.saturating_sub(have))?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(&partial);
        let mut file = file.with_context(|| self.store.unwritable(&partial))?;
        let digest = self.fill(&mut file)?;
        if let Err(error) = self.check(&digest) {
            fs::remove_file(&partial).with_context(|| self.store.unwritable(&partial))?;
            return Err(error);
        }
        file.sync_all().with_context(|| self.store.unwritable(&partial))?;
        rename(&partial, &blob).with_context(|| self.store.unwritable(&blob))
    }

    /// Whether what came earlier is the file: that of the hub, and that of the list. What was changed stays until the other has come.
    fn is_intact(&self, blob: &Path) -> Result<bool> {
        let expected = self.description.sha256();
        if self.address.sha256.is_none() && expected.is_none() {
            return Ok(true);
        }
        if self.quiet {
            hide();
        }
        let digest = present::digest(blob)?;
        if expected.is_some_and(|expected| !digest.eq_ignore_ascii_case(expected)) {
            say(format_args!(
                "note: the file in the cache was changed after it was downloaded: it comes again"
            ));
            return Ok(false);
        }
        self.address.check_listed(&digest)?;
        Ok(true)
    }

    fn check(&self, digest: &str) -> Result<()> {
        if let Some(expected) = self.description.sha256() {
            ensure!(
                digest.eq_ignore_ascii_case(expected),
                "what was downloaded is not the file: its SHA-256 is {digest} and should be {expected}. It was removed; \
                 pull again"
            );
        } else if self.address.sha256.is_none() {
            say(format_args!("note: the hub gives no SHA-256 for this file: its size alone was checked"));
        }
        self.address.check_listed(digest)
    }

    /// Reads until the file is whole, over as many connections as it takes; its digest.
    fn fill(&self, file: &mut File) -> Result<String> {
        let total = self.description.bytes;
        let progress = self.progress(total);
        let mut state = State { have: file.metadata()?.len(), digest: Sha256::new(), progress };
        if state.have > total {
            state.restart(file)?;
        }
        if state.have > 0 {
            hash(file, &mut state)?;
            if !self.quiet {
                say(format_args!("going on behind the {} bytes that are there", state.have));
            }
        }
        let mut failures = 0;
        while state.have < total {
            let before = state.have;
            match self.attempt(file, &mut state) {
                Ok(()) if state.have >= total => break,
                Err(Failure::Final(error)) => return Err(error),
                Ok(()) | Err(Failure::Again(_)) if state.have > before => failures = 0,
                Ok(()) => failures += 1,
                Err(Failure::Again(error)) => {
                    failures += 1;
                    if failures > self.retries {
                        return Err(error.context(format!(
                            "the download ended after {} of {total} bytes; what is there is kept, and the same command goes on",
                            state.have
                        )));
                    }
                }
            }
            ensure!(
                failures <= self.retries,
                "the server ended the download after {} of {total} bytes; what is there is kept, and the same command goes on",
                state.have
            );
            // At once after progress, then after 1, 2, 4, … seconds.
            if failures > 0 {
                sleep(Duration::from_secs(1 << (failures - 1).min(5)));
            }
        }
        Ok(hex(&state.digest.finalize()))
    }

    /// One connection.
    fn attempt(&self, file: &mut File, state: &mut State) -> Result<(), Failure> {
        let opened = self.hub.open(self.address, self.file, &self.description.commit, state.have);
        let mut response = opened.map_err(|error| {
            // What the server says is final, unless it has a problem; that it cannot be reached is not.
            let busy = |refusal: &Refusal| refusal.status >= 500 || refusal.status == 429;
            let again =
                error.downcast_ref::<ureq::Error>().is_some() || error.downcast_ref().is_some_and(busy);
            if again { Failure::Again(error) } else { Failure::Final(error) }
        })?;
        let total = self.description.bytes;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
                let expected = format!("bytes {}-{}/{total}", state.have, total - 1);
                if range != Some(expected.as_str()) {
                    let range = range.unwrap_or("no range").to_owned();
                    let wrong = anyhow!("the server sends {range} where {expected} was asked for");
                    return Err(Failure::Final(wrong));
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                // What is there is not the beginning of what the server has.
                return state.restart(file).map_err(Failure::Final);
            }
            // The whole file, whatever was asked for.
            _ => {
                if let Some(length) = length(&response).filter(|length| *length != total) {
                    let wrong =
                        anyhow!("the server sends a file of {length} bytes where the hub says {total}");
                    return Err(Failure::Final(wrong));
                }
                state.restart(file).map_err(Failure::Final)?;
            }
        }
        // One more, to see whether it goes on where it should end.
        let mut body = response.body_mut().as_reader().take(total - state.have + 1);
        let mut buffer = vec![0; BUFFER];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Again(error.into())),
            };
            if n as u64 > total - state.have {
                let wrong = anyhow!("the server sends more than the {total} bytes that the hub says");
                state.restart(file).map_err(Failure::Final)?;
                return Err(Failure::Final(wrong));
            }
            let part = buffer.get(..n).unwrap_or_default();
            let written = file.write_all(part).context("cannot write to the cache (is the disk full?)");
            written.map_err(Failure::Final)?;
            state.digest.update(part);
            state.have += n as u64;
            state.progress.set(state.have);
        }
    }

    fn progress(&self, total: u64) -> Progress {
        if self.quiet {
            hide();
        }
        Progress::new(self.file.rsplit('/').next().unwrap_or(self.file), Unit::Bytes, total)
    }
}

/// How much the server says that it sends.
fn length(response: &Response<ureq::Body>) -> Option<u64> {
    response.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

/// Why a connection came to an end before the file did.
enum Failure {
    Again(anyhow::Error),
    Final(anyhow::Error),
}

/// What is there.
struct State {
    have: u64,
    digest: Sha256,
    progress: Progress,
}

impl State {
    fn restart(&mut self, file: &File) -> Result<()> {
        file.set_len(0).context("cannot begin the file anew")?;
        (self.have, self.digest) = (0, Sha256::new());
        self.progress.set(0);
        Ok(())
    }
}

/// Takes what an earlier attempt left into the digest.
fn hash(file: &mut File, state: &mut State) -> Result<()> {
    use std::io::Seek;
    file.rewind()?;
    let mut buffer = vec![0; BUFFER];
    let mut read = 0;
    while read < state.have {
        let n = file.read(&mut buffer).context("cannot read what an earlier attempt left")?;
        if n == 0 {
            bail!("what an earlier attempt left is changed by another program");
        }
        state.digest.update(buffer.get(..n).unwrap_or_default());
        read += n as u64;
        state.progress.set(read);
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // The name is in the folder, which is written by itself.
    #[cfg(unix)]
    if let Some(folder) = to.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
