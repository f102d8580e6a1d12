//! The work that a run must have done, by the program of its model.

use bitnet_edge_kernels::Kernel;
use bitnet_edge_kernels::attention::CHUNK;
use bitnet_edge_kernels::tile::Activations;

use crate::Error;
use crate::image::{Data, Model};
use crate::memory::{KvType, MemoryPlan, PlanOptions};
use crate::model::Op;
use crate::model::program::{Next, Program};

/// The work of each kernel, in the order of [`Kernel::ALL`], for `tokens` positions from the beginning of a context of `context`, and
/// `heads` passes to the logits. It is the same whatever the batch, the threads and the backend.
///
/// # Errors
/// As [`MemoryPlan::new`].
///
/// ```
/// use bitnet_edge_core::{KvType, receipt::expected_work};
/// use bitnet_edge_kernels::Kernel;
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// let work = expected_work(&model, 64, KvType::F16, 6, 3)?;
/// let c = model.config();
/// assert_eq!(work[Kernel::Gate as usize], u64::from(6 * c.layers * c.ffn));
/// assert_eq!(work[Kernel::MatmulQ4k4I8g256 as usize], 0); // the model has no such weights
/// # // What a run of 4 tokens behind a prompt of 3 did: the last token is not fed.
/// # let receipt = receipt(&model, 3)?;
/// # for kernel in Kernel::ALL {
/// #     let run = receipt.kernels.iter().find(|run| run.id == kernel.name());
/// #     assert_eq!(run.map_or(0, |run| run.work), work[kernel as usize], "{}", kernel.name());
/// # }
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
pub fn expected_work(
    model: &Model<'_>,
    context: u32,
    kv: KvType,
    tokens: u64,
    heads: u64,
) -> Result<[u64; Kernel::COUNT], Error> {
    let config = model.config();
    let options = PlanOptions { context, kv, batch: 1, prompt_bytes: 0, ..PlanOptions::new(&config) };
    let plan = MemoryPlan::new(&config, &options)?;
    let program = Program::new(model, &plan);
    let mut work = [0u64; Kernel::COUNT];
    let mut pc = 0;
    loop {
        let times = if pc < program.tail() { tokens } else { heads };
        match program.at(pc) {
            Next::Op(op) => {
                let (kernel, elements) = of(model, kv, &op, times);
                if let Some(sum) = kernel.and_then(|kernel| work.get_mut(kernel as usize)) {
                    *sum = sum.saturating_add(elements);
                }
            }
            Next::Absent => {}
            Next::End => return Ok(work),
        }
        pc = pc.saturating_add(1);
    }
}

/// The kernel of an operation, and its work in so many passes of one token, from the first position on.
fn of(model: &Model<'_>, kv: KvType, op: &Op, times: u64) -> (Option<Kernel>, u64) {
    let heads = |cols: u32, head_dim: u32| u64::from(cols / head_dim.max(1) * head_dim);
    let (kernel, once) = match *op {
        Op::Norm { x, .. } => (Kernel::RmsNorm, u64::from(x.cols)),
        Op::HeadNorm { x, head_dim, .. } => (Kernel::RmsNormInPlace, heads(x.cols, head_dim)),
        Op::Quant { x, form, .. } => match form {
            Activations::Token => (Kernel::QuantizeToken, u64::from(x.cols)),
            Activations::Group32 => (Kernel::QuantizeG32, u64::from(x.cols)),
            Activations::Group256 => (Kernel::QuantizeG256, u64::from(x.cols)),
            Activations::Float => return (None, 0),
        },
        Op::Linear { m, .. } => match model.tensor(m.tensor).map(|tensor| tensor.data) {
            Some(Data::Matrix { layout, tiles, .. }) => (Kernel::product(layout), tiles.len() as u64),
            _ => return (None, 0),
        },
        Op::Rope { x, head_dim, .. } => (Kernel::Rope, heads(x.cols, head_dim)),
        // Rows of int8 are quantized by the runtime itself.
        Op::Store { .. } if kv == KvType::I8 => return (None, 0),
        Op::Store { k, v, head_dim, .. } => {
            (Kernel::Store, heads(k.cols, head_dim) + heads(v.cols, head_dim))
        }
        Op::Attend { shape, .. } => {
            let kernel = if kv == KvType::I8 { Kernel::AttendI8 } else { Kernel::Attend };
            return (Some(kernel), seen(times, 1).saturating_mul(width(&shape)));
        }
        Op::Combine { shape, .. } => {
            return (Some(Kernel::Combine), seen(times, CHUNK as u64).saturating_mul(width(&shape)));
        }
        Op::Gate { g, .. } => (Kernel::Gate, u64::from(g.cols)),
        Op::Embed { .. } | Op::Angles { .. } | Op::Add { .. } | Op::Select { .. } => return (None, 0),
    };
    (Some(kernel), once.saturating_mul(times))
}

/// Chunks that tokens see, the first of which sees one position: the sum of `ceil(t / chunk)` for t from 1 on.
const fn seen(tokens: u64, chunk: u64) -> u64 {
    let (whole, rest) = (tokens / chunk, tokens % chunk);
    let of_whole = whole.saturating_mul(whole.saturating_add(1)) / 2;
    of_whole.saturating_mul(chunk).saturating_add(rest.saturating_mul(whole.saturating_add(1)))
}

/// Elements of all query heads.
const fn width(shape: &crate::model::AttendShape) -> u64 {
    (shape.kv_heads as u64).saturating_mul(shape.group as u64).saturating_mul(shape.head_dim as u64)
}

#[cfg(test)]
mod tests {
    use super::seen;

    #[test]
    fn every_token_sees_itself_and_what_is_before_it() {
        for chunk in [1, 2, 64] {
            for tokens in [0, 1, 2, 63, 64, 65, 128, 200] {
                let sum: u64 = (1..=tokens).map(|t: u64| t.div_ceil(chunk)).sum();
                assert_eq!(seen(tokens, chunk), sum, "{tokens} {chunk}");
            }
        }
    }
}
