//! Two texts, one below the other.

use std::fmt;

/// Characters of a row.
const WIDTH: usize = 100;

/// Two texts in rows of the same length, a mark below the first character that differs.
pub(super) struct Rows<'t> {
    pub(super) theirs: &'t str,
    pub(super) ours: &'t str,
}

impl fmt::Display for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [theirs, ours] = [self.theirs, self.ours].map(shown);
        let longest = theirs.len().max(ours.len());
        let mark = (0..longest).find(|&at| theirs.get(at) != ours.get(at));
        for start in (0..longest.max(1)).step_by(WIDTH) {
            for (whose, text) in [("theirs", &theirs), ("ours  ", &ours)] {
                let row: String = text.iter().skip(start).take(WIDTH).collect();
                writeln!(f, "{whose} | {row}")?;
            }
            if let Some(mark) = mark.filter(|mark| (start..start + WIDTH).contains(mark)) {
                writeln!(f, "         {:>1$}", '^', mark - start + 1)?;
            }
        }
        Ok(())
    }
}

/// Each character in one place: line breaks and other control characters as pictures.
fn shown(text: &str) -> Vec<char> {
    let picture = |c: char| match c {
        '\0'..' ' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(c),
        _ => c,
    };
    text.chars().map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_marked_in_its_row() {
        let rows = Rows { theirs: "a\ncd", ours: "a\nxd" };
        assert_eq!(rows.to_string(), "theirs | a␊cd\nours   | a␊xd\n           ^\n");
        assert_eq!(Rows { theirs: "a", ours: "a" }.to_string(), "theirs | a\nours   | a\n");
        // Where one is the beginning of the other, right behind it.
        let long = "é".repeat(WIDTH);
        let longer = format!("{long}b");
        let rows = Rows { theirs: &long, ours: &longer };
        let expected = format!("theirs | {long}\nours   | {long}\ntheirs | \nours   | b\n         ^\n");
        assert_eq!(rows.to_string(), expected);
    }
}
