//! Builds GGUF files, right ones and wrong ones: nothing that is asked for is checked.

/// The numbers of the metadata value types.
pub mod value {
    #![allow(missing_docs)]
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// A GGUF file in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    version: u32,
    alignment: usize,
    entries: u64,
    metadata: Vec<u8>,
    tensors: u64,
    infos: Vec<u8>,
    data: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new(3)
    }
}

impl Builder {
    /// A file of that version, with nothing in it.
    #[must_use]
    pub const fn new(version: u32) -> Self {
        Self {
            version,
            alignment: 32,
            entries: 0,
            metadata: Vec::new(),
            tensors: 0,
            infos: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The length of a string and its bytes, as strings stand in a file.
    #[must_use]
    pub fn encode_str(text: &str) -> Vec<u8> {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    }

    /// The value of an array: element type, count, elements.
    #[must_use]
    pub fn encode_array(element: u32, count: u64, elements: &[u8]) -> Vec<u8> {
        let mut bytes = element.to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend(elements);
        bytes
    }

    /// Adds a metadata entry of type `ty` whose value is `bytes`.
    #[must_use]
    pub fn entry(mut self, key: &str, ty: u32, bytes: &[u8]) -> Self {
        self.entries += 1;
        self.metadata.extend(Self::encode_str(key));
        self.metadata.extend(ty.to_le_bytes());
        self.metadata.extend(bytes);
        self
    }

    /// Adds an entry of type u32.
    #[must_use]
    pub fn u32(self, key: &str, value: u32) -> Self {
        self.entry(key, value::U32, &value.to_le_bytes())
    }

    /// Adds an entry of type string.
    #[must_use]
    pub fn str(self, key: &str, text: &str) -> Self {
        self.entry(key, value::STRING, &Self::encode_str(text))
    }

    /// Adds an array of strings.
    #[must_use]
    pub fn strings(self, key: &str, texts: &[&str]) -> Self {
        let elements: Vec<u8> = texts.iter().flat_map(|text| Self::encode_str(text)).collect();
        self.entry(key, value::ARRAY, &Self::encode_array(value::STRING, texts.len() as u64, &elements))
    }

    /// States the alignment in the metadata and keeps to it.
    #[must_use]
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = alignment as usize;
        self.u32("general.alignment", alignment)
    }

    /// Adds a tensor of type number `ty`, its data behind those of the others.
    #[must_use]
    pub fn tensor(mut self, name: &str, dims: &[u64], ty: u32, data: &[u8]) -> Self {
        pad(&mut self.data, self.alignment);
        let offset = self.data.len() as u64;
        self.data.extend(data);
        self.describe(name, dims, ty, offset)
    }

    /// Adds the description of a tensor, and no data.
    #[must_use]
    pub fn describe(mut self, name: &str, dims: &[u64], ty: u32, offset: u64) -> Self {
        self.tensors += 1;
        self.infos.extend(Self::encode_str(name));
        self.infos.extend((dims.len() as u32).to_le_bytes());
        self.infos.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
        self.infos.extend(ty.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self
    }

    /// States other numbers of tensors and entries than there are.
    #[must_use]
    pub const fn counts(mut self, tensors: u64, entries: u64) -> Self {
        self.tensors = tensors;
        self.entries = entries;
        self
    }

    /// The bytes of the file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(&self.metadata);
        bytes.extend(&self.infos);
        if !self.data.is_empty() {
            pad(&mut bytes, self.alignment);
            bytes.extend(&self.data);
        }
        bytes
    }
}

fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment.max(1)), 0);
}
