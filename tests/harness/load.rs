//! Devices that publish numbered readings as fast as they are acknowledged, and remember what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Client, Connect, Login, Publish, Version, delivered, output::Delivered};

/// Highest acknowledged sequence number by device. Numbers start at 1 and have no holes.
pub type Acknowledged = BTreeMap<String, u64>;

/// Publishes of one device on their way.
const IN_FLIGHT: u64 = 16;

/// A running load.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// One connection a login, until the connection ends or [`Load::stop`]. Numbers go on where `before` ends.
    pub fn start(port: u16, logins: &[Login], before: &Acknowledged) -> Self {
        Self::start_paced(port, logins, before, Duration::ZERO)
    }

    /// The same, with a `rest` of each connection behind each acknowledgement: for loads that a disk of a few hundred
    /// MiB has to hold, however fast the gateway is.
    pub fn start_paced(port: u16, logins: &[Login], before: &Acknowledged, rest: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(before.clone()));
        let spawn = |login: &Login| {
            let (login, stop, acknowledged) = (login.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
            thread::spawn(move || publish_all(port, &login, rest, &stop, &acknowledged))
        };
        let threads = logins.iter().map(spawn).collect();
        Self { stop, acknowledged, threads }
    }

    /// What is acknowledged so far.
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged.lock().expect("no device panics with it").clone()
    }

    /// Ends the connections.
    pub fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a device finds its acknowledgements in order");
        }
        self.acknowledged.lock().expect("no device panics with it").clone()
    }
}

fn publish_all(
    port: u16,
    login: &Login,
    rest: Duration,
    stop: &AtomicBool,
    acknowledged: &Mutex<Acknowledged>,
) {
    let connect =
        Connect { version: Version::V5, client_id: &login.user, login: Some(login), keep_alive_s: 60 };
    // The first of several connections may already have met the fault that ends the gateway.
    let Ok(mut client) = Client::try_open(port) else { return };
    if client.try_send(&connect.bytes()).is_err()
        || !matches!(client.answer_within(Duration::from_secs(10)), Ok(Some(_)))
    {
        return;
    }
    let last = |table: &Acknowledged| table.get(&login.user).copied().unwrap_or(0);
    let mut confirmed = last(&acknowledged.lock().expect("no device panics with it"));
    let mut sent = confirmed;
    while !stop.load(Ordering::Relaxed) {
        while sent < confirmed + IN_FLIGHT {
            sent += 1;
            let payload = format!("{{\"boot\":1,\"seq\":{sent},\"values\":{{\"temperature\":23.5}}}}");
            let publish =
                Publish { topic: "telemetry", payload: payload.as_bytes(), qos: 1, id: packet_id(sent) };
            if client.try_send(&publish.bytes(Version::V5)).is_err() {
                return;
            }
        }
        match client.answer_within(Duration::from_millis(200)) {
            Ok(Some(answer)) if answer.kind() == 4 => {
                assert_eq!(
                    answer.id(),
                    packet_id(confirmed + 1),
                    "acknowledgements come in order [MQTT-4.6.0-2]"
                );
                if answer.puback_reason() >= 0x80 {
                    return;
                }
                confirmed += 1;
                acknowledged.lock().expect("no device panics with it").insert(login.user.clone(), confirmed);
                thread::sleep(rest);
            }
            Ok(Some(_)) | Err(_) => return,
            Ok(None) => {}
        }
    }
}

fn packet_id(sequence: u64) -> u16 {
    u16::try_from((sequence - 1) % 65_535 + 1).expect("at most 65,535")
}

/// How many acknowledged readings are not among those delivered.
pub fn missing(acknowledged: &Acknowledged, delivered: &Delivered) -> u64 {
    let lost_of = |(device, last): (&String, &u64)| {
        let have: std::collections::BTreeSet<u64> = delivered
            .get(device)
            .into_iter()
            .flatten()
            .copied()
            .filter(|sequence| sequence <= last)
            .collect();
        last - have.len() as u64
    };
    acknowledged.iter().map(lost_of).sum()
}

/// Readings that came behind a later one of the same device for the first time.
pub fn out_of_order(delivered: &Delivered) -> usize {
    let late = |sequences: &Vec<u64>| {
        let (mut newest, mut seen, mut late) = (0, std::collections::BTreeSet::new(), 0);
        for sequence in sequences {
            if seen.insert(*sequence) && *sequence < newest {
                late += 1;
            }
            newest = newest.max(*sequence);
        }
        late
    };
    delivered.values().map(late).sum()
}

/// Waits until everything in `acknowledged` is delivered; how many are missing when nothing more comes.
pub fn missing_at_last(acknowledged: &Acknowledged, out: &std::path::Path) -> u64 {
    let whole = crate::within(Duration::from_secs(20), || {
        (missing(acknowledged, &delivered(out)) == 0).then_some(())
    });
    if whole.is_some() { 0 } else { missing(acknowledged, &delivered(out)) }
}
