use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Made by mosquitto_passwd 2.0.11 for `correct horse`.
const HASH: &str = "$7$101$sx87XZi33oxTJr1w$iWK9J0k4BEuFLOZbnB2Xnj6/aIMS7WM+YPyM9N9rzupD+vMcWvY9pFgUFlgAeffnl2qxBc5bxZwhi7slVETREg==";

fn args(words: &[&str]) -> ImportArgs {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ImportArgs,
    }
    <Cli as clap::Parser>::parse_from([&["import", "file"], words].concat()).args
}

fn read(text: &str, words: &[&str]) -> Result<Vec<(String, Role)>, String> {
    let logins = logins(text, &args(words), &HashSet::from(["taken".to_owned()]));
    let logins = logins.map_err(|error| error.to_string())?;
    Ok(logins.into_iter().map(|login| (login.id, login.role)).collect())
}

fn faults(text: &str) -> Vec<String> {
    let error = read(text, &[]).unwrap_err();
    assert!(error.starts_with("nothing was imported\n"), "{error}");
    error.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn csv_is_read_with_and_without_heading_quotes_and_roles() {
    let plain = format!("a,{SECRET}\nb,{SECRET}\n");
    let decorated = format!(
        "\u{feff}Device, Secret ,role\r\n# a remark\r\n\r\n \"a\" , \"{SECRET}\" \r\nb,{SECRET},\r\n"
    );
    for text in [plain, decorated] {
        let expected = [("a".to_owned(), Role::Device), ("b".to_owned(), Role::Device)];
        assert_eq!(read(&text, &[]).unwrap(), expected, "{text}");
    }
    let roles = format!("a,{SECRET},client\nb,{SECRET}\nc,{SECRET}, \"device\"");
    let read = read(&roles, &["--role", "application"]).unwrap();
    assert_eq!(
        read.iter().map(|(_, role)| *role).collect::<Vec<_>>(),
        [Role::Client, Role::Application, Role::Device]
    );
}

#[test]
fn a_password_may_hold_commas_and_quotes_inside_quotes() {
    let (lines, faults) = ImportFormat::Csv.read("a,\"p\"\"a,b:c\",device");
    assert_eq!(faults, []);
    assert_eq!((lines[0].secret.as_str(), lines[0].role), ("p\"a,b:c", Some("device")));
}

#[test]
fn a_password_file_is_told_from_csv() {
    for (text, format) in [
        (format!("# x\n\na:{HASH}\n"), ImportFormat::Mosquitto),
        ("a:plain".to_owned(), ImportFormat::Mosquitto),
        (format!("a,{SECRET}"), ImportFormat::Csv),
        ("a,x:y".to_owned(), ImportFormat::Csv),
        ("a".to_owned(), ImportFormat::Csv),
        (String::new(), ImportFormat::Csv),
    ] {
        assert_eq!(ImportFormat::detect(&text), format, "{text}");
    }
    assert_eq!(read(&format!("a:{HASH}"), &[]).unwrap(), [("a".to_owned(), Role::Device)]);
    assert!(read(&format!("a:{HASH}"), &["--format", "csv"]).is_err());
}

#[test]
fn every_fault_is_told_with_its_line_and_nothing_is_taken() {
    let text = format!(
        "good,{SECRET}\n\nno comma\nbad name,{SECRET}\ngood,{SECRET}\ntaken,{SECRET}\nx,{SECRET},root\ny,\"{SECRET}\nz,\"a\"b\nw,"
    );
    assert_eq!(
        faults(&text),
        [
            "line 3: there is no comma: write device,secret",
            "line 4: \"bad name\" cannot be a name: a device id is 1 to 64 of A-Z, a-z, 0-9, _ and -",
            "line 5: good stands on line 1 already",
            "line 6: taken exists already",
            "line 7: behind the second comma stands a role: device, application or client",
            "line 8: a quote is not closed",
            "line 9: something stands behind a closing quote",
        ]
    );
    assert_eq!(faults("w,"), ["line 1: a secret has 1 to 256 bytes"]);
    let text = format!("a:{HASH}\nb\nc:plain\nd:$5$x$y\n:{HASH}");
    assert_eq!(
        faults(&text),
        [
            "line 2: there is no colon: a password file has lines user:hash",
            "line 3: the password is not hashed: run `mosquitto_passwd -U FILE` on a copy first",
            "line 4: no hash of mosquitto_passwd: these begin with $7$ or $6$",
            "line 5: \"\" cannot be a name: a device id is 1 to 64 of A-Z, a-z, 0-9, _ and -",
        ]
    );
    assert_eq!(read("# nothing\n", &[]).unwrap_err(), "no line of it holds a login");
}

#[test]
fn faults_max_is_reached() {
    let lines = |count: usize| "x\n".repeat(count);
    assert_eq!(faults(&lines(FAULTS_MAX)).len(), FAULTS_MAX);
    let more = faults(&lines(FAULTS_MAX + 3));
    assert_eq!((more.len(), more.last().unwrap().as_str()), (FAULTS_MAX + 1, "and 3 more"));
}

#[test]
fn line_bytes_max_and_file_bytes_max_are_reached() {
    let line = |len: usize| format!("a,{}", "x".repeat(len - 2));
    assert!(ImportFormat::Csv.read(&line(lines::LINE_BYTES_MAX)).1.is_empty());
    let (_, faults) = ImportFormat::Csv.read(&line(lines::LINE_BYTES_MAX + 1));
    assert_eq!(faults[0].what, "longer than 2048 bytes");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    File::create(&path).unwrap().set_len(FILE_BYTES_MAX).unwrap();
    assert!(text(&path).is_ok());
    File::create(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    assert!(text(&path).unwrap_err().to_string().contains("longer than"));
}

#[test]
fn bytes_that_are_no_text_are_told_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"a,b\nc,\xff\n").unwrap();
    assert_eq!(text(&path).unwrap_err().to_string(), "line 2: not UTF-8");
    assert!(matches!(text(&folder.path().join("none")), Err(ImportError::Io(_))));
}
