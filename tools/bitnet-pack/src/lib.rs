//! Converts GGUF models into flash images.

pub mod text;
