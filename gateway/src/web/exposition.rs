//! The text format of Prometheus, version 0.0.4. Pure.

use std::fmt::{self, Display, Write};

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by class.
    Histogram,
}

/// A text being written.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// One name, to which samples are added.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a name with what it means.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        push(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// A name with one number.
    pub(super) fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a number under `labels`.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// The same under the name with a suffix, for the parts of a histogram.
    pub(super) fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        push(self.text, format_args!("{}{suffix}{} {value}\n", self.name, Labels(labels)));
    }
}

fn push(text: &mut String, words: fmt::Arguments<'_>) {
    // Writing to a text in memory does not fail.
    let _written = text.write_fmt(words).is_ok();
}

struct Labels<'a>(&'a [(&'a str, &'a str)]);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.0.iter().enumerate() {
            let open = if number == 0 { '{' } else { ',' };
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            write!(f, "{open}{name}=\"{value}\"")?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_char('}') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_escaped_labels() {
        let mut exposition = Exposition::default();
        exposition.single("tidegate_up", Kind::Gauge, "One.", 1);
        let mut family = exposition.family("tidegate_things_total", Kind::Counter, "Things.");
        family.sample(&[("name", "a\"b\\c\nd"), ("lane", "event")], 2.5);
        assert_eq!(
            exposition.into_text(),
            "# HELP tidegate_up One.\n# TYPE tidegate_up gauge\ntidegate_up 1\n\
             # HELP tidegate_things_total Things.\n# TYPE tidegate_things_total counter\n\
             tidegate_things_total{name=\"a\\\"b\\\\c\\nd\",lane=\"event\"} 2.5\n"
        );
    }
}
