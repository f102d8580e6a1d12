//! The model and the memory for it, known when the program is compiled.

use bitnet_edge_board::LINE_BYTES;
use bitnet_edge_core::{KvType, MemoryPlan, ModelConfig, PlanOptions, assert_fits, include_image};

/// The model, in flash.
pub static MODEL: &[u8] = include_image!(env!("BITNET_EDGE_IMAGE"));

const CONFIG: ModelConfig = match ModelConfig::read(MODEL) {
    Ok(config) => config,
    Err(_) => panic!("not a flash image of this version"),
};

/// Positions of the longest context.
const CONTEXT: u32 = 256;

/// A context of 256 tokens, or the model's own; a line of the console as the longest prompt.
pub const OPTIONS: PlanOptions = PlanOptions {
    context: if CONFIG.context < CONTEXT { CONFIG.context } else { CONTEXT },
    kv: KvType::F16,
    prompt_bytes: LINE_BYTES as u32,
    ..PlanOptions::new(&CONFIG)
};

/// Where everything is in the arena.
pub const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) {
    Ok(plan) => plan,
    Err(_) => panic!("an option is out of bounds"),
};

/// What stacks, queues and the program's own data leave of 520 KiB.
const ARENA_BYTES: usize = 440 * 1024;
assert_fits!(PLAN, ARENA_BYTES);
