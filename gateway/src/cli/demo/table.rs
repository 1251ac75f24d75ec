use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    time::Duration,
};

use super::super::print;
use crate::{
    control::Shown,
    service::alarm::{Alarm, State},
};

/// Readings above this are marked, °C.
pub(super) const HOT_CELSIUS: f64 = 35.0;
/// Lines of the table on a terminal; the rest of the sensors is counted.
const ROWS_MAX: usize = 20;
/// Devices with an alarm that are named.
const ALARMS_NAMED_MAX: usize = 4;
/// Characters of a cell.
const CELL_WIDTH: usize = 19;
/// Cells of a line.
const COLUMNS: usize = 5;
/// How often a log, which has no table, gets a line.
const LINE_EVERY: Duration = Duration::from_secs(5);

const RED: &str = "\x1b[31;1m";
const PLAIN: &str = "\x1b[0m";
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

/// The newest reading of each sensor, drawn over and over on a terminal, a line now and then elsewhere.
pub(super) struct Table {
    newest: BTreeMap<(usize, String), f64>,
    readings: u64,
    hot: u64,
    /// Devices with an alarm raised, and which.
    raised: BTreeMap<String, Vec<String>>,
    /// Alarms raised since the start.
    alarms: u64,
    is_terminal: bool,
    /// When, since the start, the log gets its next line.
    line_due: Duration,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            newest: BTreeMap::new(),
            readings: 0,
            hot: 0,
            raised: BTreeMap::new(),
            alarms: 0,
            is_terminal: io::stdout().is_terminal(),
            line_due: LINE_EVERY,
        }
    }

    pub(super) fn take(&mut self, shown: Shown) {
        if let Some(alarm) = &shown.alarm {
            return self.take_alarm(&shown.device, alarm);
        }
        let Some(number) = shown.number else { return };
        self.readings += 1;
        self.hot += u64::from(number > HOT_CELSIUS);
        // Shorter names first, so that sensor_2 stands before sensor_10.
        self.newest.insert((shown.device.len(), shown.device), number);
    }

    fn take_alarm(&mut self, device: &str, alarm: &Alarm) {
        let raised = self.raised.entry(device.to_owned()).or_default();
        raised.retain(|name| *name != alarm.alarm);
        if alarm.state() == Some(State::Raised) {
            self.alarms += 1;
            raised.push(alarm.alarm.clone());
        }
        if raised.is_empty() {
            self.raised.remove(device);
        }
    }

    /// The first devices with an alarm, and how many more there are.
    fn alarm_words(&self) -> String {
        let first = self.raised.iter().take(ALARMS_NAMED_MAX);
        let named: Vec<_> = first.map(|(device, names)| format!("{device} {}", names.join(" "))).collect();
        let more = self.raised.len().saturating_sub(ALARMS_NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let colon = if named.is_empty() { "" } else { ": " };
        format!("{} alarms, {} raised{colon}{}{more}", self.alarms, self.raised.len(), named.join(", "))
    }

    /// Draws, `elapsed` after the start; `above` is a line about the whole.
    pub(super) fn draw(&mut self, above: &str, elapsed: Duration) -> io::Result<()> {
        if self.is_terminal {
            let mut out = print::out();
            out.write_all(format!("{HOME_AND_CLEAR}{}", self.page(above)).as_bytes())?;
            return out.flush();
        }
        if elapsed < self.line_due {
            return Ok(());
        }
        self.line_due += LINE_EVERY;
        print::line(self.line(above))
    }

    fn page(&self, above: &str) -> String {
        let mut page = format!(
            "{above}\nreadings {}, over {HOT_CELSIUS} °C {}\n{}\n\n",
            self.readings,
            self.hot,
            self.alarm_words()
        );
        for (index, ((_, device), number)) in self.newest.iter().take(ROWS_MAX * COLUMNS).enumerate() {
            let cell = format!("{device} {number:.2}{}", if *number > HOT_CELSIUS { " !" } else { "" });
            let (colour, plain) = if *number > HOT_CELSIUS { (RED, PLAIN) } else { ("", "") };
            let end = if index % COLUMNS == COLUMNS - 1 { "\n" } else { "" };
            // Writing into a String does not fail.
            let _infallible = write!(page, "{colour}{cell:<CELL_WIDTH$}{plain}{end}");
        }
        let more = self.newest.len().saturating_sub(ROWS_MAX * COLUMNS);
        if more > 0 {
            let _infallible = write!(page, "and {more} more sensors");
        }
        page.push_str("\n\nCtrl-C ends it with an audit.\n");
        page
    }

    fn line(&self, above: &str) -> String {
        let mut hottest: Vec<_> = self.newest.iter().filter(|(_, number)| **number > HOT_CELSIUS).collect();
        hottest.sort_by(|one, other| other.1.total_cmp(one.1));
        let named: Vec<_> =
            hottest.iter().take(3).map(|((_, device), number)| format!("{device} {number:.2} !")).collect();
        let count = hottest.len();
        format!(
            "{above}; {} readings; {count} sensors over {HOT_CELSIUS} °C: {}; {}",
            self.readings,
            named.join(", "),
            self.alarm_words()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(device: &str, number: f64) -> Shown {
        Shown {
            lane: "telemetry".to_owned(),
            offset: 0,
            device: device.to_owned(),
            protocol: "mqtt5".to_owned(),
            topic: format!("telemetry/{device}"),
            ts_gw: 0,
            values: format!("temperature {number}"),
            number: Some(number),
            alarm: None,
        }
    }

    fn alarm(device: &str, state: State) -> Shown {
        let alarm = Alarm {
            alarm: "temperature_high".to_owned(),
            state: state.as_str().to_owned(),
            measurement: "temperature".to_owned(),
            value: 36.12,
            limit: 35.0,
        };
        Shown { number: None, alarm: Some(alarm), ..shown(device, 36.12) }
    }

    #[test]
    fn raised_alarms_are_named_and_counted() {
        let mut table = Table::new();
        for device in ["a", "b", "c", "d", "e", "a"] {
            table.take(alarm(device, State::Raised));
        }
        table.take(alarm("b", State::Cleared));
        let page = table.page("running");
        assert!(page.contains("6 alarms, 4 raised: a temperature_high, c temperature_high"), "{page}");
        table.take(alarm("f", State::Raised));
        assert!(table.page("running").contains(", 5 raised: ") && table.page("").contains(" and 1 more"));
    }

    #[test]
    fn hot_sensors_are_marked_and_those_that_do_not_fit_are_counted() {
        let mut table = Table::new();
        for index in 1..=102 {
            table.take(shown(&format!("sensor_{index}"), if index == 2 { 35.01 } else { 35.0 }));
        }
        let page = table.page("running");
        assert!(page.contains("sensor_2 35.01 !"), "{page}");
        assert_eq!(page.matches(" !").count(), 1);
        assert!(page.contains("and 2 more sensors"), "{page}");
        assert!(
            table.line("3 s").contains("1 sensors over 35 °C: sensor_2 35.01 !"),
            "{}",
            table.line("3 s")
        );
    }
}
