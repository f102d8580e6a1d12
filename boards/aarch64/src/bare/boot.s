// From reset to Rust. The memory map is the board's BOARD_MAP (map.rs); stacks are the linker script's.
//
// The first 64 bytes are the header of a Linux Image, so that loaders give it a device tree and an initrd.

// Bytes of a core's stacks, of which some, the highest, are for exceptions, and some, the lowest, are not mapped: stack.rs.
.equ STACK, {stacks}
.equ EXCEPTION_STACK, {exceptions}
.equ GUARD, {guard}
.global __core_stacks
.set __core_stacks, STACK       // for link.x

.section .text.boot, "ax"
.global _start
_start:
    b       first
    .word   0
    .quad   0x80000             // offset from the start of memory
    .quad   __image_size
    .quad   0x2                 // little-endian, pages of 4 KiB
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

// Core 0; x0: the device tree.
first:
    mov     x20, x0
    mov     x19, xzr
    bl      enter_el1
    // The map's first four entries: the tables of the first four GiB. No cache is on yet, so a line that one may hold
    // from before is old: drop it.
    adrp    x9, BOARD_MAP
    add     x10, x9, #4, lsl #12
    orr     x9, x9, #3
    add     x11, x9, #1, lsl #12
    stp     x9, x11, [x10]
    add     x9, x9, #2, lsl #12
    add     x11, x11, #2, lsl #12
    stp     x9, x11, [x10, #16]
    dmb     sy
    dc      ivac, x10
    dsb     sy
    bl      guard_stacks
    bl      set_up
    adrp    x9, __bss_start
    add     x9, x9, :lo12:__bss_start
    adrp    x10, __bss_end
    add     x10, x10, :lo12:__bss_end
1:  cmp     x9, x10
    b.hs    2f
    stp     xzr, xzr, [x9], #16
    b       1b
2:  mov     x0, x20
    bl      bare_main
    b       park

// Another core, started by a spin table, where its affinity is its number: level 0, or level 1 where that is for threads of
// a core (MPIDR_EL1.MT). A core of another cluster, which would have the number of one of the first, is left alone.
.global _secondary_by_affinity
_secondary_by_affinity:
    mrs     x9, mpidr_el1
    ubfx    x10, x9, #32, #8    // affinity level 3
    ubfx    x11, x9, #16, #8    // 2
    orr     x10, x10, x11
    ubfx    x11, x9, #8, #8     // 1
    and     x0, x9, #0xff       // 0
    tbz     x9, #24, 1f
    mov     x12, x0
    mov     x0, x11
    mov     x11, x12
1:  orr     x10, x10, x11
    cbnz    x10, park
// Another core, started with its number in x0 (PSCI). One that has no stack is left alone: whoever started it says so.
.global _secondary
_secondary:
    movz    x9, #:abs_g0:__cores
    cmp     x0, x9
    b.hs    park
    mov     x19, x0
    bl      enter_el1
    bl      set_up
    mov     x0, x19
    bl      bare_core
park:
    wfe
    b       park

// To EL1 with all interrupts masked. Keeps x19 and up.
enter_el1:
    msr     daifset, #0xf
    mrs     x9, currentel
    cmp     x9, #0x8
    b.ne    1f
    mov     x9, #0x80000000     // EL1 is AArch64
    msr     hcr_el2, x9
    mov     x9, #0x3            // counter and timer are EL1's
    msr     cnthctl_el2, x9
    msr     cntvoff_el2, xzr
    mov     x9, #0x33ff         // floating point is not trapped
    msr     cptr_el2, x9
    msr     hstr_el2, xzr
    mrs     x9, midr_el1
    msr     vpidr_el2, x9
    mrs     x9, mpidr_el1
    msr     vmpidr_el2, x9
    mov     x9, #0x0800         // MMU and caches off; the bits that are always one
    movk    x9, #0x30d0, lsl #16
    msr     sctlr_el1, x9
    mov     x9, #0x3c4          // EL1 with SP_EL0, all masked
    msr     spsr_el2, x9
    msr     elr_el2, x30
    eret
1:  msr     spsel, #0
    ret

// Maps the stacks by pages, and leaves the lowest of each core out: an overflow is an exception. As above no cache is on.
guard_stacks:
    adrp    x9, __stacks_start
    adrp    x10, __stacks_end
    adrp    x11, __stack_tables
    adrp    x12, BOARD_MAP
    mov     x13, #0x0707        // a page: valid, normal memory, inner shareable, accessed
    movk    x13, #0x0040, lsl #48 // never executed by programs
1:  tst     x9, #0x1fffff       // a block begins: its entry is the table
    b.ne    2f
    orr     x14, x11, #3
    lsr     x15, x9, #21
    add     x15, x12, x15, lsl #3
    str     x14, [x15]
    dmb     sy
    dc      ivac, x15
2:  and     x14, x9, #(STACK - 1)
    cmp     x14, #GUARD
    orr     x14, x9, x13
    csel    x14, xzr, x14, lo
    str     x14, [x11]
    dmb     sy
    dc      ivac, x11
    add     x11, x11, #8
    add     x9, x9, #1, lsl #12
    cmp     x9, x10
    b.lo    1b
    dsb     sy
    ret

// Stacks of core x19, vectors, floating point, MMU and caches. Programs run on SP_EL0, exceptions on SP_EL1: an overflowing
// stack can still be reported.
set_up:
    adrp    x9, __stacks_end
    add     x9, x9, :lo12:__stacks_end
    mov     x10, #STACK
    msub    x9, x19, x10, x9
    msr     spsel, #1
    mov     sp, x9
    msr     spsel, #0
    sub     x9, x9, #EXCEPTION_STACK
    mov     sp, x9
    adrp    x9, vectors
    add     x9, x9, :lo12:vectors
    msr     vbar_el1, x9
    mov     x9, #0x300000       // CPACR_EL1.FPEN: no trap
    msr     cpacr_el1, x9
    isb
    msr     fpcr, xzr           // round to nearest even, subnormals kept, no traps
    mov     x9, #0xff04         // attributes 0: device nGnRE; 1: normal, write-back
    msr     mair_el1, x9
    mov     x9, #0x3519         // 39 bits of address, cached and inner shareable walks, pages of 4 KiB
    movk    x9, #0x0080, lsl #16 // no upper half
    movk    x9, #0x0002, lsl #32 // 40 bits of physical address
    msr     tcr_el1, x9
    adrp    x9, BOARD_MAP
    add     x9, x9, #4, lsl #12
    msr     ttbr0_el1, x9
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    mov     x9, #0x180d         // M, C, SA, I, and the bits that are always one
    movk    x9, #0x30d0, lsl #16
    msr     sctlr_el1, x9
    isb
    mov     x29, xzr
    ret

// Every exception is the end: its number in the table and what the processor says of it.
.macro vector number
    .balign 0x80
    mov     x0, #\number
    b       exception
.endm

.balign 0x800
vectors:
    vector  0
    vector  1
    vector  2
    vector  3
    vector  4
    vector  5
    vector  6
    vector  7
    vector  8
    vector  9
    vector  10
    vector  11
    vector  12
    vector  13
    vector  14
    vector  15

exception:
    mrs     x1, esr_el1
    mrs     x2, elr_el1
    mrs     x3, far_el1
    mrs     x4, sp_el0
    bl      bare_exception
    b       park
