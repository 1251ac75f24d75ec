use std::{
    net::IpAddr,
    rc::Rc,
    sync::{MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytestring::ByteString;
use tokio::sync::oneshot;

use super::{
    connection::Connection,
    directory::{Place, Unclaimed},
    worker::{Request, Shared, Worker},
};
use crate::{
    auth::{Attempt, Login, PersonCheck, Throttle},
    clock::Millis,
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
        worker.shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %connection.peer, user = %user.escape_debug(), %refusal, "login refused");
    }
    connection.session.borrow_mut().handle_login(answer, worker.shared.clock.now_ms());
}

/// Somebody who says who it is.
pub(crate) struct Claimant<'a> {
    pub(crate) address: IpAddr,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    /// What a login of a group takes its device from.
    pub(crate) client_id: &'a str,
    /// When it came.
    pub(crate) now_ms: Millis,
}

/// What came of a first look.
pub(crate) enum Looked {
    In(Login),
    /// A person's password: [`verify`] takes a while.
    Slow(PersonCheck),
}

async fn authenticate(worker: &Worker, connection: &Connection, connect: &Connect) -> Result<Login, Refusal> {
    let claimant = Claimant {
        address: connection.peer.ip(),
        user: connect.user.as_deref(),
        password: connect.password.as_deref(),
        client_id: &connect.client_id,
        now_ms: worker.shared.clock.now_ms(),
    };
    match look(&worker.shared, &claimant)? {
        Looked::In(login) => Ok(login),
        Looked::Slow(check) => verify(&worker.shared, &claimant, check).await,
    }
}

/// Who proves who it is always comes in: somebody who guesses passwords behind the same address shuts nobody out.
pub(crate) fn look(shared: &Shared, claimant: &Claimant<'_>) -> Result<Looked, Refusal> {
    let Claimant { address, user, password, client_id, now_ms } = *claimant;
    let attempt = match password {
        None if shared.config.anonymous => shared.registry.authenticate_anonymous(address, user, client_id),
        password => {
            let password = password.unwrap_or_default();
            shared.registry.authenticate(user.unwrap_or_default(), password, client_id, now_ms)
        }
    };
    match attempt {
        Attempt::Accepted(login) => Ok(Looked::In(login)),
        Attempt::Busy => Err(Refusal::Busy),
        Attempt::Refused => Err(fail(shared, claimant)),
        Attempt::Person(check) if pay_for_check(shared, address, now_ms) => Ok(Looked::Slow(check)),
        Attempt::Person(_) => Err(Refusal::RateExceeded),
    }
}

/// Checks a person's password on another thread.
pub(crate) async fn verify(
    shared: &Shared,
    claimant: &Claimant<'_>,
    check: PersonCheck,
) -> Result<Login, Refusal> {
    let checking = tokio::task::spawn_blocking(move || check.verify());
    let Some(login) = checking.await.map_err(|_| Refusal::Unavailable)? else {
        return Err(fail(shared, claimant));
    };
    throttle(shared).forgive_one(claimant.address, shared.clock.now_ms());
    Ok(login)
}

/// Notes a wrong password for the owner and against the address.
fn fail(shared: &Shared, claimant: &Claimant<'_>) -> Refusal {
    let user = claimant.user.unwrap_or_default();
    let cause = shared.registry.refusal_cause(user, claimant.client_id);
    shared.registry.note_refused(user, cause, shared.clock.wall_ms());
    let may_go_on = throttle(shared).note_failure(claimant.address, shared.clock.now_ms());
    if may_go_on { Refusal::BadCredentials } else { Refusal::RateExceeded }
}

/// A check costs a core's time: it is paid for before, and given back to who was right.
fn pay_for_check(shared: &Shared, address: IpAddr, now_ms: u64) -> bool {
    let mut throttle = throttle(shared);
    throttle.permits(address, now_ms) && {
        throttle.note_failure(address, now_ms);
        true
    }
}

fn throttle(shared: &Shared) -> MutexGuard<'_, Throttle> {
    shared.throttle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn claim(worker: &Worker, client_id: &str, login: &Login, place: Place) -> Result<Option<Place>, Refusal> {
    let shared = &worker.shared;
    let refuse = |reason, refusal| {
        shared.registry.note_refused(&login.user, reason, shared.clock.wall_ms());
        refusal
    };
    // Client ids are mostly user names: nobody may sit on another login's.
    if *client_id != *login.user && shared.registry.is_login(client_id) {
        return Err(refuse("the client id is another login's name", Refusal::ClientIdInvalid));
    }
    let sessions_max = shared.config.sessions_per_login_max;
    shared.directory.claim(client_id, &login.user, place, sessions_max).map_err(|unclaimed| match unclaimed {
        Unclaimed::HeldByAnother => refuse("another login holds the client id", Refusal::ClientIdInvalid),
        Unclaimed::TooMany => refuse("the login has as many sessions as it may", Refusal::QuotaExceeded),
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
    let before = claim(worker, client_id, &login, place)?;
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
        connection.is_coming_in.set(true);
        // Whether it settled, ended or took too long: what it stored is in the spool, in order.
        let _settled = tokio::time::timeout(TAKEOVER_MAX, settling).await.is_ok();
        connection.is_coming_in.set(false);
    }
    // A change of the registry may have come between.
    if !shared.registry.is_current(&login) {
        return Err(Refusal::BadCredentials);
    }
    Ok(Accepted { assigned_client_id: assigned })
}
