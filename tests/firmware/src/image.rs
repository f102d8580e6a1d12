//! The area of the flash image.

use crate::opaque::{bytes, keep, number};
use bitnet_edge_core::image::{Image, TensorId};
use bitnet_edge_core::{Error, MemoryPlan, Model, ModelConfig, PlanOptions};

/// Checks an image that may hold anything, and reads all of it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_image() {
    keep(container());
    keep(model());
}

fn container() -> Result<(), Error> {
    let image = Image::new_checked(bytes())?;
    for section in image.sections() {
        keep((section.name(), section));
    }
    keep((image.digest(), image.verify()));
    Ok(())
}

fn model() -> Result<(), Error> {
    let config = ModelConfig::read(bytes())?;
    keep(config.encode());
    let model = Model::new_checked(bytes())?;
    keep((model.tensor(TensorId(number())), model.turns().len(), model.tokenizer().is_some()));
    let plan = MemoryPlan::new(
        &config,
        &PlanOptions { context: number(), batch: number(), ..PlanOptions::new(&config) },
    )?;
    for buffer in plan.buffers() {
        keep(buffer);
    }
    keep((plan.bytes(), plan.kv(number())));
    Ok(())
}
