//! All routes of a configuration, checked and ready for use.

use std::collections::HashMap;

use tidegate_protocol::{DeviceId, Lane, Name, TOPIC_LEN_MAX};

use super::{
    BodyForm, Format, IdForm, RouteConfig, RouteError,
    clean::Clean,
    pattern::{Captures, Pattern},
    template::Template,
};

/// Routes in the longest configuration.
pub const ROUTES_MAX: usize = 1024;

/// Characters of an output topic beside letters, digits, `_` and `-`: what RocketMQ or an MQTT broker takes.
const OUTPUT_TOPIC_OTHERS: &str = "/.%";

/// As [`OUTPUT_TOPIC_OTHERS`], for a tag: `|` and spaces separate tags in a filter.
const TAG_OTHERS: &str = ".";

/// All routes of a configuration, ready for use.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    /// Routes without wildcards or placeholders, by their topic.
    exact: HashMap<Box<str>, usize>,
    /// The others, in the order of the configuration.
    open: Vec<usize>,
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Route {
    pattern: Pattern,
    pub(super) device: DeviceSource,
    pub(super) measurement: NameSource,
    pub(super) format: Option<Format>,
    pub(super) output_topic: Option<Template>,
    pub(super) tag: Option<Template>,
    pub(super) body: Option<BodyForm>,
    pub(super) lane: Option<Lane>,
    pub(super) clean: Option<Clean>,
    pub(super) split: bool,
    pub(super) id: IdForm,
}

/// Who says the device.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DeviceSource {
    /// The login.
    Login,
    /// The route.
    Fixed(DeviceId),
    /// The topic, at `{device}`.
    Topic,
    /// The text in front of the comma.
    Payload,
}

/// Who says the name of a measurement that the payload does not name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NameSource {
    /// The topic's last level, or a word of ours.
    Default,
    /// The route.
    Fixed(Name),
    /// The topic, at `{measurement}`.
    Topic,
}

type Wrong = (&'static str, String);

impl Routes {
    /// Checks and compiles the routes. The first route that fits a topic applies.
    ///
    /// # Errors
    /// [`RouteError`] for the first route that cannot be used.
    pub fn compile(configs: &[RouteConfig]) -> Result<Self, RouteError> {
        if configs.len() > ROUTES_MAX {
            let problem = format!("more than {ROUTES_MAX} routes");
            return Err(RouteError { route: ROUTES_MAX, key: "topic", problem });
        }
        let mut table = Self::default();
        let mut topics = HashMap::new();
        for (route, config) in configs.iter().enumerate() {
            let wrong = |(key, problem)| RouteError { route, key, problem };
            if let Some(earlier) = topics.insert(&*config.topic, route) {
                return Err(wrong(("topic", format!("route {} has the same topic", earlier + 1))));
            }
            let compiled = Route::compile(config).map_err(wrong)?;
            if compiled.pattern.is_exact() {
                table.exact.insert(config.topic.as_str().into(), route);
            } else {
                table.open.push(route);
            }
            table.routes.push(compiled);
        }
        Ok(table)
    }

    /// The first route that fits `topic`, its index, and what stands at its placeholders.
    pub(super) fn find<'a, 't>(&'a self, topic: &'t str) -> Option<(usize, &'a Route, Captures<'t>)> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(topic).copied() };
        let before_exact = |index: &usize| exact.is_none_or(|exact| *index < exact);
        for index in self.open.iter().copied().take_while(before_exact) {
            let route = self.routes.get(index)?;
            if let Some(captures) = route.pattern.matches(topic) {
                return Some((index, route, captures));
            }
        }
        let index = exact?;
        Some((index, self.routes.get(index)?, Captures::default()))
    }

    /// Whether there is no route, so that nobody need look for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

impl Route {
    fn compile(config: &RouteConfig) -> Result<Self, Wrong> {
        let pattern = pattern(&config.topic)?;
        let device = device(config, &pattern)?;
        let measurement = measurement(config, &pattern)?;
        let known = config.split || measurement != NameSource::Default;
        let output_topic =
            template("output_topic", config.output_topic.as_deref(), OUTPUT_TOPIC_OTHERS, known)?;
        let tag = template("tag", config.tag.as_deref(), TAG_OTHERS, known)?;
        let clean = Clean::compile(config)?;
        let route = Self {
            pattern,
            device,
            measurement,
            format: config.format,
            output_topic,
            tag,
            body: config.body,
            lane: config.lane,
            clean,
            split: config.split,
            id: config.id.unwrap_or_default(),
        };
        route.check_format()?;
        Ok(route)
    }

    /// Bytes that nobody reads have neither numbers nor names.
    fn check_format(&self) -> Result<(), Wrong> {
        let raw = self.format == Some(Format::Raw);
        if raw && (self.clean.is_some() || self.split || self.id == IdForm::DeviceTs) {
            return Err((
                "format",
                "raw payloads are not read: no scale, offset, range, unit, split or id".into(),
            ));
        }
        if self.device == DeviceSource::Payload && matches!(self.format, Some(Format::Raw | Format::Json)) {
            return Err((
                "device",
                "only text and SenML name their device: leave format out or set it to \"text\" or \"senml\""
                    .into(),
            ));
        }
        Ok(())
    }
}

fn pattern(topic: &str) -> Result<Pattern, Wrong> {
    let wrong = |problem: String| ("topic", problem);
    if topic.is_empty() || topic.len() > TOPIC_LEN_MAX {
        return Err(wrong(format!("it has 1 to {TOPIC_LEN_MAX} bytes")));
    }
    if topic.chars().any(char::is_control) {
        return Err(wrong("it holds a control character".into()));
    }
    let (first, rest) = topic.split_once('/').unwrap_or((topic, "-"));
    match first {
        _ if topic.starts_with('$') => Err(wrong("topics that begin with $ belong to the gateway".into())),
        "cmd" | "command" => Err(wrong("commands take no route".into())),
        "t" if topic == "t" || rest.starts_with('/') => Err(wrong("write `telemetry` for `t`".into())),
        "e" if topic == "e" || rest.starts_with('/') => Err(wrong("write `event` for `e`".into())),
        "telemetry" | "event" if rest.starts_with('/') => {
            Err(wrong(format!("write `{first}/{{device}}` for what comes on behalf of a device")))
        }
        _ => Pattern::compile(topic).map_err(wrong),
    }
}

fn device(config: &RouteConfig, pattern: &Pattern) -> Result<DeviceSource, Wrong> {
    match config.device.as_deref() {
        None if pattern.names_device() => Ok(DeviceSource::Topic),
        None => Ok(DeviceSource::Login),
        Some(_) if pattern.names_device() => Err(("device", "the topic names the device already".into())),
        Some("{payload}") => Ok(DeviceSource::Payload),
        Some(id) => match DeviceId::new(id) {
            Ok(device) => Ok(DeviceSource::Fixed(device)),
            Err(problem) => Err(("device", format!("{problem}, or \"{{payload}}\""))),
        },
    }
}

fn measurement(config: &RouteConfig, pattern: &Pattern) -> Result<NameSource, Wrong> {
    match config.measurement.as_deref() {
        None if pattern.names_measurement() => Ok(NameSource::Topic),
        None => Ok(NameSource::Default),
        Some(_) if pattern.names_measurement() => {
            Err(("measurement", "the topic names the measurement already".into()))
        }
        Some(name) => match Name::new(name) {
            Ok(name) => Ok(NameSource::Fixed(name)),
            Err(problem) => Err(("measurement", problem.to_string())),
        },
    }
}

fn template(
    key: &'static str,
    text: Option<&str>,
    others: &str,
    measurement_known: bool,
) -> Result<Option<Template>, Wrong> {
    let Some(text) = text else { return Ok(None) };
    let template = Template::compile(text, others).map_err(|problem| (key, problem))?;
    if template.names_measurement() && !measurement_known {
        let problem = "{measurement} needs a measurement from the route or its topic, or split = true";
        return Err((key, problem.into()));
    }
    Ok(Some(template))
}
