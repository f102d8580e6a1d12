/// Joins a board to what Cortex-M boards share: the whole of a firmware.
///
/// ```ignore
/// board! {
///     title: "Arm MPS2 with AN500, Cortex-M7",
///     // The flash image, executed where the linker puts it.
///     image: env!("BITNET_EDGE_IMAGE"),
///     // Made by the compiler; `CONFIG` is what the image says of the model.
///     plan: PlanOptions { context: 256, ..PlanOptions::new(&CONFIG) },
///     // Bytes that the plan may have: more is a compile error.
///     arena: 288 * 1024,
///     // Multiply-accumulates between two times that the watchdog is fed.
///     budget: 200_000,
///     // The processor's frequency.
///     clock_hz: 25_000_000,
///     uart: uart(),         // an expression that makes the UART; also for last words
///     watchdog: watchdog(), // an expression that makes and starts the watchdog, or `()`
/// }
/// ```
///
/// It defines `main`, the panic handler, and what handlers of faults need (`board_write`, `board_exit`), and puts the model into the section `.model`.
#[macro_export]
macro_rules! board {
    (
        title: $title:expr,
        image: $image:expr,
        plan: $options:expr,
        arena: $arena:expr,
        budget: $budget:expr,
        clock_hz: $clock_hz:expr,
        uart: $uart:expr,
        watchdog: $watchdog:expr $(,)?
    ) => {
        /// The flash image.
        #[unsafe(link_section = ".model")]
        static IMAGE: $crate::Aligned<[u8; include_bytes!($image).len()]> =
            $crate::Aligned(*include_bytes!($image));

        const CONFIG: $crate::ModelConfig = match $crate::ModelConfig::read(&IMAGE.0) {
            Ok(config) => config,
            Err(_) => panic!("not a flash image that this version reads; `bitnet-pack convert` makes one"),
        };

        const PLAN: $crate::MemoryPlan = match $crate::MemoryPlan::new(&CONFIG, &$options) {
            Ok(plan) => plan,
            Err(_) => panic!("these options make no plan for this model"),
        };

        $crate::assert_fits!(PLAN, $arena);

        #[$crate::cortex_m_rt::entry]
        fn main() -> ! {
            // SAFETY: `stacks.x` makes the symbols, of memory that nothing else is put into. This is the boot code's only call.
            unsafe { $crate::run_on_own_stack(program) }
        }

        extern "C" fn program() -> ! {
            static mut ARENA: [$crate::Line; $crate::Line::count(PLAN.bytes())] =
                [$crate::Line::ZERO; $crate::Line::count(PLAN.bytes())];
            let arena = &raw mut ARENA;
            // SAFETY: This function, of which there is one call, is all that sees it.
            let arena = unsafe { &mut *arena };
            let Some(clock) = $crate::Clock::start($clock_hz) else { $crate::exit($crate::status::ERROR) };
            let board = $crate::Serial { uart: $uart, clock, watchdog: $watchdog };
            $crate::start(board, &IMAGE.0, arena, &$title, PLAN.options(), $budget)
        }

        #[unsafe(no_mangle)]
        fn board_write(bytes: &[u8]) {
            $crate::Uart::write(&mut $uart, bytes);
        }

        #[unsafe(no_mangle)]
        fn board_exit(status: u32) -> ! {
            $crate::exit(status)
        }

        #[panic_handler]
        fn panicked(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panicked(info)
        }
    };
}
