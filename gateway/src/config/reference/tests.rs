use std::{collections::BTreeSet, fs, path::Path};

use super::{
    super::{FileConfig, MqttOutputConfig, OutputConfig, Overrides, RocketMqConfig},
    *,
};

/// The header that a section has in a file; `[[output]]` with its type.
fn header(section: &Section) -> String {
    match section.name.split_once(" type = ") {
        Some((name, kind)) => format!("{name}\ntype = {kind}\n"),
        None => format!("{}\n", section.name),
    }
}

/// `section` with `line` in it and what else it must have.
fn text(section: &Section, key: &str, line: &str) -> String {
    let others = section.rows.iter().filter(|row| row.is_required && row.key != key);
    let others: String = others.map(|row| format!("{} = \"a\"\n", row.key)).collect();
    format!("{}{line}\n{others}", header(section))
}

/// What is said against `key = value` in `section`, at that line.
fn fault(section: &Section, key: &str, value: &str) -> Option<String> {
    // A range that follows another key is told as it is where that is least.
    let beside = if key == "pending_bytes_max" { "\ncommit_bytes_max = 8192" } else { "" };
    let text = text(section, key, &format!("{key} = {value}{beside}"));
    let line = text.lines().position(|line| line.starts_with(&format!("{key} ="))).unwrap() + 1;
    let faults = Config::parse(&text, Overrides::default()).err().unwrap_or_default();
    faults.into_iter().find(|fault| fault.line == line).map(|fault| fault.to_string())
}

#[test]
fn the_page_in_the_repository_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGURATION.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, markdown()).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == markdown(),
        "{} is old; run: UPDATE=1 cargo test -p tidegate --lib config::reference",
        path.display()
    );
}

/// What the reader says it knows in `section`, of a text with a key that it does not know.
fn known(section: &Section, text: &str) -> String {
    let faults = Config::parse(text, Overrides::default()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.wrong == "unknown key `no such key`"), "{text}: {faults:?}");
    let message = match section.name.split_once(" type = ") {
        Some((_, "\"file\"")) => toml::from_str::<FileConfig>("\"no such key\" = 1").unwrap_err().to_string(),
        Some((_, "\"mqtt\"")) => {
            toml::from_str::<MqttOutputConfig>("\"no such key\" = 1").unwrap_err().to_string()
        }
        Some((_, "\"rocketmq\"")) => {
            toml::from_str::<RocketMqConfig>("\"no such key\" = 1").unwrap_err().to_string()
        }
        Some((_, kind)) => panic!("read {kind} here"),
        None => toml::from_str::<Config>(text).unwrap_err().to_string(),
    };
    message.split_once("expected ").expect("a list").1.to_owned()
}

/// The keys that the reader itself names when it meets one it does not know.
#[test]
fn every_key_that_is_read_is_described_and_no_other() {
    let sections = sections();
    let names: BTreeSet<_> = sections.iter().map(|section| section.name.trim_matches(['[', ']'])).collect();
    for section in &sections {
        let asked = text(section, "", "\"no such key\" = 1");
        let message = known(section, &asked);
        let read: BTreeSet<&str> = message.split('`').skip(1).step_by(2).collect();
        let name = section.name.trim_matches(['[', ']']);
        let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        let is_section = |key: &str| names.contains(inner(key).as_str()) || key == "output";
        let read: BTreeSet<&str> = read.into_iter().filter(|key| !is_section(key)).collect();
        let described: BTreeSet<&str> = section.rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(described, read, "{}", section.name);
    }
}

#[test]
fn every_type_of_output_is_described() {
    let faults = Config::parse("[[output]]\ntype = \"no such type\"\n", Overrides::default()).unwrap_err();
    let kinds: Vec<String> = output::types().iter().map(|(kind, _)| format!("\"{kind}\"")).collect();
    assert_eq!(faults[0].instead, format!("write {}", kinds.join(" or ")));
}

#[test]
fn every_description_is_for_owners() {
    for section in sections() {
        assert!(section.name.is_empty() || section.meaning.len() > 10, "{} has no description", section.name);
        for Row { key, meaning, .. } in &section.rows {
            let of = format!("{} {key}: {meaning}", section.name);
            assert!(meaning.len() > 10, "{of}");
            assert!(meaning.ends_with(['.', '`', ']']), "a description is a sentence; {of}");
            assert!(
                !meaning.contains("::") && !meaning.contains("`]"),
                "what links to code is for programmers; {of}"
            );
        }
    }
}

#[test]
fn every_default_is_what_leaving_the_key_out_means() {
    let mut text = String::new();
    for section in sections().iter().filter(|section| !section.rows.iter().any(|row| row.is_required)) {
        text += &header(section);
        let rows = section.rows.iter().filter_map(|row| Some((&row.key, row.default.as_ref()?)));
        rows.for_each(|(key, default)| text += &format!("{key} = {default}\n"));
    }
    let mut expected = Config::default();
    expected.outputs.push(OutputConfig::Mqtt(MqttOutputConfig::default()));
    expected.outputs.push(OutputConfig::RocketMq(Box::default()));
    assert_eq!(Config::parse(&text, Overrides::default()), Ok(expected), "{text}");
    assert!(text.matches('=').count() > 40, "{text}");
}

/// What is said of a range holds on both sides of both ends.
#[test]
fn every_range_is_the_one_that_is_kept() {
    for section in sections() {
        for row in
            section.rows.iter().filter(|row| row.kind.contains("number") && !row.kind.starts_with("list"))
        {
            let of = format!("{} {}", section.name, row.key);
            let end = |end: &Option<Value>| end.as_ref().map(|end| end.as_i64().expect("a whole number"));
            let (min, max) = (end(&row.min), end(&row.max));
            let refused = |value: i64| fault(&section, &row.key, &value.to_string());
            if row.kind == "number" && (min, max) == (None, None) {
                assert_eq!(refused(-1_000_000), None, "{of}");
                continue;
            }
            let min = min.unwrap_or_else(|| panic!("{of}: least value unknown"));
            assert!(refused(min - 1).is_some(), "{of} = {}", min - 1);
            assert_eq!(refused(min), None, "{of} = {min}");
            assert_eq!(
                refused(max.unwrap_or(i64::MAX)),
                None,
                "{of} = {max:?}: beside #[schemars(range(…))]"
            );
            assert!(max.is_none_or(|max| refused(max + 1).is_some()), "{of} = {max:?} + 1");
        }
    }
}

#[test]
fn every_word_is_read_and_no_other() {
    let mut count = 0;
    for section in sections() {
        for row in section.rows.iter().filter(|row| !row.words.is_empty()) {
            for (word, _) in &row.words {
                assert_eq!(fault(&section, &row.key, &format!("\"{word}\"")), None, "{} {word}", row.key);
                count += 1;
            }
            assert!(fault(&section, &row.key, "\"no such word\"").is_some(), "{}", row.key);
        }
    }
    assert!(count > 15, "{count}");
}

#[test]
fn sizes_are_written_as_an_owner_would() {
    let sizes = [0, 1, 1_000, 1_024, 2_000_000_000, 16 << 20, 64 << 20].map(size);
    assert_eq!(sizes, ["0", "1", "\"1kB\"", "\"1KiB\"", "\"2GB\"", "\"16MiB\"", "\"64MiB\""]);
}
