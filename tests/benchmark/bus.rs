//! A backlog on disk, forwarded to RocketMQ in order: what a message costs the gateway.
//!
//! The gateway takes the backlog while its output has nowhere to go, and is started again with the bus in reach. Its CPU
//! is counted from that start until the last record is confirmed, so reading the spool, making the messages, waiting for
//! answers and moving the cursor are all in it. The bus runs on the same cores.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tidegate_tests::{Gateway, RocketMq, read_credentials, tidegate, within};

use crate::{
    load::{Fleet, Plan},
    server::cpu_s_of,
};

/// Messages a second for a core of the gateway's own.
const PER_CORE_MIN: f64 = 50_000.0;
/// CPU seconds of the gateway for a million messages.
const CPU_S_PER_MILLION_MAX: f64 = 20.0;
/// A backlog may take this long to drain.
const DRAINED_MAX: Duration = Duration::from_secs(1_200);

/// What is measured.
pub struct Options {
    /// The bus that runs already; without it one of its own is started.
    pub name_server: Option<String>,
    pub messages: usize,
    pub devices: usize,
    pub rounds: usize,
    /// Messages a second whose latency is measured, instead of a backlog.
    pub rate: Option<usize>,
    pub seconds: usize,
}

/// Prints each round; whether both bars are kept by the median.
pub fn forward(options: &Options) -> bool {
    let own = options.name_server.is_none().then(RocketMq::start_at_full_speed);
    let name_server = options.name_server.clone().or_else(|| own.as_ref().map(RocketMq::name_server));
    let name_server = name_server.expect("a bus runs, or was started");
    println!(
        "\nbacklog of {} messages of 256 bytes from {} devices, to the bus at {name_server}",
        options.messages, options.devices
    );
    println!("   CPU s/M   msg/s a core    msg/s    cores  HWM MiB  failed");
    let mut costs: Vec<f64> = (0..options.rounds).map(|_| round(options, &name_server)).collect();
    costs.sort_by(f64::total_cmp);
    let median = costs[costs.len() / 2];
    let kept = median <= CPU_S_PER_MILLION_MAX && 1e6 / median >= PER_CORE_MIN;
    println!(
        "bus: median {median:.2} CPU s/M, {:.0} msg/s a core, {:.2} of the bar of {CPU_S_PER_MILLION_MAX} CPU s/M: {}",
        1e6 / median,
        median / CPU_S_PER_MILLION_MAX,
        if kept { "kept" } else { "NOT KEPT" }
    );
    kept
}

fn round(options: &Options, name_server: &str) -> f64 {
    let mut gateway = Gateway::make();
    // Nobody listens there, which is found out at once.
    let away = "127.0.0.1:1";
    let output = format!("[[output]]\ntype = \"rocketmq\"\nname_servers = [\"{away}\"]\n");
    gateway.configure("[[output]]\n", &format!("{output}\n[[output]]\n"));
    drop_file_output(&gateway);
    let logins = read_credentials(&gateway.add_devices(options.devices, "sensor_b"));
    gateway.run();
    let plan = Plan { connections: options.devices, window: 16, messages: options.messages };
    let outcome = Fleet::connect(gateway.port, &logins, &plan).run(options.messages);
    gateway.stop();
    gateway.configure(away, name_server);
    let start = Instant::now();
    gateway.run();
    let drained = within(DRAINED_MAX, || {
        thread::sleep(Duration::from_millis(100));
        (status(&gateway, "unsent") == 0).then_some(())
    });
    let seconds = start.elapsed().as_secs_f64();
    let cpu_s = cpu_s_of(gateway.pid());
    assert!(drained.is_some(), "{} records are left", status(&gateway, "unsent"));
    let messages = outcome.acknowledged as f64;
    let per_million = cpu_s * 1e6 / messages;
    println!(
        "   {per_million:>7.2} {:>14.0} {:>8.0} {:>8.2} {:>8.1} {:>7}",
        messages / cpu_s,
        messages / seconds,
        cpu_s / seconds,
        gateway.memory_kib().1 as f64 / 1024.0,
        status(&gateway, "failed")
    );
    gateway.stop();
    per_million
}

/// Takes the output out that quickstart has made: what it writes is not what is measured.
pub fn drop_file_output(gateway: &Gateway) {
    let path = gateway.config_path();
    let text = std::fs::read_to_string(&path).expect("quickstart wrote it");
    let at = text.find("[[output]]\ntype = \"file\"").expect("the file output");
    std::fs::write(&path, &text[..at]).expect("the configuration can be written");
    tidegate_tests::ran(Command::new(tidegate()).args(["check", "-c"]).arg(&path));
}

fn status(gateway: &Gateway, field: &str) -> u64 {
    gateway.status()["outputs"][0][field].as_u64().expect("a count")
}
