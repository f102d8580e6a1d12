//! The console: a serial port over USB, served by interrupts whatever the program does.
//!
//! Three things call [`serve`]: the USB controller's interrupt, the program when it has written ([`look`]), and a tick every
//! four milliseconds, which also finds what an interrupt left because the program had no room for it.

use core::cell::RefCell;

use bitnet_edge_board::{Line, Pipe, Port};
use cortex_m::peripheral::{NVIC, SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use critical_section::Mutex;
use rp235x_hal as hal;
use usb_device::bus::UsbBusAllocator;
use usb_device::device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbDeviceState, UsbVidPid};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

use hal::pac::{self, Interrupt, interrupt};
use hal::usb::UsbBus;

/// Bytes that wait for the program: what is typed or pasted during a step.
const INPUT: usize = 2048;
/// Bytes that wait for the host.
const OUTPUT: usize = 1024;
const TICKS_A_SECOND: u32 = 250;
/// Setting this speed and hanging up asks for the boot loader's drive, as on other boards.
const TOUCH_BAUD: u32 = 1200;
/// What V-USB shares for serial ports whose maker is named by a text.
const IDS: UsbVidPid = UsbVidPid(0x16c0, 0x27dd);

struct Usb {
    device: UsbDevice<'static, UsbBus>,
    serial: SerialPort<'static, UsbBus>,
    line: Line<'static>,
    was_open: bool,
}

static USB: Mutex<RefCell<Option<Usb>>> = Mutex::new(RefCell::new(None));

/// Connects to the host. The port for the program.
pub fn start(
    ctrl: pac::USB,
    dpram: pac::USB_DPRAM,
    clock: hal::clocks::UsbClock,
    resets: &mut pac::RESETS,
    tick: &mut SYST,
    core_hz: u32,
) -> Option<Port<'static>> {
    let bus = UsbBus::new(ctrl, dpram, clock, true, resets);
    let bus: &'static _ = cortex_m::singleton!(: UsbBusAllocator<UsbBus> = UsbBusAllocator::new(bus))?;
    let pipe = cortex_m::singleton!(: Pipe<INPUT, OUTPUT> = Pipe::new())?;
    let (port, line) = pipe.split();
    let serial = SerialPort::new(bus);
    let texts = StringDescriptors::default()
        .manufacturer("github.com/bitnet-edge/bitnet-edge")
        .product("bitnet-edge");
    let builder = UsbDeviceBuilder::new(bus, IDS).device_class(USB_CLASS_CDC);
    // A control packet of 64 bytes: with smaller ones an answer must be prepared within microseconds.
    let device = builder.strings(&[texts]).ok()?.max_packet_size_0(64).ok()?.build();
    critical_section::with(|cs| {
        USB.replace(cs, Some(Usb { device, serial, line, was_open: false }));
    });
    tick.set_clock_source(SystClkSource::Core);
    tick.set_reload(core_hz / TICKS_A_SECOND - 1);
    tick.clear_current();
    tick.enable_counter();
    tick.enable_interrupt();
    // SAFETY: No critical section is open, and the handler's state is there.
    unsafe { NVIC::unmask(Interrupt::USBCTRL_IRQ) };
    Some(port)
}

/// Has the interrupt's handler run now.
pub fn look() {
    NVIC::pend(Interrupt::USBCTRL_IRQ);
}

#[interrupt]
fn USBCTRL_IRQ() {
    serve();
}

#[exception]
fn SysTick() {
    serve();
}

fn serve() {
    let touched = critical_section::with(|cs| USB.borrow_ref_mut(cs).as_mut().is_some_and(Usb::serve));
    if touched {
        let drive = hal::reboot::RebootKind::BootSel { picoboot_disabled: false, msd_disabled: false };
        hal::reboot::reboot(drive, hal::reboot::RebootArch::Normal);
    }
}

impl Usb {
    /// Moves what can be moved. Whether the boot loader's drive was asked for.
    fn serve(&mut self) -> bool {
        self.device.poll(&mut [&mut self.serial]);
        let open = self.device.state() == UsbDeviceState::Configured && self.serial.dtr();
        let hung_up = self.was_open && !open;
        self.was_open = open;
        self.line.set_open(open);
        if self.receive() {
            // SAFETY: The handler itself; the critical section around it uses no mask of single interrupts.
            unsafe { NVIC::unmask(Interrupt::USBCTRL_IRQ) };
        } else {
            // The controller asks until what came is read: the tick looks again.
            NVIC::mask(Interrupt::USBCTRL_IRQ);
        }
        let serial = &mut self.serial;
        self.line.send(|bytes| serial.write(bytes).unwrap_or(0));
        // What the serial port holds, and the empty packet behind a full one. An error is a host that has not taken the last
        // packet yet: the next call tries again.
        let _ = self.serial.flush();
        hung_up && self.serial.line_coding().data_rate() == TOUCH_BAUD
    }

    /// Reads what came; false if there was no room for all of it.
    fn receive(&mut self) -> bool {
        let mut packet = [0; 64];
        loop {
            let room = self.line.room().min(packet.len());
            let Some(part) = packet.get_mut(..room).filter(|part| !part.is_empty()) else { return false };
            let Ok(count) = self.serial.read(part) else { return true };
            self.line.receive(part.get(..count).unwrap_or_default());
        }
    }
}
