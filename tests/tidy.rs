//! The house rules, as a test. A failure names the place and what to do.
//!
//! Rules read text, not syntax trees: they are there to catch what slips in, and each has samples below that it must
//! catch and samples that it must let pass.

#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tables.rs"]
mod tables;

use std::path::Path;

#[test]
fn the_house_rules_are_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let listed = repository::list(root);
    let paths: Vec<&str> = listed.iter().map(String::as_str).collect();
    let sources = repository::read(root, &paths);
    let text =
        |path: &str| sources.iter().find(|source| source.path == path).map_or("", |source| &source.text);

    let mut found = repository::top_level(&paths);
    found.extend(repository::decision_numbers(&paths));
    found.extend(repository::readme(text("README.md")));
    found.extend(repository::unlisted_dependencies(text("Cargo.toml")));
    for source in &sources {
        for (name, rule) in rules::RULES {
            let findings = rule(source);
            found.extend(
                findings.iter().map(|it| format!("{}:{}: {name}: {}", source.path, it.line, it.what)),
            );
        }
    }
    assert!(found.is_empty(), "{} against the house rules:\n{}", found.len(), found.join("\n"));
}
