//! Little-endian fields of a byte slice, readable in `const`.

/// Defines a `const fn` that reads one little-endian field, or `None` beyond the slice.
macro_rules! field {
    ($name:ident, $ty:ty) => {
        pub(crate) const fn $name(bytes: &[u8], at: usize) -> Option<$ty> {
            match bytes.split_at_checked(at) {
                Some((_, tail)) => match tail.first_chunk() {
                    Some(field) => Some(<$ty>::from_le_bytes(*field)),
                    None => None,
                },
                None => None,
            }
        }
    };
}

field!(u16_at, u16);
field!(u32_at, u32);
field!(u64_at, u64);
field!(f32_at, f32);

/// `len` bytes from `at`, or `None` beyond the slice.
pub(crate) const fn range(bytes: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    if at > bytes.len() as u64 || len > bytes.len() as u64 - at {
        return None;
    }
    match bytes.split_at_checked(at as usize) {
        Some((_, tail)) => match tail.split_at_checked(len as usize) {
            Some((field, _)) => Some(field),
            None => None,
        },
        None => None,
    }
}
