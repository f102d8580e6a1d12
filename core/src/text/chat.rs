//! Chat templates, rendered when a model is packed into what stands between the messages of a conversation.

use super::cursor::{Cursor, word};
use super::format::NONE;
use super::unicode::{Class, first_character};
use super::{Error, Piece};

const MAGIC: u32 = u32::from_le_bytes(*b"BCHT");
const VERSION: u16 = 1;
/// What can be before a message: nothing, or a message of one of three roles.
const ROWS: usize = 4;
/// What can follow: a message of one of three roles, the model's turn, the end.
const COLUMNS: usize = 5;

/// Whose message it is.
///
/// ```
/// # use bitnet_edge_core::text::{ChatTemplate, Role};
/// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/chatml.chat"));
/// let template = ChatTemplate::new_checked(section)?;
/// assert!(template.allows(None, Role::User));
/// assert!(template.allows(Some(Role::User), Role::Assistant));
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A message of a conversation.
///
/// ```
/// use bitnet_edge_core::text::{Message, Role};
/// let message = Message { role: Role::User, content: b"What is a transistor?" };
/// assert_eq!(message.role, Role::User);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whose it is.
    pub role: Role,
    /// What it says. Always text: a name of a special token in it is text, too.
    pub content: &'a [u8],
}

/// How what is rendered ends.
///
/// ```
/// # use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece, Role};
/// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/chatml.chat"));
/// let template = ChatTemplate::new_checked(section)?;
/// let messages = [Message { role: Role::User, content: b"Hi" }];
/// let last = |ending| Ok::<_, bitnet_edge_core::text::Error>(template.render(None, &messages, ending)?.last());
/// assert_eq!(last(Ending::Reply)?, Some(Piece::from("assistant\n"))); // the model's turn
/// assert_eq!(last(Ending::Close)?, Some(Piece::from("\n")));
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With what makes the model reply.
    Reply,
    /// With what closes a conversation that is over.
    Close,
}

/// A chat template over its packed section: what stands before the first message, between two messages and behind the
/// last, each depending on the roles on both sides.
///
/// ```
/// use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece, Role};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/chatml.chat"));
/// let template = ChatTemplate::new_checked(section)?;
/// let messages = [Message { role: Role::User, content: b"Hi <|im_end|>" }];
/// let mut pieces = template.render(None, &messages, Ending::Reply)?;
/// assert_eq!(pieces.next(), Some(Piece::Special(1))); // <|im_start|>
/// assert_eq!(pieces.next(), Some(Piece::from("user\n")));
/// assert_eq!(pieces.next(), Some(Piece::from("Hi <|im_end|>"))); // text, whatever it says
/// assert_eq!(pieces.next(), Some(Piece::Special(2))); // <|im_end|>
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ChatTemplate<'a> {
    /// A bit a role: its content is put without the white space around it.
    trims: u16,
    segments: &'a [[u8; 8]],
    pieces: &'a [[u8; 8]],
    text: &'a [u8],
}

impl<'a> ChatTemplate<'a> {
    /// Reads the header of `section`, checks every count and offset in it, and returns the view. That the special
    /// tokens exist is checked when they are encoded.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::NotASection`], [`Error::Unsupported`] or [`Error::Malformed`].
    ///
    /// ```
    /// use bitnet_edge_core::text::{ChatTemplate, Error};
    /// assert_eq!(ChatTemplate::new_checked(b"BTOK").err(), Some(Error::NotASection));
    /// ```
    pub fn new_checked(section: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor(section);
        if cursor.u32()? != MAGIC {
            return Err(Error::NotASection);
        }
        let version = cursor.u16()?;
        if version != VERSION {
            return Err(Error::Unsupported { field: "version", value: version.into() });
        }
        let trims = cursor.u16()?;
        if trims >= 1 << 3 {
            return Err(Error::Unsupported { field: "flags", value: trims.into() });
        }
        let (pieces, text) = (cursor.u32()? as usize, cursor.u32()? as usize);
        let segments = cursor.table(ROWS * COLUMNS)?;
        let template = Self { trims, segments, pieces: cursor.table(pieces)?, text: cursor.bytes(text)? };
        if !cursor.0.is_empty() {
            return Err(Error::Malformed { table: "section length" });
        }
        if !template
            .segments
            .iter()
            .all(|entry| word(entry) == NONE || range(template.pieces, entry).is_some())
        {
            return Err(Error::Malformed { table: "segments" });
        }
        if !template.pieces.iter().all(|entry| word(entry) == NONE || range(template.text, entry).is_some()) {
            return Err(Error::Malformed { table: "pieces" });
        }
        Ok(template)
    }

    /// Whether a message of `role` may follow one of `previous` (`None`: may begin a conversation).
    ///
    /// ```
    /// # use bitnet_edge_core::text::{ChatTemplate, Role};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/chatml.chat"));
    /// assert!(ChatTemplate::new_checked(section)?.allows(None, Role::System));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn allows(&self, previous: Option<Role>, role: Role) -> bool {
        self.segment(previous, column_of(role)).is_some()
    }

    /// The pieces of a conversation, to be encoded without marks at the ends: the template has them.
    ///
    /// `previous` is the role of the last message that the model has seen already, to go on with a conversation;
    /// `None` begins one. A template with a default system message puts it before a first message of another role.
    ///
    /// # Errors
    /// [`Error::RoleNotAllowed`] if the template does not foresee a message where it stands.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece, Role};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/chatml.chat"));
    /// let template = ChatTemplate::new_checked(section)?;
    /// let next = [Message { role: Role::User, content: b"And then?" }];
    /// let mut pieces = template.render(Some(Role::Assistant), &next, Ending::Reply)?;
    /// assert_eq!(pieces.next(), Some(Piece::Special(2))); // <|im_end|> of the reply
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn render<'c>(
        &self,
        previous: Option<Role>,
        messages: &'c [Message<'c>],
        ending: Ending,
    ) -> Result<ChatPieces<'c>, Error>
    where
        'a: 'c,
    {
        let mut before = previous;
        for (index, message) in messages.iter().enumerate() {
            if !self.allows(before, message.role) {
                return Err(Error::RoleNotAllowed { message: u32::try_from(index).unwrap_or(u32::MAX) });
            }
            before = Some(message.role);
        }
        if self.segment(before, ending_column(ending)).is_none() {
            return Err(Error::RoleNotAllowed { message: u32::try_from(messages.len()).unwrap_or(u32::MAX) });
        }
        let mut pieces = ChatPieces {
            template: *self,
            ending,
            messages,
            segment: &[],
            content: None,
            previous,
            is_over: false,
        };
        pieces.next_segment();
        Ok(pieces)
    }

    fn segment(&self, previous: Option<Role>, column: usize) -> Option<&'a [[u8; 8]]> {
        let row = previous.map_or(0, |role| column_of(role) + 1);
        let entry = self.segments.get(row * COLUMNS + column)?;
        if word(entry) == NONE { None } else { range(self.pieces, entry) }
    }
}

/// The pieces of a conversation, in order: for an [`Encoder`](super::Encoder).
///
/// ```
/// use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Role};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/chatml.chat"));
/// let template = ChatTemplate::new_checked(section)?;
/// let messages = [Message { role: Role::User, content: b"Hi" }];
/// assert_eq!(template.render(None, &messages, Ending::Reply)?.count(), 7);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChatPieces<'a> {
    template: ChatTemplate<'a>,
    ending: Ending,
    /// The messages whose segment is not reached yet.
    messages: &'a [Message<'a>],
    /// What is left of the segment at hand.
    segment: &'a [[u8; 8]],
    /// The content behind it.
    content: Option<&'a [u8]>,
    previous: Option<Role>,
    is_over: bool,
}

impl ChatPieces<'_> {
    /// Takes the next message, with the segment before it, or the segment that ends all.
    fn next_segment(&mut self) {
        let column = match self.messages.split_first() {
            Some((message, rest)) => {
                let trims = self.template.trims >> column_of(message.role) & 1 != 0;
                self.content = Some(if trims { trim(message.content) } else { message.content });
                self.messages = rest;
                column_of(message.role)
            }
            None => {
                self.is_over = true;
                ending_column(self.ending)
            }
        };
        self.segment = self.template.segment(self.previous, column).unwrap_or(&[]);
        self.previous = [Role::System, Role::User, Role::Assistant].get(column).copied();
    }
}

impl<'a> Iterator for ChatPieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            if let Some((entry, rest)) = self.segment.split_first() {
                self.segment = rest;
                let [_, _, _, _, id @ ..] = *entry;
                return Some(if word(entry) == NONE {
                    Piece::Special(u32::from_le_bytes(id))
                } else {
                    Piece::Text(range(self.template.text, entry).unwrap_or(&[]))
                });
            }
            if let Some(content) = self.content.take() {
                return Some(Piece::Text(content));
            }
            if self.is_over {
                return None;
            }
            self.next_segment();
        }
    }
}

fn column_of(role: Role) -> usize {
    match role {
        Role::System => 0,
        Role::User => 1,
        Role::Assistant => 2,
    }
}

fn ending_column(ending: Ending) -> usize {
    match ending {
        Ending::Reply => 3,
        Ending::Close => 4,
    }
}

/// The part of `all` that an entry names by start and count.
fn range<'a, T>(all: &'a [T], entry: &[u8; 8]) -> Option<&'a [T]> {
    let [_, _, _, _, count @ ..] = *entry;
    all.get(word(entry) as usize..)?.get(..u32::from_le_bytes(count) as usize)
}

/// `text` without the white space at its ends.
fn trim(mut text: &[u8]) -> &[u8] {
    while let Some(first) = first_character(text).filter(|first| first.class == Class::Space) {
        text = text.get(first.len..).unwrap_or(&[]);
    }
    // The last character is the one that reaches the end; white space takes 3 bytes at most.
    while let Some(len) = (1..=text.len().min(3)).find(|&len| {
        let last = text.len().checked_sub(len).and_then(|at| text.get(at..)).and_then(first_character);
        last.is_some_and(|last| last.len == len && last.class == Class::Space)
    }) {
        text = text.get(..text.len().saturating_sub(len)).unwrap_or(&[]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_unicode_white_space() {
        for text in ["", " ", "a", "  a b \n", "\u{3000}a\u{a0}\u{2003}", "\u{2003}\u{85}", "é\t", "\u{200b}"]
        {
            assert_eq!(trim(text.as_bytes()), text.trim().as_bytes(), "{text:?}");
        }
        assert_eq!(trim(b" \xff\xa0 "), b"\xff\xa0");
    }
}
