//! What each page says.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use super::metrics;
use crate::{
    control::{self, Services},
    health::DISK_WAIT_MS_MAX,
};

/// The text format of Prometheus.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What the pages are made of.
struct Source {
    services: Arc<Services>,
    /// Connections to the pages that were ended for newer ones.
    turned_away: Arc<AtomicU64>,
}

/// Which path leads where.
pub(super) fn router(services: Arc<Services>, turned_away: Arc<AtomicU64>) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .layer(middleware::from_fn(refuse_bodies))
        .with_state(Arc::new(Source { services, turned_away }))
}

/// No page takes a body, so none is read.
async fn refuse_bodies(request: Request, next: Next) -> Response {
    if announces_body(request.headers()) {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, TEXT, "no page takes a body\n".to_owned());
    }
    next.run(request).await
}

fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|len| len != "0")
}

async fn metrics_page(State(source): State<Arc<Source>>) -> Response {
    let turned_away = source.turned_away.load(Ordering::Relaxed);
    // It reads files: a slow disk must not hold up the other pages.
    let gathering = tokio::task::spawn_blocking(move || control::observe(&source.services));
    match gathering.await {
        Ok(Ok(status)) => answer(StatusCode::OK, EXPOSITION, metrics::text(&status, turned_away)),
        Ok(Err(error)) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// Whether the process works. When it does not, it should be ended and started again.
async fn livez(State(source): State<Arc<Source>>) -> Response {
    verdict("alive", &faults(&source.services))
}

/// Whether devices are taken in. When they are not, to start again would not help.
async fn readyz(State(source): State<Arc<Source>>) -> Response {
    let services = &source.services;
    let (health, spool) = (&services.shared.health, services.shared.pipeline.spool());
    let mut reasons = faults(services);
    if !health.is_listening() {
        reasons.push("the listeners are not up".to_owned());
    }
    if spool.is_full() {
        reasons.push("no room on the disk: new readings are refused".to_owned());
    }
    if let Some(ms) = spool.disk_wait_ms().filter(|ms| *ms > DISK_WAIT_MS_MAX) {
        reasons.push(format!("the disk has not answered for {} s", ms / 1000));
    }
    verdict("ready", &reasons)
}

fn faults(services: &Services) -> Vec<String> {
    let mut faults = services.shared.health.still();
    faults.extend(services.shared.pipeline.spool().watermark().failure().map(ToString::to_string));
    faults.extend(services.shared.registry.failure().map(|failure| failure.to_string()));
    faults
}

fn verdict(word: &str, reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return answer(StatusCode::OK, TEXT, format!("{word}\n"));
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not {word}\n{}\n", reasons.join("\n")))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body).into_response()
}
