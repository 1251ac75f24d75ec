//! Programs for a Raspberry Pi, in an emulator of its processor, and the package: what is in it, and what installing,
//! updating, removing and purging it does.

mod package;

use std::{fs, path::Path, process::Command, time::Duration};

use tidegate_tests::{Foreign, Gateway, Simulator, coap_client, eventually, publish, ran};

const UNIT: &str = "/usr/lib/systemd/system/tidegate.service";
const CONFIGURATION: &str = "/etc/tidegate/tidegate.toml";
/// What a package of ours holds besides manual pages.
const CONTENT: &[&str] = &[
    "./usr/bin/tidegate",
    "./usr/bin/tidegate-simulator",
    "./etc/tidegate/tidegate.toml",
    "./usr/lib/systemd/system/tidegate.service",
    "./usr/lib/sysusers.d/tidegate.conf",
    "./usr/lib/sysctl.d/60-tidegate.conf",
    "./usr/lib/udev/rules.d/70-tidegate.rules",
    "./usr/share/man/man1/tidegate.1.gz",
    "./usr/share/man/man1/tidegate-device-add.1.gz",
    "./usr/share/bash-completion/completions/tidegate",
    "./usr/share/zsh/vendor-completions/_tidegate",
    "./usr/share/fish/vendor_completions.d/tidegate.fish",
    "./usr/share/doc/tidegate/copyright",
    "./usr/share/doc/tidegate/README.md",
];

#[test]
fn readings_arrive_on_a_foreign_processor() {
    let foreign = Foreign::find();
    let mut gateway = Gateway::make_of(foreign.tidegate.clone());
    gateway.run();
    let mqtt = publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", r#"{"temperature":23.4}"#]);
    assert!(mqtt.status.success(), "{}", String::from_utf8_lossy(&mqtt.stderr));
    let words = ["-t", "json", "-e", r#"{"temperature":36.6}"#];
    let coap = coap_client(&gateway, &gateway.device, "post", "telemetry", &words);
    assert!(coap.printed.contains("c:2.04"), "{}", coap.printed);
    let shown = gateway.command(&["tail", "--from", "oldest", "-n", "2", "--lane", "telemetry"]);
    assert!(shown.contains("23.4") && shown.contains("36.6"), "{shown}");
    // Over 35 °C: an alarm besides.
    let lines = eventually("all is delivered", || {
        let text = fs::read_to_string(gateway.out().join("readings-00000001.jsonl")).ok()?;
        (text.lines().count() >= 3).then_some(text)
    });
    assert!(lines.contains("23.4") && lines.contains("36.6"), "{lines}");
    assert!(gateway.command(&["status"]).starts_with("lost 0, "));
    assert!(gateway.stop().success(), "{}", gateway.log());
    let log = gateway.log();
    assert!(!log.contains("ERROR"), "{log}");
    let spool = gateway.dir.join("spool");
    ran(Command::new(&foreign.tidegate).args(["spool", "verify"]).arg(spool));
}

#[test]
fn a_gateway_that_is_killed_goes_on_on_a_foreign_processor() {
    let foreign = Foreign::find();
    let mut gateway = Gateway::make_of(foreign.tidegate.clone());
    gateway.run();
    let targets = [("mqtt", gateway.port), ("coap", gateway.coap_port)]
        .map(|(scheme, port)| format!("{scheme}://127.0.0.1:{port}"));
    let words =
        ["--target", &targets[0], "--target", &targets[1], "--interval", "200ms", "--duration", "10s"];
    let simulator = Simulator::start_of(&foreign.simulator, &gateway, 10, &words);
    std::thread::sleep(Duration::from_secs(4));
    gateway.kill();
    gateway.run();
    let report = simulator.finish(Duration::from_secs(120));
    report.assert_nothing_lost();
    assert_eq!(report.number("unacknowledged"), 0.0, "{}", report.json);
    assert!(report.number("acknowledged") >= 300.0, "{}", report.json);
    assert!(gateway.stop().success(), "{}", gateway.log());
}

#[test]
fn the_package_for_a_foreign_processor_holds_what_it_should() {
    let foreign = Foreign::find();
    let package = foreign.package();
    let field = |name: &str| ran(Command::new("dpkg-deb").arg("-f").arg(&package).arg(name));
    assert_eq!(field("Package").trim(), "tidegate");
    assert_eq!(field("Architecture").trim(), foreign.architecture());
    let listed = ran(Command::new("dpkg-deb").arg("-c").arg(&package));
    for path in CONTENT {
        assert!(listed.lines().any(|line| line.ends_with(path)), "no {path} in:\n{listed}");
    }
    assert!(listed.lines().all(|line| line.contains(" 0/0 ")), "all is root's:\n{listed}");
    let unpacked = tempfile::tempdir().expect("a temporary folder");
    ran(Command::new("dpkg-deb").arg("-x").arg(&package).arg(unpacked.path()));
    let file = |path: &str| unpacked.path().join(path.trim_start_matches('/'));
    let program = file("/usr/bin/tidegate");
    let checked = ran(foreign.command(&program).args(["check", "-c"]).arg(file(CONFIGURATION)));
    assert!(checked.contains("data     /var/lib/tidegate"), "{checked}");
    let text = fs::read_to_string(file(CONFIGURATION)).expect("a configuration");
    assert!(text.contains("\nsd_card = true "), "a Pi writes to a card: {text}");
    let version = ran(foreign.command(&file("/usr/bin/tidegate-simulator")).arg("--help"));
    assert!(version.contains("simulator"), "{version}");
    for program in ["/usr/bin/tidegate", "/usr/bin/tidegate-simulator"] {
        assert_needs_no_newer_libc(&file(program), &field("Depends"));
    }
}

/// The newest version of glibc's symbols that `program` asks for is one that the package asks for.
fn assert_needs_no_newer_libc(program: &Path, depends: &str) {
    let asked = depends.split("libc6 (>= ").nth(1).and_then(|rest| rest.split(')').next());
    let asked = numbers(asked.expect("a version of libc6"));
    let symbols = ran(Command::new("readelf").arg("--version-info").arg(program));
    let needed =
        symbols.split("GLIBC_").skip(1).map(|rest| numbers(rest.split_whitespace().next().unwrap_or("")));
    let newest = needed.max().expect("it is linked to glibc");
    assert!(newest <= asked, "{} needs glibc {newest:?}, the package asks for {asked:?}", program.display());
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|number| number.parse().ok()).collect()
}
