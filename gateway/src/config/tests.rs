use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::service::alarm::RULES_MAX;

/// The one fault of `text`, as it is shown.
fn fault(text: &str) -> String {
    let faults = Config::parse(text, Overrides::default()).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(Config::parse("", Overrides::default()), Ok(Config::default()));
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(Config::parse(&Config::example(), Overrides::default()), Ok(Config::default()));
}

#[test]
fn the_example_says_so_of_every_line_it_has_commented_out() {
    let uncommented: String = Config::example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") || setting.starts_with('[') => setting,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let config = Config::parse(&uncommented, Overrides::default()).unwrap();
    assert_eq!(config.threads, NonZeroU16::new(2));
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.mqtt.limits, crate::session::mqtt::Limits::default());
    assert_eq!(config.http.limits, super::HttpLimits::default());
    assert_eq!(config.coap.limits, crate::session::coap::Limits::default());
    assert_eq!(config.serial.limits, crate::session::serial::Limits::default());
    assert_eq!((config.serial.ports.len(), config.serial.ports[0].baud), (1, 115_200));
}

#[test]
fn alarms_and_the_core_are_checked() {
    let parse = |text: &str| Config::parse(text, Overrides::default());
    assert_eq!(parse("alarm = []").unwrap().alarms, []);
    let alarm = "[[alarm]]\nname = \"cold\"\nmeasurement = \"temperature\"\n";
    let read = parse(&format!("{alarm}below = 4\n")).unwrap().alarms;
    assert_eq!((read.len(), read[0].below, read[0].clear), (1, Some(4.0), None));
    let cases = [
        (
            format!("{alarm}above = 4.0\nclear = 5.0\n"),
            "5:9: the value that clears the alarm raises it; write",
        ),
        (alarm.to_owned(), "2:8: nothing raises this alarm; add `above = …` or `below = …`"),
        (format!("{alarm}above = 4.0\n{alarm}above = 5.0\n"), "6:8: a second alarm named \"cold\"; give"),
        (
            "[core]\nsegment_bytes_max = 1000\n".to_owned(),
            "2:21: 1000 is too little or too much; write 1024 to",
        ),
        ("[core]\nsegments_max = 0\n".to_owned(), "2:16: 0 is too little or too much; write 1 to 1024"),
        ("[core]\ntopics_max = 1000001\n".to_owned(), "2:14: 1000001 is too little or too much; write 1 to"),
    ];
    for (text, expected) in cases {
        let faults = parse(&text).unwrap_err();
        assert!(faults[0].to_string().starts_with(expected), "{}", faults[0]);
    }
    let many: String = (0..=RULES_MAX)
        .map(|i| format!("[[alarm]]\nname = \"a{i}\"\nmeasurement = \"temperature\"\nabove = 1\n"))
        .collect();
    assert!(parse(&many).unwrap_err()[0].to_string().contains("more than 32 alarms"));
}

#[test]
fn a_fault_in_the_text_is_placed_and_told_what_to_write() {
    let cases = [
        ("port 1883\n", "1:6: "),
        ("lan = true\nlan = false\n", "2:1: this key is written twice; keep one of the two"),
        ("[mqtt]\nprot = 1883\n", "2:1: unknown key `prot`; write `port`"),
        ("[mqqt]\n", "1:2: unknown key `mqqt`; write `mqtt`"),
        (
            "[mqtt]\nanonymous = true\n",
            "2:1: unknown key `anonymous`; `anonymous` belongs at the top of the file, above the first section",
        ),
        ("[[output]]\ntype = \"file\"\nlan = true\n", "3:1: unknown key `lan`; `lan` belongs at the top"),
        ("colour = 1\n", "1:1: unknown key `colour`; the keys here are "),
        (
            "[mqtt]\nport = \"1883\"\n",
            "2:8: string \"1883\" does not fit here; write a whole number from 0 to 65535",
        ),
        (
            "[mqtt]\nport = 70000\n",
            "2:8: integer `70000` does not fit here; write a whole number from 0 to 65535",
        ),
        ("lan = \"yes\"\n", "1:7: string \"yes\" does not fit here; write true or false"),
        ("data = 5\n", "1:8: integer `5` does not fit here; write a text in double quotes"),
        ("threads = 0\n", "1:11: integer `0` does not fit here; write a whole number from 1 to 65535"),
        ("mqtt = 1883\n", "1:8: integer `1883` does not fit here; write a section"),
        ("[log]\nlevel = \"loud\"\n", "2:9: \"loud\" is not known here; write \"error\" or \"warn\""),
        ("[mqtt]\nlisten = \"localhost\"\n", "2:10: this is no IP address; write one such as \"127.0.0.1\""),
        ("[mqtt.limits]\nframe_bytes = 9\n", "2:1: unknown key `frame_bytes`; "),
        ("# é\n[mqtt]\nlisten = \"é\" # é\n", "3:10: "),
    ];
    for (text, said) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(said), "{text:?}: {fault}");
    }
}

#[test]
fn a_fault_in_the_meaning_is_placed_and_told_what_to_write() {
    let cases = [
        ("data = \"\"\n", "1:8: `data` is empty; write a folder"),
        ("threads = 257\n", "1:11: more threads than the gateway runs; write 1 to 256"),
        (
            "lan = false\n[mqtt]\nlisten = \"0.0.0.0\"\n",
            "3:10: 0.0.0.0 can be reached from other machines and `lan` is false; write `lan = true`",
        ),
        ("[http]\nlisten = \"::\"\n", "2:10: :: can be reached from other machines"),
        ("[mqtt]\nport = 8080\n[http]\nport = 8080\n", "4:8: port 8080 is taken by [mqtt]; "),
        ("lan = true\nanonymous = true\n", "2:13: devices without a password are let in on loopback only"),
        ("[mqtt]\nconnections_max = 0\n", "2:19: 0 lets nobody in; write 1 or more"),
        ("[mqtt]\nunauthenticated_max = 0\n", "2:23: 0 lets nobody in; write 1 or more"),
        ("[http]\nconnections_max = 0\n", "2:19: 0 lets nobody in; write 1 or more, or `enabled = false`"),
        ("[http.limits]\nheader_ms_max = 0\n", "2:17: 0 lets nothing through; write 1 or more"),
        ("[mqtt.limits]\nreceive_max = 0\n", "2:15: 0 lets nothing through; write 1 or more"),
    ];
    for (text, said) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(said), "{text:?}: {fault}");
    }
}

#[test]
fn a_fault_in_an_output_is_placed_and_told_what_to_write() {
    let cases = [
        ("output = 5\n", "1:10: `output` is not a list of sections; write `[[output]]` above each"),
        ("[output]\ntype = \"file\"\n", "1:1: `output` is not a list of sections"),
        (
            "[[output]]\nname = \"a\"\n",
            "1:1: this section has no `type`; add `type = \"file\" or \"mqtt\" or \"rocketmq\"`",
        ),
        (
            "[[output]]\ntype = \"kafka\"\n",
            "2:8: `kafka` is no type known here; write \"file\" or \"mqtt\" or \"rocketmq\"",
        ),
        ("[[output]]\ntype = \"file\"\nnmae = \"a\"\n", "3:1: unknown key `nmae`; write `name`"),
        (
            "[[output]]\ntype = \"file\"\nrotate_bytes = \"much\"\n",
            "3:16: string \"much\" does not fit here; write a size such as \"64MiB\"",
        ),
        (
            "[[output]]\ntype = \"file\"\nrotate_bytes = 1\n",
            "3:16: files this small are too many; write 4096 or more",
        ),
        ("[[output]]\ntype = \"file\"\nkeep_files = 0\n", "3:14: no closed file would stay; write 1 or more"),
        (
            "[[output]]\ntype = \"file\"\nname = \"a/b\"\n",
            "3:8: \"a/b\" cannot name an output; write 1 to 64 of",
        ),
        (
            "[[output]]\ntype = \"file\"\n[[output]]\ntype = \"file\"\ndir = \"b\"\nname = \"file\"\n",
            "6:8: a second output named \"file\"; give each output its own name",
        ),
        (
            "[[output]]\ntype = \"file\"\n[[output]]\ntype = \"file\"\nname = \"b\"\ndir = \"./out\"\n",
            "6:7: output \"file\" writes to this folder; give each file output its own `dir`",
        ),
    ];
    for (text, said) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(said), "{text:?}: {fault}");
    }
}

#[test]
fn a_fault_in_a_part_is_placed_and_told_what_to_write() {
    let cases = [
        ("[spool]\nmax_disc = \"2GB\"\n", "2:1: unknown key `max_disc`; write `max_disk`"),
        ("[spool]\nmax_disk = \"much\"\n", "2:12: \"much\" is no size; write one such as \"2GB\""),
        ("[spool]\nmax_disk = true\n", "2:12: this value does not fit here; write a whole number, or a text"),
        ("[spool]\nmax_disk = 1000\n", "2:12: `max_disk` cannot be this; write at least "),
        ("[spool]\nkeep = \"long\"\n", "2:8: \"long\" is no time span; write one such as \"1d\""),
        (
            "[spool]\nwhen_full = \"drop\"\n",
            "2:13: \"drop\" is not known here; write \"refuse\" or \"drop-oldest\"",
        ),
        ("[[route]]\ndevice = \"d\"\n", "1:1: `topic` is missing; add `topic = …`"),
        ("[[route]]\ntopic = \"a\"\nlane = \"fast\"\n", "3:8: \"fast\" is not known here; write \"event\""),
        ("[[route]]\ntopic = \"a\"\nscale = \"x\"\n", "3:9: string \"x\" does not fit here; write a number"),
        ("[[route]]\ntopic = \"a/#/b\"\n", "2:9: `topic` of this route: # stands only at the end; "),
        (
            "[[route]]\ntopic = \"a\"\nrange = [5, 1]\n",
            "3:9: `range` of this route: it is [min, max] with min",
        ),
        (
            "[[route]]\ntopic = \"a\"\n\n[[route]]\nunit = \"C\"\ntopic = \"a\"\n",
            "6:9: `topic` of this route: route 1 has the same topic; change it, or take the route out",
        ),
    ];
    for (text, said) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(said), "{text:?}: {fault}");
    }
}

#[test]
fn outputs_are_read_by_their_type() {
    let text =
        "[[output]]\ntype = \"file\"\nname = \"a\"\ndir = \"x\"\nrotate_bytes = \"1MiB\"\nkeep_files = 2\n";
    let config = Config::parse(text, Overrides::default()).unwrap();
    let expected = FileConfig { name: "a".into(), dir: "x".into(), rotate_bytes: 1 << 20, keep_files: 2 };
    assert_eq!(config.outputs, [OutputConfig::File(expected)]);
    let config = Config::parse("output = []\n", Overrides::default()).unwrap();
    assert_eq!(config.outputs, [], "an owner may want none");
}

#[test]
fn more_outputs_than_the_limit_are_refused() {
    let output = |i| format!("[[output]]\ntype = \"file\"\nname = \"o{i}\"\ndir = \"d{i}\"\n");
    let text: String = (0..OUTPUTS_MAX).map(output).collect();
    assert!(Config::parse(&text, Overrides::default()).is_ok());
    let text = text + &output(OUTPUTS_MAX);
    assert!(fault(&text).starts_with("65:1: more than 16 outputs"), "{}", fault(&text));
}

#[test]
fn all_faults_in_keys_and_types_are_told_in_the_order_of_the_text() {
    let text = "\
lan = 1
[mqqt]
port = 1
[mqtt]
port = \"x\"
prot = 1
[mqtt.limits]
receive_max = -1
[spool]
keep = \"long\"
[[route]]
topic = \"a\"
range = [1, \"x\"]
[[output]]
type = \"file\"
nmae = \"b\"
keep_files = \"all\"
[[output]]
type = \"bus\"
";
    let faults = Config::parse(text, Overrides::default()).unwrap_err();
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 2, 5, 6, 8, 10, 13, 16, 17, 19], "{faults:#?}");
}

#[test]
fn faults_told_have_a_limit() {
    let text: String = (0..100).map(|i| format!("key_{i} = 1\n")).collect();
    let faults = Config::parse(&text, Overrides::default()).unwrap_err();
    assert_eq!(faults.len(), document::FAULTS_MAX);
}

#[test]
fn a_missing_key_ends_the_reading() {
    let faults = Config::parse("[[route]]\nunti = \"C\"\n", Overrides::default()).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2], "{faults:?}");
}

#[test]
fn a_data_path_longer_than_a_socket_takes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    let room = CONTROL_PATH_BYTES_MAX - dir.path().as_os_str().len() - "//control.sock".len();
    fs::write(&path, format!("data = \"{}\"\n", "d".repeat(room))).unwrap();
    Config::load(&path, Overrides::default()).unwrap();
    fs::write(&path, format!("data = \"{}\"\n", "d".repeat(room + 1))).unwrap();
    let error = Config::load(&path, Overrides::default()).unwrap_err();
    assert!(error.to_string().contains(":1:8: the control socket"), "{error}");
}

#[test]
fn all_faults_in_the_meaning_are_told_in_the_order_of_the_text() {
    let text = "threads = 300\n[http]\nlisten = \"10.0.0.1\"\n[mqtt]\nlisten = \"10.0.0.1\"\n";
    let faults = Config::parse(text, Overrides::default()).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 3, 5]);
}

#[test]
fn the_lan_switch_opens_what_the_file_keeps_on_loopback() {
    let closed = Config::parse("", Overrides::default()).unwrap();
    assert_eq!(closed.mqtt_address().to_string(), "127.0.0.1:1883");
    let open = Config::parse("[mqtt]\nlisten = \"192.0.2.1\"\n", Overrides { lan: true }).unwrap();
    assert_eq!(open.mqtt_address().to_string(), "192.0.2.1:1883");
    assert_eq!(
        open.coap_address().to_string(),
        "127.0.0.1:5683",
        "in plain text only where the owner says so"
    );
    assert_eq!(open.http_address().to_string(), "127.0.0.1:8080", "nobody logs in there");
    let named = Config::parse("[http]\nlisten = \"192.0.2.1\"\n", Overrides { lan: true }).unwrap();
    assert_eq!(named.http_address().to_string(), "192.0.2.1:8080");
}

#[test]
fn threads_are_the_cores_unless_said() {
    assert!(Config::default().threads() >= NonZeroU16::MIN);
    let config = Config::parse("threads = 3\n", Overrides::default()).unwrap();
    assert_eq!(config.threads().get(), 3);
}

#[test]
fn data_starts_at_the_files_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, "data = \".\"\n").unwrap();
    let config = Config::load(&path, Overrides::default()).unwrap();
    assert_eq!(config.data, dir.path());
    fs::write(&path, "data = \"/var/lib/x\"\n").unwrap();
    assert_eq!(Config::load(&path, Overrides::default()).unwrap().data, Path::new("/var/lib/x"));
}

#[test]
fn a_data_path_through_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    fs::write(dir.path().join("plain"), "").unwrap();
    for data in ["plain", "plain/below/it", "tidegate.toml"] {
        fs::write(&path, format!("lan = false\ndata = \"{data}\"\n")).unwrap();
        let error = Config::load(&path, Overrides::default()).unwrap_err().to_string();
        let file = dir.path().join(data.split('/').next().unwrap());
        let expected = format!("{}:2:8: {} is no folder; name a folder", path.display(), file.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn the_data_folder_is_found_in_a_file_with_faults_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    let folder = |text: &str| {
        fs::write(&path, text).unwrap();
        Config::data_folder(&path)
    };
    for text in [
        "data = \"x\"\n",
        "data = \"x\"\nprot = 1\n[mqtt]\nport = \"y\"\n",
        "data = \"x\"\nlan = \n[mqtt\nport 1883\n",
        "lan = maybe\ndata = \"x\"\n",
        "data = \"x\"\n[[route]]\nrange = [1\n",
    ] {
        assert_eq!(folder(text).unwrap(), dir.path().join("x"), "{text}");
    }
    for text in ["", "colour = 1\n", "[mqtt\nport = \n"] {
        assert_eq!(folder(text).unwrap(), dir.path().join("data"), "{text}");
    }
    assert_eq!(folder("data = \"/var/lib/x\"\n").unwrap(), Path::new("/var/lib/x"));
    for (text, said) in [
        ("data = 5\n", ":1:8: `data` is no text that can be used; write one in double quotes"),
        ("lan = 1\ndata = \"\"\n", ":2:8: `data` is no text"),
        ("data = \n", ":1:"),
        ("data \"x\"\n", ":1:"),
    ] {
        let error = folder(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    assert!(Config::data_folder(&dir.path().join("none.toml")).is_err());
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, state) = (dir.path().join("tidegate.toml"), dir.path().join("state.db"));
    fs::write(&path, "lan = false\ndata = \".\"\n").unwrap();
    fs::write(&state, "").unwrap();
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false)] {
        fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = Config::load(&path, Overrides::default());
        assert_eq!(loaded.is_ok(), good, "{mode:o}");
        if let Err(error) = loaded {
            let expected = format!("{}:2:8: others on this machine can read the logins in", path.display());
            assert!(error.to_string().starts_with(&expected), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Config::load(&dir.path().join("none.toml"), Overrides::default()).unwrap_err().to_string();
    assert!(missing.contains("none.toml: cannot be read (No such file"), "{missing}");
    assert!(missing.ends_with("name another file with -c FILE"), "{missing}");

    let path = dir.path().join("latin.toml");
    fs::write(&path, b"# ok\ndata = \"\xe9\"\n").unwrap();
    let error = Config::load(&path, Overrides::default()).unwrap_err().to_string();
    assert!(error.ends_with(":2:9: a byte here is not UTF-8; save the file as UTF-8"), "{error}");
}

#[test]
fn a_file_longer_than_the_limit_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.toml");
    let full = "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap());
    fs::write(&path, &full).unwrap();
    assert!(Config::load(&path, Overrides::default()).is_ok());
    fs::write(&path, full + "#").unwrap();
    assert!(Config::load(&path, Overrides::default()).unwrap_err().to_string().contains("longer than 1 MiB"));
}

#[test]
fn the_file_is_found_or_made() {
    let dir = tempfile::tempdir().unwrap();
    let named = dir.path().join("other.toml");
    assert_eq!(find(Some(&named), dir.path()).unwrap(), named, "-c is taken as it is");
    let error = find(None, dir.path()).unwrap_err().to_string();
    assert!(error.contains("tidegate.toml or /etc/tidegate/tidegate.toml; name one with -c FILE"), "{error}");

    let path = dir.path().join(FILE_NAME);
    assert_eq!(find_or_create(None, dir.path()).unwrap(), Found { path: path.clone(), created: true });
    assert_eq!(find_or_create(None, dir.path()).unwrap(), Found { path: path.clone(), created: false });
    assert_eq!(fs::read_to_string(&path).unwrap(), Config::example());
    assert_eq!(find(None, dir.path()).unwrap(), path);
}

#[test]
fn odd_texts_are_read_or_refused_but_never_more() {
    let deep = format!("a = {}", "[".repeat(1_000_000));
    let dotted = format!("[{}]", "a.".repeat(300_000) + "a");
    let inline = format!("a = {}", "{ a = ".repeat(150_000));
    for text in [
        deep.as_str(),
        &dotted,
        &inline,
        "[mqtt]\n[mqtt]\n",
        "output = [[]]",
        "route = [5]",
        "[[mqtt]]\n",
        "\0",
    ] {
        let _read_or_refused = document::lenient_text(text, "data");
        let faults = Config::parse(text, Overrides::default()).unwrap_err();
        assert!(!faults.is_empty());
        assert!(faults.iter().all(|fault| fault.to_string().len() < 1000), "{}", faults[0].line);
    }
    for text in ["\u{feff}lan = false\n", "lan = false\r\n[mqtt]\r\nport = 1883\r\n", "\tlan = false # é\n"]
    {
        assert_eq!(Config::parse(text, Overrides::default()), Ok(Config::default()), "{text:?}");
    }
}

#[test]
fn a_fault_is_told_in_a_line_of_limited_length() {
    let long = "é".repeat(10_000);
    for text in [format!("\"{long}\" = 1"), format!("data = 1\nlog.level = \"{long}\"")] {
        for fault in Config::parse(&text, Overrides::default()).unwrap_err() {
            assert!(fault.wrong.chars().count() <= FAULT_CHARS_MAX, "{}", fault.wrong);
            assert!(fault.instead.chars().count() <= FAULT_CHARS_MAX, "{}", fault.instead);
        }
    }
    let (fits, longer) = ("x".repeat(FAULT_CHARS_MAX), "x".repeat(FAULT_CHARS_MAX + 1));
    assert_eq!(Fault::new("", 0, &fits, "").wrong, fits);
    assert_eq!(Fault::new("", 0, &longer, "").wrong, "x".repeat(FAULT_CHARS_MAX - 1) + "…");
}

#[test]
fn plain_coap_leaves_this_machine_only_by_name() {
    let address = |text: &str| Config::parse(text, Overrides::default()).map(|config| config.coap_address());
    let loopback = SocketAddr::from(([127, 0, 0, 1], COAP_PORT));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], COAP_PORT));
    assert_eq!(address(""), Ok(loopback));
    assert_eq!(address("lan = true"), Ok(loopback));
    assert_eq!(address("[coap]\nplain_lan = true"), Ok(loopback));
    assert_eq!(address("lan = true\n[coap]\nplain_lan = true"), Ok(everywhere));
    assert_eq!(address("lan = true\n[coap]\nplain_lan = true\nlisten = \"127.0.0.1\""), Ok(loopback));
    let fault = |text: &str| address(text).unwrap_err()[0].to_string();
    let said = fault("lan = true\n[coap]\nlisten = \"192.0.2.7\"");
    assert!(said.starts_with("3:10: CoAP at 192.0.2.7 would carry"), "{said}");
    let said = fault("[coap]\nlisten = \"192.0.2.7\"\nplain_lan = true");
    assert!(said.contains("`lan` is false"), "{said}");
    assert!(fault("[coap.limits]\nexchanges_max = 0").starts_with("2:17: 0 lets nothing through"));
}
