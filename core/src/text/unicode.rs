//! The classes of characters that pre-tokenizers tell apart.

use super::unicode_data::{BLOCKS, EDGES, LETTERS, NUMBERS, PAGES};
#[cfg(feature = "full")]
use super::unicode_more as more;

/// The class of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// General category L.
    Letter,
    /// General category N.
    Number,
    /// The property `White_Space`.
    Space,
    /// Everything else, bytes that are not UTF-8 included.
    Other,
}

/// A character of a text and the bytes that it takes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Character {
    /// The code point; U+FFFD for a byte that is not UTF-8.
    pub(crate) code: u32,
    /// Bytes, 1 to 4.
    pub(crate) len: usize,
    pub(crate) class: Class,
}

/// The character that `text` begins with; `None` if it is empty.
pub(crate) fn first_character(text: &[u8]) -> Option<Character> {
    let lead = *text.first()?;
    if lead.is_ascii() {
        return Some(Character { code: lead.into(), len: 1, class: ascii_class(lead) });
    }
    let len = utf8_len(lead);
    let decoded = text.get(..len).and_then(|bytes| core::str::from_utf8(bytes).ok()?.chars().next());
    Some(match decoded {
        Some(character) => Character { code: character.into(), len, class: class(character.into()) },
        None => Character { code: 0xfffd, len: 1, class: Class::Other },
    })
}

/// How many bytes a character has whose first byte is `lead`; 1 for bytes that begin none.
pub(crate) fn utf8_len(lead: u8) -> usize {
    match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
        _ => 1,
    }
}

fn ascii_class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
        b'0'..=b'9' => Class::Number,
        0x09..=0x0d | b' ' => Class::Space,
        _ => Class::Other,
    }
}

/// The class of a code point.
pub(crate) fn class(code: u32) -> Class {
    if is_space(code) {
        Class::Space
    } else if contains(LETTERS, code) {
        Class::Letter
    } else if contains(NUMBERS, code) {
        Class::Number
    } else {
        Class::Other
    }
}

/// The property `White_Space`.
fn is_space(code: u32) -> bool {
    matches!(
        code,
        0x09..=0x0d | 0x20 | 0x85 | 0xa0 | 0x1680 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000
    )
}

/// General category P.
#[cfg(feature = "full")]
pub(crate) fn is_punctuation(code: u32) -> bool {
    contains_in(more::BLOCKS, more::PAGES, more::EDGES, more::PUNCTUATION, code)
}

/// General category M.
#[cfg(feature = "full")]
pub(crate) fn is_mark(code: u32) -> bool {
    contains_in(more::BLOCKS, more::PAGES, more::EDGES, more::MARKS, code)
}

/// The letters that the pre-tokenizer of `DeepSeek` LLM lists: those of scripts with upper and lower case.
#[cfg(feature = "full")]
pub(crate) fn is_cased(code: u32) -> bool {
    contains_in(more::BLOCKS, more::PAGES, more::EDGES, more::CASED, code)
}

/// Whether a class has a code point, by the tables that every build has.
fn contains(blocks: &[u8], code: u32) -> bool {
    contains_in(BLOCKS, PAGES, EDGES, blocks, code)
}

/// Whether a class has a code point. A page of 256 code points is the list of those in it where membership changes; equal pages
/// are shared, and so are equal blocks of eight. A bitmap would take three times the flash.
#[inline(always)]
fn contains_in(known: &[[u8; 8]], pages: &[u16], edges: &[u8], blocks: &[u8], code: u32) -> bool {
    let block = usize::from(blocks.get((code >> 11) as usize).copied().unwrap_or(0));
    let page = known.get(block).and_then(|pages| pages.get((code >> 8 & 7) as usize)).copied().unwrap_or(0);
    let [from, to] = [0, 1].map(|next| pages.get(usize::from(page) + next).map_or(0, |&at| at.into()));
    let edges: &[u8] = edges.get(from..to).unwrap_or_default();
    edges.partition_point(|&edge| u32::from(edge) <= code & 0xff) % 2 != 0
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use regex_syntax::hir::{Class as Set, HirKind};
    use std::fmt::Write;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    /// Every code point of a Unicode class, as `regex-syntax` has it.
    fn members(class: &str) -> Vec<bool> {
        let hir = regex_syntax::parse(class).unwrap();
        let HirKind::Class(Set::Unicode(set)) = hir.kind() else { panic!("{class} is no class") };
        let mut members = std::vec![false; 0x11_0000];
        for range in set.ranges() {
            members[range.start() as usize..=range.end() as usize].fill(true);
        }
        members
    }

    /// The number of `entry`; a new one is put at the end.
    fn number<T: PartialEq>(entries: &mut Vec<T>, entry: T) -> usize {
        entries.iter().position(|known| *known == entry).unwrap_or_else(|| {
            entries.push(entry);
            entries.len() - 1
        })
    }

    /// The blocks of a class; pages and blocks that are not known yet are added.
    fn blocks(members: &[bool], pages: &mut Vec<Vec<u8>>, blocks: &mut Vec<Vec<usize>>) -> Vec<usize> {
        let edges = |page: &[bool]| -> Vec<u8> {
            let before = core::iter::once(&false).chain(page);
            let changes = before.zip(page).enumerate().filter(|(_, (before, member))| before != member);
            changes.map(|(at, _)| at as u8).collect()
        };
        let numbers: Vec<_> = members.chunks(256).map(|page| number(pages, edges(page))).collect();
        let mut found: Vec<_> = numbers.chunks(8).map(|block| number(blocks, block.to_vec())).collect();
        while found.last() == Some(&0) {
            found.pop();
        }
        found
    }

    /// The text of a file of tables of these classes: their names, what they are, and an expression for each.
    fn generate(classes: &[[&str; 3]]) -> String {
        let (mut pages, mut known) = (std::vec![Vec::new()], std::vec![std::vec![0; 8]]);
        let mut out = String::from("// Made by the test `text::unicode::tests::the_tables_are_current`.\n");
        let mut table = |doc: &str, name: &str, kind: &str, entries: &dyn std::fmt::Debug| {
            writeln!(out, "\n/// {doc}.\n#[rustfmt::skip]").unwrap();
            writeln!(out, "pub(super) static {name}: &[{kind}] = &{entries:?};").unwrap();
        };
        for [name, doc, class] in classes {
            let blocks = blocks(&members(class), &mut pages, &mut known);
            table(&std::format!("The block of every 2048 code points: {doc}"), name, "u8", &blocks);
        }
        table("The pages of 256 code points of a block", "BLOCKS", "[u8; 8]", &known);
        let starts = pages.iter().scan(0, |at, page| {
            *at += page.len();
            Some(*at)
        });
        let starts: Vec<_> = core::iter::once(0).chain(starts).collect();
        table(
            "Where the edges of a page begin; those of the next one begin where they end",
            "PAGES",
            "u16",
            &starts,
        );
        table("Code points of a page where a class begins or ends", "EDGES", "u8", &pages.concat());
        out
    }

    /// `BLESS=1` writes the file anew.
    #[test]
    fn the_tables_are_current() {
        let always =
            [["LETTERS", "letters, category L", r"\p{L}"], ["NUMBERS", "numbers, category N", r"\p{N}"]];
        let more = [
            ["PUNCTUATION", "punctuation, category P", r"\p{P}"],
            ["MARKS", "marks, category M", r"\p{M}"],
            ["CASED", "the letters that `DeepSeek` LLM's expression lists", crate::text::words::CASED],
        ];
        for (name, classes) in [("unicode_data", &always[..]), ("unicode_more", &more)] {
            let path = std::format!("{}/src/text/{name}.rs", env!("CARGO_MANIFEST_DIR"));
            let generated = generate(classes);
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&path, &generated).unwrap();
            }
            assert!(std::fs::read_to_string(path).unwrap() == generated, "run this test with BLESS=1");
        }
    }

    #[test]
    fn more_classes_agree_with_regex_syntax() {
        let [punctuation, marks, cased] = [r"\p{P}", r"\p{M}", crate::text::words::CASED].map(members);
        for code in 0..0x11_0000 {
            let found = [is_punctuation(code), is_mark(code), is_cased(code)];
            let at = code as usize;
            assert_eq!(found, [punctuation[at], marks[at], cased[at]], "U+{code:04X}");
        }
    }

    #[test]
    fn classes_agree_with_regex_syntax() {
        let (letters, numbers, spaces) = (members(r"\p{L}"), members(r"\p{N}"), members(r"\s"));
        for code in 0..0x11_0000 {
            let at = code as usize;
            let expected = match (letters[at], numbers[at], spaces[at]) {
                (true, false, false) => Class::Letter,
                (false, true, false) => Class::Number,
                (false, false, true) => Class::Space,
                (false, false, false) => Class::Other,
                _ => panic!("U+{code:04X} has two classes"),
            };
            assert_eq!(class(code), expected, "U+{code:04X}");
            if let Some(byte) = u8::try_from(code).ok().filter(u8::is_ascii) {
                assert_eq!(ascii_class(byte), expected, "U+{code:04X}");
            }
        }
        assert_eq!(class(u32::MAX), Class::Other);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_single_others() {
        for text in
            [&b"\x80a"[..], b"\xff", b"\xc3", b"\xc3a", b"\xe2\x96", b"\xed\xa0\x80", b"\xf8\x80\x80\x80"]
        {
            let character = first_character(text).unwrap();
            assert_eq!((character.len, character.class), (1, Class::Other), "{text:?}");
        }
        assert_eq!(first_character("é".as_bytes()).unwrap().len, 2);
        assert_eq!(first_character(b""), None);
    }
}
