//! A route's topic pattern, taken apart once.

/// A compiled pattern such as `plant/+/{device}/+`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    levels: Vec<Level>,
    /// It ends with `#`: what `levels` describe, and everything below.
    open: bool,
    /// What every topic that fits begins with.
    prefix: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
enum Level {
    Text(Box<str>),
    Any,
    Device,
    Measurement,
}

/// What stands where the pattern has its placeholders.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Captures<'t> {
    pub(super) device: Option<&'t str>,
    pub(super) measurement: Option<&'t str>,
}

impl Pattern {
    /// Takes `text` apart.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut pattern = Self { levels: Vec::new(), open: false, prefix: literal_prefix(text).into() };
        for word in text.split('/') {
            if pattern.open {
                return Err("# stands only at the end".into());
            }
            match word {
                "#" => pattern.open = true,
                "+" => pattern.levels.push(Level::Any),
                "{device}" => pattern.push_once(Level::Device, "{device}")?,
                "{measurement}" => pattern.push_once(Level::Measurement, "{measurement}")?,
                _ if word.contains(['+', '#', '{', '}']) => {
                    return Err(format!(
                        "`{word}`: +, #, {{device}} and {{measurement}} each fill a whole level"
                    ));
                }
                _ => pattern.levels.push(Level::Text(word.into())),
            }
        }
        Ok(pattern)
    }

    fn push_once(&mut self, level: Level, word: &str) -> Result<(), String> {
        if self.levels.contains(&level) {
            return Err(format!("{word} stands twice"));
        }
        self.levels.push(level);
        Ok(())
    }

    /// Whether it fits one topic only.
    pub(super) fn is_exact(&self) -> bool {
        !self.open && self.levels.iter().all(|level| matches!(level, Level::Text(_)))
    }

    pub(super) fn names_device(&self) -> bool {
        self.levels.contains(&Level::Device)
    }

    pub(super) fn names_measurement(&self) -> bool {
        self.levels.contains(&Level::Measurement)
    }

    /// Fits `topic` against the pattern, with MQTT's rules: `plant/#` fits `plant` too \[MQTT-4.7.1-2\].
    pub(super) fn matches<'t>(&self, topic: &'t str) -> Option<Captures<'t>> {
        if !topic.starts_with(&*self.prefix) {
            return None;
        }
        let mut captures = Captures::default();
        let mut words = topic.split('/');
        for level in &self.levels {
            let word = words.next()?;
            match level {
                Level::Text(text) if **text != *word => return None,
                Level::Text(_) | Level::Any => {}
                Level::Device => captures.device = Some(word),
                Level::Measurement => captures.measurement = Some(word),
            }
        }
        (self.open || words.next().is_none()).then_some(captures)
    }
}

/// The levels in front of the first placeholder, without the slash behind them: `plant/#` fits `plant`.
fn literal_prefix(text: &str) -> &str {
    let end = text.find(['+', '#', '{']).unwrap_or(text.len());
    let prefix = text.get(..end).unwrap_or_default();
    if end == text.len() { prefix } else { prefix.strip_suffix('/').unwrap_or(prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, topic: &str) -> bool {
        Pattern::compile(pattern).unwrap().matches(topic).is_some()
    }

    #[test]
    fn wildcards_follow_mqtt() {
        for (pattern, topic) in [
            ("a/b", "a/b"),
            ("a/+", "a/"),
            ("a/+/c", "a/b/c"),
            ("a/#", "a"),
            ("a/#", "a/b/c"),
            ("#", "a/b"),
            ("+", "a"),
            ("/+", "/a"),
            ("+/+", "/a"),
            ("a//c", "a//c"),
            ("a/+/#", "a/b"),
        ] {
            assert!(fits(pattern, topic), "{pattern} {topic}");
        }
        for (pattern, topic) in [
            ("a/b", "a/b/c"),
            ("a/b", "a"),
            ("a/+", "a"),
            ("a/+", "a/b/c"),
            ("+", "/a"),
            ("a/#", "ab"),
            ("a/+/#", "a"),
        ] {
            assert!(!fits(pattern, topic), "{pattern} {topic}");
        }
    }

    #[test]
    fn placeholders_capture_their_level() {
        let pattern = Pattern::compile("plant/+/{device}/{measurement}").unwrap();
        let captures = pattern.matches("plant/7/sensor_1/temperature").unwrap();
        assert_eq!(captures, Captures { device: Some("sensor_1"), measurement: Some("temperature") });
        assert!(pattern.names_device() && pattern.names_measurement() && !pattern.is_exact());
        assert!(Pattern::compile("a/b").unwrap().is_exact());
    }

    #[test]
    fn placeholders_that_fill_no_level_are_refused() {
        for text in [
            "a/#/b",
            "a+",
            "a/b#",
            "x{device}",
            "{device}/{device}",
            "{name}",
            "#/a",
            "{measurement}/{measurement}",
        ] {
            assert!(Pattern::compile(text).is_err(), "{text}");
        }
    }
}
