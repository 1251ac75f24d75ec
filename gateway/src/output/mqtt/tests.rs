use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use tidegate_protocol::Lane;

use super::*;
use crate::{normalise::Routes, spool::LostCause};

const CONNACK_WRONG_VERSION: [u8; 4] = [0x20, 2, 0, 1];
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const CONNACK_5: [u8; 5] = [0x20, 3, 0, 0, 0];
const DISCONNECT_PACKET_TOO_LARGE: [u8; 4] = [0xE0, 2, 0x95, 0];
const PAYLOAD_FORMAT_INVALID: [u8; 2] = [0x99, 0];
const DISCONNECT_WAIT: Duration = Duration::from_secs(10);

/// One packet: its first byte and what follows the length, which is short here.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut len = usize::from(head[1] & 0x7f);
    if head[1] & 0x80 != 0 {
        let mut more = [0];
        stream.read_exact(&mut more).ok()?;
        len += usize::from(more[0]) << 7;
    }
    let mut rest = vec![0; len];
    stream.read_exact(&mut rest).ok()?;
    Some((head[0], rest))
}

/// A server of MQTT 3.1.1: refuses other levels as table 3.1 of the standard says, and acknowledges publishes.
fn serve_311(listener: &TcpListener, heard: &mpsc::Sender<String>) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let Some((_, connect)) = packet(&mut stream) else { continue };
        let level = connect[6];
        let _told = heard.send(format!("level {level}"));
        if level != 4 {
            let _answered = stream.write_all(&CONNACK_WRONG_VERSION);
            continue;
        }
        stream.write_all(&CONNACK).unwrap();
        while let Some((kind, body)) = packet(&mut stream) {
            if kind >> 4 == 3 {
                let topic_len = usize::from(body[1]);
                let topic = String::from_utf8_lossy(&body[2..2 + topic_len]).into_owned();
                let _told = heard.send(topic);
                stream.write_all(&[0x40, 2, body[2 + topic_len], body[3 + topic_len]]).unwrap();
            }
        }
    }
}

fn lost(from: u64) -> Option<Lost> {
    Some(Lost { from, to: from + 1, cause: LostCause::Damaged })
}

#[test]
fn a_server_of_the_old_version_is_spoken_to_in_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, heard) = mpsc::channel();
    thread::spawn(move || serve_311(&listener, &send));
    let config = MqttOutputConfig { port: Some(port), ..MqttOutputConfig::default() };
    let mut output = MqttOutput::open(&config, std::path::Path::new(".")).unwrap();
    let routes = Routes::default();
    let none = Items { routes: &routes, lane: Lane::Telemetry, records: &[] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let refused = output.deliver(none, lost(1)).await.unwrap_err().to_string();
        assert!(refused.contains("does not answer in this version"), "{refused}");
        // The bridge tries again.
        output.deliver(none, lost(1)).await.unwrap();
        output.deliver(none, lost(5)).await.unwrap();
        output.confirm().await.unwrap();
        assert!(output.window.is_empty());
    });
    let heard: Vec<String> = (0..4).map(|_| heard.recv_timeout(DISCONNECT_WAIT).unwrap()).collect();
    assert_eq!(heard, ["level 5", "level 4", LOST_TOPIC, LOST_TOPIC]);
}

/// A server of MQTT 5 that says no to what has `bad` in it: by its answer, or by ending the connection.
fn serve_5(listener: &TcpListener, bad: &str, ends_connection: bool, heard: &mpsc::Sender<String>) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let Some(_connect) = packet(&mut stream) else { continue };
        stream.write_all(&CONNACK_5).unwrap();
        while let Some((kind, body)) = packet(&mut stream) {
            if kind >> 4 != 3 {
                continue;
            }
            let text = String::from_utf8_lossy(&body).into_owned();
            let packet_id = &body[2 + usize::from(body[1])..][..2];
            if !text.contains(bad) {
                let _told =
                    heard.send(text.split("from\":").nth(1).unwrap().split(',').next().unwrap().to_owned());
                stream.write_all(&[&[0x40, 2], packet_id].concat()).unwrap();
            } else if ends_connection {
                stream.write_all(&DISCONNECT_PACKET_TOO_LARGE).unwrap();
                break;
            } else {
                stream.write_all(&[&[0x40, 4], packet_id, &PAYLOAD_FORMAT_INVALID].concat()).unwrap();
            }
        }
    }
}

#[test]
fn what_the_server_refuses_for_good_is_set_aside_and_the_rest_arrives() {
    for (ends_connection, said) in
        [(false, "PUBACK 0x99 payload format invalid"), (true, "DISCONNECT 0x95 packet too large")]
    {
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, heard) = mpsc::channel();
        thread::spawn(move || serve_5(&listener, r#""from":30,"#, ends_connection, &send));
        let config = MqttOutputConfig { port: Some(port), ..MqttOutputConfig::default() };
        let mut output = MqttOutput::open(&config, data.path()).unwrap();
        let routes = Routes::default();
        let none = Items { routes: &routes, lane: Lane::Telemetry, records: &[] };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for from in [10, 20, 30, 40, 50] {
                // As a bridge does: a connection that ends while more is sent has said nothing.
                while output.deliver(none, lost(from)).await.is_err() {}
            }
            while output.confirm().await.is_err() {}
        });
        let mut arrived: Vec<String> = heard.try_iter().collect();
        // Those around it may come twice when the connection ends.
        arrived.dedup();
        assert_eq!(arrived.last().map(String::as_str), Some("50"));
        arrived.sort();
        arrived.dedup();
        assert_eq!(arrived, ["10", "20", "40", "50"], "{said}");
        assert_eq!(output.dead_letters(), 1);
        let letters = std::fs::read_to_string(data.path().join("dead-letters/mqtt-00000001.jsonl")).unwrap();
        let letter: serde_json::Value = serde_json::from_str(letters.trim()).unwrap();
        assert_eq!((&letter["reason"], &letter["topic"]), (&said.into(), &LOST_TOPIC.into()));
        assert!(letter["body"].as_str().unwrap().contains(r#""from":30"#), "{letter}");
    }
}

#[test]
fn a_server_that_is_away_is_an_error_and_nothing_stays_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = MqttOutputConfig { port: Some(port), ..MqttOutputConfig::default() };
    let mut output = MqttOutput::open(&config, std::path::Path::new(".")).unwrap();
    let routes = Routes::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert!(
            output
                .deliver(Items { routes: &routes, lane: Lane::Telemetry, records: &[] }, lost(1))
                .await
                .is_err()
        );
        assert!(output.window.is_empty());
        // Nothing was delivered, so there is nothing to confirm, and no connection is needed for it.
        output.confirm().await.unwrap();
    });
}

#[test]
fn files_that_are_missing_are_named() {
    let config = MqttOutputConfig {
        tls: true,
        ca_file: Some("no-such-file.pem".into()),
        ..MqttOutputConfig::default()
    };
    let error = MqttOutput::open(&config, std::path::Path::new("/nonexistent")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/no-such-file.pem"), "{error}");
}
