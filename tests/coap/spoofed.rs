//! A hundred thousand peers that nobody has ever heard of.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidegate_tests::{
    CoapClient, Login,
    coap::{Code, Datagram, Kind},
};

use crate::{CHANGED, MEMORY_KIB_MAX, READING, Rig};

const PEERS: u32 = 100_000;
/// How long they may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// What the gateway may need for those of whom it should remember nothing.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// Sends one datagram from an address and port of its own, and is gone.
fn send_from(peer: u32, rig: &Rig, bytes: &[u8]) {
    let [_, high, middle, low] = (peer + 0x0001_0002).to_be_bytes();
    let socket = UdpSocket::bind((Ipv4Addr::new(127, high, middle, low), 0)).expect("loopback is a /8");
    socket.send_to(bytes, rig.gateway.coap_address()).expect("loopback takes a datagram");
    // As fast as it can be done without the kernel throwing most of it away.
    if peer.is_multiple_of(50) {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Posts readings one after the other until it is stopped; the longest that one took, and how many there were.
fn post_on(rig: &Rig, login: &Login, stop: &Arc<AtomicBool>) -> JoinHandle<(Duration, u32)> {
    let (login, stop, address) = (login.clone(), Arc::clone(stop), rig.gateway.coap_address());
    thread::spawn(move || {
        let mut client = CoapClient::open(address);
        let (mut longest, mut count) = (Duration::ZERO, 0);
        while !stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            assert_eq!(client.post_and_wait("telemetry", &login, READING), CHANGED);
            longest = begin.elapsed().max(longest);
            count += 1;
            thread::sleep(Duration::from_millis(20));
        }
        (longest, count)
    })
}

/// Sends from every peer what `datagram` makes for it, while two devices go on; asserts that these are served.
fn flood(rig: &Rig, datagram: impl Fn(u32) -> Vec<u8>) -> u64 {
    let requests = || rig.gateway.status()["coap"]["requests"].as_u64().expect("a number");
    let before = requests();
    let stop = Arc::new(AtomicBool::new(false));
    let served = [post_on(rig, &rig.other, &stop), post_on(rig, &rig.gateway.device, &stop)];
    let begin = Instant::now();
    for peer in 0..PEERS {
        send_from(peer, rig, &datagram(peer));
    }
    let took = begin.elapsed();
    stop.store(true, Ordering::Relaxed);
    for served in served {
        let (longest, count) = served.join().expect("it is served");
        println!("{count} readings of a device beside them, the slowest in {longest:?}");
        assert!(count > 0);
    }
    let came = requests() - before;
    println!("{PEERS} peers in {took:?}, {came} requests came through; {:?} KiB", rig.gateway.memory_kib());
    assert!(took < TIME_MAX, "{took:?}");
    came
}

#[test]
fn nothing_is_kept_for_who_does_not_say_who_it_is() {
    let mut rig = Rig::start();
    let guess = |user: &str, peer| Login { user: user.to_owned(), password: format!("guess{peer}") };
    let (before_kib, _) = rig.gateway.memory_kib();
    let came = flood(&rig, |peer| {
        let id = peer as u16;
        let post = Datagram::bare(Kind::Con, Code::POST, id);
        let mut request = match peer % 5 {
            0 => return Datagram::bare(Kind::Con, Code::EMPTY, id).bytes(),
            1 => Datagram::bare(Kind::Con, Code::GET, id).to(".well-known/core", None),
            2 => post.to("telemetry", None),
            3 => post.to("telemetry", Some(&guess("sensor_1", peer))),
            _ => post.to("telemetry", Some(&guess(&format!("nobody_{peer}"), peer))),
        };
        request.token = peer.to_be_bytes().to_vec();
        request.payload = READING.to_vec();
        request.bytes()
    });
    // Four of five are requests.
    assert!(came > u64::from(PEERS) / 2, "the kernel threw too much away: {came}");
    let (_, most_kib) = rig.gateway.memory_kib();
    assert!(most_kib < before_kib + GROWTH_KIB_MAX, "{before_kib} KiB, then {most_kib} KiB");
    rig.assert_well_and_counted();
}

#[test]
fn a_device_whose_address_changes_each_time_has_its_place() {
    let mut rig = Rig::start();
    let login = rig.gateway.device.clone();
    let came = flood(&rig, |peer| {
        let mut request = Datagram::bare(Kind::Con, Code::POST, 7).to("telemetry", Some(&login));
        request.token = peer.to_be_bytes().to_vec();
        request.payload = READING.to_vec();
        request.bytes()
    });
    assert!(came > u64::from(PEERS) / 2, "the kernel threw too much away: {came}");
    let (_, most_kib) = rig.gateway.memory_kib();
    assert!(most_kib < MEMORY_KIB_MAX, "{most_kib} KiB");
    rig.assert_well();
}
