//! Converts GGUF models into flash images.
