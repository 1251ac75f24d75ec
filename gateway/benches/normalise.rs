//! What a payload costs on its way in: nanoseconds of one thread to read it, to read it again with what was found the
//! first time, and to write it again as JSON.
//! `cargo bench -p tidegate --bench normalise`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures are printed with one digit")]

use std::{error::Error, hint::black_box, time::Instant};

use tidegate::normalise::{Content, Input, Known, Routes};
use tidegate_protocol::DeviceId;

const RUNS: u32 = 200_000;
const REPEATS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let routes = Routes::compile(&[])?;
    let device = DeviceId::new("sensor_1")?;
    let many: Vec<String> = (1..=12).map(|n| format!("\"sensor_{n:02}\":{}.25", 20 + n)).collect();
    let payloads = [
        ("one measurement", r#"{"temperature":23.4}"#.to_owned()),
        ("numbered", r#"{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.4}}"#.to_owned()),
        ("text", "sensor_1,23.4".to_owned()),
        ("twelve measurements", format!("{{{}}}", many.join(","))),
    ];
    println!("{:<22} {:>8} {:>8} {:>8}", "ns a payload", "read", "again", "write");
    for (what, payload) in &payloads {
        let input = Input {
            device: &device,
            topic: "telemetry",
            payload: payload.as_bytes(),
            content_type: None,
            ts_gw: 0,
            known: Known::default(),
        };
        let read = least(|| drop(black_box(routes.normalise(black_box(&input)))));
        let message = routes.normalise(&input)?;
        let known = Input { known: message.known(), ..input };
        let again = least(|| drop(black_box(routes.normalise(black_box(&known)))));
        let Content::Readings(readings) = &message.content else { return Err("no readings".into()) };
        let mut text = String::new();
        let write = least(|| {
            text.clear();
            for reading in readings.iter() {
                // Writing into a String does not fail.
                let _infallible = black_box(reading).write_json(&mut text);
            }
            black_box(&text);
        });
        println!("{what:<22} {read:>8.1} {again:>8.1} {write:>8.1}");
    }
    Ok(())
}

/// Nanoseconds of one call, the least of some repeats.
fn least(mut call: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        let begin = Instant::now();
        for _ in 0..RUNS {
            call();
        }
        least = least.min(begin.elapsed().as_nanos() as f64 / f64::from(RUNS));
    }
    least
}
