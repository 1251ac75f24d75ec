use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn sql(text: &str) -> String {
    Filter::new(text).unwrap_or_else(|error| panic!("{text}: {error}")).as_sql().to_owned()
}

fn wrong(text: &str) -> (usize, String) {
    let error = Filter::new(text).unwrap_err();
    (error.at, error.problem)
}

#[test]
fn whole_numbers_become_decimals() {
    for (text, expected) in [
        ("temperature > 35", "temperature > 35.0"),
        ("temperature>35", "temperature > 35.0"),
        ("35 < temperature", "temperature > 35.0"),
        ("temperature >= -5", "temperature >= -5.0"),
        ("temperature = 35L", "temperature = 35.0"),
        ("temperature > 35.5", "temperature > 35.5"),
        ("temperature > 1e3", "temperature > 1000.0"),
        ("temperature > .5", "temperature > 0.5"),
        ("tg_ts_gw > 1700000000000", "tg_ts_gw > 1700000000000.0"),
        ("t BETWEEN 20 AND 30", "t BETWEEN 20.0 AND 30.0"),
        ("t not between -5 and +5.5", "t NOT BETWEEN -5.0 AND 5.5"),
    ] {
        assert_eq!(sql(text), expected, "{text}");
    }
}

#[test]
fn zero_is_said_with_the_least_number_above_it() {
    for (text, expected) in [
        ("t > 0", "t >= 4.9E-324"),
        ("t > 0.0", "t >= 4.9E-324"),
        ("0 < t", "t >= 4.9E-324"),
        ("t >= 0", "t > -4.9E-324"),
        ("t < 0", "t <= -4.9E-324"),
        ("t <= -0", "t < 4.9E-324"),
        ("t = 0", "t > -4.9E-324 AND t < 4.9E-324"),
        ("t <> 0", "t <= -4.9E-324 OR t >= 4.9E-324"),
        ("t BETWEEN 0 AND 5", "t > -4.9E-324 AND t <= 5.0"),
        ("t NOT BETWEEN -5 AND 0", "t < -5.0 OR t >= 4.9E-324"),
        ("t = 0 OR u BETWEEN 0 AND 5", "(t > -4.9E-324 AND t < 4.9E-324) OR (u > -4.9E-324 AND u <= 5.0)"),
        ("t = 0 AND u > 1", "(t > -4.9E-324 AND t < 4.9E-324) AND u > 1.0"),
        ("NOT t = 0", "NOT (t > -4.9E-324 AND t < 4.9E-324)"),
    ] {
        assert_eq!(sql(text), expected, "{text}");
    }
}

#[test]
fn texts_and_words_stay_as_they_are() {
    for (text, expected) in [
        ("state = 'above 35'", "state = 'above 35'"),
        ("state <> 'it''s 0 > 35'", "state <> 'it''s 0 > 35'"),
        ("state in ('1','2')", "state IN ('1', '2')"),
        ("state NOT IN ('a')", "state NOT IN ('a')"),
        ("name contains '5'", "name CONTAINS '5'"),
        ("name not startswith 'a'", "name NOT STARTSWITH 'a'"),
        ("'on' = state", "state = 'on'"),
        ("a IS NULL or b is not null", "a IS NULL OR b IS NOT NULL"),
        ("TAGS = 'temperature' and tg_dev='sensor_1'", "TAGS = 'temperature' AND tg_dev = 'sensor_1'"),
    ] {
        assert_eq!(sql(text), expected, "{text}");
    }
}

#[test]
fn a_name_alone_is_a_property_that_is_true() {
    assert_eq!(sql("open"), "open = TRUE");
    assert_eq!(sql("NOT open"), "NOT (open = TRUE)");
    assert_eq!(sql("open = FALSE and (a or b)"), "open = FALSE AND (a = TRUE OR b = TRUE)");
    assert_eq!(sql("true"), "TRUE");
}

#[test]
fn parentheses_keep_their_meaning() {
    assert_eq!(sql("(a > 1 OR b > 2) AND c > 3"), "(a > 1.0 OR b > 2.0) AND c > 3.0");
    assert_eq!(sql("a > 1 OR b > 2 AND c > 3"), "a > 1.0 OR (b > 2.0 AND c > 3.0)");
    assert_eq!(sql("((a > 1))"), "a > 1.0");
    assert_eq!(sql("NOT (a > 1 OR b > 2)"), "NOT (a > 1.0 OR b > 2.0)");
}

#[test]
fn what_cannot_be_is_said_with_its_place_and_what_to_write() {
    for (text, at, says) in [
        ("", 0, "here should be a name"),
        ("motor-temp > 35", 0, "motor_temp"),
        ("a > 1 AND motor.temp > 35", 10, "motor_temp"),
        ("温度 > 35", 0, "names are made of"),
        ("t == 5", 2, "one `=`"),
        ("t != 5", 2, "`<>`"),
        ("t > 5 && u > 5", 6, "`AND`"),
        ("state = \"open\"", 8, "single quotes"),
        ("state = 'open", 8, "no end"),
        ("state LIKE 'a%'", 6, "CONTAINS"),
        ("state > 'a'", 0, "no order"),
        ("open > TRUE", 0, "no order"),
        ("t = NULL", 4, "IS NULL"),
        ("t IN (1, 2)", 6, "a = 1 OR a = 2"),
        ("t BETWEEN 9 AND 5", 10, "larger"),
        ("1 < t < 5", 6, "AND"),
        ("5", 1, "no condition"),
        ("5 > 4", 0, "a property's name"),
        ("t >", 3, "here should be"),
        ("t > 5 u", 6, "AND, OR"),
        ("(t > 5", 6, ")"),
        ("t > 35x", 4, "neither a number nor a name"),
        ("t > 1e999", 4, "larger than any"),
        ("t > 9007199254740993", 4, "last digit"),
        ("t > 5 -- all", 6, "comments"),
        ("state = 'a\u{1}b'", 8, "control character"),
    ] {
        let (place, problem) = wrong(text);
        assert_eq!(place, at, "{text}: {problem}");
        assert!(problem.contains(says), "{text}: {problem}");
    }
}

#[test]
fn limits_are_reached() {
    let long = |n: usize| format!("t > {}", "1".repeat(n));
    assert!(Filter::new(&long(15)).is_ok());
    let padded = |n: usize| format!("{}t > 1", " ".repeat(n - 5));
    assert!(Filter::new(&padded(FILTER_LEN_MAX)).is_ok());
    assert!(Filter::new(&padded(FILTER_LEN_MAX + 1)).is_err());
    let deep = |n: usize| format!("{}t{}", "(".repeat(n), ")".repeat(n));
    assert!(Filter::new(&deep(DEPTH_MAX - 1)).is_ok());
    assert!(Filter::new(&deep(DEPTH_MAX)).is_err());
}

#[test]
fn the_names_are_known() {
    let filter = Filter::new("temperature > 35 AND (open OR state = 'x') AND a < b").unwrap();
    assert_eq!(filter.names().collect::<Vec<_>>(), ["a", "b", "open", "state", "temperature"]);
}

/// What the broker answers: nothing is known of a property that is missing, and what it cannot convert counts as "no"
/// for the whole filter.
type Answer = Result<Option<bool>, ()>;
type Properties = BTreeMap<String, String>;

/// The broker's evaluation (`org.apache.rocketmq.filter`) of what is sent, read from the text that is sent.
fn broker(expression: &Expression, properties: &Properties) -> Answer {
    let of = |name: &String| properties.get(name);
    match expression {
        Expression::Any(all) => all.iter().try_fold(Some(false), |known, one| {
            if known == Some(true) {
                return Ok(known);
            }
            let next = broker(one, properties)?;
            Ok(if next == Some(true) {
                next
            } else if known.is_none() {
                None
            } else {
                next
            })
        }),
        Expression::All(all) => all.iter().try_fold(Some(true), |known, one| {
            if known == Some(false) {
                return Ok(known);
            }
            let next = broker(one, properties)?;
            Ok(if next == Some(false) {
                next
            } else if known.is_none() {
                None
            } else {
                next
            })
        }),
        Expression::Not(inner) => Ok(broker(inner, properties)?.map(|known| !known)),
        Expression::Constant(value) => Ok(Some(*value)),
        Expression::Number { name, order, number } => {
            let Some(text) = of(name) else { return Ok(None) };
            let value: f64 = text.parse().map_err(|_| ())?;
            Ok(Some(holds(value, *order, *number)))
        }
        Expression::Boolean { name, equal, value } => {
            Ok(of(name).map(|text| (text.eq_ignore_ascii_case("true") == *value) == *equal))
        }
        Expression::Between { name, not, low, high } => {
            let Some(text) = of(name) else { return Ok(None) };
            let value: f64 = text.parse().map_err(|_| ())?;
            Ok(Some((value >= *low && value <= *high) != *not))
        }
        Expression::IsNull { name, not } => Ok(Some(of(name).is_none() != *not)),
        other => panic!("{other:?} is not in this test"),
    }
}

fn holds(value: f64, order: Order, number: f64) -> bool {
    match order {
        Order::Equal => value == number,
        Order::NotEqual => value != number,
        Order::Greater => value > number,
        Order::GreaterOrEqual => value >= number,
        Order::Less => value < number,
        Order::LessOrEqual => value <= number,
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-0.0), Just(35.0), (-50_i32..50).prop_map(f64::from), -1e3..1e3]
}

fn leaf() -> impl Strategy<Value = Expression> {
    let order = prop::sample::select(vec![
        Order::Equal,
        Order::NotEqual,
        Order::Greater,
        Order::GreaterOrEqual,
        Order::Less,
        Order::LessOrEqual,
    ]);
    let name = || prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned);
    prop_oneof![
        4 => (name(), order, number()).prop_map(|(name, order, number)| Expression::Number { name, order, number }),
        1 => (name(), any::<bool>(), number(), number()).prop_map(|(name, not, one, other)| {
            Expression::Between { name, not, low: one.min(other), high: one.max(other) }
        }),
        1 => (name(), any::<bool>(), any::<bool>())
            .prop_map(|(name, equal, value)| Expression::Boolean { name, equal, value }),
        1 => (name(), any::<bool>()).prop_map(|(name, not)| Expression::IsNull { name, not }),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::All),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_sent_means_what_was_meant(
        meant in expression(), a in prop::option::of(number()), b in prop::option::of(number()),
    ) {
        let sent = meant.to_string();
        // The broker takes no literal of zero, and reads one without a point as an integer.
        for piece in sent.split([' ', '(', ')']) {
            let piece = piece.trim_start_matches('-');
            if piece.starts_with(|c: char| c.is_ascii_digit()) {
                prop_assert!(piece.contains(['.', 'e', 'E']) && piece.parse::<f64>().unwrap() > 0.0, "{}", sent);
            }
        }
        let read = parser::parse(&sent).unwrap();
        let given = [("a", a), ("b", b)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_string())));
        let properties = given.collect();
        prop_assert_eq!(broker(&read, &properties), broker(&meant, &properties), "{}", sent);
    }

    #[test]
    fn nothing_upsets_it(text in any::<String>(), near in "[a-c0-9 .'<>=()ANDORTbetwn-]{0,40}") {
        for text in [text, near] {
            if let Ok(filter) = Filter::new(&text) {
                // What is sent is itself a filter, and is sent as it is.
                let again = Filter::new(filter.as_sql()).unwrap();
                prop_assert_eq!(again.as_sql(), filter.as_sql());
            }
        }
    }
}
