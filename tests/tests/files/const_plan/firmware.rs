//! What firmware does at compile time; `tests/const_plan.rs` compiles it with an image and with the bytes of an arena.

use bitnet_edge_core::{
    Cpu, KvType, Line, MemoryPlan, Model, ModelConfig, PlanOptions, Session, assert_fits, include_image,
};

static IMAGE: &[u8] = include_image!(env!("IMAGE"));

const CONFIG: ModelConfig = match ModelConfig::read(IMAGE) {
    Ok(config) => config,
    Err(_) => panic!("not an image that this version reads"),
};

const OPTIONS: PlanOptions = PlanOptions {
    context: 100,
    kv: KvType::I8,
    batch: 4,
    prompt_bytes: 200,
    ..PlanOptions::new(&CONFIG)
};

const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) {
    Ok(plan) => plan,
    Err(_) => panic!("these options make no plan"),
};

const ARENA_BYTES: usize = match usize::from_str_radix(env!("ARENA_BYTES"), 10) {
    Ok(bytes) => bytes,
    Err(_) => panic!("ARENA_BYTES is not a number"),
};

assert_fits!(PLAN, ARENA_BYTES);

fn main() {
    let model = Model::new_checked(IMAGE).unwrap();
    let mut arena = Box::new([Line::ZERO; Line::count(PLAN.bytes())]);
    let cpu = Cpu::scalar(&model, &PLAN, arena.as_mut_slice()).unwrap();
    let mut session = Session::new(&model, &PLAN, cpu).unwrap();
    let bits: Vec<u32> = session.decode(1).unwrap().iter().map(|l| l.to_bits()).collect();
    println!("{PLAN:?}\n{bits:?}");
}
