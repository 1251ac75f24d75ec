//! A request as it comes in: one line, of which long ones take turns.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::REQUEST_BYTES_MAX;
use crate::clock::deadline;

/// How long an asker may take to ask, the wait for its turn included.
const ASK_MAX: Duration = Duration::from_secs(10);
/// Bytes that every asker may make the gateway hold; a longer request waits for its turn.
const SHORT_BYTES_MAX: usize = 64 * 1024;
/// Longer requests that are read or carried out at once.
const LONG_MAX: usize = 1;

/// Gives out the turns.
#[derive(Clone)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    ask_max: Duration,
}

/// What was asked.
pub(super) enum Asked {
    /// A line; another long one is read when the turn is dropped.
    Line(Vec<u8>, Option<OwnedSemaphorePermit>),
    /// Nothing that can be answered but with this.
    Refused(String),
    /// The asker has hung up.
    Over,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(LONG_MAX)), ask_max: ASK_MAX }
    }

    /// The next request of `asker`.
    ///
    /// # Errors
    /// The socket, or the asker took too long.
    pub(super) async fn next(&self, asker: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Asked> {
        let end = Instant::from_std(deadline(self.ask_max));
        let mut line = Vec::new();
        timeout_at(end, read(asker, &mut line, SHORT_BYTES_MAX)).await??;
        if line.is_empty() {
            return Ok(Asked::Over);
        }
        if is_whole(&line, SHORT_BYTES_MAX) {
            return Ok(Asked::Line(line, None));
        }
        let Ok(Ok(turn)) = timeout_at(end, Arc::clone(&self.free).acquire_owned()).await else {
            return Ok(Asked::Refused("another long request is being carried out; try again".to_owned()));
        };
        timeout_at(end, read(asker, &mut line, REQUEST_BYTES_MAX)).await??;
        if is_whole(&line, REQUEST_BYTES_MAX) {
            return Ok(Asked::Line(line, Some(turn)));
        }
        drop((line, turn));
        // The asker reads when it has written: what it still writes is taken and forgotten.
        timeout_at(end, skip(asker)).await??;
        Ok(Asked::Refused(format!("a request has at most {REQUEST_BYTES_MAX} bytes")))
    }
}

/// Reads on until the line ends, or has `bytes_max`.
async fn read(
    asker: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    bytes_max: usize,
) -> io::Result<usize> {
    let room = u64::try_from(bytes_max.saturating_sub(line.len())).unwrap_or(u64::MAX);
    asker.take(room).read_until(b'\n', line).await
}

/// The line has its end, or its asker has no more to say.
fn is_whole(line: &[u8], bytes_max: usize) -> bool {
    line.len() < bytes_max || line.ends_with(b"\n")
}

async fn skip(asker: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let bytes = asker.fill_buf().await?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (len, is_over) = (end.map_or(bytes.len(), |at| at + 1), end.is_some() || bytes.is_empty());
        asker.consume(len);
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, BufReader, DuplexStream};

    use super::*;
    use crate::auth::{self, DeviceCommand, HashedCredential, ImportedLogin, Role};

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(test);
    }

    /// Gives up soon.
    fn brief() -> Turns {
        Turns { ask_max: Duration::from_millis(300), ..Turns::new() }
    }

    fn pipe() -> (DuplexStream, BufReader<DuplexStream>) {
        let (asker, gateway) = tokio::io::duplex(SHORT_BYTES_MAX);
        (asker, BufReader::new(gateway))
    }

    /// Writes a line of `len` bytes, its end included.
    async fn write(mut asker: DuplexStream, len: usize) -> DuplexStream {
        let mut line = vec![b'x'; len - 1];
        line.push(b'\n');
        asker.write_all(&line).await.unwrap();
        asker
    }

    #[test]
    fn a_line_of_the_limit_is_read_and_one_byte_more_is_refused() {
        run(async {
            let turns = Turns::new();
            for (len, is_read) in
                [(SHORT_BYTES_MAX, true), (REQUEST_BYTES_MAX, true), (REQUEST_BYTES_MAX + 1, false)]
            {
                let (asker, mut gateway) = pipe();
                let (asker, asked) = tokio::join!(write(asker, len), turns.next(&mut gateway));
                match asked.unwrap() {
                    Asked::Line(line, _) => assert!(is_read && line.len() == len, "{len}"),
                    Asked::Refused(why) => assert!(!is_read && why.contains("at most"), "{len}: {why}"),
                    Asked::Over => panic!("{len}"),
                }
                let (_asker, asked) = tokio::join!(write(asker, 5), turns.next(&mut gateway));
                assert!(matches!(asked, Ok(Asked::Line(line, None)) if line == b"xxxx\n"), "behind {len}");
            }
        });
    }

    #[test]
    fn one_long_request_at_a_time_is_held() {
        run(async {
            let turns = brief();
            let (first, mut at_first) = pipe();
            let (_first, asked) = tokio::join!(write(first, SHORT_BYTES_MAX + 1), turns.next(&mut at_first));
            let Ok(Asked::Line(_, Some(turn))) = asked else { panic!("the first is read") };
            // A short one goes by; a long one waits, holds no more than a short one, and is told.
            let (second, mut at_second) = pipe();
            let (second, asked) = tokio::join!(write(second, SHORT_BYTES_MAX), turns.next(&mut at_second));
            assert!(matches!(asked, Ok(Asked::Line(_, None))));
            let (_second, asked) =
                tokio::join!(write(second, SHORT_BYTES_MAX + 1), turns.next(&mut at_second));
            assert!(matches!(asked, Ok(Asked::Refused(why)) if why.contains("try again")));
            drop(turn);
            let (third, mut at_third) = pipe();
            let (_third, asked) = tokio::join!(write(third, SHORT_BYTES_MAX + 1), turns.next(&mut at_third));
            assert!(matches!(asked, Ok(Asked::Line(_, Some(_)))));
        });
    }

    #[test]
    fn who_does_not_ask_to_the_end_is_let_go() {
        run(async {
            for len in [1, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1] {
                let turns = brief();
                let (mut asker, mut gateway) = pipe();
                let begun = async {
                    asker.write_all(&vec![b'x'; len]).await.unwrap();
                    asker
                };
                let (asker, asked) = tokio::join!(begun, turns.next(&mut gateway));
                assert!(asked.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut), "{len}");
                assert_eq!(turns.free.available_permits(), LONG_MAX, "{len}");
                drop(asker);
            }
        });
    }

    /// As long as an import gets: as many logins as a registry takes, of the longest kind.
    #[test]
    fn the_limit_is_what_the_longest_import_needs() {
        let part = |len| base64::engine::general_purpose::STANDARD.encode(vec![7; len]);
        use base64::Engine as _;
        let hash = HashedCredential::of_mosquitto(&format!("$7$100000${}${}", part(64), part(64))).unwrap();
        let login = ImportedLogin { id: "x".repeat(64), role: Role::Application, credential: hash };
        let bytes = |count| {
            let command = DeviceCommand::Import {
                logins: vec![login.clone(); count],
                publish: vec![],
                subscribe: vec![],
            };
            serde_json::to_vec(&super::super::Request::Device(command)).unwrap().len()
        };
        let each = bytes(2) - bytes(1);
        let longest = bytes(1) + each * auth::Limits::default().logins_max;
        assert!(
            longest < REQUEST_BYTES_MAX && REQUEST_BYTES_MAX < longest * 3 / 2,
            "{longest}, {each} a login"
        );
    }
}
