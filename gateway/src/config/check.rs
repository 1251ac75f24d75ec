//! What types cannot say: rules on one value, and rules between two.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use super::{
    CoapConfig, Config, OutputConfig,
    document::{Finding, Step::Index, Step::Key},
};
use crate::{core, normalise::Routes, service::alarm::RULES_MAX};

/// Runtimes that `threads` may ask for.
pub const THREADS_MAX: NonZeroU16 = NonZeroU16::new(256).unwrap();
/// `[[output]]` sections of one configuration: each is a cursor that is synced and a bridge that reads.
pub const OUTPUTS_MAX: usize = 16;
/// Characters of an output's name.
pub const OUTPUT_NAME_LEN_MAX: usize = 64;
/// Bytes of the smallest file that an output may be told to rotate at: below it, folders fill with crumbs.
pub const ROTATE_BYTES_MIN: u64 = 4096;

/// `[[serial.port]]` sections of one configuration.
pub const PORTS_MAX: usize = 64;

/// Bytes of the path of the control socket: what `sockaddr_un` has room for (unix(7)), less its final zero.
pub const CONTROL_PATH_BYTES_MAX: usize = 107;

/// Every rule, applied to `config`. Empty when all is well.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    data(config, &mut findings);
    threads(config, &mut findings);
    listeners(config, &mut findings);
    plain_coap(config, &mut findings);
    ports(config, &mut findings);
    connections(config, &mut findings);
    anonymous(config, &mut findings);
    spool(config, &mut findings);
    serial(config, &mut findings);
    core(config, &mut findings);
    alarms(config, &mut findings);
    routes(config, &mut findings);
    outputs(config, &mut findings);
    findings
}

fn data(config: &Config, findings: &mut Vec<Finding>) {
    if config.data.as_os_str().is_empty() {
        findings.push(Finding::new(&[Key("data")], "`data` is empty", "write a folder, such as \"data\""));
    }
}

/// The rules on `data` that can be applied only when it starts at the configuration's folder.
pub(super) fn data_path(config: &Config) -> Result<(), Finding> {
    if let Some(file) = config.data.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir()) {
        return Err(Finding::new(
            &[Key("data")],
            format!("{} is no folder", file.display()),
            "name a folder that is there or can be made",
        ));
    }
    let bytes = config.control_path().as_os_str().len();
    if bytes <= CONTROL_PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Finding::new(
        &[Key("data")],
        format!(
            "the control socket in this folder would have a path of {bytes} bytes; the system takes {CONTROL_PATH_BYTES_MAX}"
        ),
        "write a shorter path, or run in a folder nearer to it",
    ))
}

fn threads(config: &Config, findings: &mut Vec<Finding>) {
    if config.threads.is_some_and(|threads| threads > THREADS_MAX) {
        let instead = format!("write 1 to {THREADS_MAX}, or leave it out for one a core");
        findings.push(Finding::new(&[Key("threads")], "more threads than the gateway runs", instead));
    }
}

/// Nothing is reachable from outside by accident.
fn listeners(config: &Config, findings: &mut Vec<Finding>) {
    if config.lan {
        return;
    }
    for (section, listen) in listens(config) {
        let Some(address) = listen.filter(|address| !address.is_loopback()) else { continue };
        findings.push(Finding::new(
            &[Key(section), Key("listen")],
            format!("{address} can be reached from other machines and `lan` is false"),
            "write `lan = true` at the top (or run with --lan), or listen on \"127.0.0.1\"",
        ));
    }
}

/// Secrets in plain text leave this machine only where the owner has said so by name.
fn plain_coap(config: &Config, findings: &mut Vec<Finding>) {
    let CoapConfig { listen, plain_lan, .. } = config.coap;
    let Some(address) = listen.filter(|address| config.lan && !address.is_loopback() && !plain_lan) else {
        return;
    };
    findings.push(Finding::new(
        &[Key("coap"), Key("listen")],
        format!("CoAP at {address} would carry the devices' secrets in plain text"),
        "write `plain_lan = true` below it if everybody on that network may read them, or leave `listen` out",
    ));
}

fn ports(config: &Config, findings: &mut Vec<Finding>) {
    let (mqtt, http) = (config.mqtt_address(), config.http_address());
    let overlap = mqtt.ip() == http.ip() || mqtt.ip().is_unspecified() || http.ip().is_unspecified();
    if config.http.enabled && mqtt.port() == http.port() && mqtt.port() != 0 && overlap {
        findings.push(Finding::new(
            &[Key("http"), Key("port")],
            format!("port {} is taken by [mqtt]", http.port()),
            "give [mqtt] or [http] another port",
        ));
    }
}

fn connections(config: &Config, findings: &mut Vec<Finding>) {
    let limits = [
        ("connections_max", config.mqtt.connections_max),
        ("sessions_per_login_max", config.mqtt.sessions_per_login_max),
        ("unauthenticated_max", config.mqtt.unauthenticated_max),
    ];
    for (key, _) in limits.into_iter().filter(|(_, limit)| *limit == 0) {
        let path = [Key("mqtt"), Key(key)];
        findings.push(Finding::new(&path, "0 lets nobody in", "write 1 or more, or leave the key out"));
    }
    if config.http.connections_max == 0 {
        let path = [Key("http"), Key("connections_max")];
        let instead = "write 1 or more, or `enabled = false` for no pages";
        findings.push(Finding::new(&path, "0 lets nobody in", instead));
    }
}

/// Who can reach the gateway and need no password can write whatever it likes under any device's name.
fn anonymous(config: &Config, findings: &mut Vec<Finding>) {
    let reachable =
        config.lan || listens(config).iter().any(|(_, listen)| listen.is_some_and(|a| !a.is_loopback()));
    if config.anonymous && reachable {
        findings.push(Finding::new(
            &[Key("anonymous")],
            "devices without a password are let in on loopback only, and other machines can reach this gateway",
            "write `anonymous = false` and give each device a login with `tidegate device add`",
        ));
    }
}

fn spool(config: &Config, findings: &mut Vec<Finding>) {
    if let Err(error) = config.spool.check() {
        let wrong = format!("`{}` cannot be this", error.key);
        findings.push(Finding::new(&[Key("spool"), Key(error.key)], wrong, format!("write {}", error.why)));
    }
}

fn serial(config: &Config, findings: &mut Vec<Finding>) {
    let ports = &config.serial.ports;
    let at = |i: usize, key: &'static str| [Key("serial"), Key("port"), Index(i), Key(key)];
    if ports.len() > PORTS_MAX {
        let wrong = format!("more than {PORTS_MAX} serial ports");
        let path = [Key("serial"), Key("port"), Index(PORTS_MAX)];
        findings.push(Finding::new(&path, wrong, "take some out; one pattern may find many ports"));
    }
    for (i, port) in ports.iter().enumerate() {
        for fault in port.faults() {
            findings.push(Finding::new(&at(i, fault.key), fault.wrong, fault.instead));
        }
        if ports.iter().take(i).any(|other| other.path == port.path) {
            let wrong = format!("a second port \"{}\"", port.path.escape_debug());
            findings.push(Finding::new(&at(i, "path"), wrong, "take one of them out"));
        }
    }
}

fn core(config: &Config, findings: &mut Vec<Finding>) {
    let core::Config { segment_bytes_max, segments_max, topics_max } = config.core;
    let ranges = [
        ("segment_bytes_max", segment_bytes_max, core::SEGMENT_BYTES_MIN..=core::SEGMENT_BYTES_MAX),
        ("segments_max", segments_max, 1..=core::SEGMENTS_MAX),
        ("topics_max", topics_max, 1..=core::TOPICS_MAX),
    ];
    for (key, value, range) in ranges {
        if !range.contains(&value) {
            let instead = format!("write {} to {}", range.start(), range.end());
            findings.push(Finding::new(
                &[Key("core"), Key(key)],
                format!("{value} is too little or too much"),
                instead,
            ));
        }
    }
}

fn alarms(config: &Config, findings: &mut Vec<Finding>) {
    if config.alarms.len() > RULES_MAX {
        let wrong = format!("more than {RULES_MAX} alarms");
        findings.push(Finding::new(&[Key("alarm"), Index(RULES_MAX)], wrong, "take some out"));
    }
    let mut names = HashSet::new();
    for (i, alarm) in config.alarms.iter().enumerate() {
        if let Err(error) = alarm.check() {
            let path = [Key("alarm"), Index(i), Key(error.key)];
            findings.push(Finding::new(&path, error.wrong, error.instead));
        }
        if !names.insert(&alarm.name) {
            let wrong = format!("a second alarm named \"{}\"", alarm.name.escape_debug());
            let path = [Key("alarm"), Index(i), Key("name")];
            findings.push(Finding::new(&path, wrong, "give each alarm its own name"));
        }
    }
}

fn routes(config: &Config, findings: &mut Vec<Finding>) {
    if let Err(error) = Routes::compile(&config.routes) {
        let path = [Key("route"), Index(error.route), Key(error.key)];
        let wrong = format!("`{}` of this route: {}", error.key, error.problem);
        findings.push(Finding::new(&path, wrong, "change it, or take the route out"));
    }
}

fn outputs(config: &Config, findings: &mut Vec<Finding>) {
    if config.outputs.len() > OUTPUTS_MAX {
        let wrong = format!("more than {OUTPUTS_MAX} outputs");
        findings.push(Finding::new(&[Key("output"), Index(OUTPUTS_MAX)], wrong, "take some out"));
    }
    let mut names = HashMap::new();
    let mut dirs: HashMap<PathBuf, &str> = HashMap::new();
    for (i, output) in config.outputs.iter().enumerate() {
        let name = output.name();
        output_name(i, name, findings);
        if names.insert(name, i).is_some() {
            let wrong = format!("a second output named \"{name}\"");
            findings.push(Finding::new(
                &[Key("output"), Index(i), Key("name")],
                wrong,
                "give each output its own name",
            ));
        }
        let file = match output {
            OutputConfig::File(file) => file,
            OutputConfig::Mqtt(mqtt) => {
                mqtt.check(i, findings);
                continue;
            }
            OutputConfig::RocketMq(bus) => {
                bus.check(i, findings);
                continue;
            }
        };
        if let Some(other) = dirs.insert(Path::new(".").join(&file.dir).components().collect(), name) {
            let wrong = format!("output \"{other}\" writes to this folder");
            findings.push(Finding::new(
                &[Key("output"), Index(i), Key("dir")],
                wrong,
                "give each file output its own `dir`",
            ));
        }
        if file.rotate_bytes < ROTATE_BYTES_MIN {
            let instead = format!("write {ROTATE_BYTES_MIN} or more, such as \"64MiB\"");
            findings.push(Finding::new(
                &[Key("output"), Index(i), Key("rotate_bytes")],
                "files this small are too many",
                instead,
            ));
        }
        if file.keep_files == 0 {
            let path = [Key("output"), Index(i), Key("keep_files")];
            findings.push(Finding::new(&path, "no closed file would stay", "write 1 or more"));
        }
    }
}

/// The name becomes that of a cursor's file.
fn output_name(i: usize, name: &str, findings: &mut Vec<Finding>) {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > OUTPUT_NAME_LEN_MAX || !name.bytes().all(allowed) {
        findings.push(Finding::new(
            &[Key("output"), Index(i), Key("name")],
            format!("\"{}\" cannot name an output", name.escape_debug()),
            format!("write 1 to {OUTPUT_NAME_LEN_MAX} of A-Z, a-z, 0-9, _ and -"),
        ));
    }
}

fn listens(config: &Config) -> [(&'static str, Option<IpAddr>); 3] {
    [("mqtt", config.mqtt.listen), ("coap", config.coap.listen), ("http", config.http.listen)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn serial_ports_are_checked() {
        let parse = |text: &str| Config::parse(text, Overrides::default());
        let port = "[[serial.port]]\npath = \"/dev/ttyACM0\"\n";
        let lines = "mode = \"lines\"\n";
        assert!(parse(&format!("{port}{lines}device = \"porch\"\n")).is_ok());
        let cases = [
            (
                "[[serial.port]]\npath = \"COM1\"\n".to_owned(),
                "2:8: \"COM1\" is no path of a port; write a path",
            ),
            ("[[serial.port]]\npath = \"/dev/[\"\n".to_owned(), "2:8: \"/dev/[\" is no pattern"),
            (format!("{port}baud = 0\n"), "3:8: no bits a second; write what"),
            (
                format!("{port}device = \"d\"\n"),
                "3:10: with `mode = \"frames\"` each board says who it is; take",
            ),
            (format!("{port}{lines}device = \"a b\"\n"), "4:10: this cannot be a device; write 1 to 64"),
            (
                format!("[[serial.port]]\npath = \"/dev/tty*\"\n{lines}device = \"d\"\n"),
                "4:10: all ports of a pattern would be one device; name",
            ),
            (format!("{port}{port}"), "4:8: a second port \"/dev/ttyACM0\"; take"),
            (port.replace("ACM0", "0") + &many_ports(), ": more than 64 serial ports; take some out"),
        ];
        for (text, expected) in cases {
            let faults = parse(&text).unwrap_err();
            assert!(
                faults.iter().any(|fault| fault.to_string().contains(expected)),
                "{expected}: {faults:?}"
            );
        }
    }

    /// As many as there may be.
    fn many_ports() -> String {
        (1..=PORTS_MAX).map(|number| format!("[[serial.port]]\npath = \"/dev/tty{number}\"\n")).collect()
    }
}
