use std::{
    rc::Rc,
    sync::PoisonError,
    time::Duration,
};

use bytestring::ByteString;
use tokio::sync::oneshot;

use super::{
    connection::Connection,
    worker::{Request, Worker},
};
use crate::{
    auth::{Attempt, Login},
    session::mqtt::{Accepted, Connect, Refusal},
};

/// How long a new session waits for the receipts of the one that it takes over.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// Answers a CONNECT.
pub(crate) async fn log_in(worker: &Rc<Worker>, connection: &Rc<Connection>, connect: &Connect) {
    let answer = match authenticate(worker, connection, connect).await {
        Ok(login) => come_in(worker, connection, connect, login).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &answer {
        let user = connect.user.as_deref().unwrap_or_default();
        tracing::debug!(peer = %connection.peer, user = %user.escape_debug(), %refusal, "login refused");
    }
    connection.session.borrow_mut().handle_login(answer, worker.shared.clock.now_ms());
}

async fn authenticate(
    worker: &Rc<Worker>,
    connection: &Connection,
    connect: &Connect,
) -> Result<Login, Refusal> {
    let shared = &worker.shared;
    let (address, now_ms) = (connection.peer.ip(), shared.clock.now_ms());
    let mut throttle = shared.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    if !throttle.permits(address, now_ms) {
        return Err(Refusal::RateExceeded);
    }
    let user = connect.user.as_deref();
    let attempt = match &connect.password {
        None if shared.config.anonymous => {
            shared.registry.authenticate_anonymous(address, user, &connect.client_id)
        }
        password => {
            let password = password.as_deref().unwrap_or_default();
            shared.registry.authenticate(user.unwrap_or_default(), password, &connect.client_id, now_ms)
        }
    };
    drop(throttle);
    let login = match attempt {
        Attempt::Accepted(login) => Some(login),
        Attempt::Refused => None,
        Attempt::Busy => return Err(Refusal::Busy),
        Attempt::Person(check) => {
            tokio::task::spawn_blocking(move || check.verify()).await.map_err(|_| Refusal::Unavailable)?
        }
    };
    login.ok_or_else(|| {
        let mut throttle = shared.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.note_failure(address, now_ms);
        shared.registry.note_refused(user.unwrap_or_default(), "wrong password", shared.clock.wall_ms());
        Refusal::BadCredentials
    })
}

/// Claims the client id for an authenticated client, and waits for the session that held it before.
async fn come_in(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    connect: &Connect,
    login: Login,
) -> Result<Accepted, Refusal> {
    if let Some(topic) = &connect.will_topic {
        login.may_publish(topic).map_err(|_| Refusal::NotAuthorized)?;
    }
    let assigned = connect
        .client_id
        .is_empty()
        .then(|| ByteString::from(format!("auto-{}-{}", worker.index, connection.id)));
    let client_id = assigned.as_ref().unwrap_or(&connect.client_id);
    let place = worker.place(connection);
    let shared = &worker.shared;
    let before =
        shared.directory.claim(client_id, &login.user, place).map_err(|_| Refusal::ClientIdInvalid)?;
    *connection.client_id.borrow_mut() = Some(Box::from(&**client_id));
    shared.registry.note_seen(&login.device, shared.clock.wall_ms());
    *connection.login.borrow_mut() = Some(login.clone());
    worker.logged_in();
    if let Some(before) = before {
        let (settled, settling) = oneshot::channel();
        if before.worker == worker.index {
            worker.take_over(before.connection, settled);
        } else if let Some(peer) = worker.peers.get(before.worker) {
            let request = Request::TakeOver { connection: before.connection, settled };
            peer.send(request).await.map_err(|_| Refusal::Unavailable)?;
        }
        // Whether it settled, ended or took too long: what it stored is in the spool, in order.
        let _settled = tokio::time::timeout(TAKEOVER_MAX, settling).await.is_ok();
    }
    // A change of the registry may have come between.
    if !shared.registry.is_current(&login) {
        return Err(Refusal::BadCredentials);
    }
    Ok(Accepted { assigned_client_id: assigned })
}
