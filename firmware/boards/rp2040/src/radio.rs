//! The WLAN of a Pico W, by its radio, a CYW43439, on PIO0. The radio has the LED too.

use cyw43::{Aligned, Control, JoinOptions, NetDriver, SpiBus, State, aligned_bytes};
use cyw43_pio::{DEFAULT_CLOCK_DIVIDER, PioSpi};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_net::{Config, Runner, Stack, StackResources};
use embassy_rp::{
    Peri, bind_interrupts,
    clocks::RoscRng,
    dma,
    gpio::{Level, Output},
    peripherals::{DMA_CH0, PIN_23, PIN_24, PIN_25, PIN_29, PIO0},
    pio::{self, Pio},
};
use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, signal::Signal};
use embassy_time::{Duration, Timer, with_timeout};
use static_cell::StaticCell;

use crate::{
    lamp::LAMP,
    network::{JOIN_SECONDS_MAX, PASSWORD, Patience, SOCKETS, SSID},
};

/// The radio's pin that the LED is on.
const LED: u8 = 0;

/// What the radio runs: its maker's, and only for chips of Raspberry Pi.
static FIRMWARE: Aligned<cyw43::A4, [u8; 231_077]> = Aligned(*cyw43_firmware::CYW43_43439A0);

/// On or off, for the task that has the radio.
static LIGHT: Signal<CriticalSectionRawMutex, bool> = Signal::new();

type Bus = SpiBus<Output<'static>, PioSpi<'static, PIO0, 0>>;

bind_interrupts!(struct Irqs {
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>;
});

/// What the radio is wired to.
pub struct Wires {
    pub power: Peri<'static, PIN_23>,
    pub data: Peri<'static, PIN_24>,
    pub select: Peri<'static, PIN_25>,
    pub clock: Peri<'static, PIN_29>,
    pub pio: Peri<'static, PIO0>,
    pub dma: Peri<'static, DMA_CH0>,
}

#[embassy_executor::task]
async fn run_radio(radio: cyw43::Runner<'static, Bus>) {
    radio.run().await;
}

#[embassy_executor::task]
async fn run_network(mut network: Runner<'static, NetDriver<'static>>) {
    network.run().await;
}

#[embassy_executor::task]
async fn blink() {
    LAMP.blink(|is_on| LIGHT.signal(is_on), async |ms| Timer::after_millis(ms).await).await;
}

/// Joins the WLAN, again and again, and in between turns the LED on and off.
#[embassy_executor::task]
async fn stay_joined(mut control: Control<'static>, stack: Stack<'static>) {
    let mut patience = Patience::new();
    loop {
        let options =
            if PASSWORD.is_empty() { JoinOptions::new_open() } else { JoinOptions::new(PASSWORD.as_bytes()) };
        let join = async {
            let joined = control.join(SSID, options).await.is_ok();
            if joined {
                stack.wait_link_up().await;
            }
            joined
        };
        if with_timeout(Duration::from_secs(JOIN_SECONDS_MAX), join).await == Ok(true) {
            patience = Patience::new();
            light_until(&mut control, stack.wait_link_down()).await;
        } else {
            light_until(&mut control, Timer::after_secs(patience.failed())).await;
        }
    }
}

async fn light_until(control: &mut Control<'static>, end: impl Future<Output = ()>) {
    let mut end = core::pin::pin!(end);
    while let Either::First(is_on) = select(LIGHT.wait(), end.as_mut()).await {
        control.gpio_set(LED, is_on).await;
    }
}

/// Starts the radio and what keeps it on the WLAN. The network has an address when DHCP has given it one.
pub async fn start(spawner: Spawner, wires: Wires) -> Stack<'static> {
    static STATE: StaticCell<State> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let nvram = aligned_bytes!(concat!(env!("OUT_DIR"), "/nvram.bin"));
    let mut pio = Pio::new(wires.pio, Irqs);
    let spi = PioSpi::new(
        &mut pio.common,
        pio.sm0,
        DEFAULT_CLOCK_DIVIDER,
        pio.irq0,
        Output::new(wires.select, Level::High),
        wires.data,
        wires.clock,
        dma::Channel::new(wires.dma, Irqs),
    );
    let power = Output::new(wires.power, Level::Low);
    let (driver, mut control, radio) =
        cyw43::new(STATE.init(State::new()), power, spi, &FIRMWARE, nvram).await;
    spawn(spawner, run_radio(radio));
    control.init(cyw43_firmware::CYW43_43439A0_CLM).await;
    let resources = RESOURCES.init(StackResources::new());
    let dhcp = Config::dhcpv4(embassy_net::DhcpConfig::default());
    let (stack, network) = embassy_net::new(driver, dhcp, resources, RoscRng.next_u64());
    spawn(spawner, run_network(network));
    spawn(spawner, blink());
    spawn(spawner, stay_joined(control, stack));
    stack
}

/// Each task is there once, and is asked for once.
fn spawn<S>(spawner: Spawner, task: Result<embassy_executor::SpawnToken<S>, embassy_executor::SpawnError>) {
    if let Ok(task) = task {
        spawner.spawn(task);
    }
}
