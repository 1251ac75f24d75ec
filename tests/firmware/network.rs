//! Boards with a network: the firmware's core over embassy-net, by MQTT 5 and by CoAP, without a radio.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    os::unix::fs::symlink,
    process::Command,
    thread,
    time::Duration,
};

use serde_json::Value;
use tidegate_tests::{
    Client, Gateway, Login, Namespace, SmallDisk, TapBoard, Version, eventually, ran, readings, within,
};

const ARRIVE_MAX: Duration = Duration::from_secs(90);
const PROTOCOLS: [&str; 2] = ["mqtt", "coap"];

/// A gateway, and a board for each protocol on a network of its own.
struct World {
    gateway: Gateway,
    logins: Vec<Login>,
}

/// The gateway's end of the network of board `number`, and the board's.
fn addresses(number: u8) -> [Ipv4Addr; 2] {
    [1, 2].map(|host| Ipv4Addr::new(10, 77, number, host))
}

impl World {
    fn make(namespace: &Namespace, change: impl FnOnce(&mut Gateway)) -> Self {
        for number in 0..2 {
            namespace.tap(&format!("tap{number}"), &format!("{}/24", addresses(number)[0]));
        }
        let mut gateway = Gateway::make();
        gateway.configure("lan = false", "lan = true").configure("plain_lan = false", "plain_lan = true");
        change(&mut gateway);
        gateway.run();
        let logins = PROTOCOLS.map(|protocol| gateway.add_device(&format!("wireless-{protocol}"))).into();
        Self { gateway, logins }
    }

    fn start(&self, number: u8) -> TapBoard {
        let at = usize::from(number);
        let (protocol, login) = (PROTOCOLS[at], &self.logins[at]);
        let port = [self.gateway.port, self.gateway.coap_port][at];
        let [here, there] = addresses(number);
        let flash = self.gateway.dir.join(format!("{protocol}.flash"));
        TapBoard::start(protocol, (&format!("tap{number}"), there), (here, port), login, &flash)
    }

    /// Waits until so many different readings of each have arrived.
    fn wait_for(&self, count: usize) {
        for login in &self.logins {
            let enough = || (by_place(&readings(&self.gateway, &login.user)).len() >= count).then_some(());
            within(ARRIVE_MAX, enough).unwrap_or_else(|| panic!("{}", self.gateway.log()));
        }
    }

    /// Waits until both boards show that all is on the disk.
    fn settle(&self, boards: &[TapBoard]) {
        for board in boards {
            let linked = || (board.shown().last().map(String::as_str) == Some("Linked")).then_some(());
            within(ARRIVE_MAX, linked)
                .unwrap_or_else(|| panic!("{:?}\n{}", board.shown(), self.gateway.log()));
        }
    }
}

/// How often each reading is there, by boot and number. A reading that is there more than once is the same each time.
fn by_place(found: &[Value]) -> BTreeMap<(u64, u64), usize> {
    let mut places = BTreeMap::new();
    let mut seen: BTreeMap<(u64, u64), (&Value, &Value)> = BTreeMap::new();
    for reading in found {
        let place = (reading["boot"].as_u64().expect("a boot"), reading["seq"].as_u64().expect("a number"));
        let said = (&reading["uid"], &reading["values"]);
        assert_eq!(*seen.entry(place).or_insert(said), said, "{reading}");
        *places.entry(place).or_insert(0) += 1;
    }
    places
}

/// In each boot every number from 1 on. Says how many readings came again, with the uid that they had.
fn assert_none_missing(found: &[Value], boots: usize) -> usize {
    let places = by_place(found);
    let started: BTreeSet<u64> = places.keys().map(|(boot, _)| *boot).collect();
    assert_eq!(started.len(), boots, "{started:?}");
    for boot in started {
        let numbers: Vec<u64> =
            places.keys().filter(|(of, _)| *of == boot).map(|(_, number)| *number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "of boot {boot}");
    }
    places.values().sum::<usize>() - places.len()
}

#[test]
fn boards_with_a_network_lose_nothing_by_mqtt_5_and_by_coap() {
    let namespace = Namespace::make();
    namespace.run(|| {
        let mut world = World::make(&namespace, |_| ());
        let mut boards: Vec<TapBoard> = (0..2).map(|number| world.start(number)).collect();
        world.wait_for(10);
        boards.iter_mut().for_each(|board| board.warm(3_660));
        for (login, protocol) in world.logins.iter().zip(PROTOCOLS) {
            let warm = || {
                readings(&world.gateway, &login.user)
                    .into_iter()
                    .find(|reading| reading["values"]["temperature"] == 36.6)
            };
            let reading = eventually("36.6 °C", warm);
            println!("{reading}");
            assert_eq!(reading["uid"], format!("{}/{}/{}", login.user, reading["boot"], reading["seq"]));
            assert_eq!(reading["units"]["temperature"], "°C");
            assert!(reading["protocol"].as_str().is_some_and(|said| said.starts_with(protocol)), "{reading}");
        }
        // The gateway goes, twice; the second time the boards' power goes as well.
        for round in 0..2 {
            world.gateway.kill();
            thread::sleep(Duration::from_secs(5));
            if round == 1 {
                boards.clear();
                boards.extend((0..2).map(|number| world.start(number)));
                thread::sleep(Duration::from_secs(2));
            }
            world.gateway.run();
            world.wait_for(100 * (round + 1));
        }
        world.settle(&boards);
        for login in &world.logins {
            let found = readings(&world.gateway, &login.user);
            let again = assert_none_missing(&found, 2);
            println!(
                "{}: {} readings, none missing, {again} stored again under the same uid",
                login.user,
                found.len()
            );
            // What was on the disk when the gateway went, and unacknowledged: one each time. And what the board had not
            // noted as acknowledged when its power went.
            assert!(again <= 2 + 8, "{again}");
        }
        // Their secrets are no longer those that the gateway knows.
        for (login, board) in world.logins.iter().zip(&boards) {
            world.gateway.command(&["device", "rotate", &login.user]);
            let refused = || board.shown().last().is_some_and(|shown| shown == "Refused").then_some(());
            within(ARRIVE_MAX, refused).unwrap_or_else(|| panic!("{:?}", board.shown()));
        }
    });
}

#[test]
fn boards_with_a_network_wait_while_the_gateway_has_no_room() {
    let disk = SmallDisk::make(1);
    let namespace = Namespace::make();
    namespace.run(|| {
        // The output stands still for want of room, so what is acknowledged has to stay in the spool.
        let world = World::make(&namespace, |gateway| {
            gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "8MB""#);
            symlink(disk.path(), gateway.out()).expect("the output is not there yet");
        });
        let boards: Vec<TapBoard> = (0..2).map(|number| world.start(number)).collect();
        world.wait_for(5);
        let mut client = Client::login(world.gateway.port, Version::V5, &world.gateway.device);
        let payload = vec![b'x'; 60_000];
        let refused =
            (1..2_000).map(|id| client.publish_and_wait("blob", &payload, id)).find(|reason| *reason >= 0x80);
        assert_eq!(refused, Some(0x97), "it is full");
        for board in &boards {
            // Its lamp stands still for seconds: it goes on measuring, and nothing is taken.
            let waits = || {
                let before = board.shown();
                thread::sleep(Duration::from_secs(2));
                let is_still = before == board.shown();
                (is_still && before.last().is_some_and(|shown| shown == "Waiting")).then_some(())
            };
            within(ARRIVE_MAX, waits).unwrap_or_else(|| panic!("{:?}", board.shown()));
        }
        ran(Command::new("mount").args(["-o", "remount,size=200m"]).arg(disk.path()));
        world.settle(&boards);
        for login in &world.logins {
            let found = readings(&world.gateway, &login.user);
            assert_eq!(assert_none_missing(&found, 1), 0);
            println!("{}: {} readings, none missing, none twice", login.user, found.len());
        }
    });
}
