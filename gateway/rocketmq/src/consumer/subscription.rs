//! What a consumer subscribes to, and how a broker is told. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Model, Settings, Start};
use crate::{Filter, wire::hash::java_hash};

/// In front of the group: the topic of what comes again.
const RETRY_PREFIX: &str = "%RETRY%";

/// Which messages of a topic are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expression {
    /// All.
    #[default]
    All,
    /// Those with one of these tags.
    Tags(BTreeSet<String>),
    /// Those that the filter lets through, by the broker.
    Sql(Filter),
}

/// A topic, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: String,
    /// Which of its messages.
    pub expression: Expression,
}

impl Expression {
    /// As the broker is told it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Tags(tags) => tags.iter().map(String::as_str).collect::<Vec<_>>().join(" || "),
            Self::Sql(filter) => filter.as_sql().to_owned(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        if matches!(self, Self::Sql(_)) { "SQL92" } else { "TAG" }
    }

    /// Whether a message with this tag is wanted: the broker looks at the hash of the tag only.
    pub(super) fn wants(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Tags(tags) => tag.is_some_and(|tag| tags.contains(tag)),
            Self::All | Self::Sql(_) => true,
        }
    }

    fn is_same(&self, kind: &str, text: &str) -> bool {
        if kind != self.kind() {
            return false;
        }
        match self {
            Self::All => text == "*" || text.is_empty(),
            Self::Tags(tags) => {
                let other: BTreeSet<&str> = text.split("||").map(str::trim).collect();
                tags.iter().map(String::as_str).eq(other)
            }
            Self::Sql(filter) => filter.as_sql() == text,
        }
    }
}

/// The topic from which a group gets what it could not handle.
pub(super) fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

impl Settings {
    /// One subscription as the broker keeps it (`SubscriptionData`).
    pub(super) fn data(&self, subscription: &Subscription) -> Value {
        let tags: Vec<&str> = match &subscription.expression {
            Expression::Tags(tags) => tags.iter().map(String::as_str).collect(),
            Expression::All | Expression::Sql(_) => Vec::new(),
        };
        let codes: Vec<i32> = tags.iter().map(|tag| java_hash(tag)).collect();
        json!({
            "classFilterMode": false,
            "topic": subscription.topic,
            "subString": subscription.expression.text(),
            "tagsSet": tags,
            "codeSet": codes,
            "subVersion": self.version_ms,
            "expressionType": subscription.expression.kind(),
        })
    }

    /// What is said every half minute (`HeartbeatData`).
    pub(super) fn heartbeat(&self) -> Value {
        let data: Vec<Value> = self.all_subscriptions().iter().map(|one| self.data(one)).collect();
        json!({
            "clientID": self.client_id,
            "producerDataSet": [],
            "consumerDataSet": [{
                "groupName": self.group,
                "consumeType": "CONSUME_PASSIVELY",
                "messageModel": self.model.as_str(),
                "consumeFromWhere": match self.start {
                    Start::First => "CONSUME_FROM_FIRST_OFFSET",
                    Start::Last => "CONSUME_FROM_LAST_OFFSET",
                },
                "subscriptionDataSet": data,
                "unitMode": false,
            }],
        })
    }

    /// The topics, and the one of what comes again where there is one.
    pub(super) fn all_subscriptions(&self) -> Vec<Subscription> {
        let mut all = self.subscriptions.clone();
        if self.has_retry_topic() {
            all.push(Subscription { topic: retry_topic(&self.group), expression: Expression::All });
        }
        all
    }

    pub(super) fn expression(&self, topic: &str) -> Expression {
        let found = self.subscriptions.iter().find(|subscription| subscription.topic == topic);
        found.map(|subscription| subscription.expression.clone()).unwrap_or_default()
    }

    /// What is different in a group that others are in already; none when there is nothing.
    pub(super) fn difference(&self, others: &Connections) -> Option<String> {
        if others.connection_set.iter().all(|member| member.client_id == self.client_id) {
            return None;
        }
        if let Some(model) = &others.message_model
            && model != self.model.as_str()
        {
            let other = if *model == Model::Broadcast.as_str() { "all get everything" } else { "they share" };
            return Some(format!("in the group as it is, {other}"));
        }
        let of_group = others.subscription_table.iter().filter(|(topic, _)| !topic.starts_with(RETRY_PREFIX));
        let topics: BTreeSet<&str> = of_group.clone().map(|(topic, _)| topic.as_str()).collect();
        let own: BTreeSet<&str> = self.subscriptions.iter().map(|one| one.topic.as_str()).collect();
        if topics != own {
            let topics: Vec<&str> = topics.into_iter().collect();
            return Some(format!("the group reads {}", topics.join(", ")));
        }
        of_group.into_iter().find_map(|(topic, theirs)| {
            let kind = theirs.expression_type.as_deref().unwrap_or("TAG");
            let text = theirs.sub_string.as_deref().unwrap_or("*");
            let is_same = self.expression(topic).is_same(kind, text);
            (!is_same).then(|| match (kind, text) {
                (_, "*") => format!("the group reads all of {topic}"),
                ("SQL92", text) => format!("the group reads {topic} with the filter {text}"),
                (_, text) => format!("the group reads {topic} with the tags {text}"),
            })
        })
    }
}

/// Who is in a group, and what they subscribe to (`ConsumerConnection`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Connections {
    pub(super) connection_set: Vec<Member>,
    pub(super) subscription_table: std::collections::BTreeMap<String, Theirs>,
    pub(super) message_model: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Member {
    pub(super) client_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Theirs {
    pub(super) sub_string: Option<String>,
    pub(super) expression_type: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(expression: Expression) -> Settings {
        let subscription = Subscription { topic: "iot-topic".to_owned(), expression };
        Settings { version_ms: 7, ..Settings::new("me@1", "g", vec![subscription]) }
    }

    fn tags(tags: &[&str]) -> Expression {
        Expression::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect())
    }

    fn others(model: &str, topic: &str, kind: &str, text: &str) -> Connections {
        let text = format!(
            r#"{{"connectionSet":[{{"clientId":"other@1"}}],"messageModel":"{model}","subscriptionTable":{{
                "{topic}":{{"subString":"{text}","expressionType":"{kind}"}},"%RETRY%g":{{"subString":"*"}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_broker_is_told_what_the_classic_clients_tell_it() {
        let beat = settings(tags(&["temperature", "humidity"])).heartbeat();
        let group = &beat["consumerDataSet"][0];
        assert_eq!(beat["clientID"], "me@1");
        assert_eq!((&group["groupName"], &group["messageModel"]), (&json!("g"), &json!("CLUSTERING")));
        let data = &group["subscriptionDataSet"][0];
        assert_eq!(data["subString"], "humidity || temperature");
        assert_eq!(data["codeSet"], json!([java_hash("humidity"), java_hash("temperature")]));
        assert_eq!((&data["expressionType"], &data["subVersion"]), (&json!("TAG"), &json!(7)));
        let sql = settings(Expression::Sql(Filter::new("temperature > 35").unwrap())).heartbeat();
        let data = &sql["consumerDataSet"][0]["subscriptionDataSet"][0];
        assert_eq!(
            (&data["subString"], &data["expressionType"]),
            (&json!("temperature > 35.0"), &json!("SQL92"))
        );
    }

    #[test]
    fn another_filter_is_seen() {
        let sql = settings(Expression::Sql(Filter::new("temperature > 35").unwrap()));
        let same = others("CLUSTERING", "iot-topic", "SQL92", "temperature > 35.0");
        assert_eq!(sql.difference(&same), None);
        for (connections, says) in [
            (others("CLUSTERING", "iot-topic", "SQL92", "temperature > 30.0"), "temperature > 30.0"),
            (others("CLUSTERING", "iot-topic", "TAG", "*"), "all of iot-topic"),
            (others("CLUSTERING", "iot-topic", "TAG", "a || b"), "the tags a || b"),
            (others("CLUSTERING", "iot-device-topic", "SQL92", "temperature > 35.0"), "iot-device-topic"),
            (others("BROADCASTING", "iot-topic", "SQL92", "temperature > 35.0"), "all get everything"),
        ] {
            let found = sql.difference(&connections).unwrap();
            assert!(found.contains(says), "{found}");
        }
        let mut own = others("CLUSTERING", "iot-topic", "TAG", "*");
        own.connection_set[0].client_id = "me@1".to_owned();
        assert_eq!(sql.difference(&own), None);
        let spaced = others("CLUSTERING", "iot-topic", "TAG", "b||a");
        assert_eq!(settings(tags(&["a", "b"])).difference(&spaced), None);
    }

    #[test]
    fn tags_are_looked_at_again() {
        assert!(tags(&["a"]).wants(Some("a")) && !tags(&["a"]).wants(Some("b")) && !tags(&["a"]).wants(None));
        assert!(Expression::All.wants(None));
    }
}
