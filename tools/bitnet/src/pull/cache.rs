//! The folder that tools of the hub share: `models--owner--name/{blobs,snapshots,refs}`.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::address::{Address, SCHEME, is_plain};
use super::present::is_newer_than_its_name;

/// The cache that the environment names, as `huggingface_hub` finds it.
pub(super) fn cache() -> Cache {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE")) {
        return Cache::new(folder);
    }
    let home = set("HF_HOME").or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("huggingface")));
    home.map_or_else(Cache::default, |home| Cache::new(home.join("hub")))
}

/// The part of a cache that is a repository's, at a revision.
pub(super) struct Store {
    root: PathBuf,
    /// `owner/name`
    name: String,
    repo: Repo,
    handle: CacheRepo,
}

impl Store {
    pub(super) fn new(cache: &Cache, address: &Address) -> Self {
        let repo = Repo::with_revision(address.repo.clone(), RepoType::Model, address.revision.clone());
        Self {
            root: cache.path().clone(),
            name: address.repo.clone(),
            handle: cache.repo(repo.clone()),
            repo,
        }
    }

    /// Where all repositories lie.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the content with this name lies: what servers and trees call an ETag.
    pub(super) fn blob(&self, etag: &str) -> Result<PathBuf> {
        ensure!(is_plain(etag), "the hub gives the file an ETag that is no file name: {etag:?}");
        Ok(self.folder().join("blobs").join(etag))
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.repo.folder_name())
    }

    /// A file that is there already; of a commit or of what a branch was when it was last asked for.
    ///
    /// # Errors
    ///
    /// No file is named, and there are several models.
    pub(super) fn find(&self, file: Option<&str>) -> Result<Option<PathBuf>> {
        let snapshot = [self.commit(), Some(self.repo.revision().to_owned())].into_iter().flatten();
        let mut folders = snapshot.filter(|c| is_plain(c)).map(|c| self.handle.pointer_path(&c));
        let Some(folder) = folders.find(|folder| folder.is_dir()) else { return Ok(None) };
        let Some(file) = file else {
            return self.only_model(&folder);
        };
        Ok(Some(folder.join(file)).filter(|path| path.is_file()))
    }

    /// The one GGUF file of a snapshot.
    fn only_model(&self, folder: &Path) -> Result<Option<PathBuf>> {
        let mut files = Vec::new();
        models(folder, &mut files).with_context(|| format!("cannot read {}", folder.display()))?;
        files.sort();
        if let [_, _, ..] = &files[..] {
            let names =
                files.iter().map(|path| path.strip_prefix(folder).unwrap_or(path).display().to_string());
            bail!(
                "there are several GGUF files of {repo} in the cache; name one, as in {SCHEME}{repo}/FILE: {}",
                names.collect::<Vec<_>>().join(", "),
                repo = self.name,
            );
        }
        Ok(files.pop())
    }

    fn commit(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder().join("refs").join(self.repo.revision())).ok()?;
        Some(text.trim().to_owned())
    }

    /// Makes the folders of a file, and keeps others from writing the same one until what is returned is dropped.
    pub(super) fn lock(&self, etag: &str) -> Result<File> {
        let blob = self.blob(etag)?;
        let locks = self.root.join(".locks").join(self.repo.folder_name());
        for folder in [blob.parent().unwrap_or(&self.root), &locks] {
            fs::create_dir_all(folder).with_context(|| self.unwritable(folder))?;
        }
        let path = locks.join(format!("{etag}.lock"));
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let file = file.with_context(|| self.unwritable(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another program is downloading this file now ({} is locked); wait for it",
                    path.display()
                )
            }
            // A file system without locks has nobody who could hold one.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => Ok(file),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| self.unwritable(&path)),
        }
    }

    pub(super) fn unwritable(&self, path: &Path) -> String {
        format!(
            "cannot write {} in the cache {}; HF_HOME or HF_HUB_CACHE names another",
            path.strip_prefix(&self.root).unwrap_or(path).display(),
            self.root.display()
        )
    }

    /// Gives a blob its name in the commit's tree, and the revision its commit; the name's path.
    pub(super) fn link(&self, etag: &str, commit: &str, file: &str) -> Result<PathBuf> {
        ensure!(is_plain(commit), "the hub names a commit that is no file name: {commit:?}");
        let pointer = self.handle.pointer_path(commit).join(file);
        let folder = pointer.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).with_context(|| self.unwritable(folder))?;
        place(&self.blob(etag)?, &pointer, file).with_context(|| self.unwritable(&pointer))?;
        if self.repo.revision() != commit {
            self.handle.create_ref(commit).with_context(|| self.unwritable(Path::new("refs")))?;
        }
        Ok(pointer)
    }
}

/// Puts a link to the blob where it is to be found; a copy where the system has no links.
fn place(blob: &Path, pointer: &Path, file: &str) -> std::io::Result<()> {
    if pointer.exists() && fs::canonicalize(pointer)? == fs::canonicalize(blob)? {
        if is_newer_than_its_name(pointer) {
            // A link that stays as old as it is has its file read again.
            let _ = renew(pointer);
        }
        return Ok(());
    }
    if pointer.symlink_metadata().is_ok() {
        fs::remove_file(pointer)?;
    }
    // From snapshots/COMMIT, and from each folder that the file lies in.
    let up = "../".repeat(2 + file.matches('/').count());
    let name = blob.file_name().unwrap_or_default();
    let target = Path::new(&up).join("blobs").join(name);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(target, pointer)
    }
    #[cfg(not(unix))]
    {
        let _ = target;
        fs::hard_link(blob, pointer).or_else(|_| fs::copy(blob, pointer).map(|_| ()))
    }
}

/// Makes the link anew that a file's name is, so that it is younger than what it names.
pub(super) fn renew(pointer: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let fresh = pointer.with_added_extension(format!("{}.link", std::process::id()));
        // What a program of the same number left, which was ended between the two.
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(fs::read_link(pointer)?, &fresh)?;
        fs::rename(&fresh, pointer)
    }
    #[cfg(not(unix))]
    {
        let _ = pointer;
        Ok(())
    }
}

/// Adds the GGUF files of a folder and of those in it.
fn models(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Files are links, folders are not: no circle is followed.
        if entry.file_type()?.is_dir() {
            models(&path, found)?;
        } else if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf")) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path, address: &str) -> Store {
        Store::new(&Cache::new(folder.to_owned()), &Address::parse(address).unwrap())
    }

    #[test]
    fn a_file_is_found_under_branch_and_commit() {
        let folder = tempfile::tempdir().unwrap();
        let main = store(folder.path(), "hf:me/model");
        assert_eq!(main.find(None).unwrap(), None);
        let _lock = main.lock("abc").unwrap();
        fs::write(main.blob("abc").unwrap(), "weights").unwrap();
        let path = main.link("abc", "c0ffee", "sub/a.gguf").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "weights");
        assert!(path.ends_with("models--me--model/snapshots/c0ffee/sub/a.gguf"));
        // Again is the same.
        assert_eq!(main.link("abc", "c0ffee", "sub/a.gguf").unwrap(), path);
        assert_eq!(main.find(Some("sub/a.gguf")).unwrap(), Some(path.clone()));
        let commit = store(folder.path(), "hf:me/model@c0ffee");
        assert_eq!(commit.find(Some("sub/a.gguf")).unwrap(), Some(path.clone()));
        assert_eq!(main.find(Some("b.gguf")).unwrap(), None);
        // Without a name it is the only one, in whatever folder; of several one is to be named.
        main.link("abc", "c0ffee", "config.json").unwrap();
        assert_eq!(main.find(None).unwrap(), Some(path));
        main.link("abc", "c0ffee", "two.GGUF").unwrap();
        let error = main.find(None).unwrap_err().to_string();
        assert_eq!(
            error,
            "there are several GGUF files of me/model in the cache; name one, as in hf:me/model/FILE: sub/a.gguf, two.GGUF"
        );
        // What the file was has changed.
        fs::write(main.blob("def").unwrap(), "others").unwrap();
        let path = main.link("def", "c0ffee", "two.GGUF").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "others");
    }

    #[test]
    fn one_program_downloads_a_file_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "hf:me/model");
        let held = store.lock("abc").unwrap();
        let error = store.lock("abc").unwrap_err().to_string();
        assert!(error.contains("another program is downloading"), "{error}");
        drop(held);
        store.lock("abc").unwrap();
    }

    #[test]
    fn names_from_the_hub_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "hf:me/model");
        assert!(store.blob("../x").is_err() && store.lock("a/b").is_err() && store.blob("").is_err());
        assert!(store.link("abc", "../..", "a.gguf").is_err());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = format!("{:#}", store(&file, "hf:me/model").lock("abc").unwrap_err());
        assert!(error.contains("cannot write models--me--model/blobs in the cache"), "{error}");
        assert!(error.contains("HF_HOME"), "{error}");
    }
}
