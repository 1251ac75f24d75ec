use std::{rc::Rc, sync::atomic::Ordering};

use super::Coap;
use crate::{
    auth::Login,
    listener::{
        login::{self, Claimant, Looked},
        worker::Worker,
    },
    pipeline,
    session::{
        Refusal,
        coap::{Receipt, Request},
    },
    spool::{Protocol, Unavailable},
};

/// Requests that one worker keeps while the spool is busy; one more is told so.
pub(super) const HELD_MAX: usize = 1_024;

/// A request that waits until there is room for it.
pub(super) struct Held {
    pub(super) request: Request,
    pub(super) login: Rc<Login>,
}

impl Coap {
    /// Lets the sender prove who it is, and stores what it sent. A person's password is looked at elsewhere.
    pub(super) fn ask(self: &Rc<Self>, worker: &Rc<Worker>, request: Request) {
        let registry = &worker.shared.registry;
        let known = self.proved.borrow_mut().find(&request.options, registry);
        if let Some(login) = known {
            return self.store(worker, request, login);
        }
        let changes = registry.changes();
        match login::look(&worker.shared, &claimant(&request)) {
            Ok(Looked::In(login)) => {
                let login = Rc::new(login);
                if self.proved.borrow_mut().note(&request.options, &login, registry, changes) {
                    self.endpoint.borrow_mut().handle_proved(&request.options);
                }
                self.store(worker, request, login);
            }
            Ok(Looked::Slow(check)) => {
                self.endpoint.borrow_mut().handle_waiting(request.receipt);
                let (coap, worker) = (Rc::clone(self), Rc::clone(worker));
                // Bounded by the registry, which hands out so many checks and no more.
                tokio::task::spawn_local(async move {
                    match login::verify(&worker.shared, &claimant(&request), check).await {
                        // A change of the registry may have come between.
                        Ok(login) if worker.shared.registry.is_current(&login) => {
                            coap.store(&worker, request, Rc::new(login));
                        }
                        Ok(_) => coap.turn_away(&worker, &request, Refusal::BadCredentials),
                        Err(refusal) => coap.turn_away(&worker, &request, refusal),
                    }
                    coap.flush();
                });
            }
            Err(refusal) => self.turn_away(worker, &request, refusal),
        }
    }

    fn turn_away(&self, worker: &Worker, request: &Request, refusal: Refusal) {
        worker.shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
        let user = request.options.user.as_deref().unwrap_or_default();
        tracing::debug!(peer = %request.peer, user = %user.escape_debug(), %refusal, "login refused");
        self.refuse(worker, request.receipt, refusal);
    }

    pub(super) fn refuse(&self, worker: &Worker, receipt: Receipt, refusal: Refusal) {
        self.endpoint.borrow_mut().handle_refused(receipt, refusal, worker.shared.clock.now_ms());
    }

    /// Hands a request to the pipeline and tells the endpoint what came of it.
    pub(super) fn store(&self, worker: &Worker, request: Request, login: Rc<Login>) {
        let shared = &worker.shared;
        let topic = request.options.topic.as_str();
        let qos = u8::from(request.is_confirmable);
        let is_confirmable = request.is_confirmable;
        if self.seen.borrow_mut().is_news(request.peer, &login.device, is_confirmable, request.came_ms) {
            shared.registry.note_qos(&login.device, qos, shared.clock.wall_ms());
        }
        if !shared.pipeline.has_path(topic) {
            shared.pipeline.note_refused(&login, topic, &Refusal::PathUnknown);
            return self.refuse(worker, request.receipt, Refusal::PathUnknown);
        }
        let publish = pipeline::Publish {
            topic,
            payload: &request.payload,
            protocol: Protocol::Coap,
            qos,
            content_type: request.options.content_type.as_deref(),
            user_properties: Vec::new(),
        };
        match shared.pipeline.accept(&login, &publish) {
            Ok(position) => {
                self.endpoint.borrow_mut().handle_stored(request.receipt, position);
                worker.note_appended(is_confirmable);
            }
            Err(pipeline::Refusal::Unavailable(Unavailable::Busy)) if self.may_hold(&request) => {
                // Passes within a commit or two.
                self.endpoint.borrow_mut().handle_waiting(request.receipt);
                self.held.borrow_mut().push(Held { request, login });
            }
            Err(refusal) => {
                shared.pipeline.note_shed(&login, topic, &refusal);
                self.refuse(worker, request.receipt, refusal.told());
            }
        }
    }

    /// Best effort does not wait.
    fn may_hold(&self, request: &Request) -> bool {
        request.is_confirmable && self.held.borrow().len() < HELD_MAX
    }
}

fn claimant(request: &Request) -> Claimant<'_> {
    Claimant {
        address: request.peer.ip(),
        user: request.options.user.as_deref(),
        password: request.options.token.as_deref().map(str::as_bytes),
        client_id: request.options.device.as_deref().unwrap_or_default(),
        now_ms: request.came_ms,
    }
}
