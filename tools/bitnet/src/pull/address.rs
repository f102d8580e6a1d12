//! Where a model is: `hf:owner/repo[/file][@revision]`, or a short name.

use std::fmt;

use anyhow::{Result, bail, ensure};

use crate::models;

/// A file of a repository on the hub, or the repository alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `owner/name`
    pub(crate) repo: String,
    /// With folders, if it lies in some.
    pub(crate) file: Option<String>,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
    /// The digest that the list of known models has.
    pub(crate) sha256: Option<&'static str>,
}

/// What every address begins with.
pub(crate) const SCHEME: &str = "hf:";
const BRANCH: &str = "main";

impl Address {
    /// Reads an address or a known name.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let Some(place) = text.strip_prefix(SCHEME) else {
            return Self::known(text);
        };
        let (path, revision) = place.split_once('@').unwrap_or((place, BRANCH));
        let mut parts = path.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            bail!("{text:?} names no repository: hf:owner/repo[/file][@revision] is needed");
        };
        for part in [owner, name] {
            ensure!(is_plain(part), "{text:?}: {part:?} is no name of an owner or a repository");
        }
        let file = parts.next().map(str::to_owned);
        if let Some(file) = &file {
            check_path(file)?;
        }
        check_path(revision)?;
        Ok(Self { repo: format!("{owner}/{name}"), file, revision: revision.to_owned(), sha256: None })
    }

    /// Refuses what has another digest than the list of known models gives for the name that was asked for.
    pub(super) fn check_listed(&self, digest: &str) -> Result<()> {
        let Some(listed) = self.sha256 else { return Ok(()) };
        ensure!(
            digest.eq_ignore_ascii_case(listed),
            "the file is not the one that was listed on {}: its SHA-256 is {digest} and should be {listed}. \
             bitnet pull {self} takes it as it is",
            models::LOOKED_UP
        );
        Ok(())
    }

    fn known(name: &str) -> Result<Self> {
        let Some(known) = models::find(name) else {
            bail!(
                "no model is known by the name {name:?}: bitnet pull --list has those that are; others are hf:owner/repo/file"
            );
        };
        Ok(Self {
            repo: known.repo.to_owned(),
            file: Some(known.file.to_owned()),
            revision: BRANCH.to_owned(),
            sha256: known.sha256,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repo)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        if self.revision == BRANCH { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

/// A name that is one folder and no more, wherever it is used.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 128 && name.chars().all(allowed) && !name.starts_with('.')
}

/// Refuses a path of a file or a revision that would lead out of the folder it is put into.
pub(super) fn check_path(path: &str) -> Result<()> {
    let fine = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(['\\', ':'])
            && !part.contains(char::is_control)
    };
    ensure!(path.len() <= 512 && path.split('/').all(fine), "{path:?} is no path of a file or a revision");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let read = |text| Address::parse(text).unwrap();
        let whole = read("hf:me/model-GGUF/sub/a.gguf@v1/x");
        assert_eq!((whole.repo.as_str(), whole.file.as_deref()), ("me/model-GGUF", Some("sub/a.gguf")));
        assert_eq!(whole.revision, "v1/x");
        for text in
            ["hf:me/model", "hf:me/model/a.gguf", "hf:me/model@0123abc", "hf:me/model/sub/a.gguf@v1/x"]
        {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!((read("hf:me/model").revision.as_str(), read("hf:me/model").file), ("main", None));
        let known = read("BitNet-b1.58-2B-4T");
        assert_eq!(known.repo, "microsoft/bitnet-b1.58-2B-4T-gguf");
        assert!(known.sha256.is_some() && known.file.is_some());
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (text, part) in [
            ("hf:me", "names no repository"),
            ("hf:/model", "is no name"),
            ("hf:../model/a.gguf", "is no name"),
            ("hf:me/..", "is no name"),
            ("hf:me/model/../../a.gguf", "is no path"),
            ("hf:me/model//a.gguf", "is no path"),
            ("hf:me/model/a\\b", "is no path"),
            ("hf:me/model@..", "is no path"),
            ("hf:me/model@", "is no path"),
            ("hf:me/mo del/a", "is no name"),
            ("no-such-name", "bitnet pull --list"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
