//! The flash image: a checked view of its bytes. The format is `docs/image-format.md`.
//!
//! Start with [`Model::new_checked`]: it checks everything that later code relies on, once, and reads no weight. Behind it are
//! the views, from the outside in:
//!
//! - [`Image`]: header and section table. [`Image::verify`] checks the bytes of every [`Section`], [`Image::digest`] names
//!   the image.
//! - [`ModelConfig`]: dimensions and constants, which a `const fn` reads when firmware is compiled.
//! - [`Tensor`], by [`TensorId`]: the model as a whole has a few, a layer one for each [`Role`] that its architecture has. Its
//!   [`Data`] are slices of the image: nothing is copied or converted.
//! - The tables of [`text`](crate::text), checked as well.
//!
//! An image starts at a multiple of 64. [`include_image!`](crate::include_image) and [`Aligned`] see to that in firmware,
//! a file mapping does by itself.
//!
//! ```
//! use bitnet_edge_core::{Model, image::{Role, TensorId}};
//! # static IMAGE: &[u8] =
//! #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
//! let model = Model::new_checked(IMAGE)?;
//! for layer in 0..model.config().layers {
//!     for role in Role::ALL {
//!         if let Some(tensor) = model.tensor(TensorId::of(layer, role)) {
//!             println!("{}: {} x {}, {} bytes", TensorId::of(layer, role), tensor.rows, tensor.cols, tensor.len);
//!         }
//!     }
//! }
//! # Ok::<(), bitnet_edge_core::Error>(())
//! ```

mod aligned;
mod bytes;
mod config;
mod container;
mod role;
mod tensors;

pub use aligned::Aligned;
pub use config::ModelConfig;
pub use container::{
    ENTRY_LEN, HEADER_LEN, Image, MAGIC, MAJOR, MAX_SECTIONS, MINOR, Section, SectionKind, crc32,
};
pub use role::{GLOBAL_ROLES, LAYER_ROLES, Role, TABLE_ENTRY_LEN, TensorId, VECTOR_LAYOUT};
pub use tensors::{Data, Model, Tensor};
