//! What the documentation promises: an example on every public item of core and kernels, and one on the README that runs.

use std::fs;
use std::path::{Path, PathBuf};

use bitnet_edge_tests::files;

/// Keywords that a public item of interest can begin with, besides `const fn` and `unsafe fn`.
const ITEMS: [&str; 7] = ["fn", "struct", "enum", "trait", "const", "static", "type"];

/// The public items in `source` whose documentation has no example, as line number and text.
///
/// Modules are described, not shown; fields, variants and methods of traits are shown by what they belong to.
fn without_example(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut example, mut exported) = (false, false);
    let mut lines = source.lines().map(str::trim).enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|(_, next)| next.ends_with('{')) {
            break; // the unit tests are the end of a file
        }
        if let Some(doc) = line.strip_prefix("///") {
            example |= doc.trim_start().starts_with("```");
        } else if line.starts_with("#[") {
            exported |= line == "#[macro_export]";
            // An attribute goes on to the line that closes it.
            let mut last = line;
            while !last.ends_with(']') {
                let Some((_, next)) = lines.next() else { break };
                last = next;
            }
        } else {
            let public =
                line.strip_prefix("pub ").is_some_and(|rest| ITEMS.iter().any(|item| begins(rest, item)));
            let public = public || exported && line.starts_with("macro_rules!");
            if public && !example {
                found.push((at + 1, line));
            }
            (example, exported) = (false, false);
        }
    }
    found
}

fn begins(declaration: &str, keyword: &str) -> bool {
    let declaration = declaration.strip_prefix("unsafe ").unwrap_or(declaration);
    declaration.strip_prefix(keyword).is_some_and(|rest| rest.starts_with(' '))
}

/// The sources of a crate, without those of its unit tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.with_extension("");
        let name = module.file_name().and_then(|name| name.to_str()).unwrap();
        let parent = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
        if parent.contains(&format!("#[cfg(test)]\nmod {name};")) {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_public_item_has_an_example() {
    let mut paths = Vec::new();
    for folder in ["core/src", "kernels/src"] {
        sources(&files::root().join(folder), &mut paths);
    }
    assert!(paths.len() > 50, "{paths:?}");
    let mut missing = Vec::new();
    for path in paths {
        let source = fs::read_to_string(&path).unwrap();
        missing.extend(
            without_example(&source).iter().map(|(line, item)| format!("{}:{line}: {item}", path.display())),
        );
    }
    assert!(missing.is_empty(), "no example in the documentation of\n{}", missing.join("\n"));
}

#[test]
fn an_item_without_example_is_found() {
    let source = "
/// Has one.
///
/// ```
/// assert!(true);
/// ```
#[derive(Clone)]
pub struct Shown;

/// Has none.
#[cfg_attr(
    test,
    derive(Debug)
)]
pub struct Bare;

impl Bare {
    /// As little.
    pub const fn method(&self) {}
    pub(crate) fn hidden(&self) {}
}

/// Has one, in front of an attribute of several lines.
///
/// ```
/// assert!(true);
/// ```
#[serde(bound(
    serialize = \"T: Serialize, \\
                 U: Serialize\"
))]
pub struct Bound<T, U>(T, U);

/// Nor this.
#[macro_export]
macro_rules! exported { () => {} }

macro_rules! private { () => {} }

#[cfg(test)]
mod helpers;

pub mod part;

pub const LAST: u32 = 0;

#[cfg(test)]
mod tests {
    pub fn helper() {}
}
";
    let names: Vec<&str> = without_example(source).into_iter().map(|(_, item)| item).collect();
    let expected = [
        "pub struct Bare;",
        "pub const fn method(&self) {}",
        "macro_rules! exported { () => {} }",
        "pub const LAST: u32 = 0;",
    ];
    assert_eq!(names, expected);
}

/// The code between the first fences behind `from`, in a text whose lines begin with `prefix`.
fn first_example<'t>(text: &'t str, from: &str, prefix: &str) -> Vec<&'t str> {
    let (_, behind) = text.split_once(from).unwrap();
    let lines = behind.lines().map(|line| line.strip_prefix(prefix).unwrap_or(""));
    lines.skip_while(|line| !line.starts_with("```")).skip(1).take_while(|line| *line != "```").collect()
}

/// The front page's runs as a test; so the README's does, too.
#[test]
fn the_readme_shows_the_example_of_the_front_page() {
    let text = |path| String::from_utf8(files::read(path)).unwrap();
    let front = text("core/src/lib.rs");
    let front = first_example(&front, "# On a device", "//! ");
    let shown = front.iter().filter(|line| **line != "#" && !line.starts_with("# ")); // without what is hidden
    let shown: Vec<_> = shown.map(|line| line.replace("../testdata/tiny.bpk", "model.bpk")).collect();
    assert_eq!(first_example(&text("README.md"), "## On a device", ""), shown);
    assert!(shown.len() > 30, "{shown:?}");
}

/// What the guide shows is the board's real code.
#[test]
fn the_porting_guide_shows_a_whole_board() {
    let text = |path| String::from_utf8(files::read(path)).unwrap();
    let board = text("boards/virt-aarch64/src/main.rs");
    assert_eq!(
        first_example(&text("docs/porting-a-board.md"), "## AArch64", ""),
        board.lines().collect::<Vec<_>>()
    );
    assert!(board.contains("fn main("));
}
