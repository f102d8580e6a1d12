//! The values with a meaning of their own in the text sections, for programs that write them:
//! `docs/tokenizer-format.md`.
//!
//! ```
//! use bitnet_edge_core::text::format;
//! // A split of 253 bytes is the longest that the table of splits says itself.
//! assert_eq!(format::SPLIT_LISTED, 254);
//! ```

/// In a field that holds a token's id, a segment's first piece or a piece's text: there is none.
///
/// ```
/// use bitnet_edge_core::text::format::NONE;
/// let eot: Option<u32> = None;
/// assert_eq!(eot.unwrap_or(NONE).to_le_bytes(), [0xff; 4]);
/// ```
pub const NONE: u32 = u32::MAX;

/// In the length table: the token has 255 bytes or more, its length stands in the table of long tokens.
///
/// ```
/// use bitnet_edge_core::text::format::LONG;
/// let entry = |token: &[u8]| u8::try_from(token.len()).unwrap_or(LONG);
/// assert_eq!(entry(b"once"), 4);
/// assert_eq!(entry(&[b'a'; 300]), LONG);
/// ```
pub const LONG: u8 = 0xff;

/// In the split table: any two tokens that make up the token may be merged.
///
/// ```
/// use bitnet_edge_core::text::format::{SPLIT_ANY, SPLIT_LISTED};
/// assert!(SPLIT_ANY > SPLIT_LISTED); // every value below the two is a length
/// ```
pub const SPLIT_ANY: u8 = 0xff;

/// In the split table: the pairs of tokens that may be merged into the token are listed.
///
/// ```
/// use bitnet_edge_core::text::format::SPLIT_LISTED;
/// let split = |left_len: usize| u8::try_from(left_len).ok().filter(|&split| split < SPLIT_LISTED);
/// assert_eq!((split(253), split(254)), (Some(253), None));
/// ```
pub const SPLIT_LISTED: u8 = 0xfe;
