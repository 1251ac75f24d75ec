//! Signs of life: each thread that must not stand still has a pulse, and whoever watches finds the one that does.
//!
//! A thread says by when it will be heard of next: soon, where it only computes; whenever the disk has answered,
//! where it waits for the disk. So a slow disk is never taken for a thread that hangs: to end the process would not
//! make the disk any faster. What waits for it for long makes the gateway not ready, which is another question.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::clock::{Clock, Millis};

/// How long a thread that turns several times a second may be silent on a busy machine.
pub const SILENCE_MS_MAX: Millis = 10_000;

/// How long a wait for the disk may take before the gateway says that it is not ready.
pub const DISK_WAIT_MS_MAX: Millis = 10_000;

/// One thread's sign of life.
#[derive(Debug)]
pub struct Pulse {
    name: String,
    clock: Clock,
    silence_ms_max: Millis,
    beat_ms: AtomicU64,
    /// When the next beat is due; `Millis::MAX` while the thread waits for the disk.
    due_ms: AtomicU64,
}

impl Pulse {
    /// Of the thread `name`, which is heard of every `silence_ms_max` at least; beats once.
    #[must_use]
    pub fn new(name: impl Into<String>, clock: Clock, silence_ms_max: Millis) -> Self {
        let pulse = Self {
            name: name.into(),
            clock,
            silence_ms_max,
            beat_ms: AtomicU64::new(0),
            due_ms: AtomicU64::new(0),
        };
        pulse.beat();
        pulse
    }

    /// The thread goes on.
    pub fn beat(&self) {
        self.beat_within(self.silence_ms_max);
    }

    /// The thread goes on, and is about to do what may take as long as `ms_max`.
    pub fn beat_within(&self, ms_max: Millis) {
        let now_ms = self.clock.now_ms();
        self.beat_ms.store(now_ms, Ordering::Relaxed);
        self.due_ms.store(now_ms.saturating_add(ms_max), Ordering::Relaxed);
    }

    /// The thread is about to wait for the disk, however long that takes; its next beat ends the wait.
    pub fn await_disk(&self) {
        self.beat_within(Millis::MAX);
    }

    /// Whether the thread is overdue.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.clock.now_ms() > self.due_ms.load(Ordering::Relaxed)
    }

    /// Milliseconds since the last beat.
    #[must_use]
    pub fn silence_ms(&self) -> Millis {
        self.clock.now_ms().saturating_sub(self.beat_ms.load(Ordering::Relaxed))
    }

    /// The thread's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A wait for the disk, whichever thread it is that waits.
#[derive(Debug)]
pub struct DiskWait {
    clock: Clock,
    /// `Millis::MAX` while nobody waits.
    since_ms: AtomicU64,
}

impl DiskWait {
    /// Nobody waits.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, since_ms: AtomicU64::new(Millis::MAX) }
    }

    /// The disk has been asked.
    pub fn begin(&self) {
        self.since_ms.store(self.clock.now_ms(), Ordering::Relaxed);
    }

    /// The disk has answered.
    pub fn end(&self) {
        self.since_ms.store(Millis::MAX, Ordering::Relaxed);
    }

    /// Milliseconds that the wait has taken so far; none when nobody waits.
    #[must_use]
    pub fn ms(&self) -> Option<Millis> {
        let since_ms = self.since_ms.load(Ordering::Relaxed);
        (since_ms != Millis::MAX).then(|| self.clock.now_ms().saturating_sub(since_ms))
    }
}

/// The pulses of a gateway, and whether its listeners are up.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    pulses: Mutex<Vec<Arc<Pulse>>>,
    listening: AtomicBool,
}

impl Health {
    /// No thread watched yet, nothing listening.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, pulses: Mutex::default(), listening: AtomicBool::new(false) }
    }

    /// Watches a thread that turns several times a second.
    pub fn watch(&self, name: impl Into<String>) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(name, self.clock.clone(), SILENCE_MS_MAX));
        self.add(Arc::clone(&pulse));
        pulse
    }

    /// Watches the thread behind `pulse`.
    pub fn add(&self, pulse: Arc<Pulse>) {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(pulse);
    }

    /// Every pulse.
    #[must_use]
    pub fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What stands still, in words; empty when all is well.
    #[must_use]
    pub fn still(&self) -> Vec<String> {
        let still = |pulse: &Arc<Pulse>| {
            let (name, seconds) = (pulse.name(), pulse.silence_ms() / 1000);
            pulse.is_still().then(|| format!("{name} stands still for {seconds} s"))
        };
        self.pulses().iter().filter_map(still).collect()
    }

    /// Whether devices can come in.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// The listeners are up, or are about to go down.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{thread::sleep, time::Duration};

    use super::*;

    #[test]
    fn a_thread_that_waits_for_the_disk_does_not_stand_still_and_one_that_is_overdue_does() {
        let health = Health::new(Clock::start());
        let pulse = Arc::new(Pulse::new("worker-0", Clock::start(), 20));
        health.add(Arc::clone(&pulse));
        assert!(health.still().is_empty());
        pulse.await_disk();
        sleep(Duration::from_millis(60));
        assert!(!pulse.is_still());
        pulse.beat();
        sleep(Duration::from_millis(60));
        assert_eq!(health.still(), ["worker-0 stands still for 0 s"]);
        pulse.beat_within(60_000);
        sleep(Duration::from_millis(60));
        assert!(health.still().is_empty());
    }

    #[test]
    fn a_wait_for_the_disk_is_told_as_long_as_it_lasts() {
        let wait = DiskWait::new(Clock::start());
        assert_eq!(wait.ms(), None);
        wait.begin();
        sleep(Duration::from_millis(60));
        assert!(wait.ms().is_some_and(|ms| ms >= 50));
        wait.end();
        assert_eq!(wait.ms(), None);
    }
}
