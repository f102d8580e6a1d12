//! GGUF files, manifests and images, good and bad; the documentation's promises.

mod const_plan;
mod documentation;
mod example_model;
mod gguf_hostile;
#[cfg(feature = "fetched")]
mod gguf_reference;
mod image_hostile;
mod import;
mod manifest;
mod refused_keys;
mod streams;
