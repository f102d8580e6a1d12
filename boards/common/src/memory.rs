//! A plan for the memory that a board has to spare.

use bitnet_edge_core::{Error, MemoryPlan, ModelConfig, PlanOptions};

use crate::console::LINE_BYTES;

/// Tokens of a prompt that go through the model together, where memory decides and not a plan of the board's own.
pub const BATCH: u32 = 64;
/// Positions of the shortest context that is worth having.
pub const MIN_CONTEXT: u32 = 64;

/// The plan of the longest context that fits an arena of `have` bytes: that of [`PlanOptions::new`], halved until it does.
/// No result depends on it but where the context ends.
///
/// # Errors
/// [`Error::ArenaTooSmall`] if not even [`MIN_CONTEXT`] positions fit; `need` is what they would take.
///
/// ```
/// use bitnet_edge_board::plan_for;
/// use bitnet_edge_core::{Error, ModelConfig, include_image};
/// # static MODEL: &[u8] = include_image!("../../../core/testdata/tiny.bpk");
/// let config = ModelConfig::read(MODEL)?;
/// let plan = plan_for(&config, 1 << 20)?;
/// assert_eq!(plan.options().context, 64);
/// assert!(matches!(plan_for(&config, 1000), Err(Error::ArenaTooSmall { have: 1000, .. })));
/// # Ok::<(), Error>(())
/// ```
pub fn plan_for(config: &ModelConfig, have: usize) -> Result<MemoryPlan, Error> {
    let mut options =
        PlanOptions { batch: BATCH, prompt_bytes: LINE_BYTES as u32, ..PlanOptions::new(config) };
    let least = options.context.min(MIN_CONTEXT);
    loop {
        let plan = MemoryPlan::new(config, &options)?;
        if plan.bytes() <= have {
            return Ok(plan);
        }
        if options.context <= least {
            return Err(Error::ArenaTooSmall { need: plan.bytes(), have });
        }
        options.context = (options.context / 2).max(least);
        options.batch = options.batch.min(options.context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_core::include_image;

    static MODEL: &[u8] = include_image!("../../../core/testdata/tiny.bpk");

    #[test]
    fn the_context_shrinks_until_it_fits_and_no_further() {
        let config = ModelConfig { context: 4096, ..ModelConfig::read(MODEL).unwrap() };
        let whole = plan_for(&config, usize::MAX).unwrap();
        assert_eq!((whole.options().context, whole.options().batch), (4096, BATCH));
        let half = plan_for(&config, whole.bytes() - 1).unwrap();
        assert_eq!(half.options().context, 2048);
        let least = plan_for(&config, 1).unwrap_err();
        let Error::ArenaTooSmall { need, have: 1 } = least else { panic!("{least}") };
        assert_eq!(plan_for(&config, need).unwrap().options().context, MIN_CONTEXT);
    }
}
