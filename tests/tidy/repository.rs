//! The rules for the repository as a whole.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::{source::Source, tables};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The path of every file that is in the repository or would be with `git add .`.
pub fn list(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git lists the files; install git");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8_lossy(&listed.stdout);
    listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// Those of `paths` that are text.
pub fn read(root: &Path, paths: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for path in paths {
        let file = root.join(path);
        if fs::metadata(&file).is_ok_and(|about| about.len() <= FILE_BYTES_MAX)
            && let Ok(text) = fs::read_to_string(&file)
        {
            sources.push(Source::new(path, &text));
        }
    }
    assert!(sources.len() > 20, "only {} files found under {}", sources.len(), root.display());
    sources
}

pub fn top_level(paths: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for path in paths {
        let first = path.split('/').next().unwrap_or(path);
        let complaint = format!("{first}:1: not of the top level; put it into one of the folders there");
        if !tables::TOP_LEVEL.contains(&first) && !found.contains(&complaint) {
            found.push(complaint);
        }
    }
    found
}

pub fn decision_numbers(paths: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for path in paths {
        let Some(name) = path.strip_prefix("gateway/decisions/").filter(|name| *name != "README.md") else {
            continue;
        };
        let number = name.split('-').next().unwrap_or("");
        if number.len() != 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) || !name.ends_with(".md") {
            found.push(format!("{path}:1: a decision is called NNNN-title.md"));
        } else if let Some(other) = taken.insert(number, path) {
            found.push(format!("{path}:1: the number {number} is taken by {other}; take the next free one"));
        }
    }
    found
}

pub fn readme(text: &str) -> Vec<String> {
    let (lines, most) = (text.lines().count(), tables::README_LINES_MAX);
    if lines <= most {
        return Vec::new();
    }
    vec![format!(
        "README.md:{}: {lines} lines, {most} are allowed; move what is not the first five minutes",
        most + 1
    )]
}

/// Dependencies of the workspace that have no row in the table.
pub fn unlisted_dependencies(manifest: &str) -> Vec<String> {
    let mut in_table = false;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            in_table = line == "[workspace.dependencies]";
            continue;
        }
        let Some((name, _)) = line.split_once('=').filter(|_| in_table && !line.starts_with([' ', '#']))
        else {
            continue;
        };
        let name = name.trim().replace('-', "_");
        if !tables::DEPENDENCIES.iter().any(|(listed, _)| *listed == name) {
            found.push(format!(
                "Cargo.toml:{}: `{name}` has no row in tests/tidy/tables.rs; say which file may name it",
                number + 1
            ));
        }
    }
    found
}
