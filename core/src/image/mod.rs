//! The flash image: a checked view of its bytes. The format is `docs/image-format.md`.

mod aligned;
mod bytes;
mod config;
mod container;
mod tensors;

pub use aligned::Aligned;
pub use config::ModelConfig;
pub use container::{
    ENTRY_LEN, HEADER_LEN, Image, MAGIC, MAJOR, MAX_SECTIONS, MINOR, Section, SectionKind, crc32,
};
pub use tensors::{
    Data, GLOBAL_ROLES, LAYER_ROLES, Model, Role, TABLE_ENTRY_LEN, Tensor, TensorId, VECTOR_LAYOUT,
};
