//! Rights: which topics a login may publish to, as whom, and which filters it may subscribe to. Pure.

use tidegate_protocol::DeviceId;

use super::{
    filter::{self, Filter},
    login::Role,
};

/// The filters a login was given. Empty for the role `device`, whose rights follow from its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Topics it may publish to (role `client`).
    pub publish: Vec<Filter>,
    /// Filters it may subscribe to, or to any part of them (roles `application` and `client`).
    pub subscribe: Vec<Filter>,
}

/// A publish that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The device the message is from: the login's own, or the one it acts for.
    pub device: DeviceId,
    /// The topic as the device itself would have sent it: `telemetry//D` and `telemetry/D` become
    /// `telemetry`, `event//D` and `event/D` become `event`; every other topic stays as sent.
    pub topic: &'a str,
}

/// Why a publish is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Empty, or with a wildcard or a control character in it.
    #[error("not a topic name")]
    Malformed,
    /// Begins with `$`.
    #[error("topics that begin with $ are the gateway's own")]
    System,
    /// Another device's topic.
    #[error("the topic belongs to another device")]
    Foreign,
    /// No granted filter matches.
    #[error("no granted filter covers the topic")]
    NotGranted,
}

impl Denied {
    /// A short stable word for counters and records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "topic",
            Self::System => "system-topic",
            Self::Foreign => "foreign-topic",
            Self::NotGranted => "not-granted",
        }
    }
}

/// Whether `id` is one of the first levels that topics of all devices share. A device of that name would own
/// the tree `{id}/#` and with it everybody's messages, so no such device can exist.
#[must_use]
pub(super) fn is_reserved(id: &str) -> bool {
    matches!(id, "telemetry" | "t" | "event" | "e" | "cmd" | "command")
}

/// Decides on a publish of `device`, logged in as `role` with `rights`.
pub(super) fn may_publish<'a>(
    role: Role,
    device: &DeviceId,
    rights: &Rights,
    topic: &'a str,
) -> Result<Publish<'a>, Denied> {
    if topic.starts_with('$') {
        return Err(Denied::System);
    }
    if !filter::is_topic(topic) {
        return Err(Denied::Malformed);
    }
    match role {
        Role::Device => publish_as_device(device, topic),
        Role::Application => Err(Denied::NotGranted),
        Role::Client if !rights.publish.iter().any(|f| f.matches(topic)) => Err(Denied::NotGranted),
        Role::Client => publish_as_client(device, topic),
    }
}

/// Decides on a subscription of `device`, logged in as `role` with `rights`.
pub(super) fn may_subscribe(role: Role, device: &DeviceId, rights: &Rights, requested: &str) -> bool {
    match role {
        Role::Device => own_tree(device).iter().any(|f| filter::is_covered(f, requested)),
        Role::Application | Role::Client => rights.subscribe.iter().any(|f| f.covers(requested)),
    }
}

/// What a device reads: its commands under both names, what it sent itself, and the tree of its name.
fn own_tree(device: &DeviceId) -> [String; 5] {
    [
        format!("cmd/{device}/#"),
        "command///req/#".to_owned(),
        format!("telemetry/{device}"),
        format!("event/{device}"),
        format!("{device}/#"),
    ]
}

fn publish_as_device<'a>(device: &DeviceId, topic: &'a str) -> Result<Publish<'a>, Denied> {
    let kept = || Publish { device: device.clone(), topic };
    match Native::of(topic) {
        Native::Other => Ok(kept()),
        Native::Data { word, device: named, deeper } if named == device.as_str() => {
            Ok(if deeper { kept() } else { Publish { device: device.clone(), topic: word } })
        }
        Native::Commands { device: named } if named == device.as_str() => Ok(kept()),
        Native::Response => Ok(kept()),
        Native::Data { .. } | Native::Commands { .. } | Native::ForeignAlias => Err(Denied::Foreign),
    }
}

fn publish_as_client<'a>(device: &DeviceId, topic: &'a str) -> Result<Publish<'a>, Denied> {
    match Native::of(topic) {
        Native::Data { word, device: named, deeper: false } => {
            let named = DeviceId::new(named).map_err(|_| Denied::Foreign)?;
            Ok(Publish { device: named, topic: word })
        }
        Native::Data { .. } => Err(Denied::Foreign),
        _ => Ok(Publish { device: device.clone(), topic }),
    }
}

/// What a topic is among the gateway's own words.
#[derive(Debug, PartialEq, Eq)]
enum Native<'a> {
    /// `telemetry//D`, `telemetry/D`, `t//D`, `event/D` …: data of the device named; `deeper` if levels
    /// follow it.
    Data { word: &'static str, device: &'a str, deeper: bool },
    /// `cmd/D/…`.
    Commands { device: &'a str },
    /// `command///res/…`, the alias for the answer to one's own command.
    Response,
    /// Any other `command/…`: requests, and answers in another device's name.
    ForeignAlias,
    /// None of these, the bare `telemetry` and `event` included.
    Other,
}

impl<'a> Native<'a> {
    fn of(topic: &'a str) -> Self {
        let Some((first, rest)) = topic.split_once('/') else {
            return if topic == "cmd" || topic == "command" { Self::ForeignAlias } else { Self::Other };
        };
        match first {
            "telemetry" | "t" => Self::data("telemetry", rest),
            "event" | "e" => Self::data("event", rest),
            "cmd" => Self::Commands { device: rest.split('/').next().unwrap_or_default() },
            "command" if rest.starts_with("//res/") => Self::Response,
            "command" => Self::ForeignAlias,
            _ => Self::Other,
        }
    }

    fn data(word: &'static str, rest: &'a str) -> Self {
        let named = rest.strip_prefix('/').unwrap_or(rest);
        match named.split_once('/') {
            Some((device, _)) => Self::Data { word, device, deeper: true },
            None => Self::Data { word, device: named, deeper: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> DeviceId {
        DeviceId::new(text).unwrap()
    }

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| Filter::new(text).unwrap()).collect()
    }

    fn as_device(topic: &str) -> Result<(String, &str), Denied> {
        let publish = may_publish(Role::Device, &id("me"), &Rights::default(), topic)?;
        Ok((publish.device.to_string(), publish.topic))
    }

    #[test]
    fn a_device_publishes_any_topic_as_itself() {
        for (topic, kept) in [
            ("telemetry", "telemetry"),
            ("t", "t"),
            ("event", "event"),
            ("e", "e"),
            ("telemetry/me", "telemetry"),
            ("telemetry//me", "telemetry"),
            ("t//me", "telemetry"),
            ("event/me", "event"),
            ("e//me", "event"),
            ("telemetry/me/x", "telemetry/me/x"),
            ("plant/7/temperature", "plant/7/temperature"),
            ("温度/1", "温度/1"),
            ("telemetries/other", "telemetries/other"),
            ("cmd/me/res/7", "cmd/me/res/7"),
            ("command///res/7/200", "command///res/7/200"),
            ("me/state", "me/state"),
            ("/", "/"),
        ] {
            assert_eq!(as_device(topic), Ok(("me".to_owned(), kept)), "{topic}");
        }
    }

    #[test]
    fn a_device_publishes_nothing_of_another_or_of_the_gateway() {
        for (topic, denied) in [
            ("", Denied::Malformed),
            ("a/+", Denied::Malformed),
            ("a/#", Denied::Malformed),
            ("a\0b", Denied::Malformed),
            ("$SYS/x", Denied::System),
            ("$share/g/x", Denied::System),
            ("$", Denied::System),
            ("telemetry//you", Denied::Foreign),
            ("telemetry/you", Denied::Foreign),
            ("telemetry/", Denied::Foreign),
            ("telemetry//", Denied::Foreign),
            ("telemetry///me", Denied::Foreign),
            ("telemetry/you/x", Denied::Foreign),
            ("telemetry/me2", Denied::Foreign),
            ("t/you", Denied::Foreign),
            ("event//you", Denied::Foreign),
            ("event/you", Denied::Foreign),
            ("e/you", Denied::Foreign),
            ("cmd", Denied::Foreign),
            ("cmd/you/req/1", Denied::Foreign),
            ("cmd//me", Denied::Foreign),
            ("command", Denied::Foreign),
            ("command/x/you/req/1", Denied::Foreign),
            ("command///req/1/reboot", Denied::Foreign),
            ("command//you/res/1/200", Denied::Foreign),
            ("command/t/me/res/1/200", Denied::Foreign),
        ] {
            assert_eq!(as_device(topic), Err(denied), "{topic:?}");
        }
    }

    #[test]
    fn a_device_reads_its_own_tree_only() {
        let reads = |filter: &str| may_subscribe(Role::Device, &id("me"), &Rights::default(), filter);
        for filter in [
            "cmd/me/#",
            "cmd/me/req/+",
            "command///req/#",
            "telemetry/me",
            "event/me",
            "me/#",
            "me",
            "me/a/+",
        ] {
            assert!(reads(filter), "{filter}");
        }
        for filter in [
            "#",
            "+",
            "cmd/#",
            "cmd/+/req",
            "cmd/you/#",
            "cmd/#/me",
            "telemetry/#",
            "telemetry/+",
            "telemetry/me/#",
            "event/+",
            "me2/#",
            "+/#",
            "$SYS/#",
            "$share/g/me/#",
            "$share/g/cmd/me/#",
            "command/#",
            "",
            "me/#/x",
        ] {
            assert!(!reads(filter), "{filter}");
        }
    }

    #[test]
    fn an_application_subscribes_to_what_it_was_given_and_publishes_nothing() {
        let rights = Rights { publish: Vec::new(), subscribe: filters(&["telemetry/+", "plant/#"]) };
        let reads = |filter: &str| may_subscribe(Role::Application, &id("app"), &rights, filter);
        assert!(reads("telemetry/+") && reads("telemetry/d1") && reads("plant") && reads("plant/a/+"));
        assert!(!reads("#") && !reads("telemetry/#") && !reads("event/d1") && !reads("app/#"));
        for topic in ["telemetry", "plant/a", "telemetry/app"] {
            assert_eq!(may_publish(Role::Application, &id("app"), &rights, topic), Err(Denied::NotGranted));
        }
    }

    #[test]
    fn a_client_publishes_what_it_was_granted_and_for_others_where_granted() {
        let rights = Rights {
            publish: filters(&["telemetry//+", "cmd/+/req/#", "site/#"]),
            subscribe: filters(&["a"]),
        };
        let publishes = |topic| {
            may_publish(Role::Client, &id("gw"), &rights, topic)
                .map(|p| (p.device.to_string(), p.topic.to_owned()))
        };
        let ok = |device: &str, topic: &str| Ok((device.to_owned(), topic.to_owned()));
        assert_eq!(publishes("telemetry//d7"), ok("d7", "telemetry"));
        assert_eq!(publishes("cmd/d7/req/1"), ok("gw", "cmd/d7/req/1"));
        assert_eq!(publishes("site/x"), ok("gw", "site/x"));
        assert_eq!(publishes("telemetry//a b"), Err(Denied::Foreign));
        assert_eq!(publishes("telemetry//"), Err(Denied::Foreign));
        for topic in ["telemetry", "telemetry/d7", "t//d7", "event//d7", "telemetry//d7/x", "other"] {
            assert_eq!(publishes(topic), Err(Denied::NotGranted), "{topic}");
        }
        assert_eq!(publishes("$SYS/x"), Err(Denied::System));
        let everything = Rights { publish: filters(&["#"]), subscribe: Vec::new() };
        let publish = may_publish(Role::Client, &id("gw"), &everything, "event/d9").unwrap();
        assert_eq!((publish.device.as_str(), publish.topic), ("d9", "event"));
        assert_eq!(may_publish(Role::Client, &id("gw"), &everything, "telemetry/d9/x"), Err(Denied::Foreign));
        assert!(may_subscribe(Role::Client, &id("gw"), &rights, "a"));
        assert!(!may_subscribe(Role::Client, &id("gw"), &rights, "gw/#"));
    }

    #[test]
    fn no_device_owns_a_tree_that_all_share() {
        for word in ["telemetry", "t", "event", "e", "cmd", "command"] {
            assert!(is_reserved(word));
        }
        assert!(!is_reserved("sensor_1") && !is_reserved("telemetry1"));
    }

    #[test]
    fn reasons_have_short_words() {
        for denied in [Denied::Malformed, Denied::System, Denied::Foreign, Denied::NotGranted] {
            assert!(denied.code().len() <= 16 && !denied.to_string().is_empty());
        }
    }

    fn word() -> impl Strategy<Value = String> {
        let words = [
            "telemetry",
            "t",
            "event",
            "e",
            "cmd",
            "command",
            "me",
            "you",
            "",
            "res",
            "req",
            "x",
            "$SYS",
            "+",
        ];
        prop::sample::select(words.to_vec()).prop_map(str::to_owned)
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(word(), 0..6).prop_map(|words| words.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn a_device_is_only_ever_itself_and_never_under_anothers_native_name(topic in topic()) {
            if let Ok((device, kept)) = as_device(&topic) {
                prop_assert_eq!(device.as_str(), "me");
                let levels: Vec<&str> = kept.split('/').collect();
                prop_assert!(!kept.starts_with('$'));
                match levels.as_slice() {
                    ["telemetry" | "t" | "event" | "e" | "cmd", rest @ ..] if !rest.is_empty() => {
                        prop_assert!(rest.iter().find(|l| !l.is_empty()) == Some(&"me"));
                    }
                    ["command", rest @ ..] => prop_assert_eq!(&rest[..3], &["", "", "res"]),
                    _ => {}
                }
            }
        }

        #[test]
        fn what_a_device_may_read_another_device_may_not_publish_as_native(topic in topic()) {
            let native = ["telemetry/", "event/", "cmd/"].iter().any(|p| topic.starts_with(p));
            if native && may_subscribe(Role::Device, &id("you"), &Rights::default(), &topic) {
                prop_assert!(as_device(&topic).is_err());
            }
        }

        #[test]
        fn no_topic_or_filter_panics(text in any::<String>()) {
            let rights = Rights { publish: filters(&["#"]), subscribe: filters(&["#"]) };
            for role in [Role::Device, Role::Application, Role::Client] {
                let _any = may_publish(role, &id("me"), &rights, &text);
                let _any = may_subscribe(role, &id("me"), &rights, &text);
            }
        }
    }
}
