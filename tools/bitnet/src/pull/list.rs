//! Lists of models and files for a reader.

use std::fmt::Write as _;

use super::hub::Listed;
use crate::models::{KNOWN, LOOKED_UP};

/// The models that have a short name.
pub(super) fn known() -> String {
    let mut text = String::new();
    for known in KNOWN {
        let size = known.bytes.map_or_else(|| "size not known".to_owned(), megabytes);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<20} {size:>14}  {:<11} {}\n{:20} hf:{}/{}\n{:20} source: {}; its page: https://huggingface.co/{}/blob/main/{}",
            known.name,
            known.format.name(),
            known.licence,
            "",
            known.repo,
            known.file,
            "",
            known.source,
            known.repo,
            known.file
        );
        if let Some(publisher) = known.publisher() {
            let _ = writeln!(
                text,
                "{:20} converted and published by {publisher}; the model is {}'s",
                "", known.maker
            );
        }
        let state = known.obstacle().map_or_else(
            || "runs by its format, architecture and tokenizer; not tested with the file itself".to_owned(),
            |obstacle| format!("does not run: {obstacle}"),
        );
        let _ = writeln!(text, "{:20} {state}\n", "");
    }
    let _ = writeln!(
        text,
        "Listed on {LOOKED_UP}. Repositories change: read a model's licence on its page before you use it."
    );
    text
}

/// Files with their sizes, in one line.
pub(super) fn files<'a>(files: impl Iterator<Item = &'a Listed>) -> String {
    let all = files.map(|file| match file.bytes {
        Some(bytes) => format!("{} ({})", file.path, megabytes(bytes)),
        None => file.path.clone(),
    });
    let text = all.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

/// Sizes as the hub writes them, in powers of ten.
pub(super) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_model_is_listed_with_what_keeps_it_from_running() {
        let text = known();
        for known in KNOWN {
            assert!(text.contains(known.name) && text.contains(&format!("hf:{}/{}", known.repo, known.file)));
        }
        let entry = |name: &str| text.split("\n\n").find(|entry| entry.starts_with(name)).unwrap();
        assert!(
            entry("bitnet-b1.58-large")
                .contains("converted and published by gianni-cor; the model is 1bitLLM's\n")
        );
        assert!(!entry("bitnet-b1.58-2b-4t").contains("published by"), "{text}");
        assert!(text.contains("1.19 GB") && text.contains("does not run: TL1 and TL2"), "{text}");
    }

    #[test]
    fn files_are_one_line_with_sizes() {
        let file = |path: &str, bytes| Listed { path: path.to_owned(), bytes };
        let all = [file("a.gguf", Some(1_500)), file("b.gguf", Some(270_000_000)), file("c", None)];
        assert_eq!(files(all.iter()), "a.gguf (1.5 kB), b.gguf (270 MB), c");
        assert_eq!(files([].iter()), "none");
    }
}
