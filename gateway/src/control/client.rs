use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use thiserror::Error;

use super::{Answer, Request};

/// A connection to a running gateway, for commands beside it. Blocks.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Why a running gateway could not be asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no gateway runs on {path}; start one with: tidegate run", path = .0.display())]
    NotRunning(std::path::PathBuf),
    /// The socket failed.
    #[error("the running gateway did not answer: {0}")]
    Io(#[from] io::Error),
    /// What came is no answer of this version.
    #[error("the running gateway answered in words of another version: {0}")]
    Words(#[from] serde_json::Error),
    /// It answered that it cannot.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// Connects to the gateway whose control socket is at `path`.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`], or the system refuses.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream) }),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Err(ClientError::NotRunning(path.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks, and returns the first answer.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal is one too.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        self.next_answer()?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }

    /// The next answer to the same request; none when the gateway has stopped.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal is one too.
    pub fn next_answer(&mut self) -> Result<Option<Answer>, ClientError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match serde_json::from_str(&line)? {
            Answer::Error(reason) => Err(ClientError::Refused(reason)),
            answer => Ok(Some(answer)),
        }
    }
}
