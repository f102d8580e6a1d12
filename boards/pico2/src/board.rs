//! What a Pico 2 has: clocks at 150 MHz, two cores, a USB port, a LED, a watchdog.

use bitnet_edge_board::cores::{Crew, Team, Wait};
use bitnet_edge_board::{Board, Error, Port};
use bitnet_edge_board_cortex_m::run_on_stack;
use rp235x_hal as hal;

use hal::Clock as _;
use hal::fugit::ExtU32 as _;
use hal::gpio::{self, FunctionSioOutput, PullDown};
use hal::multicore::{Multicore, Stack};
use hal::pac;
use hal::timer::{CopyableTimer0, Timer};
use hal::watchdog::Watchdog;

use crate::{fpu, usb};

/// Crystal of the board.
const CRYSTAL_HZ: u32 = 12_000_000;
/// Longer than any step (`BUDGET` in `main.rs`), and than the checks at boot.
const WATCHDOG_SECONDS: u32 = 8;
/// Microseconds that core 1 may take from being started to its work: much more than it needs, and much less than the watchdog waits.
const PATIENCE_US: u64 = 1_000_000;
/// Core 1's stack: a product by tables takes 13 KiB.
const STACK_BYTES: usize = 32 * 1024;
/// Words of the stack that core 1 begins on, and that its exceptions have: faults.
const BOOT_WORDS: usize = 512;

static BOOT_STACK: Stack<BOOT_WORDS> = Stack::new();
static CREW: Crew<Event> = Crew::new();

/// A core that waits sleeps until the other one sends an event.
pub enum Event {}

impl Wait for Event {
    fn wait() {
        cortex_m::asm::wfe();
    }
    fn wake() {
        // What was written before must be seen by the core that wakes.
        cortex_m::asm::dsb();
        cortex_m::asm::sev();
    }
}

/// The light beside the USB socket.
type Led = gpio::Pin<gpio::bank0::Gpio25, FunctionSioOutput, PullDown>;

/// The board, set up.
pub struct Pico2 {
    port: Port<'static>,
    timer: Timer<CopyableTimer0>,
    watchdog: Watchdog,
    /// What the console is told about core 1, which is left out.
    core_1: Option<&'static str>,
    /// Shows that the program runs.
    _led: Led,
}

/// Sets up clocks, both cores and the USB port. Called once, on core 0.
pub fn start() -> Result<(Pico2, Team<'static, Event>), Error> {
    fpu::set_default_mode();
    let (mut pac, mut core) = taken();
    let mut watchdog = Watchdog::new(pac.WATCHDOG);
    let clocks = hal::clocks::init_clocks_and_plls(
        CRYSTAL_HZ,
        pac.XOSC,
        pac.CLOCKS,
        pac.PLL_SYS,
        pac.PLL_USB,
        &mut pac.RESETS,
        &mut watchdog,
    );
    let Ok(clocks) = clocks else { halt() };
    watchdog.pause_on_debug(true);
    watchdog.start(WATCHDOG_SECONDS.secs());
    let mut sio = hal::Sio::new(pac.SIO);
    let pins = gpio::Pins::new(pac.IO_BANK0, pac.PADS_BANK0, sio.gpio_bank0, &mut pac.RESETS);
    let led = pins.gpio25.into_push_pull_output_in_state(gpio::PinState::High);
    let timer = Timer::new_timer0(pac.TIMER0, &mut pac.RESETS, &clocks);
    let core_hz = clocks.system_clock.freq().to_Hz();
    let port = usb::start(pac.USB, pac.USB_DPRAM, clocks.usb_clock, &mut pac.RESETS, &mut core.SYST, core_hz);
    let Some(port) = port else { halt() };
    let core_1 = start_core_1(&mut pac.PSM, &mut pac.PPB, &mut sio.fifo, &timer).err();
    let board = Pico2 { port, timer, watchdog, core_1, _led: led };
    Ok((board, CREW.assemble()?))
}

fn taken() -> (pac::Peripherals, cortex_m::Peripherals) {
    match (pac::Peripherals::take(), cortex_m::Peripherals::take()) {
        (Some(pac), Some(core)) => (pac, core),
        _ => halt(),
    }
}

/// Core 1 joins the crew. One that is not started or does not come within a second is left out, and this says why; if it comes
/// later, it is sent away.
fn start_core_1(
    psm: &mut pac::PSM,
    ppb: &mut pac::PPB,
    fifo: &mut hal::sio::SioFifo,
    timer: &Timer<CopyableTimer0>,
) -> Result<(), &'static str> {
    const NOT_STARTED: &str = "cannot be started";
    let mut multicore = Multicore::new(psm, ppb, fifo);
    let (Some(core), Some(stack)) = (multicore.cores().get_mut(1), BOOT_STACK.take()) else {
        return Err(NOT_STARTED);
    };
    let started = core.spawn(stack, || {
        fpu::set_default_mode();
        // SAFETY: Core 1 is started once, and its stack is nobody else's.
        unsafe {
            let low = (&raw mut CORE_1_STACK).addr();
            run_on_stack(low, low + STACK_BYTES, core_1)
        }
    });
    if started.is_err() {
        return Err(NOT_STARTED);
    }
    let deadline = timer.get_counter().ticks() + PATIENCE_US;
    while CREW.present() < 1 {
        if timer.get_counter().ticks() > deadline {
            return Err("does not come within a second");
        }
        // A core that comes sends an event; else the tick of the USB port, which is an interrupt, wakes this one.
        Event::wait();
    }
    Ok(())
}

static mut CORE_1_STACK: [u64; STACK_BYTES / 8] = [0; STACK_BYTES / 8];

/// Core 1's whole program.
extern "C" fn core_1() -> ! {
    CREW.join();
    // It came too late, and is not needed.
    loop {
        cortex_m::asm::wfe();
    }
}

/// Where nothing can be said: nothing answers on USB.
fn halt() -> ! {
    loop {
        cortex_m::asm::wfe();
    }
}

impl Pico2 {
    /// What to tell about core 1, if it is left out.
    pub fn core_1(&self) -> Option<&'static str> {
        self.core_1
    }

    /// Waits until somebody opens the serial port.
    pub fn wait_for_caller(&mut self) {
        while !self.port.answer() {
            self.alive();
            // An interrupt is an event too.
            cortex_m::asm::wfe();
        }
    }
}

impl Board for Pico2 {
    fn read(&mut self) -> Option<u8> {
        self.port.read()
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.port.write(rest);
            rest = rest.get(taken..).unwrap_or_default();
            usb::look();
            if taken == 0 {
                self.alive();
                cortex_m::asm::wfe();
            }
        }
    }

    fn now_us(&mut self) -> u64 {
        self.timer.get_counter().ticks()
    }

    fn alive(&mut self) {
        self.watchdog.feed();
    }

    fn is_gone(&mut self) -> bool {
        !self.port.is_answered()
    }
}
