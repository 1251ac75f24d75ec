use std::{fs, path::Path};

use clap::{CommandFactory, Parser, error::ErrorKind};

use super::*;
use crate::config::{Config, Overrides};

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(line.split(' '))
}

/// As a terminal of 100 columns shows it, whatever terminal the tests run in.
fn whole() -> clap::Command {
    Args::command().term_width(100)
}

fn command(line: &str) -> Command {
    parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).command
}

#[test]
fn the_arguments_fit_together() {
    Args::command().debug_assert();
}

#[test]
fn every_command_teaches_by_example() {
    let mut args = whole();
    for command in args.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        assert!(help.contains(&format!("  tidegate {name}")), "{name} has no example:\n{help}");
        assert!(command.get_long_about().is_some_and(|about| about.to_string().len() > 40), "{name}");
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{name}");
    }
}

#[test]
fn every_example_of_the_help_parses() {
    let mut args = whole();
    let mut help = args.render_long_help().to_string();
    for command in args.get_subcommands_mut() {
        help += &command.render_long_help().to_string();
    }
    let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  tidegate ")).collect();
    assert!(examples.len() > 20, "{examples:?}");
    for example in examples {
        // A shell's part of the line, and the remark behind two spaces, are not arguments.
        let typed = example.split("  ").next().unwrap().split([';', '&', '>', '|']).next().unwrap();
        let words = std::iter::once("tidegate").chain(typed.split_whitespace());
        if let Err(error) = Args::try_parse_from(words) {
            panic!("{example}: {error}");
        }
    }
}

#[test]
fn the_help_names_every_command_and_the_exit_codes() {
    let help = whole().render_long_help().to_string();
    for name in [
        "quickstart",
        "run",
        "check",
        "device",
        "tail",
        "status",
        "replay",
        "output",
        "spool",
        "demo",
        "config",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {name} ")), "{name}:\n{help}");
    }
    for code in
        [EXIT_FAILED, EXIT_USAGE, EXIT_DATA, EXIT_UNAVAILABLE, EXIT_CANNOT_CREATE, EXIT_IO, EXIT_CONFIG]
    {
        let code = code.to_string();
        assert!(help.split_whitespace().any(|word| word == code), "{code}:\n{help}");
    }
}

#[test]
fn arguments_become_what_they_mean() {
    let Command::Tail(tail) = command("tidegate tail --from -10m --lane event --device s_1 -n 5") else {
        panic!()
    };
    assert_eq!(tail.from, Begin::At(when::When::Ago(600_000)));
    assert_eq!((tail.lane, tail.count), (Some(LaneWord::Event), Some(5)));
    assert_eq!(tail.device.unwrap().as_str(), "s_1");

    let Command::Replay(replay) = command("tidegate replay --from -2h --output file") else { panic!() };
    assert_eq!((replay.from, replay.to), (when::When::Ago(7_200_000), when::When::Ago(0)));

    let Command::Demo(demo) = command("tidegate demo --duration 60s --interval 500ms") else { panic!() };
    assert_eq!((demo.duration, demo.devices, demo.interval), (Some(60_000), 100, 500));

    let Command::Quickstart(quickstart) = command("tidegate quickstart try") else { panic!() };
    let ports = (quickstart.mqtt_port, quickstart.coap_port, quickstart.http_port);
    assert_eq!(ports, (1883, 5683, 8080));

    let Command::Device(device) = command("tidegate device list -c x.toml") else { panic!() };
    assert_eq!(device.config.as_deref(), Some(Path::new("x.toml")));
}

#[test]
fn wrong_arguments_are_refused_with_what_to_write() {
    let cases = [
        ("tidegate tail --device a/b", "a device id is 1 to 64"),
        ("tidegate tail --from yesterday", "write a time such as"),
        ("tidegate demo --interval 2", "write a span of time such as"),
        ("tidegate demo --devices 10001", "10001 is not in 1..=10000"),
        ("tidegate quickstart try --mqtt-port 70000", "70000 is not in 0..=65535"),
        ("tidegate replay --from -2h", "--output"),
    ];
    for (line, said) in cases {
        let error = parse(line).unwrap_err();
        assert!(error.to_string().contains(said), "{line}: {error}");
        assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{line}");
    }
    let bare = parse("tidegate").unwrap_err();
    assert_eq!(bare.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    let gone = Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    assert!(gone.is_quiet());
    assert_eq!(gone.exit_code(), 0);
    let full = Error::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert!(!full.is_quiet());
    assert_eq!(full.exit_code(), EXIT_IO);
}

#[test]
fn errors_of_device_commands_keep_their_meaning() {
    let io = |kind: std::io::ErrorKind| device::DeviceCliError::<std::fmt::Error>::Io {
        what: "x".to_owned(),
        source: kind.into(),
    };
    let code = |error: device::DeviceCliError<std::fmt::Error>| Error::from(error).exit_code();
    assert_eq!(code(io(std::io::ErrorKind::BrokenPipe)), 0);
    assert_eq!(code(io(std::io::ErrorKind::AlreadyExists)), EXIT_CANNOT_CREATE);
    assert_eq!(code(io(std::io::ErrorKind::StorageFull)), EXIT_IO);
    assert_eq!(code(device::DeviceCliError::Usage("x".to_owned())), EXIT_USAGE);
    assert_eq!(code(device::DeviceCliError::Registry(std::fmt::Error)), EXIT_FAILED);
}

#[test]
fn every_command_gets_a_manual_page_that_says_what_its_help_says() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    man::run(&ManArgs { dir: pages.clone() }).unwrap();
    let mut names = Vec::new();
    named(&Args::command(), "tidegate", &mut names);
    assert!(names.len() > 20, "{names:?}");
    for (name, about) in &names {
        let text = fs::read_to_string(pages.join(format!("{name}.1")))
            .unwrap_or_else(|_| panic!("no page of {name}"));
        let plain = text.replace("\\-", "-").replace("\\*(Aq", "'");
        let first: String = about
            .chars()
            .take_while(|letter| letter.is_ascii() && !matches!(letter, '`' | '\n' | '\''))
            .collect();
        assert!(plain.contains(first.trim_end()), "{name} lacks {first:?}:\n{plain}");
        assert!(text.is_ascii(), "{name}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(text.contains(section), "{name} lacks {section}");
        }
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), names.len());
    let blocked = man::run(&ManArgs { dir: pages.join("tidegate.1") }).unwrap_err();
    assert_eq!(blocked.exit_code(), EXIT_CANNOT_CREATE);
}

/// The page's name and what it is about, of `command` and of those in it.
fn named(command: &clap::Command, name: &str, names: &mut Vec<(String, String)>) {
    let about = command.get_long_about().or(command.get_about()).expect("an about");
    names.push((name.to_owned(), about.to_string()));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        named(inner, &format!("{name}-{}", inner.get_name()), names);
    }
}

#[test]
fn a_wrong_configuration_ends_with_78() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, "[mqtt]\nport = \"x\"\n").unwrap();
    let args = CheckArgs { config: ConfigArgs { config: Some(path) }, lan: false };
    assert_eq!(check::run(&args).unwrap_err().exit_code(), 78);
}

#[test]
fn commands_beside_a_gateway_read_only_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, "data = \".\"\n[mqtt]\nport = \"x\"\n[[route]\n").unwrap();
    let status = StatusArgs { config: ConfigArgs { config: Some(path.clone()) }, json: false };
    let error = dispatch(&Command::Status(status), 1).unwrap_err();
    assert_eq!(error.exit_code(), EXIT_UNAVAILABLE, "{error}");
    let line = format!("tidegate device -c {} add sensor_1", path.display());
    dispatch(&command(&line), 1).unwrap();
    assert!(dir.path().join("state.db").exists());
}

#[test]
fn a_damaged_registry_ends_with_65() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, "data = \".\"\n").unwrap();
    let state = dir.path().join("state.db");
    fs::write(&state, "no database at all, but long enough to be looked at as one".repeat(100)).unwrap();
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let line = format!("tidegate device -c {} list", path.display());
    let error = dispatch(&command(&line), 1).unwrap_err();
    assert_eq!(error.exit_code(), EXIT_DATA, "{error}");
}

#[test]
fn a_socket_of_somebody_else_names_the_remedy() {
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let error = Error::from(crate::control::ClientError::Io(denied));
    assert!(error.to_string().contains("run it as the gateway's owner"), "{error}");
    assert_eq!(error.exit_code(), EXIT_FAILED);
}

#[test]
fn quickstart_wants_a_port_that_devices_can_know() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("try");
    let error = quickstart::run(&QuickstartArgs { mqtt_port: 0, ..quickstart_in(&dir) }, 1).unwrap_err();
    assert!(error.to_string().ends_with("name one, such as --mqtt-port 1883"), "{error}");
    assert_eq!(error.exit_code(), EXIT_USAGE);
    assert!(!dir.exists());
}

fn quickstart_in(dir: &Path) -> QuickstartArgs {
    QuickstartArgs { dir: dir.to_owned(), mqtt_port: 2883, coap_port: 6683, http_port: 9080 }
}

#[test]
fn quickstart_makes_a_configuration_that_checks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("try");
    quickstart::run(&quickstart_in(&dir), 1).unwrap();
    let config = Config::load(&dir.join("tidegate.toml"), Overrides::default()).unwrap();
    assert_eq!((config.mqtt.port, config.coap.port, config.http.port), (2883, 6683, 9080));
    assert_eq!(config.data, dir);
    assert!(config.state_path().exists());

    let again = quickstart::run(&quickstart_in(&dir), 1).unwrap_err();
    assert_eq!(again.exit_code(), EXIT_CANNOT_CREATE);
    assert!(again.to_string().contains("is not empty; name a folder"), "{again}");
}

#[test]
fn quickstart_makes_nothing_when_the_ports_collide() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("try");
    let args = QuickstartArgs { http_port: 2883, ..quickstart_in(&dir) };
    let error = quickstart::run(&args, 1).unwrap_err();
    assert!(
        error.to_string().contains("port 2883 is taken by [mqtt]; name others with --mqtt-port"),
        "{error}"
    );
    assert!(!dir.exists());
}
