//! `tidegate quickstart`

use std::{
    fs::{self, DirBuilder},
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{Error, QuickstartArgs, print};
use crate::{
    auth::{self, AddedDevice, DeviceAnswer, DeviceCommand, Filter, NewDevice, Registry, Role},
    config::{self, Config, Example, FILE_NAME, MQTT_PORT, Overrides},
};

/// The device that is made.
pub const DEVICE: &str = "sensor_1";
/// The application that is made; it may subscribe to everything.
pub const APPLICATION: &str = "app";

/// Logins with the secrets that are shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Secrets {
    device: String,
    application: String,
}

/// Makes the folder, prints what to paste.
///
/// # Errors
/// [`Error::CannotCreate`] when the folder holds something already or cannot be written; [`Error::Config`] when the
/// ports do not go together, before anything is made.
pub fn run(args: &QuickstartArgs, wall_ms: u64) -> Result<(), Error> {
    refuse_full(&args.dir)?;
    let text = configuration(args)?;
    let path = args.dir.join(FILE_NAME);
    make(&args.dir, &path, &text)?;
    let config = Config::load(&path, Overrides::default())?;
    let secrets = add_logins(&config, wall_ms)?;
    print::line(lines(args, &programs(), &path, &secrets))?;
    for address in [config.mqtt_address(), config.http_address()] {
        if TcpListener::bind(address).is_err() {
            print::note(format_args!(
                "note: {address} is taken by another program; stop it, or write another port in {}",
                path.display()
            ));
        }
    }
    Ok(())
}

/// A folder with something in it may be somebody's gateway.
fn refuse_full(dir: &Path) -> Result<(), Error> {
    let Ok(mut entries) = fs::read_dir(dir) else { return Ok(()) };
    if entries.next().is_none() {
        return Ok(());
    }
    let dir = dir.display();
    Err(Error::CannotCreate(format!("{dir} is not empty; name a folder that is empty or not there yet")))
}

fn configuration(args: &QuickstartArgs) -> Result<String, Error> {
    if args.mqtt_port == 0 {
        let why = "with port 0 the system chooses one at each start, and no device would know it";
        return Err(Error::Usage(format!("{why}; name one, such as --mqtt-port {MQTT_PORT}")));
    }
    let example = Example {
        data: ".",
        mqtt_port: args.mqtt_port,
        coap_port: args.coap_port,
        http_port: args.http_port,
    };
    let text = Config::example_with(&example);
    match Config::parse(&text, Overrides::default()) {
        Ok(_) => Ok(text),
        Err(faults) => {
            let wrong: Vec<&str> = faults.iter().map(|fault| fault.wrong.as_str()).collect();
            Err(Error::Failed(format!("{}; name others with --mqtt-port and --http-port", wrong.join(", "))))
        }
    }
}

fn make(dir: &Path, path: &Path, text: &str) -> Result<(), Error> {
    let cannot = |path: &Path, error| {
        let path = path.display();
        Error::CannotCreate(format!("cannot make {path} ({error}); name a folder that you may write to"))
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| cannot(dir, error))?;
    config::create(path, text).map_err(|error| cannot(path, error))
}

fn add_logins(config: &Config, wall_ms: u64) -> Result<Secrets, Error> {
    let state = config.state_path();
    let cannot = |why: String| Error::CannotCreate(format!("cannot make {} ({why})", state.display()));
    let everything = Filter::new("#").map_err(|error| cannot(error.to_string()))?;
    let registry = Registry::open(&state).map_err(|error| cannot(error.to_string()))?;
    let add = |id: &str, role, subscribe| {
        let new = NewDevice {
            id: id.to_owned(),
            role,
            publish: Vec::new(),
            subscribe,
            password: None,
            group: None,
        };
        match auth::apply(&registry, DeviceCommand::Add(Box::new(new)), wall_ms) {
            Ok(DeviceAnswer::Added(added)) => {
                secret(added).ok_or_else(|| cannot("no secret was made".to_owned()))
            }
            Ok(_) => Err(cannot("no secret was made".to_owned())),
            Err(error) => Err(cannot(error.to_string())),
        }
    };
    let device = add(DEVICE, Role::Device, Vec::new())?;
    let application = add(APPLICATION, Role::Application, vec![everything])?;
    Ok(Secrets { device, application })
}

fn secret(added: Vec<AddedDevice>) -> Option<String> {
    added.into_iter().next()?.secret
}

/// How the shell that started this process reaches `tidegate`, and the simulator if it stands beside it: under its own
/// name, or the one that the package gives it.
fn programs() -> [String; 2] {
    let typed = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let found = ["simulator", "tidegate-simulator"].map(|name| typed.with_file_name(name));
    let found = found.iter().find(|path| path.components().count() > 1 && path.exists());
    let word = |path: &Path| quoted(&path.display().to_string());
    let installed =
        || std::env::current_exe().is_ok_and(|path| path.with_file_name("tidegate-simulator").exists());
    let simulator = match found {
        Some(path) => word(path),
        None if installed() => "tidegate-simulator".to_owned(),
        None => "simulator".to_owned(),
    };
    [word(&typed), simulator]
}

/// What a person pastes, each command in a terminal of its own.
fn lines(
    args: &QuickstartArgs,
    [tidegate, simulator]: &[String; 2],
    path: &Path,
    secrets: &Secrets,
) -> String {
    let Secrets { device, application } = secrets;
    let (port, coap_port, http_port) = (args.mqtt_port, args.coap_port, args.http_port);
    let dir = args.dir.display();
    let config = quoted(&path.display().to_string());
    let creds = quoted(&args.dir.join("creds.csv").display().to_string());
    let audit = quoted(&format!("file:{}", args.dir.join("out").display()));
    format!(
        "\
{dir} holds a gateway: its configuration, a device and an application. Their secrets are shown here only.

  device       user {DEVICE}  password {device}
  application  user {APPLICATION}       password {application}
  mqtt         127.0.0.1 port {port}
  coap         127.0.0.1 port {coap_port} (UDP)
  pages        http://127.0.0.1:{http_port}/metrics, /readyz and /livez

Run it:
  {tidegate} run -c {config}

In another terminal, watch what comes in, or subscribe:
  {tidegate} tail -c {config}
  mosquitto_sub -h 127.0.0.1 -p {port} -u {APPLICATION} -P '{application}' -i {APPLICATION} -q 1 -v -t '#'

In a third, send:
  mosquitto_pub -h 127.0.0.1 -p {port} -u {DEVICE} -P '{device}' -i {DEVICE} -q 1 -t telemetry -m '{{\"temperature\":23.4}}'
  coap-client-notls -m post -t 50 -e '{{\"temperature\":23.4}}' 'coap://127.0.0.1:{coap_port}/telemetry?device={DEVICE}&token={device}'

See how it is, and try a thousand devices:
  {tidegate} status -c {config}
  {tidegate} device -c {config} add --count 1000 --prefix virtual_ --out {creds}
  {simulator} run --target mqtt://127.0.0.1:{port} --credentials {creds} --devices 1000 --interval 2s --duration 60s --audit {audit}"
    )
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted("/tmp/try-1"), "/tmp/try-1");
        assert_eq!(quoted("my try"), "'my try'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
