//! What installing, updating, removing and purging the package does: in a root where nothing runs, as when an image of a
//! system is made, and in one with systemd.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use tidegate_tests::{Booted, ThrowAwayRoot, eventually, ran, run, simulator, tidegate};

use crate::{CONFIGURATION, UNIT};

/// As the gateway's own user.
const AS_TIDEGATE: [&str; 6] = ["setpriv", "--reuid", "tidegate", "--regid", "tidegate", "--init-groups"];

#[test]
fn the_package_comes_and_goes() {
    let root = ThrowAwayRoot::make();
    let package = root.bring_package();
    root.ran(&["dpkg", "-i", package]);
    assert_installed(&root);

    // An update keeps what the owner has written, and who may read it.
    let configuration = root.path(CONFIGURATION);
    let text = fs::read_to_string(&configuration).expect("a configuration") + "\n# the owner's line\n";
    fs::write(&configuration, text).expect("it can be written");
    root.ran(&["dpkg", "-i", package]);
    assert_installed(&root);
    assert!(fs::read_to_string(&configuration).expect("it is still there").contains("# the owner's line"));

    let reading = root.path("/var/lib/tidegate/reading");
    fs::create_dir(reading.parent().expect("a folder")).expect("as the service would");
    fs::write(&reading, "36.6").expect("as the gateway would");
    root.ran(&["dpkg", "-r", "tidegate"]);
    assert!(!root.path("/usr/bin/tidegate").exists() && !root.path(UNIT).exists());
    assert!(configuration.exists(), "the configuration stays until it is purged");

    let said = root.ran(&["dpkg", "--purge", "tidegate"]);
    assert!(said.contains("readings and logins stay in /var/lib/tidegate"), "{said}");
    assert!(reading.exists(), "readings are not the package's");
    assert!(!root.path("/etc/tidegate").exists());
    let left =
        root.ran(&["find", "/etc/systemd", "/usr/lib/systemd", "/usr/share/doc", "-name", "tidegate*"]);
    assert_eq!(left, "");
    assert!(!run(&mut root.command(&["dpkg", "-s", "tidegate"])).status.success());
}

fn assert_installed(root: &ThrowAwayRoot) {
    let status = root.ran(&["dpkg-query", "-W", "-f", "${db:Status-Status}", "tidegate"]);
    assert_eq!(status, "installed");
    assert!(root.ran(&["id", "-Gn", "tidegate"]).split_whitespace().any(|group| group == "dialout"));
    let wanted = root.path("/etc/systemd/system/multi-user.target.wants/tidegate.service");
    assert!(wanted.is_symlink(), "the service starts with the system");

    let (folder, file) = (root.path("/etc/tidegate"), root.path(CONFIGURATION));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
    assert_eq!((mode(&folder), mode(&file)), (0o750, 0o640));
    let checked = root.ran(&[&AS_TIDEGATE[..], &["tidegate", "check"]].concat());
    assert!(checked.contains("/etc/tidegate/tidegate.toml: good"), "{checked}");
    let other = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];
    let refused = run(&mut root.command(&[&other[..], &["tidegate", "check"]].concat()));
    assert!(!refused.status.success(), "nobody else reads it");

    root.ran(&["systemd-analyze", "verify", UNIT]);
    let exposed =
        run(&mut root.command(&["systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT]));
    assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
    let page = root.ran(&["man", "-w", "tidegate-device-add"]);
    assert!(page.contains("/usr/share/man/man1/tidegate-device-add.1.gz"), "{page}");
    ran(Command::new("bash").arg("-n").arg(root.path("/usr/share/bash-completion/completions/tidegate")));
}

#[test]
fn the_installed_service_takes_readings() {
    let system = Booted::make();
    let package = system.root().bring_package();
    system.ran(&["dpkg", "-i", package]);
    assert_eq!(system.ran(&["systemctl", "is-active", "tidegate"]).trim(), "active");
    let owner = fs::metadata(system.root().path("/var/lib/tidegate/state.db")).expect("its logins");
    let user = system.ran(&["id", "-u", "tidegate"]);
    assert_eq!((owner.uid().to_string().as_str(), owner.mode() & 0o7777), (user.trim(), 0o600));

    let tidegate = |words: &[&str]| system.ran(&[&AS_TIDEGATE[..], &["tidegate"], words].concat());
    let added = tidegate(&["device", "add", "sensor_1"]);
    let secret = added.lines().find_map(|line| line.trim().strip_prefix("secret")).expect("a secret").trim();
    let send = |value: &str| {
        let reading = format!(r#"{{"temperature":{value}}}"#);
        let login = ["-u", "sensor_1", "-P", secret, "-i", "sensor_1", "-q", "1"];
        system.ran(&[&["mosquitto_pub"], &login[..], &["-t", "telemetry", "-m", &reading]].concat());
    };
    send("23.4");
    assert!(tidegate(&["tail", "--from", "oldest", "-n", "1"]).contains("23.4"));
    system.ran(&["systemctl", "reload", "tidegate"]);

    // An update starts the gateway again, with what it had.
    let invocation = || system.ran(&["systemctl", "show", "-P", "InvocationID", "tidegate"]);
    let before = invocation();
    system.ran(&["dpkg", "-i", package]);
    assert_ne!(before, invocation());
    assert_eq!(system.ran(&["systemctl", "is-active", "tidegate"]).trim(), "active");
    send("24.4");
    let shown = tidegate(&["tail", "--from", "oldest", "-n", "2"]);
    assert!(shown.contains("23.4") && shown.contains("24.4"), "{shown}");

    system.ran(&["dpkg", "-r", "tidegate"]);
    let gone = || (!system.try_run(&["systemctl", "is-active", "tidegate"])).then_some(());
    eventually("the service is stopped", gone);
    assert!(!system.try_run(&["pgrep", "-x", "tidegate"]));
    assert!(system.root().path("/var/lib/tidegate/out/readings-00000001.jsonl").exists());
    system.ran(&["dpkg", "--purge", "tidegate"]);
}

/// Each line of the owner's page that calls a program of ours, with the words up to the first option or value.
#[test]
fn every_command_of_the_page_is_understood() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/README.md");
    let page = fs::read_to_string(page).expect("a page").replace("\\\n", " ");
    let mut tried = 0;
    for line in page.lines() {
        let line = line.split('#').next().unwrap_or(line);
        let line = line.strip_prefix("sudo -u tidegate ").unwrap_or(line);
        let (mut program, words) =
            match (line.strip_prefix("tidegate "), line.strip_prefix("tidegate-simulator ")) {
                (Some(words), _) => (Command::new(tidegate()), words),
                (_, Some(words)) => (Command::new(simulator()), words),
                _ => continue,
            };
        let words: Vec<&str> = words.split_whitespace().collect();
        let commands = words.iter().take_while(|word| !word.starts_with('-')).take(2);
        let commands: Vec<&&str> =
            commands.filter(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
        let help = ran(program.args(commands).arg("--help"));
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "`{flag}` of `{line}` is not in the help");
        }
        tried += 1;
    }
    assert!(tried >= 10, "{tried} commands found");
}
