pub(super) static LETTERS: &[u8] = &[];
pub(super) static NUMBERS: &[u8] = &[];
pub(super) static LEAVES: &[[u8; 32]] = &[];
