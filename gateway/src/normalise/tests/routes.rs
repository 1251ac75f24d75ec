use tidegate_protocol::{Lane, Value};

use super::*;

/// The number that a route makes of a payload.
fn number(toml: &str, topic: &str, payload: &str) -> Result<f64, Reject> {
    let routes = routes(toml).unwrap();
    let message = normalise(&routes, topic, payload.as_bytes())?;
    Ok(message.readings()[0].measurements[0].value.as_number().unwrap())
}

fn error(toml: &str) -> RouteError {
    routes(toml).unwrap_err()
}

#[test]
fn the_topic_names_device_and_measurement() {
    let routes = routes("[[route]]\ntopic = 'plant/+/{device}/{measurement}'").unwrap();
    let message = normalise(&routes, "plant/7/pump_3/pressure", b"1.5").unwrap();
    assert_eq!(message.device.as_str(), "pump_3");
    assert_eq!(message.readings()[0].measurements[0].name.as_str(), "pressure");
    assert_eq!((&*message.output_topic, &*message.tag, message.route), ("iot-topic", "pressure", Some(0)));
    assert_eq!(message.topic, "plant/7/pump_3/pressure");
    assert_eq!(normalise(&routes, "plant/7/pump.3/pressure", b"1").unwrap_err(), Reject::Device);
    assert_eq!(normalise(&routes, "plant/7/pump_3/KEYS", b"1").unwrap_err(), Reject::Name);
    assert_eq!(normalise(&routes, "plant/7/pump_3", b"1").unwrap().route, None);
}

#[test]
fn the_first_route_that_fits_applies() {
    let toml = "
        [[route]]
        topic = 'a/+/x'
        measurement = 'first'
        [[route]]
        topic = 'a/b/c'
        measurement = 'second'
        [[route]]
        topic = 'a/#'
        measurement = 'third'
        [[route]]
        topic = 'a/b/d'
        measurement = 'never'";
    let routes = routes(toml).unwrap();
    for (topic, route) in
        [("a/b/x", Some(0)), ("a/b/c", Some(1)), ("a/b/d", Some(2)), ("a", Some(2)), ("b", None)]
    {
        assert_eq!(normalise(&routes, topic, b"1").unwrap().route, route, "{topic}");
    }
}

#[test]
fn native_words_are_written_long_in_routes() {
    let toml = "
        [[route]]
        topic = 'telemetry'
        measurement = 'own'
        [[route]]
        topic = 'telemetry/{device}'
        measurement = 'named'
        [[route]]
        topic = 'event/#'
        measurement = 'event'";
    let routes = routes(toml).unwrap();
    for (topic, route) in
        [("telemetry", 0), ("t", 0), ("t//sensor_1", 1), ("telemetry/sensor_1", 1), ("e", 2)]
    {
        assert_eq!(normalise(&routes, topic, b"1").unwrap().route, Some(route), "{topic}");
    }
    for wrong in
        ["t", "e", "t//{device}", "telemetry//{device}", "event//x", "cmd/#", "command///req/#", "$SYS/#"]
    {
        assert_eq!(error(&format!("[[route]]\ntopic = '{wrong}'")).key, "topic", "{wrong}");
    }
}

#[test]
fn a_format_that_is_demanded_is_kept_to() {
    let outcome = |format: &str, payload: &[u8]| {
        let routes = routes(&format!("[[route]]\ntopic = 'x'\nformat = '{format}'")).unwrap();
        let content = normalise(&routes, "x", payload)?.content;
        match content {
            Content::Readings(readings) => Ok(Some(readings[0].measurements[0].value.clone())),
            Content::Raw => Ok(None),
        }
    };
    assert_eq!(outcome("json", b"{\"a\":1}"), Ok(Some(Value::Number(1.0))));
    assert_eq!(outcome("json", b"1.5"), Ok(Some(Value::Number(1.5))));
    assert_eq!(outcome("json", b"\"open\""), Ok(Some(Value::text("open").unwrap())));
    for payload in [&b"open"[..], b"", b"{", b"{\"a\":[]}", b"{\"a-b\":1}", b"1 2", b"sensor_1,1"] {
        assert_eq!(outcome("json", payload), Err(Reject::Format), "{payload:?}");
    }
    assert_eq!(outcome("json", b"{\"KEYS\":1}"), Err(Reject::Name));
    assert_eq!(outcome("text", b" 1.5\n"), Ok(Some(Value::Number(1.5))));
    assert_eq!(outcome("text", b"true"), Ok(Some(Value::Boolean(true))));
    assert_eq!(outcome("text", b"half open, jammed"), Ok(Some(Value::text("half open, jammed").unwrap())));
    assert_eq!(outcome("text", b"sensor_1,open"), Ok(Some(Value::text("open").unwrap())));
    assert_eq!(outcome("text", b"sensor_2,1"), Err(Reject::Device));
    for payload in [&b""[..], b"\xff", b"a\nb", &[b'x'; 65], b"sensor_1,"] {
        assert_eq!(outcome("text", payload), Err(Reject::Format), "{payload:?}");
    }
    assert_eq!(outcome("raw", b"{\"KEYS\":1}"), Ok(None));
}

#[test]
fn a_route_that_cleans_numbers_takes_nothing_else() {
    for key in ["range = [0, 50]", "scale = 2", "offset = 1"] {
        for format in ["", "format = 'text'", "format = 'json'"] {
            let toml = format!("[[route]]\ntopic = 'x'\nmeasurement = 'temperature'\n{key}\n{format}");
            let compiled = routes(&toml).unwrap();
            let payloads: [&[u8]; 10] = [
                b"hot",
                b"true",
                b"nan",
                b"sensor_1,hot",
                b"\"hot\"",
                br#"{"temperature":"hot"}"#,
                br#"{"temperature":true,"count":1}"#,
                br#"{"level":"hot"}"#,
                br#"[{"temperature":1},{"temperature":"hot"}]"#,
                b"\xff",
            ];
            for payload in payloads {
                let text = String::from_utf8_lossy(payload);
                assert_eq!(normalise(&compiled, "x", payload).err(), Some(Reject::Format), "{toml}: {text}");
            }
        }
        let compiled = routes(&format!("[[route]]\ntopic = 'x'\n{key}")).unwrap();
        assert!(normalise(&compiled, "x", br#"{"temperature":1,"state":"open","on":true}"#).is_ok());
    }
    let unit = routes("[[route]]\ntopic = 'x'\nformat = 'text'\nunit = 'C'").unwrap();
    assert!(normalise(&unit, "x", b"open").is_ok());
}

#[test]
fn numbers_are_scaled_then_moved_then_checked() {
    let route = "[[route]]\ntopic = 'x'\nscale = 0.5\noffset = -40\nrange = [-40, 85]";
    assert_eq!(number(route, "x", "20"), Ok(-30.0));
    assert_eq!(number(route, "x", "0"), Ok(-40.0));
    assert_eq!(number(route, "x", "250"), Ok(85.0));
    assert_eq!(number(route, "x", "250.01"), Err(Reject::Range));
    assert_eq!(number(route, "x", "-0.01"), Err(Reject::Range));
    assert_eq!(number(route, "x", "[{\"a\":1},{\"a\":1000}]"), Err(Reject::Range));
    assert_eq!(number("[[route]]\ntopic = 'x'\nscale = 1e300", "x", "1e300"), Err(Reject::Range));
    assert_eq!(number("[[route]]\ntopic = 'x'\nunit = 'Cel'", "x", "36.12"), Ok(36.12));
}

#[test]
fn cleaning_keeps_to_the_measurement_that_the_route_names() {
    let toml = "[[route]]\ntopic = 'x'\nmeasurement = 'temperature'\nrange = [0, 50]\nunit = '°C'";
    let routes = routes(toml).unwrap();
    let message = normalise(&routes, "x", br#"{"humidity":90,"temperature":20,"door":true}"#).unwrap();
    let units: Vec<_> = message.readings()[0].measurements.iter().map(|m| m.unit.as_deref()).collect();
    assert_eq!(units, [None, Some("°C"), None]);
    let around = normalise(&routes, "x", br#"{"temp":90}"#).map(|_| ());
    assert_eq!(around, Err(Reject::Range), "another name is no way around the range");
}

#[test]
fn the_payload_may_name_the_device() {
    let routes = routes("[[route]]\ntopic = 'lines'\ndevice = '{payload}'").unwrap();
    let message = normalise(&routes, "lines", b"pump_3,1.5").unwrap();
    assert_eq!(message.device.as_str(), "pump_3");
    assert_eq!(normalise(&routes, "lines", b"1.5").unwrap().device, *SENSOR);
    assert_eq!(normalise(&routes, "lines", b"{\"a\":1}").unwrap().device, *SENSOR);
}

#[test]
fn a_route_may_name_the_device() {
    let routes = routes("[[route]]\ntopic = 'telemetry'\ndevice = 'pump_3'").unwrap();
    let message = normalise(&routes, "t", b"1.5").unwrap();
    assert_eq!((message.device.as_str(), &*message.topic), ("pump_3", "telemetry/pump_3"));
    assert_eq!(normalise(&routes, "t", b"pump_3,1").unwrap().device, message.device);
    assert_eq!(normalise(&routes, "t", b"sensor_1,1").unwrap_err(), Reject::Device);
}

#[test]
fn every_key_of_a_route_is_used() {
    let toml = "
        [[route]]
        topic = 'x'
        device = 'pump_3'
        measurement = 'pressure'
        format = 'json'
        output_topic = 'out-{device}-{measurement}'
        tag = '{measurement}.t'
        body = 'raw'
        lane = 'event'
        scale = 2
        offset = 1
        range = [0, 10]
        unit = 'bar'
        split = true
        id = 'device-ts'";
    let routes = routes(toml).unwrap();
    let message = normalise(&routes, "x", b"2").unwrap();
    assert_eq!((&*message.output_topic, &*message.tag), ("out-pump_3-pressure", "pressure.t"));
    assert_eq!((message.body, message.lane, message.id), (BodyForm::Raw, Lane::Event, IdForm::DeviceTs));
    let measurement = &message.readings()[0].measurements[0];
    assert_eq!((measurement.value.as_number(), measurement.unit.as_deref()), (Some(5.0), Some("bar")));
}

#[test]
fn wrong_routes_are_named() {
    for (line, key) in [
        ("topic = ''", "topic"),
        ("topic = 'a/#/b'", "topic"),
        ("topic = 'a/b+'", "topic"),
        ("topic = 'a/{name}'", "topic"),
        ("topic = \"a\\u0001\"", "topic"),
        ("topic = 'a'\ndevice = 'a b'", "device"),
        ("topic = '{device}'\ndevice = 'a'", "device"),
        ("topic = 'a'\ndevice = '{payload}'\nformat = 'json'", "device"),
        ("topic = 'a'\nmeasurement = 'KEYS'", "measurement"),
        ("topic = 'a'\nmeasurement = 'in'", "measurement"),
        ("topic = '{measurement}'\nmeasurement = 'a'", "measurement"),
        ("topic = 'a'\noutput_topic = 'a b'", "output_topic"),
        ("topic = 'a'\noutput_topic = '{measurement}'", "output_topic"),
        ("topic = 'a'\ntag = 'a||b'", "tag"),
        ("topic = 'a'\nscale = 0", "scale"),
        ("topic = 'a'\nscale = nan", "scale"),
        ("topic = 'a'\noffset = inf", "offset"),
        ("topic = 'a'\nrange = [2, 1]", "range"),
        ("topic = 'a'\nrange = [nan, 1]", "range"),
        ("topic = 'a'\nunit = ''", "unit"),
        ("topic = 'a'\nunit = '12345678901234567'", "unit"),
        ("topic = 'a'\nformat = 'raw'\nsplit = true", "format"),
        ("topic = 'a'\nformat = 'raw'\nrange = [1, 2]", "format"),
    ] {
        let problem = error(&format!("[[route]]\ntopic = 'fine'\n[[route]]\n{line}"));
        assert_eq!((problem.route, problem.key), (1, key), "{line}");
        assert!(problem.to_string().starts_with("route 2: "), "{problem}");
    }
    let twice = error("[[route]]\ntopic = 'a/+'\n[[route]]\ntopic = 'a/+'");
    assert_eq!((twice.route, twice.key), (1, "topic"));
}

#[test]
fn unknown_keys_and_words_are_refused() {
    for text in [
        "topic = 'a'\ncolour = 'red'",
        "device = 'a'",
        "topic = 'a'\nformat = 'xml'",
        "topic = 'a'\nlane = 'fast'",
        "topic = 'a'\nid = 'none'",
        "topic = 'a'\nbody = 'cbor'",
        "topic = 'a'\nrange = [1]",
        "topic = 1",
    ] {
        assert!(toml::from_str::<RouteConfig>(text).is_err(), "{text}");
    }
}
