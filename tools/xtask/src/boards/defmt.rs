//! Reads a log of defmt as `defmt-print` does: enough of it for what is logged here.
//!
//! A frame is coded by rzCOBS and ends with a zero. In it are the number of a text, which is the address of a symbol in the ELF
//! file's section `.defmt`, and the text's arguments. The symbol's name is JSON and has the text.

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::collections::HashMap;

/// The version of the format and the coding of frames, as symbols say them.
const VERSION: &str = "_defmt_version_ = 4";
const CODING: &str = "_defmt_encoding_ = rzcobs";

struct Text {
    level: String,
    format: String,
}

/// The lines of a log that the program in this ELF file has written.
pub(super) fn print(elf: &[u8], log: &[u8]) -> Result<String> {
    let texts = texts(elf)?;
    let mut lines = String::new();
    let mut frames = log.split(|byte| *byte == 0);
    ensure!(frames.next_back().is_some_and(<[u8]>::is_empty), "the log ends within a frame");
    for frame in frames.filter(|frame| !frame.is_empty()) {
        let bytes = decoded(frame).context("a frame is damaged")?;
        let (number, mut arguments) = bytes.split_first_chunk().context("a frame has no text")?;
        let number = u16::from_le_bytes(*number);
        let text = texts.get(&number).with_context(|| format!("the program has no text number {number}"))?;
        let line = filled(&text.format, &mut arguments).with_context(|| format!("{:?}", text.format))?;
        // The last group of a frame is filled up with zeros.
        let filler = arguments.len() < 7 && arguments.iter().all(|byte| *byte == 0);
        ensure!(filler, "{:?} has {} bytes too many", text.format, arguments.len());
        lines.push_str(&format!("{:<5} {line}\n", text.level.to_uppercase()));
    }
    Ok(lines)
}

/// The texts of an ELF file, by number.
fn texts(elf: &[u8]) -> Result<HashMap<u16, Text>> {
    let file = object::File::parse(elf)?;
    let section = file.section_by_name(".defmt").context("the program has no log")?.index();
    let mut texts = HashMap::new();
    let mut known = 0;
    for symbol in file.symbols() {
        let name = symbol.name()?;
        known += usize::from(name == VERSION || name == CODING);
        if symbol.section_index() != Some(section) || !name.starts_with('{') {
            continue;
        }
        let parts: HashMap<String, serde_json::Value> =
            serde_json::from_str(name).with_context(|| format!("the symbol {name}"))?;
        let part = |key: &str| parts.get(key).and_then(|part| part.as_str()).unwrap_or_default().to_owned();
        if let Some(level) = part("tag").strip_prefix("defmt_") {
            texts.insert(symbol.address() as u16, Text { level: level.to_owned(), format: part("data") });
        }
    }
    ensure!(known == 2, "the program logs in another version or coding than `{VERSION}`, `{CODING}`");
    Ok(texts)
}

/// A frame without its coding. It is read from its end: a byte says which of the seven before it in the message are zero, or how
/// many are not.
fn decoded(frame: &[u8]) -> Option<Vec<u8>> {
    let mut coded = frame.iter().rev().copied();
    let mut message = Vec::new();
    while let Some(code) = coded.next() {
        match code {
            0 => return None,
            0x01..=0x7f => {
                for bit in (0..7).rev() {
                    message.push(if code & (1 << bit) == 0 { coded.next()? } else { 0 });
                }
            }
            0x80..=0xfe => {
                message.push(0);
                for _ in 0..(code & 0x7f) + 7 {
                    message.push(coded.next()?);
                }
            }
            0xff => {
                for _ in 0..134 {
                    message.push(coded.next()?);
                }
            }
        }
    }
    message.reverse();
    Some(message)
}

/// A text with its arguments in their places.
fn filled(format: &str, arguments: &mut &[u8]) -> Result<String> {
    let mut line = String::new();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once("{=") {
        let (kind, behind) = behind.split_once('}').context("a place has no end")?;
        line.push_str(before);
        match kind {
            "u32" | "usize" => line.push_str(&number(arguments)?.to_string()),
            "str" => {
                let len = number(arguments)? as usize;
                let (text, behind) = arguments.split_at_checked(len).context("a text is cut")?;
                line.push_str(std::str::from_utf8(text)?);
                *arguments = behind;
            }
            other => bail!("arguments of the type {other} are not read here"),
        }
        rest = behind;
    }
    line.push_str(rest);
    Ok(line)
}

fn number(arguments: &mut &[u8]) -> Result<u32> {
    let (bytes, rest) = arguments.split_first_chunk().context("a number is cut")?;
    *arguments = rest;
    Ok(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fill_their_places() {
        let mut arguments: &[u8] = b"\x07\0\0\0\x02\0\0\0hi\xff\xff\0\0";
        assert_eq!(filled("{=u32} of {=str}: {=usize}", &mut arguments).unwrap(), "7 of hi: 65535");
        assert!(arguments.is_empty());
        for wrong in ["{=u32}", "{=str}", "{=f32}", "{=u32"] {
            assert!(filled(wrong, &mut &b"\x09\0\0"[..]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_are_decoded() {
        // Seven bytes of which the first and the last are zero, and a code for each byte that is: the seventh is bit 6.
        assert_eq!(decoded(b"\x02\x03\x04\x05\x06\x41").unwrap(), b"\0\x02\x03\x04\x05\x06\0");
        // Seven that are not, and one that is.
        assert_eq!(decoded(b"\x01\x02\x03\x04\x05\x06\x07\x80").unwrap(), b"\x01\x02\x03\x04\x05\x06\x07\0");
        assert_eq!(decoded(&[vec![9; 134], vec![0xff]].concat()).unwrap(), [9; 134]);
        for cut in [&b"\x02\x41"[..], b"\x01\x80", b"\xff", b"\x01\0"] {
            assert_eq!(decoded(cut), None);
        }
    }
}
