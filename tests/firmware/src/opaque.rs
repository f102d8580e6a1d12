//! Input that the optimizer cannot see through, and a place for results.

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::ptr;

unsafe extern "C" {
    /// The linker script's symbol at the start of the flash that holds the model.
    static image_start: u8;
}

/// The flash image: bytes that are not known when the program is linked, and a length that is not known either.
pub fn bytes() -> &'static [u8] {
    let len = number() as usize & 0x00ff_ffff;
    // SAFETY: the linker script reserves 64 MiB of flash at this symbol, which nothing writes to; len is below 16 MiB.
    unsafe { core::slice::from_raw_parts(&raw const image_start, len) }
}

/// A number that is not known when the program is linked.
pub fn number() -> u32 {
    // SAFETY: the linker script reserves flash at this symbol, aligned to a page, which nothing writes to.
    unsafe { ptr::read_volatile((&raw const image_start).cast()) }
}

/// A float that is not known when the program is linked.
pub fn float() -> f32 {
    f32::from_bits(number())
}

/// RAM for results and for the arena, aligned as the arena wants it.
#[repr(align(64))]
struct Ram(UnsafeCell<[u8; RAM_BYTES]>);

const RAM_BYTES: usize = 4 << 20;

// SAFETY: the firmware has one thread and no interrupt handlers.
unsafe impl Sync for Ram {}

static RAM: Ram = Ram(UnsafeCell::new([0; RAM_BYTES]));

/// Lends the RAM to `area`, with a length that is not known when the program is linked.
pub fn with_ram(area: impl FnOnce(&mut [u8])) {
    // SAFETY: there is one thread, and no area calls `with_ram` inside `with_ram`, so this is the only reference.
    let ram = unsafe { &mut *RAM.0.get() };
    if let Some(ram) = ram.get_mut(..number() as usize) {
        area(ram);
    }
}

/// Keeps a result from being optimized away.
pub fn keep<T>(result: T) {
    black_box(result);
}
