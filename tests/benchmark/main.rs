//! CPU seconds of the server per million acknowledged publishes, the gateway beside mosquitto, or with `--coap` beside
//! libcoap's server.
//!
//! MQTT: QoS 1, 256 bytes, 100 connections, MQTT 3.1.1, user name and password. The gateway is as `tidegate quickstart`
//! makes it: it writes to disk before it acknowledges, and delivers to its file output. mosquitto has a password file
//! and keeps nothing.
//!
//! CoAP: confirmable requests of 256 bytes from 100 sockets, one in flight each. The gateway gets `POST /telemetry`,
//! libcoap `PUT /example_data`, the one resource of its server that takes a payload by itself; it checks no secret and
//! keeps the last payload in memory. Path, queries and payload are as long for both, but for three bytes of the path. The
//! gateway is measured without outputs, which is what libcoap's server does as well, to take a request and to answer it,
//! here durably; and then as quickstart makes it, with its file output. The bar is the same for both.
//!
//! With `--bus --rate 5000` the latency from a device to a consumer of the bus is measured.
//! With `--bus`, a backlog on disk is forwarded to RocketMQ instead; there is no peer, the bars are absolute.
//!
//! Runs come in the order A B B A, so that a drift of the machine falls on both; a ratio is of the four runs of one such
//! pair. Each run has a fresh server, and its CPU is counted until it is idle again.

mod bus;
mod bus_latency;
mod coap;
mod load;
mod server;

use std::{env, fs, process::ExitCode, thread, time::Duration};

use tidegate_tests::coap::Code;

use self::{
    load::{Outcome, Plan},
    server::{Kind, Protocol, Server},
};

/// With one publish in flight the gateway may cost this much of what mosquitto costs.
const RATIO_W1_MAX: f64 = 1.2;
/// With sixteen it must cost less.
const RATIO_W16_MAX: f64 = 1.0;

/// Over CoAP, beside a server that stores nothing.
const RATIO_COAP_MAX: f64 = 0.8;

struct Options {
    protocol: Protocol,
    subject: Kind,
    peer: Kind,
    pairs: usize,
    windows: Vec<usize>,
    messages: Option<usize>,
    connections: usize,
    gate: bool,
    bus: Option<bus::Options>,
}

/// One run of one server.
struct Run {
    cpu_s_per_million: f64,
    outcome: Outcome,
    memory_max_kib: u64,
    disk_bytes: u64,
    load_before: f64,
}

fn main() -> ExitCode {
    let mut options = match options() {
        Ok(options) => options,
        Err(complaint) => {
            eprintln!("{complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    tidegate_tests::print_sync_times("before");
    let mut kept = true;
    if let Some(bus) = &options.bus {
        kept = match bus.rate {
            Some(rate) => bus_latency::measure(bus, rate),
            None => bus::forward(bus),
        };
    } else {
        for window in &options.windows {
            kept &= compare(&options, *window);
        }
        if options.subject == Kind::TidegateAlone {
            options.subject = Kind::Tidegate;
            for window in &options.windows {
                kept &= compare(&options, *window);
            }
        }
    }
    tidegate_tests::print_sync_times("after");
    if kept || !options.gate { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const USAGE: &str = "\
--coap          CoAP, beside libcoap: without outputs, then with its file output
--bus           forward a backlog to RocketMQ, started for it
--name-server HOST:PORT  with --bus: the one that runs there; its topics must be there
--rounds N      with --bus, 3
--rate N        with --bus: latency from device to consumer at so many messages a second, such as 5000
--seconds N     with --rate, 30
--subject tidegate|tidegate-alone|mosquitto|libcoap  --peer mosquitto|libcoap|tidegate
--pairs N       A B B A pairs, 5
--window N      publishes in flight a connection; twice for two, 1 and 16; over CoAP 1
--messages N    a run, 200,000 with one in flight and 1,000,000 with more; 1,000,000 with --bus
--connections N 100; devices, 1,000, with --bus
--gate          exit 1 when a bar is not kept";

fn options() -> Result<Options, String> {
    let mut options = Options {
        protocol: Protocol::Mqtt,
        subject: Kind::Tidegate,
        peer: Kind::Mosquitto,
        pairs: 5,
        windows: Vec::new(),
        messages: None,
        connections: 100,
        gate: false,
        bus: None,
    };
    let (mut is_bus, mut name_server, mut rounds, mut connections) = (false, None, 3, None);
    let (mut rate, mut seconds) = (None, 30);
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--gate" => options.gate = true,
            "--bus" => is_bus = true,
            "--coap" => {
                options.protocol = Protocol::Coap;
                (options.subject, options.peer) = (Kind::TidegateAlone, Kind::Libcoap);
            }
            _ => {}
        }
        if ["--gate", "--coap", "--bus"].contains(&word.as_str()) {
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value, or is not known"))?;
        let number = || value.parse::<usize>().map_err(|_| format!("{word} {value}: no number"));
        match word.as_str() {
            "--subject" => options.subject = Kind::of(&value)?,
            "--peer" => options.peer = Kind::of(&value)?,
            "--pairs" => options.pairs = number()?.max(1),
            "--window" => options.windows.push(number()?.clamp(1, 256)),
            "--messages" => options.messages = Some(number()?.max(1)),
            "--connections" => connections = Some(number()?.clamp(1, 10_000)),
            "--rate" => rate = Some(number()?.clamp(1, 50_000)),
            "--seconds" => seconds = number()?.max(1),
            "--rounds" => rounds = number()?.max(1),
            "--name-server" => name_server = Some(value),
            _ => return Err(format!("{word} is not known")),
        }
    }
    options.connections = connections.unwrap_or(options.connections);
    if is_bus {
        let (messages, devices) = (options.messages.unwrap_or(1_000_000), connections.unwrap_or(1_000));
        options.bus = Some(bus::Options { name_server, messages, devices, rounds, rate, seconds });
    }
    if options.protocol == Protocol::Coap {
        options.windows = vec![1];
    } else if options.windows.is_empty() {
        options.windows = vec![1, 16];
    }
    Ok(options)
}

/// Prints the pairs of one window; whether the bar is kept by the median.
fn compare(options: &Options, window: usize) -> bool {
    let messages = options.messages.unwrap_or(if window == 1 { 200_000 } else { 1_000_000 });
    let plan = Plan { connections: options.connections, window, messages };
    let (a, b) = (options.subject, options.peer);
    println!("\nW{window}: {messages} publishes over {} connections, A {a}, B {b}", plan.connections);
    println!("   server          CPU s/M    msg/s   p50 ms   p99 ms  HWM MiB  disk B/msg  load");
    let mut ratios = Vec::new();
    for pair in 1..=options.pairs {
        let costs = [a, b, b, a].map(|kind| {
            let run = measure(options.protocol, kind, &plan);
            print_run(kind, &plan, &run);
            run.cpu_s_per_million
        });
        let ratio = (costs[0] + costs[3]) / (costs[1] + costs[2]);
        println!("   pair {pair}: {a} / {b} = {ratio:.3}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let (median, least, most) = (ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]);
    let bar = match (options.protocol, window) {
        (Protocol::Coap, _) => RATIO_COAP_MAX,
        (Protocol::Mqtt, 1) => RATIO_W1_MAX,
        (Protocol::Mqtt, _) => RATIO_W16_MAX,
    };
    let kept = if window == 1 { median <= bar } else { median < bar };
    let verdict = if kept { "kept" } else { "NOT KEPT" };
    println!(
        "W{window}: CPU {a} / {b}: median {median:.3}, least {least:.3}, most {most:.3}; bar {bar}: {verdict}"
    );
    kept
}

/// The sockets of either protocol.
enum Fleet {
    Mqtt(load::Fleet),
    Coap(coap::Fleet),
}

impl Fleet {
    fn connect(protocol: Protocol, kind: Kind, server: &Server, plan: &Plan) -> Self {
        let (port, logins) = (server.port(protocol), server.logins());
        let resource = match kind {
            Kind::Libcoap => coap::Resource { method: Code::PUT, path: "example_data" },
            Kind::Tidegate | Kind::TidegateAlone | Kind::Mosquitto => {
                coap::Resource { method: Code::POST, path: "telemetry" }
            }
        };
        match protocol {
            Protocol::Mqtt => Self::Mqtt(load::Fleet::connect(port, logins, plan)),
            Protocol::Coap => Self::Coap(coap::Fleet::connect(port, logins, plan, resource)),
        }
    }

    fn run(&mut self, messages: usize) -> Outcome {
        match self {
            Self::Mqtt(fleet) => fleet.run(messages),
            Self::Coap(fleet) => fleet.run(messages),
        }
    }
}

fn measure(protocol: Protocol, kind: Kind, plan: &Plan) -> Run {
    thread::sleep(Duration::from_millis(500));
    let load_before = load_average();
    let server = Server::start(kind, plan.connections);
    let mut fleet = Fleet::connect(protocol, kind, &server, plan);
    fleet.run(plan.messages / 20);
    server.wait_until_idle();
    let (cpu_before, disk_before) = (server.cpu_s(), server.disk_bytes());
    let outcome = fleet.run(plan.messages);
    server.wait_until_idle();
    Run {
        cpu_s_per_million: (server.cpu_s() - cpu_before) * 1e6 / outcome.acknowledged as f64,
        outcome,
        memory_max_kib: server.memory_max_kib(),
        disk_bytes: server.disk_bytes().saturating_sub(disk_before),
        load_before,
    }
}

fn print_run(kind: Kind, plan: &Plan, run: &Run) {
    let outcome = &run.outcome;
    println!(
        "   {:<14} {:>8.2} {:>8.0} {:>8.2} {:>8.2} {:>8.1} {:>11.0} {:>5.2}",
        kind.to_string(),
        run.cpu_s_per_million,
        outcome.acknowledged as f64 / outcome.seconds,
        outcome.latency_ms(0.5),
        outcome.latency_ms(0.99),
        run.memory_max_kib as f64 / 1024.0,
        run.disk_bytes as f64 / plan.messages as f64,
        run.load_before,
    );
}

fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
