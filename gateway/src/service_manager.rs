//! What the service manager is told, and what it asks for: systemd's protocol (sd_notify(3)). The only place that
//! names sd-notify. Without a service manager nothing of it is sent.
//!
//! The watchdog is fed only while every watched thread shows a sign of life. One that waits for the disk counts as
//! alive: see [`crate::health`].

use std::{fmt, sync::Arc, time::Duration};

use sd_notify::NotifyState;

use crate::health::Health;

/// The gateway takes devices in.
pub fn ready(status: impl fmt::Display) {
    send(&[NotifyState::Ready, NotifyState::Status(&status.to_string())]);
}

/// One line for people, in `systemctl status`.
pub fn status(status: impl fmt::Display) {
    send(&[NotifyState::Status(&status.to_string())]);
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    // `Type=notify-reload` takes it only with the time of the beginning (sd_notify(3)).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The gateway is about to end.
pub fn stopping(status: impl fmt::Display) {
    send(&[NotifyState::Stopping, NotifyState::Status(&status.to_string())]);
}

/// Feeds the watchdog at twice the pace that the service manager asks for, as long as no thread stands still; while
/// the gateway stops, whatever the threads do: how long that may take is the service manager's own limit. Returns at
/// once where it asks for none; else never.
pub async fn feed_watchdog(health: Arc<Health>) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| !within.is_zero()) else { return };
    let mut tick = tokio::time::interval(within.div_f64(2.0).max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        tick.tick().await;
        let still = if health.is_listening() { health.still() } else { Vec::new() };
        if still.is_empty() {
            if std::mem::take(&mut told) {
                tracing::warn!("every thread goes on again");
                status("every thread goes on again");
            }
            send(&[NotifyState::Watchdog]);
        } else if !std::mem::replace(&mut told, true) {
            let still = still.join(", ");
            tracing::error!(still, "the watchdog is not fed any more");
            status(still);
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
