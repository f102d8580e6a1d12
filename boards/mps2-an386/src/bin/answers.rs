//! A program that needs a heap for itself: it keeps its past answers in a `Vec`, beside an engine that needs none.
//!
//! `cargo xtask test --stage boards` builds it with the feature `heap`, and compares what it says.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use bitnet_edge_board_cortex_m::{
    CmsdkUart, LastWords, Uart as _, cortex_m_rt, exit, panicked, run_on_own_stack, status,
};
use bitnet_edge_core::text::Piece;
use bitnet_edge_core::{
    Cpu, Error, Event, GenerationConfig, Generator, Line, MemoryPlan, Model, ModelConfig, PlanOptions,
    assert_fits, include_image,
};
use embedded_alloc::LlffHeap;

static STORY: &[u8] = include_image!(env!("BITNET_EDGE_IMAGE"));

const CONFIG: ModelConfig = match ModelConfig::read(STORY) {
    Ok(config) => config,
    Err(_) => panic!("not a flash image of this version"),
};
const PLAN: MemoryPlan =
    match MemoryPlan::new(&CONFIG, &PlanOptions { context: 64, batch: 1, ..PlanOptions::new(&CONFIG) }) {
        Ok(plan) => plan,
        Err(_) => panic!("an option is out of bounds"),
    };
assert_fits!(PLAN, 128 * 1024);
const LINES: usize = Line::count(PLAN.bytes());

const HEAP_BYTES: usize = 4096;
const TOKENS: u32 = 12;
const PROMPTS: [&str; 3] = ["once upon a time", "the dog", "lily said"];

/// The program's. Nothing of the engine is in it.
#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: The memory map has the stack's symbols, and this is the boot code's only call.
    unsafe { run_on_own_stack(program) }
}

extern "C" fn program() -> ! {
    static mut ARENA: [Line; LINES] = [Line::ZERO; LINES];
    static mut MEMORY: [MaybeUninit<u8>; HEAP_BYTES] = [MaybeUninit::uninit(); HEAP_BYTES];
    // SAFETY: Called once, before anything is allocated; nobody else has this memory.
    unsafe { HEAP.init((&raw mut MEMORY) as usize, HEAP_BYTES) };
    let arena = &raw mut ARENA;
    // SAFETY: This function, of which there is one call, is all that sees it.
    let arena = unsafe { &mut *arena };
    let mut past: Vec<String> = Vec::new();
    for prompt in PROMPTS {
        let before = HEAP.used();
        match answer(prompt, arena) {
            Ok(text) => past.push(text),
            Err(error) => {
                let _ = writeln!(LastWords, "error: {error}");
                exit(status::ERROR)
            }
        }
        let _ =
            writeln!(LastWords, "{} answers, {} bytes more of the heap", past.len(), HEAP.used() - before);
    }
    for text in past.iter().rev() {
        let _ = writeln!(LastWords, "{text}");
    }
    exit(0)
}

/// The beginning of a story, on the heap.
fn answer(prompt: &str, arena: &mut [Line]) -> Result<String, Error> {
    let model = Model::new_checked(STORY)?;
    let cpu = Cpu::scalar(&model, &PLAN, arena)?;
    let config = GenerationConfig { max_tokens: TOKENS, ..GenerationConfig::default() };
    let mut generator = Generator::new(&model, &PLAN, cpu, config)?;
    generator.pieces([Piece::from(prompt)].into_iter(), true, u32::MAX, &mut || {})?;
    let mut bytes = Vec::from(prompt.as_bytes());
    loop {
        match generator.step(u32::MAX)? {
            Event::Working => {}
            Event::Text(text) | Event::Token { bytes: text, .. } => bytes.extend_from_slice(text),
            Event::Done(_) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

#[unsafe(no_mangle)]
fn board_write(bytes: &[u8]) {
    // SAFETY: UART 0 is there; the processor's clock has 25 MHz.
    unsafe { CmsdkUart::new(0x4000_4000, 25_000_000) }.write(bytes);
}

#[unsafe(no_mangle)]
fn board_exit(status: u32) -> ! {
    exit(status)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}
