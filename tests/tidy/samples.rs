//! Each rule can fail, and lets pass what it should.

use crate::{
    repository,
    rules::RULES,
    source::{Source, imports},
    tables,
};

/// Lines on which the rule called `rule` finds something.
fn lines(rule: &str, path: &str, text: &str) -> Vec<usize> {
    let (_, check) = RULES.iter().find(|(name, _)| *name == rule).expect("a rule of that name");
    check(&Source::new(path, text)).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn pure_parts() {
    let rule = "pure parts";
    assert_eq!(lines(rule, "gateway/src/session/mqtt/mod.rs", "use std::{\n    fs,\n    io,\n};\n"), [1]);
    assert_eq!(lines(rule, "gateway/src/normalise/mod.rs", "fn f() {\n    tokio::spawn(g());\n}\n"), [2]);
    assert_eq!(lines(rule, "protocol/src/lib.rs", "use std::time::Instant;\n"), [1]);
    let fine = "use tokio_util::codec::Decoder;\nuse std::net::IpAddr;\n// tokio::spawn\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    assert_eq!(lines(rule, "gateway/src/session/mqtt/codec.rs", fine), []);
    assert_eq!(lines(rule, "gateway/src/listener/mod.rs", "use tokio::net;\n"), []);
}

#[test]
fn one_reader_of_the_clock() {
    let rule = "one reader of the clock";
    assert_eq!(lines(rule, "gateway/src/bridge/mod.rs", "let a = 1;\nlet b = Instant::now();\n"), [2]);
    assert_eq!(lines(rule, "gateway/src/clock.rs", "let b = Instant::now();\n"), []);
}

#[test]
fn dependencies() {
    let rule = "dependencies";
    assert_eq!(lines(rule, "gateway/src/pipeline.rs", "use rusqlite::Connection;\n"), [1]);
    assert_eq!(lines(rule, "gateway/src/pipeline.rs", "\nlet x = rmqtt_codec::v3::f();\n"), [2]);
    assert_eq!(lines(rule, "gateway/src/lib.rs", "use anyhow::{Result, bail};\n"), [1]);
    assert_eq!(lines(rule, "gateway/src/auth/store.rs", "use rusqlite::Connection;\n"), []);
    assert_eq!(
        lines(rule, "gateway/src/cli/mod.rs", "#[cfg(test)]\nmod tests {\n    use tempfile::TempDir;\n}\n"),
        []
    );
    let manifest = "[workspace.dependencies]\nserde = \"1\"\nleft-pad = \"1\"\n[profile.dev]\ndebug = 1\n";
    assert_eq!(repository::unlisted_dependencies(manifest).len(), 1);
}

#[test]
fn lengths() {
    let most = tables::FILE_LINES_MAX;
    assert_eq!(lines("file length", "gateway/src/a.rs", &"\n".repeat(most)), []);
    assert_eq!(lines("file length", "gateway/src/a.rs", &"\n".repeat(most + 1)), [most + 1]);
    let function = |body: usize| {
        format!("\nimpl A {{\n    fn long(&self) {{\n{}    }}\n}}\n", "        f('{');\n".repeat(body))
    };
    let body = tables::FUNCTION_LINES_MAX - 2;
    assert_eq!(lines("function length", "gateway/src/a.rs", &function(body)), []);
    assert_eq!(lines("function length", "gateway/src/a.rs", &function(body + 1)), [3]);
}

#[test]
fn names() {
    assert_eq!(lines("names", "gateway/src/utils.rs", ""), [1]);
    assert_eq!(lines("names", "gateway/src/helper/mod.rs", ""), [1]);
    assert_eq!(lines("names", "gateway/src/a.rs", "mod a;\nmod common;\n"), [2]);
    assert_eq!(lines("names", "gateway/src/a.rs", "pub struct FrameHandler;\n"), [1]);
    assert_eq!(lines("names", "gateway/src/database.rs", "mod frame;\nstruct Handled;\n"), []);
}

#[test]
fn channels() {
    let path = "gateway/src/a.rs";
    assert_eq!(lines("channels", path, "let (a, b) = mpsc::channel(16);\n"), [1]);
    assert_eq!(lines("channels", path, "let (a, b) = mpsc::channel::<u8>();\n"), [1]);
    assert_eq!(lines("channels", path, "let (a, b) = mpsc::unbounded_channel();\n"), [1, 1][..1]);
    assert_eq!(
        lines(
            "channels",
            path,
            "let (a, b) = mpsc::channel(INBOX_MAX);\nsync_channel(limits.pending_max);\n"
        ),
        []
    );
}

#[test]
fn names_of_limits() {
    let path = "gateway/src/a.rs";
    assert_eq!(lines("names of limits", path, "const MAX_FRAME: usize = 3;\n"), [1]);
    assert_eq!(lines("names of limits", path, "struct A {\n    pub max_frames: usize,\n}\n"), [2]);
    assert_eq!(
        lines("names of limits", path, "pub const FRAME_BYTES_MAX: usize = 3;\npub max_disk: u64,\n"),
        []
    );
}

#[test]
fn nothing_left_open() {
    let rule = "nothing left open";
    let open = ["#[ig", "nore]\nfn f() { to", "do!() }\n// TO", "DO: later\n"].concat();
    assert_eq!(lines(rule, "gateway/src/a.rs", &open), [1, 2, 3]);
    assert_eq!(lines(rule, "gateway/src/a.rs", "fn f() { \"todo!()\"; }\n"), []);
}

#[test]
fn exceptions_have_reasons() {
    let rule = "exceptions have reasons";
    let bad = ["#[al", "low(dead_code)]\n#[ex", "pect(clippy::panic)]\n"].concat();
    assert_eq!(lines(rule, "gateway/src/a.rs", &bad), [1, 2]);
    let good = "#[expect(\n    clippy::panic,\n    reason = \"our own state\"\n)]\n";
    assert_eq!(lines(rule, "gateway/src/a.rs", good), []);
}

#[test]
fn machine_paths() {
    let text = format!("a\ncd {}{}x\n", "/wo", "rk/");
    assert_eq!(lines("machine paths", "deploy/README.md", &text), [2]);
    assert_eq!(lines("machine paths", "deploy/README.md", "cd work/x\n"), []);
}

#[test]
fn story_comments() {
    let rule = "story comments";
    assert_eq!(lines(rule, "gateway/src/a.rs", "let a = 1; // This is no longer needed.\n"), [1]);
    assert_eq!(lines(rule, "gateway/src/a.rs", "/// `now` is monotonic.\nlet a = \"no longer used\";\n"), []);
}

#[test]
fn one_path_to_the_spool() {
    let rule = "one path to the spool";
    let text =
        "fn f() {\n    spool.append(lane, &e, 0, b\"\");\n    spool.append_held(lane, &e, 0, b\"\");\n}\n";
    assert_eq!(lines(rule, "gateway/src/listener/coap/uplink.rs", text), [2, 3]);
    assert_eq!(lines(rule, "gateway/src/pipeline.rs", text), []);
    assert_eq!(lines(rule, "gateway/src/spool/mod.rs", text), []);
    assert_eq!(
        lines(rule, "gateway/src/bridge/mod.rs", "fn f() {\n    a.append(&mut b);\n    o.append(true);\n}\n"),
        []
    );
    let test =
        "#[cfg(test)]\nmod tests {\n    fn f() {\n        spool.append(lane, &e, 0, b\"\");\n    }\n}\n";
    assert_eq!(lines(rule, "gateway/src/bridge/mod.rs", test), []);
}

#[test]
fn the_whole_repository() {
    assert_eq!(repository::top_level(&["README.md", "gateway/src/lib.rs"]).len(), 0);
    assert_eq!(repository::top_level(&["notes.txt", "scripts/a", "scripts/b"]).len(), 2);
    let twice = ["gateway/decisions/0001-a.md", "gateway/decisions/0001-b.md"];
    assert_eq!(repository::decision_numbers(&twice).len(), 1);
    assert_eq!(repository::decision_numbers(&["gateway/decisions/first.md"]).len(), 1);
    assert_eq!(
        repository::decision_numbers(&["gateway/decisions/0001-a.md", "gateway/decisions/README.md"]).len(),
        0
    );
    assert_eq!(repository::readme(&"a\n".repeat(tables::README_LINES_MAX + 1)).len(), 1);
}

#[test]
fn the_scanner_sees_code_where_code_is() {
    let text =
        "let a = \"// no\"; // yes {\nlet b = r#\"\"{\"#; let c: &'a str = '\\''; /* { */ let d = 'x';\n";
    let source = Source::new("gateway/src/a.rs", text);
    assert_eq!(source.text.len(), source.code.len());
    assert!(!source.code.contains('{') && !source.code.contains("no"), "{}", source.code);
    assert!(source.comments.contains("yes {") && source.code.contains("let d"));
    assert!(source.code.contains("&'a str"));
    let named: Vec<String> =
        imports("use std::{fs, io::{Read, Write}};\n").into_iter().map(|(_, path)| path).collect();
    assert_eq!(named, ["std::fs", "std::io::Read", "std::io::Write"]);
}
