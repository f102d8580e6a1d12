//! Models in several files, as llama.cpp splits them: `NAME-00001-of-00003.gguf`.

use std::fmt;
use std::path::Path;

use super::hub::Listed;

/// One of the files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// What stands before the numbers.
    stem: String,
    /// From 1.
    number: u32,
    count: u32,
}

impl Part {
    /// What a file is a part of, by its name.
    pub(super) fn of(file: &str) -> Option<Self> {
        let rest = file.get(..file.len().checked_sub(5)?)?;
        let (rest, count) = rest.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let read = |digits: &str| {
            let is_number = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number)
        };
        let (number, count) = (read(number)?, read(count)?);
        let is_part = file.to_lowercase().ends_with(".gguf") && count > 1 && (1..=count).contains(&number);
        is_part.then(|| Self { stem: stem.to_owned(), number, count })
    }

    /// Whether files are all the parts of one model.
    pub(super) fn are_all_of_one(files: &[&Listed]) -> bool {
        let parts: Vec<Option<Self>> = files.iter().map(|file| Self::of(&file.path)).collect();
        let Some(Some(first)) = parts.first() else { return false };
        let same = |part: &Option<Self>| {
            part.as_ref().is_some_and(|part| part.stem == first.stem && part.count == first.count)
        };
        parts.iter().all(same) && files.len() == first.count as usize
    }

    /// What joins the parts, of which one is at `path`.
    pub(super) fn join(&self, path: &Path) -> String {
        let name = self.stem.rsplit('/').next().unwrap_or_default();
        let first = path.with_file_name(format!("{name}-00001-of-{:05}.gguf", self.count));
        format!("llama-gguf-split --merge {} {name}.gguf", first.display())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {} of a model", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_known_by_its_name() {
        let part = Part::of("q4/big-model-00002-of-00003.gguf").unwrap();
        assert_eq!(part, Part { stem: "q4/big-model".to_owned(), number: 2, count: 3 });
        assert_eq!(part.to_string(), "part 2 of 3 of a model");
        let path = Path::new("cache/q4/big-model-00002-of-00003.gguf");
        assert_eq!(
            part.join(path),
            "llama-gguf-split --merge cache/q4/big-model-00001-of-00003.gguf big-model.gguf"
        );
        for whole in [
            "a.gguf",
            "a-00001-of-00001.gguf",
            "a-00004-of-00003.gguf",
            "a-00000-of-00003.gguf",
            "a-1-of-3.gguf",
            "a-0000x-of-00003.gguf",
            "a-00001-of-00003.bin",
            "gguf",
            "",
            "\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert_eq!(Part::of(whole), None, "{whole}");
        }
    }
}
