//! How the tokens of each model are written, and the bytes that they stand for.

/// Undoes the byte-level alphabet of GPT-2, in which every byte is a printable character: printable Latin-1 stands for
/// itself, the other bytes, in order, are U+0100 and up. `None` if the token has any other character.
pub(crate) fn decode(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    let is_printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match u8::try_from(code) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|&byte| !is_printable(byte)).nth(code.checked_sub(0x100)? as usize),
    }
}

/// The byte that a byte token of `SentencePiece` (`<0x0A>`) stands for.
pub(crate) fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_undone() {
        assert_eq!(decode("Ġupon"), Some(b" upon".to_vec()));
        assert_eq!(decode("Ċ"), Some(b"\n".to_vec()));
        assert_eq!(decode("Ãī"), Some("É".as_bytes().to_vec()));
        assert_eq!(decode("ÄŃ"), Some(vec![0xc4, 0xad]));
        assert_eq!(decode("a b"), None);
        assert_eq!(decode("ń"), None);
        let all: Vec<u8> = (0..0x144).filter_map(char::from_u32).filter_map(byte_of).collect();
        assert_eq!(all.len(), 256);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 256);
    }

    #[test]
    fn byte_tokens_are_read() {
        assert_eq!(byte_token("<0x0A>"), Some(10));
        assert_eq!(byte_token("<0xA>"), None);
        assert_eq!(byte_token("<0xZZ>"), None);
    }
}
