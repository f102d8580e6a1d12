//! A reader of GGUF files: bounded, zero-copy, and without trust in the file.
//!
//! [`Gguf::parse`] checks the whole structure of a file once: every count, length, product and offset before
//! it is used, names for duplicates, tensors for their place. No allocation exceeds a small multiple of the
//! bytes actually read. What is checked stays in place: names, strings, arrays and tensor data borrow from
//! the file.
//!
//! A file with tensors of a type that cannot be read still opens, so that it can be inspected; using such a
//! tensor is an error that names it.
//!
//! ```no_run
//! use bitnet_pack::gguf::{Gguf, List};
//!
//! let bytes = std::fs::read("model.gguf")?;
//! let file = Gguf::parse(&bytes)?;
//! let blocks: u32 = file.require("llama.block_count")?;
//! let base: f32 = file.get("llama.rope.freq_base")?.unwrap_or(10000.0);
//! for token in file.require::<List<'_, &str>>("tokenizer.ggml.tokens")?.iter() {
//!     println!("{token}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;

mod cursor;
mod error;
mod rows;
mod tensor;
mod value;

use cursor::Cursor;
pub use error::GgufError;
pub use rows::Rows;
pub use tensor::{Tensor, TensorType};
pub use value::{Array, FromValue, List, Value, ValueType};

/// The largest `general.alignment` that is believed: the largest page size in use, with room to spare.
pub const MAX_ALIGNMENT: u32 = 1 << 20;
/// How many arrays may lie inside each other, the outermost counted. No known writer nests any.
pub const MAX_ARRAY_DEPTH: usize = 4;

const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u32 = 32;
/// The fewest bytes of a metadata entry: the length of its key, a type, a one-byte value.
const LEAST_ENTRY_BYTES: usize = 8 + 4 + 1;
/// The fewest bytes of a tensor's description: the length of its name, a dimension and their number, type,
/// offset.
const LEAST_TENSOR_BYTES: usize = 8 + 4 + 8 + 4 + 8;

/// A GGUF file whose structure has been checked.
#[derive(Clone, Debug)]
pub struct Gguf<'a> {
    bytes: &'a [u8],
    version: u32,
    alignment: usize,
    metadata: Vec<(&'a str, Value<'a>)>,
    keys: HashMap<&'a str, usize>,
    tensors: Vec<Tensor<'a>>,
    names: HashMap<&'a str, usize>,
}

impl<'a> Gguf<'a> {
    /// Checks the structure of `bytes`, a whole file.
    ///
    /// # Errors
    /// A [`GgufError`] that says what is wrong with the file. Types of tensors, and the values of their data,
    /// are checked when they are used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(bytes, 0);
        let version = read_version(&mut cursor)?;
        let (counts_at, tensor_count) = (cursor.offset(), cursor.u64("the tensor count")?);
        let entry_count = cursor.count(LEAST_ENTRY_BYTES, "metadata entries")?;
        let tensor_count = cursor.check_count(tensor_count, LEAST_TENSOR_BYTES, "tensors", counts_at)?;

        let mut metadata = Vec::new();
        let mut keys = HashMap::new();
        for index in 0..entry_count {
            let key = cursor.name("a metadata key")?;
            if keys.insert(key, index).is_some() {
                return Err(GgufError::Duplicate { what: "key", name: key.to_owned() });
            }
            metadata.push((key, Value::read(&mut cursor, key)?));
        }
        let alignment = read_alignment(&metadata, &keys)?;

        let mut infos = Vec::new();
        let mut names = HashMap::new();
        for index in 0..tensor_count {
            let info = tensor::Info::read(&mut cursor)?;
            if names.insert(info.name, index).is_some() {
                return Err(GgufError::Duplicate { what: "tensor", name: info.name.to_owned() });
            }
            infos.push(info);
        }
        let tensors = tensor::place(infos, data_section(&cursor, alignment), alignment)?;
        Ok(Self { bytes, version, alignment, metadata, keys, tensors, names })
    }

    /// The version of the format: 2 or 3.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The alignment of tensor data, in bytes: a power of two.
    #[must_use]
    pub const fn alignment(&self) -> usize {
        self.alignment
    }

    /// The length of the file, in bytes.
    #[must_use]
    pub const fn file_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// All metadata entries, in the order of the file.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&'a str, Value<'a>)> + '_ {
        self.metadata.iter().copied()
    }

    /// The raw value of `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.keys.get(key).and_then(|&index| self.metadata.get(index)).map(|&(_, value)| value)
    }

    /// The value of `key` as a `T` (`u32`, `f32`, `bool`, `&str`, `List<&str>`, …), if the file has that key.
    ///
    /// # Errors
    /// [`GgufError::WrongType`] if the value is of another kind or out of range.
    pub fn get<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>, GgufError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match T::from_value(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(GgufError::WrongType {
                key: key.to_owned(),
                found: value.to_string(),
                needed: T::needed(),
            }),
        }
    }

    /// As [`get`](Self::get), where the entry must exist.
    ///
    /// # Errors
    /// [`GgufError::Missing`] if it does not, [`GgufError::WrongType`] as `get`.
    pub fn require<T: FromValue<'a>>(&self, key: &str) -> Result<T, GgufError> {
        self.get(key)?.ok_or_else(|| GgufError::Missing { key: key.to_owned() })
    }

    /// All tensors, in the order of the file.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor<'a>] {
        &self.tensors
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        self.names.get(name).and_then(|&index| self.tensors.get(index))
    }
}

/// Reads the magic number and the version.
fn read_version(cursor: &mut Cursor<'_>) -> Result<u32, GgufError> {
    let magic = cursor.rest().get(..4).unwrap_or(cursor.rest());
    if magic != b"GGUF" {
        return Err(GgufError::NotGguf { found: magic.to_vec() });
    }
    cursor.take(4, "the magic number")?;
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        // The magic number reads the same in both byte orders; no version will ever need the upper half.
        version if version & 0xffff == 0 && version != 0 => Err(GgufError::BigEndian),
        version => Err(GgufError::Version(version)),
    }
}

fn read_alignment(metadata: &[(&str, Value<'_>)], keys: &HashMap<&str, usize>) -> Result<usize, GgufError> {
    let alignment = match keys.get(ALIGNMENT_KEY).and_then(|&index| metadata.get(index)) {
        None => DEFAULT_ALIGNMENT,
        Some((_, Value::U32(alignment))) => *alignment,
        Some((_, value)) => {
            return Err(GgufError::WrongType {
                key: ALIGNMENT_KEY.to_owned(),
                found: value.to_string(),
                needed: "a u32".to_owned(),
            });
        }
    };
    if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
        return Err(GgufError::Alignment(alignment));
    }
    Ok(alignment as usize)
}

/// The tensor data: what follows the cursor, from the next multiple of the alignment on. Empty if the file
/// ends before.
fn data_section<'a>(cursor: &Cursor<'a>, alignment: usize) -> &'a [u8] {
    let padding = cursor.offset().wrapping_neg() & (alignment - 1);
    cursor.rest().get(padding..).unwrap_or_default()
}
