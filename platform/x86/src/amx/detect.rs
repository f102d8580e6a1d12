//! Whether AMX may be used: the CPU has it, the operating system keeps its state, and gives leave to this process.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::{Hardware, proof};

/// What is missing for products with AMX int8, in words, where AVX-512 is there. The system is asked once a process; a
/// refusal is an answer like any other.
pub(crate) fn missing() -> Option<&'static str> {
    static ANSWER: OnceLock<Option<&'static str>> = OnceLock::new();
    *ANSWER.get_or_init(ask)
}

fn ask() -> Option<&'static str> {
    /// Bits of leaf 7's EDX.
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    /// Tile configuration and tile data, in XCR0.
    const STATE: u64 = 3 << 17;

    if !is_x86_feature_detected!("xsave") {
        return Some("xsave");
    }
    if __cpuid_count(0, 0).eax < 7 {
        return Some("amx-tile");
    }
    let features = __cpuid_count(7, 0).edx;
    if features & TILE == 0 {
        return Some("amx-tile");
    }
    if features & INT8 == 0 {
        return Some("amx-int8");
    }
    if !tiles_as_expected() {
        return Some("tiles of 16 rows of 64 bytes");
    }
    #[target_feature(enable = "xsave")]
    fn enabled_state() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: xsave was detected, which includes that the system enabled the instruction.
    if unsafe { enabled_state() } & STATE != STATE {
        return Some("the operating system's support for AMX tiles");
    }
    if !permitted() {
        return Some("the operating system's leave to use AMX tiles");
    }
    if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")) {
        return Some("avx512bw");
    }
    // SAFETY: all that the instructions need was found above, and so was AVX-512.
    let right = unsafe { proof::holds(Hardware::new()) };
    (!right).then_some("the right result of a product with AMX tiles")
}

/// Palette 1: eight registers of 16 rows of 64 bytes. Another processor's may be smaller.
fn tiles_as_expected() -> bool {
    if __cpuid_count(0, 0).eax < 0x1d || __cpuid_count(0x1d, 0).eax < 1 {
        return false;
    }
    let palette = __cpuid_count(0x1d, 1);
    let (tile_bytes, row_bytes) = (palette.eax >> 16, palette.ebx & 0xffff);
    let (registers, rows) = (palette.ebx >> 16, palette.ecx & 0xffff);
    (tile_bytes, row_bytes, registers, rows) == (1024, 64, 8, 16)
}

/// Linux gives a process the tile state when it asks (`arch_prctl`), because it makes every signal frame 8 KiB larger.
/// All threads have it then.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: this call changes what the kernel saves for this process and reads no memory. `syscall` overwrites rcx
    // and r11, which are named.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}
