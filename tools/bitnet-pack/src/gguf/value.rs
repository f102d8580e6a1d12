//! Metadata values and their typed access.

use std::fmt;
use std::marker::PhantomData;

use super::cursor::Cursor;
use super::{GgufError, MAX_ARRAY_DEPTH};

/// The type of a metadata value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    /// Every type, at the index that is its number in a file.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// The name for users: `u32`, `str`, `array`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::String => "str",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// The fewest bytes that a value takes: for strings and arrays, those of an empty one.
    const fn least_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::String => 8,
            Self::Array => 12,
        }
    }

    fn read(cursor: &mut Cursor<'_>, key: &str) -> Result<Self, GgufError> {
        let id = cursor.u32("a value type")?;
        usize::try_from(id)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .ok_or_else(|| GgufError::ValueType { key: key.to_owned(), id })
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A metadata value. Strings and arrays stay where they are in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// Meant to be UTF-8, but not checked until it is taken as a `&str`.
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    /// Reads a value with its type in front.
    pub(super) fn read(cursor: &mut Cursor<'a>, key: &str) -> Result<Self, GgufError> {
        let ty = ValueType::read(cursor, key)?;
        Self::read_as(cursor, ty, key, 1)
    }

    /// Reads a value of a known type; `depth` arrays deep, an array counted itself.
    fn read_as(cursor: &mut Cursor<'a>, ty: ValueType, key: &str, depth: usize) -> Result<Self, GgufError> {
        const WHAT: &str = "a metadata value";
        Ok(match ty {
            ValueType::U8 => Self::U8(cursor.u8(WHAT)?),
            ValueType::I8 => Self::I8(cursor.u8(WHAT)?.cast_signed()),
            ValueType::U16 => Self::U16(cursor.u16(WHAT)?),
            ValueType::I16 => Self::I16(cursor.u16(WHAT)?.cast_signed()),
            ValueType::U32 => Self::U32(cursor.u32(WHAT)?),
            ValueType::I32 => Self::I32(cursor.u32(WHAT)?.cast_signed()),
            ValueType::F32 => Self::F32(f32::from_bits(cursor.u32(WHAT)?)),
            ValueType::U64 => Self::U64(cursor.u64(WHAT)?),
            ValueType::I64 => Self::I64(cursor.u64(WHAT)?.cast_signed()),
            ValueType::F64 => Self::F64(f64::from_bits(cursor.u64(WHAT)?)),
            ValueType::Bool => match cursor.u8(WHAT)? {
                0 => Self::Bool(false),
                1 => Self::Bool(true),
                found => return Err(GgufError::Bool { key: key.to_owned(), found }),
            },
            ValueType::String => Self::String(cursor.string("a metadata string")?),
            ValueType::Array => Self::Array(Array::read(cursor, key, depth)?),
        })
    }

    /// The type of the value.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// Any integer type, widened.
    const fn integer(self) -> Option<i128> {
        match self {
            Self::U8(value) => Some(value as i128),
            Self::I8(value) => Some(value as i128),
            Self::U16(value) => Some(value as i128),
            Self::I16(value) => Some(value as i128),
            Self::U32(value) => Some(value as i128),
            Self::I32(value) => Some(value as i128),
            Self::U64(value) => Some(value as i128),
            Self::I64(value) => Some(value as i128),
            _ => None,
        }
    }
}

/// A metadata array: checked when the file was opened, decoded when it is iterated over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    element: ValueType,
    len: usize,
    bytes: &'a [u8],
    offset: usize,
    depth: usize,
}

impl<'a> Array<'a> {
    /// Reads the header of an array and walks over its elements to check them.
    fn read(cursor: &mut Cursor<'a>, key: &str, depth: usize) -> Result<Self, GgufError> {
        if depth > MAX_ARRAY_DEPTH {
            return Err(GgufError::ArrayDepth { key: key.to_owned() });
        }
        let element = ValueType::read(cursor, key)?;
        let len = cursor.count(element.least_bytes(), "array elements")?;
        let start = *cursor;
        match element {
            ValueType::Array | ValueType::String | ValueType::Bool => {
                for _ in 0..len {
                    Value::read_as(cursor, element, key, depth + 1)?;
                }
            }
            // No bytes that could be wrong, and no overflow: the count was checked against the rest of the
            // file.
            _ => {
                cursor.take((len * element.least_bytes()) as u64, "array elements")?;
            }
        }
        let used = start.rest().len() - cursor.rest().len();
        Ok(Self { element, len, bytes: &start.rest()[..used], offset: start.offset(), depth })
    }

    /// The type of the elements.
    #[must_use]
    pub const fn element_type(&self) -> ValueType {
        self.element
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let Self { element, len, bytes, offset, depth } = *self;
        let mut cursor = Cursor::new(bytes, offset);
        // The same walk succeeded when the file was opened.
        (0..len).map_while(move |_| Value::read_as(&mut cursor, element, "", depth + 1).ok())
    }
}

/// A Rust type that metadata values can be taken as.
pub trait FromValue<'a>: Sized {
    /// What a value must be, for a message.
    fn needed() -> String;

    /// `value` as this type; `None` if it is of another kind or out of range.
    fn from_value(value: Value<'a>) -> Option<Self>;
}

/// Integers are taken from any integer type that a writer chose, if the value fits.
macro_rules! from_integer {
    ($($ty:ty => $needed:literal)*) => {$(
        impl FromValue<'_> for $ty {
            fn needed() -> String {
                $needed.to_owned()
            }

            fn from_value(value: Value<'_>) -> Option<Self> {
                value.integer().and_then(|integer| Self::try_from(integer).ok())
            }
        }
    )*};
}

from_integer! {
    u32 => "an integer from 0 to 4294967295"
    i32 => "an integer from -2147483648 to 2147483647"
    u64 => "an integer from 0 to 18446744073709551615"
}

impl FromValue<'_> for f32 {
    fn needed() -> String {
        "a floating-point number".to_owned()
    }

    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::F32(value) => Some(value),
            Value::F64(value) => Some(value as Self),
            _ => None,
        }
    }
}

impl FromValue<'_> for bool {
    fn needed() -> String {
        "a bool".to_owned()
    }

    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn needed() -> String {
        "a UTF-8 string".to_owned()
    }

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::String(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// A metadata array whose elements are all `T`, for example `List<&str>`: checked once, decoded in place.
#[derive(Clone, Copy, Debug)]
pub struct List<'a, T> {
    array: Array<'a>,
    element: PhantomData<fn() -> T>,
}

impl<'a, T: FromValue<'a>> List<'a, T> {
    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.array.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.array.is_empty()
    }

    /// The elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        // Every element was convertible when the list was made.
        self.array.iter().map_while(T::from_value)
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for List<'a, T> {
    fn needed() -> String {
        format!("an array of which every element is {}", T::needed())
    }

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Array(array) if array.iter().all(|value| T::from_value(value).is_some()) => {
                Some(Self { array, element: PhantomData })
            }
            _ => None,
        }
    }
}

/// Elements, and characters of a string, that are shown before the rest is counted.
const SHOWN_ELEMENTS: usize = 6;
const SHOWN_CHARACTERS: usize = 80;

/// Shows a value on one line, abbreviated; strings are escaped.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::U8(value) => write!(f, "{value}"),
            Self::I8(value) => write!(f, "{value}"),
            Self::U16(value) => write!(f, "{value}"),
            Self::I16(value) => write!(f, "{value}"),
            Self::U32(value) => write!(f, "{value}"),
            Self::I32(value) => write!(f, "{value}"),
            Self::F32(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::U64(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::String(bytes) => fmt_string(bytes, f),
            Self::Array(array) => fmt_array(&array, f),
        }
    }
}

fn fmt_string(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        None => write!(f, "{text:?}"),
        Some((end, _)) => write!(f, "{:?}… ({} bytes)", text.get(..end).unwrap_or_default(), bytes.len()),
    }
}

fn fmt_array(array: &Array<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("[")?;
    for (index, value) in array.iter().take(SHOWN_ELEMENTS).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{value}")?;
    }
    match array.len().checked_sub(SHOWN_ELEMENTS) {
        None | Some(0) => f.write_str("]"),
        Some(more) => write!(f, ", … {more} more]"),
    }
}
