/// Joins a board to the boot code.
///
/// ```ignore
/// board! {
///     map: Map::new(&[(0x0800_0000, 0x4000_0000, Kind::Device), (0x4000_0000, 0x80_0000_0000, Kind::Normal)]),
///     uart: uart(),   // an expression that makes the UART, for last words
///     exit: exit,     // fn(u32) -> !
///     main: main,     // fn(usize) -> !, with the address of the device tree
/// }
/// ```
///
/// It defines the panic handler.
#[macro_export]
macro_rules! board {
    (map: $map:expr, uart: $uart:expr, exit: $exit:path, main: $main:path $(,)?) => {
        #[unsafe(no_mangle)]
        static BOARD_MAP: $crate::Map = $map;

        #[unsafe(no_mangle)]
        fn board_main(device_tree: usize) -> ! {
            let main: fn(usize) -> ! = $main;
            main(device_tree)
        }

        #[unsafe(no_mangle)]
        fn board_write(bytes: &[u8]) {
            $crate::Uart::write(&mut $uart, bytes);
        }

        #[unsafe(no_mangle)]
        fn board_exit(status: u32) -> ! {
            let exit: fn(u32) -> ! = $exit;
            exit(status)
        }

        #[panic_handler]
        fn panicked(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panicked(info)
        }
    };
}
