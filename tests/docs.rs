//! What the README says is true.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tidegate_tests::{Gateway, eventually, publish, run, tidegate};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("a README")
}

/// The lines of the README's `sh` blocks.
fn shell_lines() -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in readme().lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_command_of_the_readme_is_understood() {
    let mut tried = 0;
    for line in shell_lines() {
        let Some((_, words)) = line.split_once("cargo run --release -- ") else { continue };
        let command = words.split_whitespace().next().expect("a command");
        let help = run(Command::new(tidegate()).args([command, "--help"]));
        assert!(help.status.success(), "{line}");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for flag in words.split_whitespace().filter(|word| word.starts_with('-')) {
            assert!(help.contains(flag), "`{flag}` of `{line}` is not in the help");
        }
        tried += 1;
    }
    assert!(tried >= 4, "{tried} commands found");
    let text = readme();
    let commands =
        text.lines().filter_map(|line| line.strip_prefix("| `tidegate ")?.split(['`', ' ']).next());
    for command in commands {
        let help = run(Command::new(tidegate()).args([command, "--help"]));
        assert!(help.status.success(), "`tidegate {command}` of the README");
    }
}

#[test]
fn the_five_minutes_come_true() {
    let gateway = Gateway::start();
    let reading = r#"{"temperature":23.4}"#;
    assert!(readme().contains(&format!("-t telemetry -m '{reading}'")), "the README publishes {reading}");
    assert!(publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", reading]).status.success());
    let line = eventually("the reading is a line of JSON", || {
        let file = fs::read_dir(gateway.out()).ok()?.next()?.ok()?.path();
        fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))
    });
    let value: serde_json::Value = serde_json::from_str(line.trim()).expect("JSON");
    assert_eq!(value["values"]["temperature"], 23.4, "{line}");
    assert!(gateway.command(&["status"]).starts_with("lost 0, "));
}

#[test]
fn a_payload_of_each_shape_in_the_readme() {
    let gateway = Gateway::start();
    let payloads = [
        r#"{"temperature":23.4}"#,
        r#"{"ts":1790000000000,"values":{"temperature":23.4}}"#,
        r#"{"boot":7,"seq":42,"ts":1790000000000,"values":{"temperature":23.4}}"#,
        r#"[{"temperature":23.4}]"#,
        "23.4",
        "sensor_1,23.4",
    ];
    for payload in payloads {
        assert!(publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", payload]).status.success());
    }
    let text = eventually("each is delivered", || {
        let file = fs::read_dir(gateway.out()).ok()?.next()?.ok()?.path();
        fs::read_to_string(file).ok().filter(|text| text.lines().count() >= payloads.len())
    });
    for line in text.lines() {
        assert!(line.contains("23.4") && line.contains("\"values\""), "{line}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    let listed = run(Command::new("git").args(["ls-files", "*.md"]).current_dir(root()));
    for file in String::from_utf8_lossy(&listed.stdout).lines() {
        let path = root().join(file);
        let text = fs::read_to_string(&path).expect("a page");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#', ' ']).next().unwrap_or("");
            let outside = target.is_empty() || target.contains("://") || target.starts_with("crate::");
            if !outside && !path.parent().expect("a folder").join(target).exists() {
                broken.push(format!("{file}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_page_of_the_configuration_is_what_the_program_prints() {
    let printed = tidegate_tests::ran(Command::new(tidegate()).args(["config", "reference"]));
    let page = fs::read_to_string(root().join("gateway/CONFIGURATION.md")).expect("the page");
    assert!(printed == page, "run: UPDATE=1 cargo test -p tidegate --lib config::reference");
}

#[test]
fn the_example_of_the_configuration_checks() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, tidegate_tests::ran(Command::new(tidegate()).args(["config", "example"])))
        .expect("room");
    let checked = tidegate_tests::ran(Command::new(tidegate()).arg("check").arg("-c").arg(&path));
    assert!(checked.contains(": good"), "{checked}");
}

/// As `man` would show them; groff says what it does not understand.
#[test]
fn manual_pages_are_without_a_word_of_complaint() {
    let dir = tempfile::tempdir().expect("a folder");
    tidegate_tests::ran(Command::new(tidegate()).arg("man").arg(dir.path()));
    let mut pages: Vec<PathBuf> =
        fs::read_dir(dir.path()).expect("the folder").map(|entry| entry.expect("a page").path()).collect();
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    for page in pages {
        let shown = run(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(&page));
        let complaint = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success() && complaint.is_empty(), "{}: {complaint}", page.display());
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(text.contains("SYNOPSIS") && text.contains("DESCRIPTION"), "{}", page.display());
    }
}
