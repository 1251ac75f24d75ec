use std::time::Duration;

use super::history::History;
use crate::simulator::{Progress, progress::Phase};

/// All that is in the picture.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Where the sensors send.
    pub(super) target: String,
    /// What the run told last.
    pub(super) progress: Option<Progress>,
    pub(super) history: History,
    /// The user has asked for the end.
    pub(super) stopping: bool,
}

impl View {
    pub(super) fn new(target: String) -> Self {
        Self { target, ..Self::default() }
    }

    pub(super) fn handle_progress(&mut self, progress: Progress) {
        self.history.handle_progress(&progress);
        self.progress = Some(progress);
    }

    /// What the run is doing, in a word or two.
    pub(super) fn state(&self) -> String {
        match self.progress.as_ref().map(|progress| progress.phase) {
            None => "connecting".into(),
            Some(Phase::Running) if self.stopping => "stopping".into(),
            Some(Phase::Running) => "running".into(),
            Some(Phase::Settling) => "settling".into(),
            Some(Phase::Auditing { missing }) => format!("audit: waiting for {}", grouped(missing)),
        }
    }

    /// How much of the planned time is over, 0 to 1; `None` where the run has no end.
    pub(super) fn done(&self) -> Option<f64> {
        let progress = self.progress.as_ref()?;
        let planned = progress.planned_duration?.as_secs_f64();
        (planned > 0.0).then(|| (progress.elapsed.as_secs_f64() / planned).clamp(0.0, 1.0))
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `75 s`, `12:05` or `3:12:05`.
pub(super) fn clock(time: Duration) -> String {
    let (h, min, s) = (time.as_secs() / 3600, time.as_secs() / 60 % 60, time.as_secs() % 60);
    match (h, time.as_secs()) {
        (0, 0..120) => format!("{} s", time.as_secs()),
        (0, _) => format!("{min}:{s:02}"),
        _ => format!("{h}:{min:02}:{s:02}"),
    }
}

/// Milliseconds in four or five places.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        ..100_000.0 => format!("{ms:.0}"),
        _ => format!("{:.0} s", ms / 1000.0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::simulator::{Counts, TargetProgress, report::LatencyMs};

    /// A run in its middle.
    pub(in super::super) fn progress() -> Progress {
        let latency_ms = LatencyMs { p50: 1.42, p90: 3.1, p99: 12.5, p999: 250.0, max: 1803.0 };
        Progress {
            phase: Phase::Running,
            elapsed: Duration::from_millis(15_250),
            planned_duration: Some(Duration::from_secs(60)),
            devices: 200,
            connected: 199,
            sent: 1_234_567,
            sent_per_s: 1001.4,
            acknowledged: 1_234_500,
            rate_per_s: 999.6,
            hot: 308_625,
            unacknowledged: 67,
            skipped: 0,
            refused: 4,
            reconnects: 17,
            errors: 21,
            causes: BTreeMap::from([
                ("closed by the server".to_owned(), 17),
                ("PUBACK 0x97 quota exceeded".to_owned(), 4),
            ]),
            latency_ms,
            round_trip_ms: latency_ms,
            targets: vec![target("mqtt://127.0.0.1:1883", 150), target("mqtt://[::1]:1884", 50)],
            recent_ms: Some(LatencyMs { p50: 1.5, ..latency_ms }),
        }
    }

    fn target(text: &str, devices: u32) -> TargetProgress {
        let latency_ms = LatencyMs { p50: 1.42, p90: 3.1, p99: 12.5, p999: 250.0, max: 1803.0 };
        let connected = u64::from(devices);
        TargetProgress {
            target: text.parse().unwrap(),
            devices,
            counts: Counts { connected, acknowledged: connected * 1000, errors: 7, ..Counts::default() },
            rate_per_s: f64::from(devices) * 10.0,
            latency_ms,
            round_trip_ms: latency_ms,
        }
    }

    #[test]
    fn numbers_read_well() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
        for (s, text) in [(0, "0 s"), (119, "119 s"), (120, "2:00"), (725, "12:05"), (11_525, "3:12:05")] {
            assert_eq!(clock(Duration::from_secs(s)), text);
        }
        for (ms, text) in
            [(0.0, "0.00"), (9.994, "9.99"), (12.34, "12.3"), (1803.4, "1803"), (3.6e6, "3600 s")]
        {
            assert_eq!(milliseconds(ms), text);
        }
    }

    #[test]
    fn the_state_says_what_is_waited_for() {
        let mut view = View::new(String::new());
        assert_eq!((view.state().as_str(), view.done()), ("connecting", None));
        view.handle_progress(progress());
        assert_eq!((view.state().as_str(), view.done()), ("running", Some(15.25 / 60.0)));
        view.stopping = true;
        assert_eq!(view.state(), "stopping");
        view.handle_progress(Progress { phase: Phase::Auditing { missing: 1200 }, ..progress() });
        assert_eq!(view.state(), "audit: waiting for 1,200");
        view.handle_progress(Progress { planned_duration: None, ..progress() });
        assert_eq!(view.done(), None);
    }
}
