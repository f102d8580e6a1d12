//! Input that the optimizer cannot see through, and a place for results.

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::ptr;

use bitnet_edge_core::Line;

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

/// Text that is not known when the program is linked.
pub fn text() -> &'static str {
    core::str::from_utf8(bytes()).unwrap_or_default()
}

/// A float that is not known when the program is linked.
pub fn float() -> f32 {
    f32::from_bits(number())
}

/// RAM for results and for the arena. Every area uses it in turn; there is one thread and no interrupt.
struct Ram(UnsafeCell<[Line; RAM_LINES]>);

const RAM_LINES: usize = (4 << 20) / size_of::<Line>();

// SAFETY: the firmware has one thread and no interrupt handlers.
unsafe impl Sync for Ram {}

static RAM: Ram = Ram(UnsafeCell::new([Line::ZERO; RAM_LINES]));

/// Lends the arena to `area`, with a length that is not known when the program is linked.
pub fn with_arena(area: impl FnOnce(&mut [Line])) {
    // SAFETY: there is one thread, and no area calls this inside itself, so this is the only reference.
    let ram = unsafe { &mut *RAM.0.get() };
    if let Some(arena) = ram.get_mut(..number() as usize) {
        area(arena);
    }
}

/// The arena as elements of any number type.
pub fn with_ram<T: Number>(area: impl FnOnce(&mut [T])) {
    with_arena(|arena| {
        // SAFETY: a line holds 64 initialized bytes and is aligned to 64; every pattern of bits is a number.
        area(unsafe {
            core::slice::from_raw_parts_mut(arena.as_mut_ptr().cast(), size_of_val(arena) / size_of::<T>())
        });
    });
}

/// Types of which every pattern of bits is a value, with a size that divides 64.
pub trait Number {}
impl Number for u8 {}
impl Number for u32 {}
impl Number for f32 {}

/// Keeps a result from being optimized away.
pub fn keep<T>(result: T) {
    black_box(result);
}
