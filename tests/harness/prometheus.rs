//! A strict reader of the Prometheus text format 0.0.4, and of the rules for names that `promtool check metrics` has.

use std::collections::BTreeMap;

/// Numbers by name and labels, as written: `name{a="b"}`.
#[derive(Debug)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
}

/// What a name was said to be.
#[derive(Debug)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
}

impl Metrics {
    /// Reads a page.
    ///
    /// # Panics
    /// A line, a name or an order that the format does not have.
    pub fn read(page: &str) -> Self {
        assert!(page.ends_with('\n'), "the last line ends");
        let mut samples = BTreeMap::new();
        let mut names = BTreeMap::new();
        let mut help: Option<&str> = None;
        let mut family: Option<Family<'_>> = None;
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(words.len() > 3 && help.is_none(), "{line}");
                help = Some(name);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert_eq!(help.take(), Some(name), "help stands in front of the type");
                check_name(name, kind);
                assert_eq!(names.insert(name.to_owned(), ()), None, "{name} twice");
                family = Some(Family { name, kind });
            } else {
                let family = family.as_ref().unwrap_or_else(|| panic!("no type in front of {line}"));
                let (key, value) = sample(line, family);
                assert_eq!(samples.insert(key, value), None, "twice: {line}");
            }
        }
        let metrics = Self { samples };
        metrics.check_histograms(names.keys());
        metrics
    }

    /// The number of `key`.
    ///
    /// # Panics
    /// There is none.
    pub fn get(&self, key: &str) -> f64 {
        let known = || self.samples.keys().cloned().collect::<Vec<_>>().join("\n");
        *self.samples.get(key).unwrap_or_else(|| panic!("no {key}; there is:\n{}", known()))
    }

    /// Classes grow, and the last holds all.
    fn check_histograms<'a>(&self, names: impl Iterator<Item = &'a String>) {
        for name in names {
            let prefix = format!("{name}_bucket{{le=\"");
            let edge = |key: &str| {
                let edge = key.strip_prefix(&prefix)?.strip_suffix("\"}")?;
                edge.replace("+Inf", "inf").parse::<f64>().ok()
            };
            let mut classes: Vec<(f64, f64)> =
                self.samples.iter().filter_map(|(key, count)| Some((edge(key)?, *count))).collect();
            if classes.is_empty() {
                continue;
            }
            classes.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(classes.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}: {classes:?}");
            let last = classes.last().expect("not empty");
            assert_eq!(*last, (f64::INFINITY, self.get(&format!("{name}_count"))), "{name}");
            assert!(self.get(&format!("{name}_sum")) >= 0.0);
        }
    }
}

fn check_name(name: &str, kind: &str) {
    assert!(["counter", "gauge", "histogram"].contains(&kind), "{name} is a {kind}");
    assert!(name.starts_with("tidegate_"), "{name}");
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
    assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    for unit in ["_ms", "_us", "_milliseconds", "_kb", "_mb", "_count", "_sum", "_bucket"] {
        assert!(!name.ends_with(unit), "{name}: base units, and no suffix of a histogram");
    }
}

/// `name{label="value",…} number`.
fn sample(line: &str, family: &Family<'_>) -> (String, f64) {
    let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no number: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = key.split_once('{').map_or((key, ""), |(name, labels)| (name, labels));
    let suffix = name.strip_prefix(family.name).unwrap_or_else(|| panic!("{line} under {family:?}"));
    let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    assert!(suffixes.contains(&suffix), "{line} under {family:?}");
    if !labels.is_empty() {
        check_labels(labels.strip_suffix('}').unwrap_or_else(|| panic!("open labels: {line}")));
    }
    (key.to_owned(), value)
}

fn check_labels(mut labels: &str) {
    loop {
        let (name, rest) = labels.split_once("=\"").unwrap_or_else(|| panic!("no label: {labels}"));
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{labels}");
        let mut escaped = false;
        let end = rest.find(|c| {
            let quote = c == '"' && !escaped;
            assert!(!escaped || ['\\', '"', 'n'].contains(&c), "an escape that is none: {rest}");
            escaped = c == '\\' && !escaped;
            quote
        });
        let after = &rest[end.unwrap_or_else(|| panic!("an open label: {rest}")) + 1..];
        if after.is_empty() {
            return;
        }
        labels = after.strip_prefix(',').unwrap_or_else(|| panic!("no comma: {after}"));
    }
}
