//! The files in which Linux describes a machine.

use std::fs;
use std::path::{Path, PathBuf};

/// A file system's root: that of this machine, or in tests that of a stored one.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// This machine.
    pub(crate) fn system() -> Self {
        Self(PathBuf::from("/"))
    }

    /// The machine whose files lie below `folder`.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What a file says, without white space around it; `None` if there is no such file or nothing in it.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        // The device tree ends its texts with a NUL.
        let bytes = fs::read(self.0.join(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A number that a file says.
    pub(crate) fn number(&self, path: &str) -> Option<u64> {
        self.read(path)?.parse().ok()
    }
}

/// What follows `key:` in a text of such lines.
pub(crate) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Bytes of a number of kilobytes: `512 kB`.
pub(crate) fn kilobytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|n| n * 1024)
}

/// The numbers of a list as Linux writes it: `0-3,8`.
pub(crate) fn numbers(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        // No machine has more processors than this; a longer range is no list of them.
        Some(first.trim().parse().ok()?..=last.trim().parse().ok().filter(|&last: &usize| last < 1 << 16)?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A root with these files.
    pub(crate) fn root_with<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        root
    }

    #[test]
    fn lists_fields_and_sizes_are_read_as_linux_writes_them() {
        assert_eq!(numbers("0-2,5,7-8\n"), [0, 1, 2, 5, 7, 8]);
        assert_eq!(numbers(""), [0usize; 0]);
        assert_eq!(numbers("0-99999999999,3"), [3]);
        assert_eq!(field("a\t: 1\nmodel name\t: X: Y\n", "model name"), Some("X: Y"));
        assert_eq!(field("a: 1", "b"), None);
        assert_eq!(kilobytes("  24 kB"), Some(24 * 1024));
        assert_eq!(kilobytes("24 MB"), None);
    }

    #[test]
    fn files_that_are_not_there_say_nothing() {
        let folder = root_with([("empty", "\n"), ("name", "Board 5\0"), ("number", "7\n")]);
        let root = Root::at(folder.path());
        assert_eq!((root.read("nothing"), root.read("empty"), root.number("name")), (None, None, None));
        assert_eq!((root.read("name").as_deref(), root.number("number")), (Some("Board 5"), Some(7)));
    }
}
