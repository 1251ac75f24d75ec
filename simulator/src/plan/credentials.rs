use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::DEVICES_MAX;
use crate::Error;

/// Bytes in the largest credentials file.
pub const CREDENTIALS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Name and secret of one device.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name, which is the device's id.
    pub device: String,
    /// Password.
    pub secret: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Reads a file of lines `device,secret`, as `tidegate device add --out creds.csv` writes it. Empty lines, lines that
/// begin with `#` and a first line `device,secret` are passed over.
///
/// # Errors
/// [`Error::Credentials`], with the line and what to do.
pub fn read(path: &Path) -> Result<Vec<Login>, Error> {
    let wrong = |why: String| Error::Credentials { path: path.to_owned(), why };
    let text = read_text(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => wrong(
            "no such file; `tidegate device add --count 100 --prefix sensor_ --out creds.csv` makes one"
                .into(),
        ),
        _ => wrong(error.to_string()),
    })?;
    parse(&text).map_err(wrong)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(CREDENTIALS_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > CREDENTIALS_BYTES_MAX {
        let why = format!("larger than {CREDENTIALS_BYTES_MAX} bytes: is it a credentials file?");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<Login>, String> {
    let mut logins = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_heading = index == 0 && line.eq_ignore_ascii_case("device,secret");
        if line.is_empty() || line.starts_with('#') || is_heading {
            continue;
        }
        match line.split_once(',') {
            Some((device, secret)) if !device.is_empty() && !secret.is_empty() => {
                logins.push(Login { device: device.into(), secret: secret.into() });
            }
            _ => return Err(format!("line {}: expected device,secret", index + 1)),
        }
        if u32::try_from(logins.len()).map_or(true, |count| count > DEVICES_MAX) {
            return Err(format!("more than {DEVICES_MAX} logins"));
        }
    }
    if logins.is_empty() {
        return Err("no line device,secret in it".into());
    }
    Ok(logins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_headings_passed_over() {
        let logins = parse("device,secret\r\n# mine\n\nsensor_1,a,b\r\nsensor_2,c\n").unwrap();
        let pairs: Vec<_> = logins.iter().map(|l| (&*l.device, &*l.secret)).collect();
        assert_eq!(pairs, [("sensor_1", "a,b"), ("sensor_2", "c")]);
        assert!(!format!("{logins:?}").contains("a,b"), "secrets are not printed");
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(parse("a,b\nc\n").unwrap_err(), "line 2: expected device,secret");
        assert!(parse("a,\n").is_err() && parse("\n").is_err());
    }

    #[test]
    fn devices_max_is_reached() {
        let line = |n: u32| format!("d{n},s\n");
        let text: String = (0..DEVICES_MAX).map(line).collect();
        assert_eq!(parse(&text).unwrap().len(), usize::try_from(DEVICES_MAX).unwrap());
        assert!(parse(&(text + "more,s\n")).unwrap_err().contains("more than"));
    }

    #[test]
    fn a_missing_file_says_how_to_make_one() {
        let error = read(Path::new("/nonexistent/creds.csv")).unwrap_err().to_string();
        assert!(error.contains("tidegate device add"), "{error}");
    }

    #[test]
    fn credentials_bytes_max_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("creds.csv");
        File::create(&path).unwrap().set_len(CREDENTIALS_BYTES_MAX + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("larger than"));
    }
}
