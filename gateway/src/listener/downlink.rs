use std::{rc::Rc, sync::atomic::Ordering};

use tidegate_protocol::{DeviceId, Topic, topic::LaneTopic};

use super::{connection::Connection, worker::Worker};
use crate::{
    session::mqtt::{Downlink, Match, QoS, SubscriberId},
    spool::{Kind, Lane, Record},
};

/// Bytes of records that the subscribers get before the worker looks at its sockets again.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// Gives the subscribers of a worker what has become durable; true when there may be more.
///
/// **Invariant:** only records below the watermark are published: what a subscriber has seen survives a power cut.
pub(crate) fn deliver(worker: &Worker) -> bool {
    let mut readers = worker.readers.borrow_mut();
    if worker.subscriptions.borrow().is_empty() {
        *readers = None;
    }
    let Some(readers) = readers.as_mut() else { return false };
    let mut touched = Touched::default();
    let mut more = false;
    for reader in readers.iter_mut() {
        match reader.next_batch(TURN_BYTES_MAX) {
            Ok(batch) => {
                more |= !batch.is_empty();
                for record in batch.records() {
                    publish(worker, &record, &mut touched);
                }
            }
            Err(error) => tracing::error!(%error, "subscribers cannot be given what the spool holds"),
        }
    }
    for connection in touched.connections {
        worker.flush(&connection);
        if connection.session.borrow().is_closed() {
            connection.wake();
        }
    }
    more
}

#[derive(Default)]
struct Touched {
    connections: Vec<Rc<Connection>>,
    matches: Vec<Match>,
}

fn publish(worker: &Worker, record: &Record<'_>, touched: &mut Touched) {
    if record.envelope.kind != Kind::Message {
        return;
    }
    let lane_topic = own_topic(record);
    let topic = lane_topic.as_ref().map_or(record.envelope.topic, LaneTopic::as_str);
    worker.subscriptions.borrow().matches(topic, &mut touched.matches);
    if touched.matches.is_empty() {
        return;
    }
    let user_properties: Vec<(&str, &str)> =
        record.envelope.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect();
    for found in &touched.matches {
        let SubscriberId(id) = found.subscriber;
        let Some(connection) = worker.connections.borrow().get(&id).cloned() else { continue };
        if found.no_local && is_own(&connection, record) {
            continue;
        }
        let sent_qos = if record.envelope.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let downlink = Downlink {
            content_type: record.envelope.content_type,
            user_properties: &user_properties,
            ..Downlink::new(topic, record.payload, sent_qos.min(found.qos))
        };
        if connection.session.borrow_mut().handle_downlink(&downlink).is_err() {
            worker.shared.counters.slow.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(peer = %connection.peer, "a subscriber is too slow and is disconnected");
        }
        if !touched.connections.iter().any(|known| Rc::ptr_eq(known, &connection)) {
            touched.connections.push(connection);
        }
    }
}

/// `telemetry` from device D, and what others send for it, reaches subscribers as `telemetry/D`; other topics stay as sent.
fn own_topic(record: &Record<'_>) -> Option<LaneTopic> {
    let device = DeviceId::new(record.envelope.device).ok()?;
    match Topic::parse(record.envelope.topic) {
        Ok(Topic::Own(lane) | Topic::Named { lane, path: "", .. }) => Some(LaneTopic::new(lane, &device)),
        _ => None,
    }
}

fn is_own(connection: &Connection, record: &Record<'_>) -> bool {
    connection.login.borrow().as_ref().is_some_and(|login| login.device.as_str() == record.envelope.device)
}

impl Worker {
    /// Makes sure that what becomes durable from here on reaches this worker's subscribers.
    pub(crate) fn start_reading(&self) {
        let mut readers = self.readers.borrow_mut();
        if readers.is_none() {
            let spool = self.shared.pipeline.spool();
            let durable = spool.watermark().durable();
            *readers = Some(Lane::ALL.map(|lane| spool.reader(lane, durable.end(lane))));
        }
    }
}
