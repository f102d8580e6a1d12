//! What a receipt says of weights and kernels.

use bitnet_edge_kernels::{Counts, Kernel, KernelSet};
use heapless::Vec;

use super::record::{KernelRun, WeightFacts};
use crate::image::{Data, Model, Role, TensorId};

/// Layouts that matrices can have.
const LAYOUTS: usize = 11;

/// A line for each layout.
///
/// ```
/// use bitnet_edge_core::receipt::{WeightList, weights};
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// let list: WeightList = weights(&model);
/// assert!(list.iter().all(|line| line.layers_bytes + line.head_bytes > 0));
/// ```
pub type WeightList = Vec<WeightFacts<&'static str>, LAYOUTS>;

/// A line for each kernel that ran.
///
/// ```
/// use bitnet_edge_core::receipt::{Runs, runs};
/// use bitnet_edge_kernels::{Counts, KernelSet};
/// let none: Runs = runs(&Counts::new(), "scalar", KernelSet::ALL);
/// assert!(none.is_empty());
/// ```
pub type Runs = Vec<KernelRun<&'static str>, { Kernel::COUNT }>;

/// Names of kernels.
///
/// ```
/// let none: bitnet_edge_core::receipt::Fallbacks = heapless::Vec::new();
/// assert!(none.is_empty());
/// ```
pub type Fallbacks = Vec<&'static str, { Kernel::COUNT }>;

/// The matrices of a model by layout, in the order in which they are read.
///
/// ```
/// use bitnet_edge_core::receipt::weights;
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// for line in weights(&model) {
///     println!("{}: {} bytes a token", line.layout, line.layers_bytes + line.head_bytes);
/// }
/// ```
pub fn weights(model: &Model<'_>) -> WeightList {
    let mut list = WeightList::new();
    let mut add = |id: TensorId, is_head: bool| {
        let Some(Data::Matrix { layout, tiles, .. }) = model.tensor(id).map(|t| t.data) else { return };
        let layout = layout.name();
        let known = list.iter().position(|line| line.layout == layout);
        // There are as many lines as layouts.
        let new = WeightFacts { layout, layers_matrices: 0, layers_bytes: 0, head_bytes: 0 };
        let at = known.unwrap_or(list.len());
        if known.is_none() && list.push(new).is_err() {
            return;
        }
        let Some(line) = list.get_mut(at) else { return };
        if is_head {
            line.head_bytes = tiles.len() as u64;
        } else {
            line.layers_matrices = line.layers_matrices.saturating_add(1);
            line.layers_bytes = line.layers_bytes.saturating_add(tiles.len() as u64);
        }
    };
    for layer in 0..model.config().layers {
        for role in [Role::Q, Role::K, Role::V, Role::AttnOut, Role::Gate, Role::Up, Role::Down] {
            add(TensorId::of(layer, role), false);
        }
    }
    add(TensorId::HEAD, true);
    list
}

/// What ran, by `tier`, which has kernels of its `own`.
///
/// ```
/// use bitnet_edge_core::receipt::runs;
/// use bitnet_edge_kernels::{Counted, Counts, KernelSet, Kernels, Scalar};
/// let counts = Counts::new();
/// Counted::new(Scalar, &counts).rope(&mut [1.0; 4], &[1.0, 0.0, 1.0, 0.0])?;
/// // A tier that has no `rope`: the definition ran.
/// let list = runs(&counts, "table", KernelSet::NONE);
/// assert_eq!((list[0].id, list[0].by, list[0].calls, list[0].work), ("rope", "scalar", 1, 4));
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub fn runs(counts: &Counts, tier: &'static str, own: KernelSet) -> Runs {
    let run = |(kernel, tally): (Kernel, bitnet_edge_kernels::Tally)| KernelRun {
        id: kernel.name(),
        by: if own.has(kernel) { tier } else { "scalar" },
        calls: tally.calls,
        work: tally.work,
    };
    counts.iter().map(run).collect()
}

/// The kernels that ran and that the tier has none of its `own` for.
///
/// ```
/// use bitnet_edge_core::receipt::fallbacks;
/// use bitnet_edge_kernels::{Counts, KernelSet};
/// assert!(fallbacks(&Counts::new(), KernelSet::NONE).is_empty()); // nothing ran
/// ```
pub fn fallbacks(counts: &Counts, own: KernelSet) -> Fallbacks {
    counts.iter().filter(|(kernel, _)| !own.has(*kernel)).map(|(kernel, _)| kernel.name()).collect()
}
