//! The LED: how the link stands, for who stands in front of the board. `firmware/README.md` has the table.

use embassy_rp::gpio::Output;
use embassy_time::Timer;
use portable_atomic::{AtomicU8, Ordering};
use tidegate_firmware::Signal;

/// Which pattern is shown.
static PATTERN: AtomicU8 = AtomicU8::new(1);

/// Milliseconds on, off, on, off … of each pattern.
const PATTERNS: [&[u64]; 6] = [
    // No name yet: two flashes and a pause.
    &[80, 160, 80, 1_680],
    // Looking for the gateway: once a second.
    &[500, 500],
    // The gateway does not know it: five times a second.
    &[100, 100],
    // Linked and all acknowledged: on, with a blink every two seconds to show that it lives.
    &[1_950, 50],
    // Readings wait for the disk: on, with a blink every half second.
    &[450, 50],
    // This very board: ten times a second.
    &[50, 50],
];

/// Chooses the pattern.
pub fn show(signal: Signal, is_identified: bool) {
    let pattern = match signal {
        _ if is_identified => 5,
        Signal::Unclaimed => 0,
        Signal::Searching => 1,
        Signal::Refused => 2,
        Signal::Linked => 3,
        Signal::Waiting => 4,
    };
    PATTERN.store(pattern, Ordering::Relaxed);
}

/// Shows it for ever.
#[embassy_executor::task]
pub async fn blink(mut led: Output<'static>) {
    loop {
        let chosen = PATTERN.load(Ordering::Relaxed);
        for ms in PATTERNS.get(usize::from(chosen)).copied().unwrap_or_default() {
            led.toggle();
            Timer::after_millis(*ms).await;
            if PATTERN.load(Ordering::Relaxed) != chosen {
                break;
            }
        }
        led.set_low();
    }
}
