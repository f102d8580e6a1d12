//! A text in which the names of control tokens may stand for them.

use bitnet_edge_core::text::Tokenizer;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment<'t> {
    /// Text, from its byte `start` on.
    Text {
        /// Where it begins.
        start: usize,
        /// What it is.
        bytes: &'t [u8],
    },
    /// The name of a control token.
    Special {
        /// The token.
        id: u32,
        /// Where the name begins.
        start: usize,
        /// Where it ends.
        end: usize,
    },
}

/// The parts of `text`; with `special`, names of control tokens are parts of their own. Longer names go first, as in
/// llama.cpp, so that `<|im_start|>` is never taken for a shorter name inside it.
pub(super) fn fragments<'t>(tokenizer: &Tokenizer<'_>, text: &'t [u8], special: bool) -> Vec<Fragment<'t>> {
    let mut parts = vec![Fragment::Text { start: 0, bytes: text }];
    if special {
        let names = tokenizer.control_tokens().map(|id| (tokenizer.token_bytes(id), id));
        let mut names: Vec<_> = names.filter(|(name, _)| !name.is_empty()).collect();
        names.sort_by_key(|&(name, id)| (std::cmp::Reverse(name.len()), id));
        for (name, id) in names {
            parts = parts.into_iter().flat_map(|part| split(part, name, id)).collect();
        }
    }
    parts.retain(|part| !matches!(part, Fragment::Text { bytes: [], .. }));
    parts
}

/// Cuts a part at every occurrence of `name`.
fn split<'t>(part: Fragment<'t>, name: &[u8], id: u32) -> Vec<Fragment<'t>> {
    let Fragment::Text { start, bytes } = part else { return vec![part] };
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(name.len()).position(|window| window == name) {
        let (begin, end) = (from + at, from + at + name.len());
        parts.push(Fragment::Text { start: start + from, bytes: &bytes[from..begin] });
        parts.push(Fragment::Special { id, start: start + begin, end: start + end });
        from = end;
    }
    parts.push(Fragment::Text { start: start + from, bytes: &bytes[from..] });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_out_wherever_it_stands() {
        let text = Fragment::Text { start: 10, bytes: b"<s>a<s><s>" };
        let special = |start| Fragment::Special { id: 7, start, end: start + 3 };
        let text_at = |start, bytes| Fragment::Text { start, bytes };
        let found = split(text, b"<s>", 7);
        let parts = [
            text_at(10, &b""[..]),
            special(10),
            text_at(13, b"a"),
            special(14),
            text_at(17, b""),
            special(17),
            text_at(20, b""),
        ];
        assert_eq!(found, parts);
        assert_eq!(split(special(10), b"<s>", 8), [special(10)]);
        assert_eq!(split(text_at(0, b"abc"), b"<s>", 8), [text_at(0, b"abc")]);
    }
}
