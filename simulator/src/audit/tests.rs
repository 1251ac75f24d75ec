use std::{fmt::Write as _, fs};

use super::*;
use crate::{plan::AuditSource, profile::Values, ranges::Ranges};

const SEED: u64 = 9;
const BOOT: u32 = 7;

struct Output {
    dir: tempfile::TempDir,
    ledger: Ledger,
    text: String,
}

impl Output {
    /// Devices `a` and `b`, each with readings 1 to 3 acknowledged.
    fn new() -> Self {
        let devices = ["a", "b"].map(|name| (name.to_owned(), (1..=3).collect()));
        let ledger = Ledger { seed: SEED, boot: BOOT, devices: devices.into(), ..Ledger::default() };
        Self { dir: tempfile::tempdir().unwrap(), ledger, text: String::new() }
    }

    fn reading(&mut self, device: &str, sequence: u64) -> &mut Self {
        let uid = format!("{device}/{BOOT}/{sequence}");
        self.line(device, &uid, BOOT, sequence, Values::Waves.celsius(SEED, device, sequence))
    }

    fn line(&mut self, device: &str, uid: &str, boot: u32, seq: u64, celsius: f64) -> &mut Self {
        let line = serde_json::json!({
            "lane": "telemetry", "offset": 1, "uid": uid, "device": device, "boot": boot, "seq": seq, "ts": 1,
            "values": {"temperature": celsius},
        });
        writeln!(self.text, "{line}").unwrap();
        self
    }

    fn all(&mut self) -> &mut Self {
        for sequence in 1..=3 {
            self.reading("a", sequence).reading("b", sequence);
        }
        self
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Closes a file under this name.
    fn file(&mut self, name: &str) -> &mut Self {
        fs::write(self.dir.path().join(name), std::mem::take(&mut self.text)).unwrap();
        self
    }

    fn verdict(&mut self) -> Verdict {
        self.file("z.jsonl");
        let mut audit = Audit::new(Source::folder(self.dir.path()), &self.ledger, true);
        audit.poll().unwrap();
        audit.verdict(&self.ledger)
    }
}

#[test]
fn everything_in_order_passes() {
    let verdict = Output::new().all().verdict();
    assert!(verdict.pass, "{verdict}");
    assert_eq!((verdict.acknowledged, verdict.arrived, verdict.lines), (6, 6, 6));
    assert_eq!(verdict.to_string().lines().last(), Some("lost 0, duplicated 0, out of order 0"));
}

#[test]
fn nothing_acknowledged_is_called_empty() {
    let mut output = Output::new();
    output.ledger.devices.values_mut().for_each(|numbers| *numbers = Ranges::default());
    let verdict = output.all().verdict();
    assert!(verdict.to_string().starts_with("audit EMPTY"), "{verdict}");
}

#[test]
fn a_lost_reading_fails_and_is_named() {
    let mut output = Output::new();
    output.reading("a", 1).reading("a", 2).reading("b", 1);
    let verdict = output.verdict();
    assert!(!verdict.pass);
    assert_eq!(verdict.lost, 3);
    let text = verdict.to_string();
    assert!(text.contains("a/7/3") && text.contains("b/7/2..=3"), "{text}");
    assert!(text.ends_with("lost 3, duplicated 0, out of order 0"), "{text}");
}

#[test]
fn a_device_without_any_line_is_lost() {
    let mut output = Output::new();
    output.reading("a", 1).reading("a", 2).reading("a", 3);
    assert_eq!(output.verdict().lost, 3);
}

#[test]
fn an_equal_duplicate_is_counted_and_passes() {
    let verdict = Output::new().all().reading("a", 2).reading("a", 3).verdict();
    assert!(verdict.pass, "{verdict}");
    assert_eq!((verdict.duplicated, verdict.duplicated_unlike, verdict.out_of_order), (2, 0, 0));
}

#[test]
fn a_duplicate_under_another_id_fails() {
    let value = Values::Waves.celsius(SEED, "a", 2);
    let verdict = Output::new().all().line("a", "a/g1/t5", BOOT, 2, value).verdict();
    assert!(!verdict.pass);
    assert_eq!((verdict.duplicated, verdict.duplicated_unlike), (1, 1));
}

#[test]
fn an_odd_id_is_compared_with_the_odd_id_before() {
    let value = Values::Waves.celsius(SEED, "a", 4);
    let mut output = Output::new();
    output.all().line("a", "odd", BOOT, 4, value).line("a", "odd", BOOT, 4, value);
    assert!(output.verdict().pass);
    let mut output = Output::new();
    output.all().line("a", "odd", BOOT, 4, value).line("a", "other", BOOT, 4, value);
    assert_eq!(output.verdict().duplicated_unlike, 1);
    let mut output = Output::new();
    output.all().line("a", "odd", BOOT, 4, value).reading("a", 4);
    assert_eq!(output.verdict().duplicated_unlike, 1);
}

#[test]
fn odd_uids_max_is_reached() {
    let mut ledger = Output::new().ledger;
    ledger.devices.insert("a".into(), (1..=3).collect());
    let mut arrivals = Arrivals::new(&ledger, false);
    let line = |n: usize| {
        let n = n as u64;
        format!(r#"{{"device":"a","uid":"odd{n}","boot":7,"seq":{n},"values":{{}}}}"#)
    };
    for n in 1..=ODD_UIDS_MAX + 1 {
        arrivals.handle_line(line(n).as_bytes());
    }
    arrivals.handle_line(line(ODD_UIDS_MAX).as_bytes());
    arrivals.handle_line(line(ODD_UIDS_MAX + 1).as_bytes());
    let verdict = arrivals.verdict(&ledger, &Source::folder("/nonexistent".as_ref()));
    assert_eq!((verdict.duplicated, verdict.duplicated_unlike), (2, 1), "one beyond counts as unlike");
}

#[test]
fn a_first_arrival_behind_a_later_one_fails() {
    let mut output = Output::new();
    output.reading("a", 1).reading("a", 3).reading("a", 2).reading("b", 1).reading("b", 2).reading("b", 3);
    let verdict = output.verdict();
    assert_eq!((verdict.pass, verdict.out_of_order, verdict.lost), (false, 1, 0));
    assert!(verdict.to_string().contains("a/7/2 after 3"));
}

#[test]
fn a_changed_value_fails_unless_values_are_not_compared() {
    let mut output = Output::new();
    output.reading("a", 1).line("a", "a/7/2", BOOT, 2, 99.0).reading("a", 3);
    output.reading("b", 1).reading("b", 2).reading("b", 3);
    let verdict = output.verdict();
    assert_eq!((verdict.pass, verdict.altered), (false, 1));
    assert!(verdict.to_string().contains("a/7/2 says Some(99.0)"), "{verdict}");
    let mut audit = Audit::new(Source::folder(output.dir.path()), &output.ledger, false);
    audit.poll().unwrap();
    assert!(audit.verdict(&output.ledger).pass);
}

#[test]
fn a_torn_last_line_is_no_arrival_and_no_fault_of_its_own() {
    let verdict = Output::new().all().raw(r#"{"lane":"telemetry","off"#).verdict();
    assert!(verdict.pass, "{verdict}");
    assert_eq!(verdict.unreadable, 0);
}

#[test]
fn a_torn_line_inside_is_unreadable_and_what_it_held_is_lost() {
    let mut output = Output::new();
    output.reading("a", 1).reading("a", 2).raw(r#"{"device":"a","boo"#).reading("a", 3);
    output.reading("b", 1).reading("b", 2).reading("b", 3);
    let verdict = output.verdict();
    assert_eq!((verdict.unreadable, verdict.lost), (1, 1));
    assert!(!verdict.pass);
}

#[test]
fn gap_lines_are_counted_and_do_not_excuse() {
    let mut output = Output::new();
    output.all().raw("{\"kind\":\"gap\",\"device\":\"a\",\"gap\":{\"from\":1,\"to\":2}}\n");
    let verdict = output.verdict();
    assert!(verdict.pass && verdict.gaps == 1, "{verdict}");
    let verdict = Output::new().raw("{\"kind\":\"gap\",\"device\":\"a\"}\n").verdict();
    assert!(!verdict.pass && verdict.to_string().contains("1 gap lines"), "{verdict}");
}

#[test]
fn rotated_files_are_one_stream_in_the_order_of_their_names() {
    let mut output = Output::new();
    output.reading("a", 3).reading("b", 3).file("readings-00000010.jsonl");
    output.reading("a", 1).reading("b", 1).file("readings-00000008.jsonl");
    output.reading("a", 2).reading("b", 2).file("readings-00000009.jsonl");
    let verdict = output.verdict();
    assert!(verdict.pass && verdict.arrived == 6, "{verdict}");
}

#[test]
fn other_boots_and_devices_are_not_ours() {
    let mut output = Output::new();
    output
        .line("a", "a/6/9", 6, 9, 1.0)
        .all()
        .line("stranger", "s/7/1", BOOT, 1, 1.0)
        .line("a", "x", 8, 1, 1.0);
    let verdict = output.verdict();
    assert!(verdict.pass && verdict.lines == 6, "{verdict}");
}

#[test]
fn what_arrived_without_an_acknowledgement_is_counted_and_passes() {
    let verdict = Output::new().all().reading("a", 4).verdict();
    assert!(verdict.pass && verdict.arrived_unacknowledged == 1, "{verdict}");
}

#[test]
fn readings_that_could_not_be_counted_are_no_pass() {
    let mut output = Output::new();
    output.ledger.unaudited = 1;
    assert!(!output.all().verdict().pass);
}

#[test]
fn waiting_goes_on_while_readings_come_and_ends_when_all_are_there() {
    let mut output = Output::new();
    output.reading("a", 1).file("r.jsonl");
    let plan =
        AuditPlan { wait_max: Duration::from_secs(20), ..AuditPlan::new(output.dir.path().to_owned()) };
    let ledger = output.ledger.clone();
    let waiting = thread::spawn(move || {
        let mut audit = Audit::new(folder(&plan), &ledger, true);
        wait(&mut audit, &plan, &ledger, |_| ()).unwrap()
    });
    thread::sleep(Duration::from_millis(50));
    for sequence in 1..=3 {
        output.reading("b", sequence).reading("a", sequence);
    }
    output.file("s.jsonl");
    let verdict = waiting.join().unwrap();
    assert!(verdict.pass && verdict.duplicated == 1, "{verdict}");
}

#[test]
fn waiting_is_bounded() {
    let mut output = Output::new();
    output.reading("a", 1).file("r.jsonl");
    let plan =
        AuditPlan { wait_max: Duration::from_millis(30), ..AuditPlan::new(output.dir.path().to_owned()) };
    let mut audit = Audit::new(folder(&plan), &output.ledger, true);
    let mut told = Vec::new();
    let verdict = wait(&mut audit, &plan, &output.ledger, |missing| told.push(missing)).unwrap();
    assert!(!verdict.pass && verdict.lost == 5);
    assert_eq!(told.last(), Some(&5));
}

#[test]
fn no_output_at_all_says_where_it_was_looked_for() {
    let plan = AuditPlan { wait_max: Duration::ZERO, ..AuditPlan::new("/nonexistent/out".into()) };
    let ledger = Output::new().ledger;
    let mut audit = Audit::new(folder(&plan), &ledger, true);
    let error = wait(&mut audit, &plan, &ledger, |_| ()).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/out") && error.contains("file output"), "{error}");
}

#[test]
fn a_saved_ledger_reads_back() {
    let output = Output::new();
    let path = output.dir.path().join("state.json");
    output.ledger.save(&path).unwrap();
    assert_eq!(Ledger::load(&path).unwrap(), output.ledger);
    fs::write(&path, "{}").unwrap();
    assert!(Ledger::load(&path).unwrap_err().to_string().contains("--state"));
}

#[test]
fn each_device_is_compared_with_what_it_measures() {
    let mut output = Output::new();
    let spikes = Values::Spikes { every: 2, readings: 1, peak_celsius: 40 };
    output.ledger.values.insert("b".to_owned(), spikes);
    output.all();
    let verdict = output.verdict();
    assert!(!verdict.pass && verdict.altered > 0, "the waves of b are none of its values: {verdict}");
    let mut output = Output::new();
    output.ledger.values.insert("b".to_owned(), spikes);
    for sequence in 1..=3 {
        output.reading("a", sequence);
        let celsius = spikes.celsius(SEED, "b", sequence);
        output.line("b", &format!("b/{BOOT}/{sequence}"), BOOT, sequence, celsius);
    }
    assert!(output.verdict().pass);
}

fn folder(plan: &AuditPlan) -> Source {
    match &plan.source {
        AuditSource::Folder(dir) => Source::folder(dir),
        AuditSource::Bus(_) => panic!("a folder"),
    }
}
