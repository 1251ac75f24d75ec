//! HTTP/1.1 by hand, so that a request can be as wrong as a test likes.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// What came back until the other side hung up.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    /// Lines of the head, lower case.
    pub head: String,
    pub body: String,
}

/// Sends `request` as it is and reads until the gateway hangs up.
///
/// # Errors
/// The connection ended without an answer, or nothing came within half a minute.
pub fn http(port: u16, request: &[u8]) -> io::Result<HttpAnswer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // Who is refused early may be hung up on while it is still sending.
    let _sent = stream.write_all(request);
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if bytes.is_empty() => return Err(error),
        _ => {}
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok(HttpAnswer { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// GET.
///
/// # Panics
/// There is no answer.
pub fn http_get(port: u16, path: &str) -> HttpAnswer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    http(port, request.as_bytes()).unwrap_or_else(|error| panic!("no answer to GET {path}: {error}"))
}
