//! Converts GGUF models into flash images.

pub mod convert;
pub mod gguf;
pub mod inspect;
pub mod text;
