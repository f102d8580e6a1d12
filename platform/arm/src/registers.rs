//! What the processor's own registers say of it, where there is no operating system to ask.

use core::arch::asm;

/// Whether the processor has a feature of its instruction set. It runs at EL1 or above: at EL0 the registers are an exception,
/// unless an operating system answers for them.
pub(crate) fn has(feature: &str) -> bool {
    let [isar0, isar1] = instruction_sets();
    // Arm ARM D24.2: ID_AA64ISAR0_EL1.DP and ID_AA64ISAR1_EL1.I8MM.
    match feature {
        "neon" => cfg!(target_feature = "neon"),
        "dotprod" => isar0 >> 44 & 0xf != 0,
        "i8mm" => isar1 >> 52 & 0xf != 0,
        _ => false,
    }
}

fn instruction_sets() -> [u64; 2] {
    let (isar0, isar1);
    // SAFETY: reads two registers; memory and flags stay as they are.
    unsafe {
        asm!(
            "mrs {}, id_aa64isar0_el1",
            "mrs {}, id_aa64isar1_el1",
            out(reg) isar0,
            out(reg) isar1,
            options(nomem, nostack, preserves_flags)
        );
    }
    [isar0, isar1]
}
