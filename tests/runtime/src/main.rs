//! The runtime and nothing else: a firmware for Arm's MPS2 AN386 (Cortex-M4F) that tells one story, as a product would that has no
//! console. `cargo xtask test --stage size` builds it, looks at what it takes of flash, runs it, and reads what it says of its
//! stack and of its longest step.

#![no_std]
#![no_main]

mod clock;

use core::panic::PanicInfo;

use bitnet_edge_board::Stack;
use bitnet_edge_core::image::Aligned;
use bitnet_edge_core::{
    Cpu, Error, Event, GenerationConfig, Generator, KvType, Line, MemoryPlan, Model, ModelConfig,
    PlanOptions, assert_fits,
};
use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::syscall;

/// The story model, executed where the linker puts it.
#[unsafe(link_section = ".model")]
static STORY: Aligned<[u8; include_bytes!(env!("BITNET_EDGE_IMAGE")).len()]> =
    Aligned(*include_bytes!(env!("BITNET_EDGE_IMAGE")));

const CONFIG: ModelConfig = match ModelConfig::read(&STORY.0) {
    Ok(config) => config,
    Err(_) => panic!("not a flash image of this version"),
};
const OPTIONS: PlanOptions = PlanOptions {
    context: 256,
    kv: if cfg!(feature = "int8") { KvType::I8 } else { KvType::F16 },
    // The longest that fits beside the stack in 200 KiB with int8, and in 300 KiB with f16.
    batch: if cfg!(feature = "int8") { 4 } else { 8 },
    ..PlanOptions::new(&CONFIG)
};
const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) {
    Ok(plan) => plan,
    Err(_) => panic!("an option is out of bounds"),
};
assert_fits!(PLAN, if cfg!(feature = "int8") { 184 * 1024 } else { 284 * 1024 });

/// Multiply-accumulates of a step.
const BUDGET: u32 = 20_000;

#[entry]
fn main() -> ! {
    static mut ARENA: [Line; Line::count(PLAN.bytes())] = [Line::ZERO; Line::count(PLAN.bytes())];
    let (low, high) = ((&raw const _stack_end).addr(), (&raw const _stack_start).addr());
    // SAFETY: Nothing else runs, and nothing is kept below this function's frame.
    let stack = unsafe { Stack::paint(low, high) };
    let (status, worst) = match tell(ARENA) {
        Ok(worst) => (0, worst),
        Err(_) => (1, 0),
    };
    for (name, value) in
        [("arena: ", PLAN.bytes()), ("stack: ", stack.used()), ("longest step: ", worst as usize)]
    {
        send(name);
        number(value);
        send("\n");
    }
    exit(status)
}

unsafe extern "C" {
    /// The linker script's symbols at the lower and the upper end of the stack.
    static _stack_end: u8;
    static _stack_start: u8;
}

/// Tells the story; the ticks of the longest step.
fn tell(arena: &mut [Line]) -> Result<u32, Error> {
    let model = Model::new_checked(&STORY.0)?;
    model.verify()?;
    let cpu = Cpu::scalar(&model, &PLAN, arena)?;
    let config = GenerationConfig { digest: true, ..GenerationConfig::default() };
    let mut generator = Generator::new(&model, &PLAN, cpu, config)?;
    generator.prompt("once upon a time")?;
    let clock = clock::Clock::start();
    let mut worst = 0;
    loop {
        let before = clock.now();
        let event = generator.step(BUDGET)?;
        worst = worst.max(clock.since(before));
        match event {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => bytes.iter().for_each(|&byte| put(byte)),
            Event::Done(_) => break,
        }
    }
    if let Some(digest) = generator.digest() {
        send("\nlogit digest ");
        digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).for_each(hexadecimal);
        send("\n");
    }
    Ok(worst)
}

/// Sends a byte on the board's serial line (CMSDK APB UART 0), which has room at any time in QEMU.
fn put(byte: u8) {
    const DATA: *mut u32 = 0x4000_4000 as *mut u32;
    const CONTROL: *mut u32 = 0x4000_4008 as *mut u32;
    const SEND: u32 = 1;
    // SAFETY: The board has its UART's registers there; writing them changes no memory.
    unsafe {
        CONTROL.write_volatile(SEND);
        DATA.write_volatile(u32::from(byte));
    }
}

fn send(text: &str) {
    text.bytes().for_each(put);
}

/// Sends a number in decimal. The library's formatting is not for this: it would count as the runtime's.
fn number(n: usize) {
    if n >= 10 {
        number(n / 10);
    }
    put(b'0' + (n % 10) as u8);
}

fn hexadecimal(digit: u8) {
    put(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
}

/// Ends QEMU with a status (semihosting's `SYS_EXIT_EXTENDED`).
fn exit(status: u32) -> ! {
    let block = [0x2_0026, status];
    // SAFETY: The operation reads these two words.
    unsafe { syscall(0x20, &block) };
    loop {
        cortex_m::asm::wfi();
    }
}

/// The interrupts that the chip has, in place of the 240 that there can be. None is turned on.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".vector_table.interrupts")]
static __INTERRUPTS: [usize; 32] = [0; 32];

#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    exit(102)
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    exit(101)
}
