//! A receipt that was read, or made here: it owns what it says.

use bitnet_edge_core::receipt::{Form, KernelRun, Receipt, WeightFacts};

/// The form of receipts on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned;

impl Form for Owned {
    type Text = String;
    type Ids = Vec<u32>;
    type Names = Vec<String>;
    type Weights = Vec<WeightFacts<String>>;
    type Kernels = Vec<KernelRun<String>>;
}

/// A receipt on a host.
pub(crate) type OwnedReceipt = Receipt<Owned>;
