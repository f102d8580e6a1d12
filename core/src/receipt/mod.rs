//! Receipts: what a run was, so that somebody else can check it.
//!
//! A [`Receipt`] says which image, prompt and configuration a run had, what came of it, and what computed it: digests of
//! tokens and logits, kernels with the work that they did, fallbacks, times. `docs/receipts.md` describes it.
//!
//! It is written by whoever runs a model, on a host or on a board: a [`Transcript`] gathers what a generation does,
//! [`Counts`](bitnet_edge_kernels::Counts) gather what the kernels do. Its canonical form is postcard, which
//! [`encode`](Receipt::encode) writes in pieces of any size, without memory of its own; [`digest`](Receipt::digest) is the
//! SHA-256 of that. Whoever has the image can run it again, on any backend, and must find the same tokens, the same
//! digests and the same work: [`expected_work`] says what the work of a run must be, by the program of the model alone.
//!
//! ```
//! use bitnet_edge_core::receipt::{Borrowed, Receipt, SCHEMA_VERSION};
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
//! # use run::*;
//! # let (model, tokens) = (image(), 3);
//! let receipt: Receipt<Borrowed<'_>> = receipt(&model, tokens)?; // of a run
//! assert_eq!((receipt.schema, receipt.output.tokens), (SCHEMA_VERSION, 3));
//! // In pieces of 100 bytes, as a board sends it.
//! let (mut bytes, mut piece) = (Vec::new(), [0; 100]);
//! loop {
//!     let (written, total) = receipt.encode(bytes.len(), &mut piece);
//!     bytes.extend_from_slice(&piece[..written]);
//!     if bytes.len() == total {
//!         break;
//!     }
//! }
//! # use sha2::Digest;
//! assert_eq!(receipt.digest().0, <[u8; 32]>::from(sha2::Sha256::digest(&bytes)));
//! # Ok::<(), bitnet_edge_core::Error>(())
//! ```

mod encode;
mod expected;
mod facts;
mod form;
mod record;
mod transcript;

pub use expected::expected_work;
pub use facts::{Fallbacks, Runs, WeightList, fallbacks, runs, weights};
pub use form::{Borrowed, Digest, Form};
pub use record::{
    BackendFacts, KernelRun, ModelFacts, Output, Phase, Phases, PlanFacts, Prompt, Receipt, SCHEMA_VERSION,
    SelfTest, Versions, WeightFacts,
};
pub use transcript::{TokenDigest, Transcript};
