//! From a device's send to the receipt by a consumer of the bus, with gateway, bus, devices and consumer on this machine.
//!
//! The simulator's clock says when a reading is handed to its connection for the first time. Beside it stands the time
//! since the reading was due, as its own time says: that holds the wake-up of the device's timer too, whose ticks are
//! milliseconds, and is cut off to a whole one. In both are the write to the disk before the acknowledgement, the way to
//! the broker and the consumer's wait for it. The acknowledgement's own share stands beside it, and how late one thread
//! wakes that does nothing but sleep: a reading waits for ten wake-ups and more on its way. The bus is the only output, as
//! in the measurement of the backlog. A broker that was started for it first has a round to warm up.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidegate_tests::{Gateway, RocketMq, Simulator};

use crate::bus::{Options, drop_file_output};

/// Of 99.9 % of the readings, on a machine that has nothing else to do.
const P999_MS_MAX: f64 = 10.0;
/// What the sleeper sleeps.
const SLEEP: Duration = Duration::from_millis(5);
/// Devices: at 5,000 messages a second each sends one every 200 ms.
const DEVICES: usize = 1_000;

/// Prints each round; whether the bar is kept by the median.
pub fn measure(options: &Options, rate: usize) -> bool {
    let own = options.name_server.is_none().then(RocketMq::start_at_full_speed);
    let name_server = options.name_server.clone().or_else(|| own.as_ref().map(RocketMq::name_server));
    let name_server = name_server.expect("a bus runs, or was started");
    let Options { seconds, rounds, .. } = options;
    println!(
        "\n{rate} messages a second from {DEVICES} devices for {seconds} s, over the bus at {name_server}"
    );
    println!(
        "    p50 ms   p99 ms p99.9 ms   max ms | since due p50 p99.9 | acknowledged p50   p99 p99.9 | wake-up p99 p99.9 | messages lost  busy  load before"
    );
    if own.is_some() {
        println!("    a round that does not count: the broker's Java machine compiles what it runs often");
        round(options, rate, &name_server);
        println!("    the rounds that count");
    }
    let mut highs: Vec<f64> = (0..*rounds).map(|_| round(options, rate, &name_server)).collect();
    highs.sort_by(f64::total_cmp);
    let median = highs[highs.len() / 2];
    let kept = median <= P999_MS_MAX;
    println!(
        "bus latency: median p99.9 {median:.2} ms, bar {P999_MS_MAX} ms on a quiet machine: {}",
        if kept { "kept" } else { "NOT KEPT" }
    );
    kept
}

fn round(options: &Options, rate: usize, name_server: &str) -> f64 {
    let mut gateway = Gateway::make();
    let output = format!("[[output]]\ntype = \"rocketmq\"\nname_servers = [\"{name_server}\"]\n");
    gateway.configure("[[output]]\n", &format!("{output}\n[[output]]\n"));
    drop_file_output(&gateway);
    gateway.run();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let (before, sleeper) = (Ticks::now(), Sleeper::start());
    let interval = format!("{}us", DEVICES * 1_000_000 / rate);
    let duration = format!("{}s", options.seconds);
    let target = format!("mqtt://127.0.0.1:{}", gateway.port);
    let devices = DEVICES.to_string();
    let words =
        ["--target", &target, "--devices", &devices, "--interval", &interval, "--duration", &duration];
    let simulator = Simulator::start_audited(&gateway, DEVICES, &format!("rocketmq://{name_server}"), &words);
    let report = simulator.finish(Duration::from_secs(options.seconds as u64 + 120));
    let [p50, p99, p999, max] =
        ["p50", "p99", "p999", "max"].map(|name| report.number(&format!("audit.end_to_end_ms.{name}")));
    let [due50, due999] = ["p50", "p999"].map(|name| report.number(&format!("audit.since_due_ms.{name}")));
    let busy = 100.0 * before.busy_share();
    let [late99, late999] = sleeper.stop();
    let [told50, told99, told999] =
        ["p50", "p99", "p999"].map(|name| report.number(&format!("round_trip_ms.{name}")));
    let [messages, lost] = ["acknowledged", "lost"].map(|name| report.number(&format!("audit.{name}")));
    let load = load.split(' ').next().unwrap_or_default();
    println!(
        "   {p50:>7.2} {p99:>8.2} {p999:>8.2} {max:>8.2} | {due50:>13.2} {due999:>5.2} | {told50:>16.2} {told99:>5.2} {told999:>5.2} | {late99:>11.2} {late999:>5.2} | {messages:>8} {lost:>4} {busy:>4.0}%  {load}"
    );
    gateway.stop();
    p999
}

/// A thread that sleeps until it is stopped.
struct Sleeper {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Sleeper {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut late_ms = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let begin = Instant::now();
                thread::sleep(SLEEP);
                late_ms.push((begin.elapsed() - SLEEP).as_secs_f64() * 1e3);
            }
            late_ms
        });
        Self { is_over, thread }
    }

    /// How late it woke, in milliseconds: of 99 % and of 99.9 % of the times at most so much.
    fn stop(self) -> [f64; 2] {
        self.is_over.store(true, Ordering::Relaxed);
        let mut late_ms = self.thread.join().expect("it only sleeps");
        late_ms.sort_by(f64::total_cmp);
        // Ten and one of a thousand were later.
        [10, 1].map(|later| late_ms[late_ms.len() - 1 - late_ms.len() * later / 1000])
    }
}

/// Time of all processors since the start of the machine, in ticks, of proc_stat(5).
struct Ticks {
    all: f64,
    idle: f64,
}

impl Ticks {
    fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("Linux has it");
        let first = stat.lines().next().expect("a line of all processors");
        let fields: Vec<f64> =
            first.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; what guests took is in user.
        Self { all: fields[..8].iter().sum(), idle: fields[3] + fields[4] }
    }

    /// Of all the time since then.
    fn busy_share(&self) -> f64 {
        let now = Self::now();
        1.0 - (now.idle - self.idle) / (now.all - self.all)
    }
}
