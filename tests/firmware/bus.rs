//! From the board's sensor to a consumer of the bus that somebody else has written.

use std::time::Duration;

use tidegate_tests::{BusClient, BusConsumer, Gateway, Pico, RocketMq, within};

use crate::{adopt, flash, plug, take_serial};

const ARRIVE_MAX: Duration = Duration::from_secs(120);

#[test]
fn the_python_consumer_prints_the_temperature_of_a_pico_and_an_alarm_above_35() {
    let bus = RocketMq::start();
    bus.create_groups_from_first(&["python-group", "alert-consumer-group"]);
    let mut gateway = Gateway::make();
    take_serial(&mut gateway);
    let output = format!(
        "[[output]]\ntype = \"rocketmq\"\nname_servers = [\"{}\"]\n\n[[output]]\n",
        bus.name_server()
    );
    gateway.configure("[[output]]\n", &output);
    gateway.run();
    let line = plug(&gateway, "ttyACM0");
    let mut pico = Pico::start(&line, &flash(&gateway, "one"), 30.0);
    adopt(&gateway, &pico, "greenhouse-1");
    let printed = BusConsumer::start(&bus, BusClient::Python, &["--group", "python-group"]);
    let alarms = BusConsumer::alarms(&bus, &[]);
    printed.wait_for(2, ARRIVE_MAX);
    assert_eq!(alarms.lines(), Vec::<String>::new(), "30 °C is none");

    pico.warm(36.6);
    let celsius = |body: &str| {
        body.strip_prefix("greenhouse-1,")
            .and_then(|number| number.parse::<f64>().ok())
            .expect("device,number")
    };
    let arrived = || {
        let warm = |body: &str| (celsius(body) - 36.6).abs() < 0.5;
        printed.messages().into_iter().find(|message| message["body"].as_str().is_some_and(warm))
    };
    let message = within(ARRIVE_MAX, arrived).expect("the temperature");
    println!("{message}");
    let properties = &message["properties"];
    let [device, boot, seq] = ["tg_dev", "tg_boot", "tg_seq"].map(|name| properties[name].as_str());
    let uid = format!("greenhouse-1/{}/{}", boot.expect("a boot"), seq.expect("a number"));
    assert_eq!((device, properties["uid"].as_str()), (Some("greenhouse-1"), Some(uid.as_str())), "{message}");
    let alarm = within(ARRIVE_MAX, || alarms.lines().into_iter().next()).expect("an alarm");
    println!("{alarm}");
    let value = alarm.strip_prefix("ALARM greenhouse-1 ").and_then(|number| number.parse::<f64>().ok());
    assert!(value.is_some_and(|value| value > 35.0), "{alarm}");
}
