//! Writes a GGUF file from its beginning to its end, without having its tensors in memory.

use anyhow::{Context as _, Result, ensure};
use bitnet_pack::output::{Destination, Partial};
use std::io::Write;
use std::path::Path;

const ALIGNMENT: u64 = 32;

/// The numbers of the metadata value types.
pub(super) mod value {
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const STRING: u32 = 8;
    pub(crate) const ARRAY: u32 = 9;
}

/// Metadata.
#[derive(Default)]
pub(super) struct Header {
    entries: u64,
    bytes: Vec<u8>,
}

impl Header {
    pub(super) fn entry(&mut self, key: &str, ty: u32, bytes: &[u8]) {
        self.entries += 1;
        put_str(&mut self.bytes, key);
        self.bytes.extend(ty.to_le_bytes());
        self.bytes.extend(bytes);
    }

    pub(super) fn u32(&mut self, key: &str, number: u32) {
        self.entry(key, value::U32, &number.to_le_bytes());
    }

    pub(super) fn str(&mut self, key: &str, text: &str) {
        let mut bytes = Vec::new();
        put_str(&mut bytes, text);
        self.entry(key, value::STRING, &bytes);
    }

    pub(super) fn strings(&mut self, key: &str, texts: &[String]) {
        let mut bytes = array(value::STRING, texts.len());
        texts.iter().for_each(|text| put_str(&mut bytes, text));
        self.entry(key, value::ARRAY, &bytes);
    }

    pub(super) fn i32s(&mut self, key: &str, numbers: &[i32]) {
        let mut bytes = array(value::I32, numbers.len());
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        self.entry(key, value::ARRAY, &bytes);
    }
}

fn array(ty: u32, count: usize) -> Vec<u8> {
    let mut bytes = ty.to_le_bytes().to_vec();
    bytes.extend((count as u64).to_le_bytes());
    bytes
}

fn put_str(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A tensor's description: name, dimensions with the contiguous one first, type number, bytes of its data.
pub(super) struct TensorInfo<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<u64>,
    pub(super) ty: u32,
    pub(super) bytes: u64,
}

/// A file in the making, which has no name until it is whole.
pub(super) struct Output {
    file: Partial,
    /// Where the data of each tensor begin and end.
    places: Vec<(u64, u64)>,
    next: usize,
}

impl Output {
    /// Writes everything in front of the tensors' data.
    pub(super) fn create(path: &Path, header: &Header, tensors: &[TensorInfo<'_>]) -> Result<Self> {
        let mut head = b"GGUF".to_vec();
        head.extend(3u32.to_le_bytes());
        head.extend((tensors.len() as u64).to_le_bytes());
        head.extend(header.entries.to_le_bytes());
        head.extend(&header.bytes);
        let (mut at, mut places) = (0u64, Vec::new());
        for tensor in tensors {
            put_str(&mut head, tensor.name);
            head.extend((tensor.dims.len() as u32).to_le_bytes());
            head.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            head.extend(tensor.ty.to_le_bytes());
            head.extend(at.to_le_bytes());
            places.push((at, at + tensor.bytes));
            at = (at + tensor.bytes).next_multiple_of(ALIGNMENT);
        }
        let base = (head.len() as u64).next_multiple_of(ALIGNMENT);
        places.iter_mut().for_each(|(from, to)| (*from, *to) = (*from + base, *to + base));
        // It is made of nothing that could be written over.
        let file = Destination::new(path, Path::new(""))?.begin()?;
        let mut output = Self { file, places, next: 0 };
        output.file.append(&head)?;
        Ok(output)
    }

    /// Where the next tensor's data go; those of the one before must be there.
    pub(super) fn tensor(&mut self) -> Result<&mut dyn Write> {
        self.end_tensor()?;
        let (from, _) = *self.places.get(self.next).context("a tensor that was not described")?;
        let padding = usize::try_from(from - self.file.len())?;
        self.file.append(&vec![0; padding])?;
        self.next += 1;
        Ok(self)
    }

    fn end_tensor(&self) -> Result<()> {
        let end = self.next.checked_sub(1).and_then(|last| self.places.get(last)).map(|place| place.1);
        ensure!(
            end.is_none_or(|end| end == self.file.len()),
            "a tensor's data have another length than it states"
        );
        Ok(())
    }

    /// Gives the file its name; returns its bytes.
    pub(super) fn finish(self) -> Result<u64> {
        self.end_tensor()?;
        let bytes = self.file.len();
        self.file.finish()?;
        Ok(bytes)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.append(bytes).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
