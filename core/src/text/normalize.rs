//! What happens to a text, byte by byte, before it is cut into words.

/// Puts the last character of `text` in lower case if its last byte completed one, and returns the new length.
///
/// Covered are ASCII, Latin-1, Latin Extended-A, the Greek capitals without accents and Cyrillic up to U+042F: what
/// needs no table, and never becomes longer. All other characters stay as they are.
pub(crate) fn lower_last(text: &mut [u8], len: usize) -> usize {
    let Some(head) = text.get_mut(..len) else { return len };
    let Some((last, before)) = head.split_last_mut() else { return len };
    if last.is_ascii() {
        last.make_ascii_lowercase();
        return len;
    }
    let Some(lead) = before.last_mut() else { return len };
    if !(0xc3..=0xd0).contains(lead) || !(0x80..0xc0).contains(last) {
        return len;
    }
    let code = (u32::from(*lead & 0x1f) << 6) | u32::from(*last & 0x3f);
    let Some(lower) = char::from_u32(lower(code)) else { return len };
    let mut utf8 = [0; 4];
    match *lower.encode_utf8(&mut utf8).as_bytes() {
        // Only U+0130 becomes shorter.
        [byte] => {
            *lead = byte;
            len.saturating_sub(1)
        }
        [first, second] => {
            (*lead, *last) = (first, second);
            len
        }
        _ => len,
    }
}

/// The lower case of a code point in the ranges that [`lower_last`] covers, of others the code point itself.
fn lower(code: u32) -> u32 {
    let even = code & 1 == 0;
    match code {
        0x41..=0x5a | 0xc0..=0xd6 | 0xd8..=0xde => code + 32,
        0x130 => 0x69,
        0x178 => 0xff,
        0x100..=0x137 | 0x14a..=0x177 if even => code + 1,
        0x139..=0x148 | 0x179..=0x17e if !even => code + 1,
        0x391..=0x3a1 | 0x3a3..=0x3a9 | 0x410..=0x42f => code + 32,
        0x400..=0x40f => code + 80,
        _ => code,
    }
}

/// Makes a space of a U+2581 at the end of `text` (how `SentencePiece` writes spaces), and returns the new length.
pub(crate) fn space_last(text: &mut [u8], len: usize) -> usize {
    let Some(head) = text.get_mut(..len) else { return len };
    match head.last_chunk_mut() {
        Some(mark) if *mark == [0xe2, 0x96, 0x81] => {
            mark[0] = b' ';
            len.saturating_sub(2)
        }
        _ => len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(text: &str) -> std::string::String {
        let mut bytes = std::vec![0; text.len()];
        let mut len = 0;
        for byte in text.bytes() {
            bytes[len] = byte;
            len = lower_last(&mut bytes, len + 1);
        }
        bytes.truncate(len);
        std::string::String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn agrees_with_unicode_where_covered_and_leaves_the_rest() {
        for character in '\0'..='\u{ffff}' {
            let code = u32::from(character);
            let covered = matches!(code, 0..=0x17f | 0x391..=0x3a9 | 0x400..=0x42f);
            // The standard library gives the full mapping; the simple one of U+0130 is its first character.
            let expected = if covered { character.to_lowercase().next().unwrap() } else { character };
            let text = std::string::String::from_iter(['x', character, 'Y']);
            assert_eq!(lowered(&text), std::string::String::from_iter(['x', expected, 'y']), "U+{code:04X}");
        }
    }

    #[test]
    fn marks_become_spaces() {
        let mut text = *b"a\xe2\x96\x81";
        assert_eq!(space_last(&mut text, 4), 2);
        assert_eq!(&text[..2], b"a ");
        assert_eq!(space_last(&mut text, 1), 1);
    }
}
