//! QEMU's RISC-V machine `virt` as a microcontroller without an FPU: riscv32imac, flash, 200 KiB of RAM.
//!
//! The story model lies in flash and is executed there. Its KV cache is int8, and so is its head: what is left of float
//! arithmetic, which a compiler's library does on this core, is a small part. `cargo xtask simulate virt-riscv32` builds and
//! starts it.

#![no_std]
#![no_main]

mod machine;
mod trap;

use core::fmt::Write;

use bitnet_edge_board::{Error, LINE_BYTES, run};
use bitnet_edge_core::model::OneThread;
use bitnet_edge_core::{KvType, Line, MemoryPlan, ModelConfig, PlanOptions, assert_fits, include_image};
use bitnet_edge_kernels::Scalar;
use machine::{Virt, exit, stack};

/// The story model.
static STORY: &[u8] = include_image!(env!("BITNET_EDGE_IMAGE"));

const CONFIG: ModelConfig = match ModelConfig::read(STORY) {
    Ok(config) => config,
    Err(_) => panic!("not a flash image of this version"),
};
const OPTIONS: PlanOptions = PlanOptions {
    context: 256,
    kv: KvType::I8,
    batch: 4,
    prompt_bytes: LINE_BYTES as u32,
    ..PlanOptions::new(&CONFIG)
};
const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) {
    Ok(plan) => plan,
    Err(_) => panic!("an option is out of bounds"),
};
/// What memory.x has for it.
const ARENA_BYTES: usize = 168 * 1024;
assert_fits!(PLAN, ARENA_BYTES);

/// Everything that changes.
static mut ARENA: [Line; Line::count(PLAN.bytes())] = [Line::ZERO; Line::count(PLAN.bytes())];

#[riscv_rt::entry]
fn main() -> ! {
    // SAFETY: Nothing else runs yet, and the stack below this function is unused.
    let stack = unsafe { stack() };
    trap::guard_stack();
    let arena = &raw mut ARENA;
    // SAFETY: Nothing else refers to the arena, and this function runs once.
    let arena = unsafe { &mut *arena };
    let mut board = Virt::new();
    let result = tell(&mut board, arena);
    // The line takes all text.
    let _ = writeln!(board, "stack: {} of {} bytes used", stack.used(), stack.bytes());
    if let Err(error) = result {
        let _ = writeln!(board, "error: {error}");
        exit(1)
    }
    exit(0)
}

fn tell(board: &mut Virt, arena: &mut [Line]) -> Result<(), Error> {
    let machine = bitnet_edge_board::Machine {
        title: &"QEMU virt, RV32IMAC",
        model: STORY,
        arena,
        kernels: &[Scalar],
        split: OneThread,
        options: Some(OPTIONS),
        budget: 100_000,
    };
    run(board, machine)
}
