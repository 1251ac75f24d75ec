use std::rc::Rc;

use super::{connection::Connection, login, worker::Worker};
use crate::{
    auth::Login,
    pipeline,
    session::mqtt::{Filter, IndexError, Publish, QoS, Refusal, SubscriberId, Uplink, Version},
    spool::{Lane, Offset, Position, Protocol, Unavailable},
};

/// Answers all that a session asks for, and sends what it has to say.
pub(crate) async fn drain(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    let mut stored = LastStored::default();
    loop {
        let mut asked = false;
        loop {
            let Some(uplink) = connection.session.borrow_mut().poll_uplink() else { break };
            asked = true;
            match uplink {
                Uplink::Publish(publish) => store(worker, connection, &publish, &mut stored),
                other => answer(worker, connection, other).await,
            }
        }
        let held_back = !connection.wants_bytes();
        worker.flush(connection);
        // What was sent may have made room, so that the session goes on with what it had read.
        let made_room = held_back && connection.wants_bytes();
        if !asked && !made_room {
            break;
        }
    }
    for (lane, offset) in Lane::ALL.into_iter().zip(stored.0) {
        if let Some(offset) = offset {
            worker.await_durable(lane, offset, connection);
        }
    }
}

/// The last offset by lane that a run of publishes was given.
#[derive(Default)]
struct LastStored([Option<Offset>; 2]);

impl LastStored {
    fn note(&mut self, position: Position) {
        let [event, telemetry] = &mut self.0;
        match position.lane {
            Lane::Event => *event = Some(position.offset),
            Lane::Telemetry => *telemetry = Some(position.offset),
        }
    }
}

async fn answer(worker: &Rc<Worker>, connection: &Rc<Connection>, uplink: Uplink) {
    match uplink {
        Uplink::Connect(connect) => {
            connection.is_v5.set(connect.version == Version::V5);
            login::log_in(worker, connection, &connect).await;
        }
        Uplink::Publish(_) => {}
        Uplink::Will(will) => {
            let Some(login) = connection.login.borrow().clone() else { return };
            match accept(worker, connection, &login, &will) {
                Ok(_) => worker.note_appended(false),
                // Nobody is left who could be told or try again.
                Err(refusal) => worker.shared.pipeline.note_shed(&login, &will.topic, &refusal),
            }
        }
        Uplink::Refused(refused) => {
            let Some(login) = connection.login.borrow().clone() else { return };
            worker.shared.pipeline.note_refused(&login, &refused.topic, &refused.reason);
        }
        Uplink::Subscribe(subscribe) => {
            let answers: Vec<_> =
                subscribe.filters.iter().map(|filter| subscribe_one(worker, connection, filter)).collect();
            connection.session.borrow_mut().handle_subscribed(subscribe.receipt, &answers);
        }
        Uplink::Unsubscribe(unsubscribe) => {
            let mut index = worker.subscriptions.borrow_mut();
            let subscriber = SubscriberId(connection.id);
            let existed: Vec<_> =
                unsubscribe.filters.iter().map(|filter| index.unsubscribe(subscriber, filter)).collect();
            connection.session.borrow_mut().handle_unsubscribed(unsubscribe.receipt, &existed);
        }
        Uplink::Disconnect(end) => tracing::debug!(peer = %connection.peer, ?end, "session ended"),
    }
}

/// Hands one publish to the pipeline and tells the session what came of it.
fn store(worker: &Worker, connection: &Rc<Connection>, publish: &Publish, stored: &mut LastStored) {
    let login = connection.login.borrow();
    let Some(login) = login.as_ref() else { return };
    let answer = match accept(worker, connection, login, publish) {
        Ok(position) => {
            stored.note(position);
            Ok(position)
        }
        Err(refusal @ pipeline::Refusal::Unavailable(reason)) if waits(connection, reason) => {
            if !publish.receipt.is_owed() {
                worker.shared.pipeline.note_shed(login, &publish.topic, &refusal);
            }
            connection.session.borrow_mut().handle_busy(publish, worker.shared.clock.now_ms());
            worker.held.borrow_mut().push(Rc::clone(connection));
            return;
        }
        Err(refusal) => Err(refusal.told()),
    };
    connection.session.borrow_mut().handle_stored(publish.receipt, answer);
}

/// Whether the publish is kept for another try: the writer is behind, or the client's version has no word for a full
/// disk.
fn waits(connection: &Connection, reason: Unavailable) -> bool {
    match reason {
        Unavailable::Busy => true,
        Unavailable::Full | Unavailable::RejectsFull => !connection.is_v5.get(),
        Unavailable::Poisoned | Unavailable::Closed | Unavailable::TooLarge => false,
    }
}

/// MQTT 3.1.1 has no word for a payload that can never be accepted: that it was refused is stored in its place.
fn accept(
    worker: &Worker,
    connection: &Connection,
    login: &Login,
    publish: &Publish,
) -> Result<Position, pipeline::Refusal> {
    let is_v5 = connection.is_v5.get();
    let view = pipeline::Publish {
        topic: &publish.topic,
        payload: &publish.payload,
        protocol: if is_v5 { Protocol::Mqtt5 } else { Protocol::Mqtt311 },
        qos: publish.qos as u8,
        content_type: publish.content_type(),
        user_properties: publish
            .user_properties()
            .iter()
            .map(|(name, value)| ((&**name).into(), (&**value).into()))
            .collect(),
    };
    note_qos(worker, connection, login, publish.qos);
    match worker.shared.pipeline.accept(login, &view) {
        Err(pipeline::Refusal::Reject(reject)) if !is_v5 && publish.receipt.is_owed() => {
            Ok(worker.shared.pipeline.store_reject(login, &view, &reject)?)
        }
        outcome => outcome,
    }
}

/// Tells the registry once a session and QoS, so that `status` can name who has no promise.
fn note_qos(worker: &Worker, connection: &Connection, login: &Login, qos: QoS) {
    let [best_effort, acknowledged] = connection.noted_qos.get();
    let noted = if qos == QoS::AtMostOnce { best_effort } else { acknowledged };
    if !noted {
        let is_best_effort = qos == QoS::AtMostOnce;
        connection.noted_qos.set([best_effort || is_best_effort, acknowledged || !is_best_effort]);
        worker.shared.registry.note_qos(&login.device, qos as u8, worker.shared.clock.wall_ms());
    }
}

fn subscribe_one(worker: &Worker, connection: &Connection, filter: &Filter) -> Result<QoS, Refusal> {
    let may = connection.login.borrow().as_ref().is_some_and(|login| login.may_subscribe(&filter.filter));
    if !may {
        return Err(Refusal::NotAuthorized);
    }
    let granted = filter.options.qos.min(QoS::AtLeastOnce);
    let options = crate::session::mqtt::SubscribeOptions { qos: granted, ..filter.options };
    worker.start_reading();
    match worker.subscriptions.borrow_mut().subscribe(SubscriberId(connection.id), &filter.filter, options) {
        Ok(_) => Ok(granted),
        Err(IndexError::Filter) => Err(Refusal::FilterInvalid),
        Err(IndexError::Full | IndexError::SubscriberFull) => Err(Refusal::QuotaExceeded),
    }
}
