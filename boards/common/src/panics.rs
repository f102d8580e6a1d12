//! The last words of a firmware.

use core::fmt::{Display, Write};

/// Writes what a panic handler knows, on lines of their own; the handler then ends the firmware.
///
/// ```
/// let mut screen = String::new();
/// bitnet_edge_board::report_panic(&mut screen, &"panicked at src/main.rs:1:1:\nno reason");
/// assert_eq!(screen, "\n*** PANIC: panicked at src/main.rs:1:1:\n*** no reason\n");
/// ```
pub fn report_panic(out: &mut dyn Write, info: &dyn Display) {
    // There is nobody to tell that the console takes no text.
    let _ = writeln!(Marked { out, starts: false }, "\n*** PANIC: {info}");
}

/// Begins each further line with a mark, so that a message of several lines stays one to the eye.
struct Marked<'a> {
    out: &'a mut dyn Write,
    starts: bool,
}

impl Write for Marked<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            if self.starts && !matches!(character, '*' | '\n') {
                self.out.write_str("*** ")?;
            }
            self.starts = character == '\n';
            self.out.write_char(character)?;
        }
        Ok(())
    }
}
