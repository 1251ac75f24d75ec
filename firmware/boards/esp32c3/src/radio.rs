//! The WLAN, by the chip's own radio.

use embassy_executor::{SpawnError, SpawnToken, Spawner};
use embassy_net::{Config, Runner, Stack, StackResources};
use embassy_time::{Duration, Timer, with_timeout};
use esp_hal::{peripherals::WIFI, ram, rng::Rng};
use esp_radio::wifi::{
    AuthenticationMethodConfig, ControllerConfig, Interface, WifiController, WifiError, sta::StationConfig,
};
use static_cell::StaticCell;

use crate::network::{JOIN_SECONDS_MAX, PASSWORD, Patience, SOCKETS, SSID};

/// Bytes that the radio's own program may allocate: its maker says 47 to 57 KiB, and buffers on top. The first part is
/// what the boot loader has left behind.
const LEFT_BEHIND_BYTES: usize = 64 * 1024;
const HEAP_BYTES: usize = 36 * 1024;

#[embassy_executor::task]
async fn run_network(mut network: Runner<'static, Interface>) {
    network.run().await;
}

/// Joins the WLAN, again and again.
#[embassy_executor::task]
async fn stay_joined(mut radio: WifiController<'static>) {
    let mut patience = Patience::new();
    loop {
        let joined = with_timeout(Duration::from_secs(JOIN_SECONDS_MAX), radio.connect_async()).await;
        if matches!(joined, Ok(Ok(_))) {
            patience = Patience::new();
            let _why = radio.wait_for_disconnect_async().await;
        } else {
            // One that has not come to an end is given up before the next.
            let leave = with_timeout(Duration::from_secs(JOIN_SECONDS_MAX), radio.disconnect_async());
            let _left = leave.await;
        }
        Timer::after_secs(patience.failed()).await;
    }
}

/// Starts the radio and what keeps it on the WLAN. The network has an address when DHCP has given it one.
pub fn start(spawner: Spawner, radio: WIFI<'static>) -> Result<Stack<'static>, WifiError> {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    esp_alloc::heap_allocator!(#[ram(reclaimed)] size: LEFT_BEHIND_BYTES);
    esp_alloc::heap_allocator!(size: HEAP_BYTES);
    let mut radio = WifiController::new(radio, ControllerConfig::default())?;
    let authentication = if PASSWORD.is_empty() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::Wpa2Personal(PASSWORD.try_into()?)
    };
    let station = StationConfig::default().with_ssid(SSID.try_into()?).with_authentication(authentication);
    radio.set_config(&esp_radio::wifi::Config::Station(station))?;
    let [high, low] = [Rng::new().random(), Rng::new().random()].map(u64::from);
    let resources = RESOURCES.init(StackResources::new());
    let dhcp = Config::dhcpv4(embassy_net::DhcpConfig::default());
    let (stack, network) = embassy_net::new(Interface::station(), dhcp, resources, high << 32 | low);
    spawn(spawner, run_network(network));
    spawn(spawner, stay_joined(radio));
    Ok(stack)
}

/// Each task is there once, and is asked for once.
fn spawn<S>(spawner: Spawner, task: Result<SpawnToken<S>, SpawnError>) {
    if let Ok(task) = task {
        spawner.spawn(task);
    }
}
