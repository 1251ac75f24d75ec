use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{Semaphore, oneshot},
    task::LocalSet,
};

use super::{
    AdoptRequest, Answer, LOG_FOR_MS_MAX, LogRequest, ReplayRequest, Request,
    ask::{Asked, Turns},
    board, status, tail,
};
use crate::{
    auth,
    bridge::{self, Replay},
    clock::wall_ms,
    core,
    listener::Shared,
    normalise::Routes,
    service::alarm,
    supervisor::Reloader,
};

/// Askers at once; one more waits.
const ASKERS_MAX: usize = 64;
/// Wait after a connection that could not be taken.
const RETRY: Duration = Duration::from_millis(100);

/// What the control socket can reach.
pub struct Services {
    /// Listeners, registry, pipeline and spool.
    pub shared: Arc<Shared>,
    /// The rules that say what a payload means.
    pub routes: Arc<ArcSwap<Routes>>,
    /// The running bridges.
    pub bridges: Vec<bridge::Handle>,
    /// The live bus.
    pub core: core::Handle,
    /// The alarms.
    pub alarms: alarm::Handle,
    /// Reads the configuration again.
    pub reloader: Arc<Reloader>,
    /// When and why the gateway ended by itself the last time it did.
    pub last_failure: Option<String>,
}

/// The thread behind the control socket.
pub struct Server {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Server {
    /// Binds the socket, in place of one that a dead gateway left, and starts to answer.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(path: &Path, services: Arc<Services>) -> io::Result<Self> {
        // The caller holds the lock of the data folder: whoever bound this before is gone.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = std::os::unix::net::UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                let accepting = accept_all(UnixListener::from_std(socket)?, services);
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
                Ok(())
            })
        })?;
        Ok(Self { path: path.to_owned(), stop, thread })
    }

    /// Hangs up on all askers and removes the socket.
    ///
    /// # Errors
    /// The socket could not be removed.
    pub fn stop(self) -> io::Result<()> {
        let _told = self.stop.send(()).is_ok();
        self.thread.join().map_err(|_| io::Error::other("the control thread panicked"))??;
        fs::remove_file(self.path)
    }
}

async fn accept_all(listener: UnixListener, services: Arc<Services>) {
    let room = Arc::new(Semaphore::new(ASKERS_MAX));
    let turns = Turns::new();
    loop {
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: there are some again when clients leave.
                tracing::warn!(%error, "cannot take a connection on the control socket");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let (services, turns) = (Arc::clone(&services), turns.clone());
        tokio::task::spawn_local(async move {
            // Who asked may hang up at any time.
            let _outcome = answer_all(stream, &services, &turns).await.is_ok();
            drop(seat);
        });
    }
}

async fn answer_all(stream: UnixStream, services: &Services, turns: &Turns) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let (line, turn) = match turns.next(&mut lines).await? {
            Asked::Line(line, turn) => (line, turn),
            Asked::Refused(why) => return send(&mut write, &Answer::Error(why)).await,
            Asked::Over => return Ok(()),
        };
        let request = serde_json::from_slice(&line);
        drop(line);
        let answer = match request {
            Ok(Request::Tail(request)) => {
                return tail::stream(request, services, &mut lines, &mut write).await;
            }
            Ok(request) => answer(request, services).await,
            Err(error) => Answer::Error(format!("not a request of this version: {error}")),
        };
        drop(turn);
        send(&mut write, &answer).await?;
    }
}

pub(super) async fn send(write: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}

async fn answer(request: Request, services: &Services) -> Answer {
    match request {
        Request::Status => match status::observe(services) {
            Ok(status) => Answer::Status(Box::new(status)),
            Err(error) => Answer::Error(error.to_string()),
        },
        Request::Device(command) => {
            let registry = services.shared.registry.clone();
            let applying = move || auth::apply(&registry, command, wall_ms());
            match tokio::task::spawn_blocking(applying).await {
                Ok(Ok(answer)) => Answer::Device(answer),
                Ok(Err(error)) => Answer::Error(error.to_string()),
                Err(error) => Answer::Error(error.to_string()),
            }
        }
        Request::Replay(request) => replay(&request, services).await,
        Request::Forget(consumer) => forget(&consumer, services),
        Request::Reload => match services.reloader.reload() {
            Ok(()) => Answer::Reloaded,
            Err(error) => Answer::Error(error.to_string()),
        },
        Request::Log(request) => log(request, &services.reloader),
        Request::Board(request) => board::order(&request, services).await,
        Request::Adopt(None) => Answer::Boards(services.shared.adoptions.announced()),
        Request::Adopt(Some(request)) => adopt(request, services).await,
        Request::Tail(_) => Answer::Error("tail is answered elsewhere".to_owned()),
    }
}

/// What is asked for ends by itself, whether or not the asker is still there.
fn log(request: LogRequest, reloader: &Arc<Reloader>) -> Answer {
    let Some(log) = reloader.log() else {
        return Answer::Error(
            "this gateway is part of another program, whose log it does not change".to_owned(),
        );
    };
    match request {
        LogRequest::Show => {}
        LogRequest::Reset => log.end(None),
        LogRequest::Set { for_ms, .. } if for_ms > LOG_FOR_MS_MAX => {
            let days = LOG_FOR_MS_MAX / (24 * 60 * 60 * 1000);
            return Answer::Error(format!("at most {days} days; what is to last belongs in [log] level"));
        }
        LogRequest::Set { filter, for_ms } => match log.ask(&filter, wall_ms().saturating_add(for_ms)) {
            Err(error) => return Answer::Error(error.to_string()),
            Ok(turn) => {
                tracing::info!(filter, for_ms, "the log was asked to say more or less");
                let reloader = Arc::clone(reloader);
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(for_ms)).await;
                    if let Some(log) = reloader.log() {
                        log.end(Some(turn));
                    }
                });
            }
        },
    }
    Answer::Log(log.filtering())
}

async fn adopt(request: AdoptRequest, services: &Services) -> Answer {
    let shared = Arc::clone(&services.shared);
    let adopting = move || {
        let names = (&*request.hardware, &*request.device);
        shared.adoptions.adopt(&shared.registry, names, request.replace, wall_ms())
    };
    match tokio::task::spawn_blocking(adopting).await {
        Ok(Ok(())) => Answer::Adopted,
        Ok(Err(error)) => Answer::Error(error.to_string()),
        Err(error) => Answer::Error(error.to_string()),
    }
}

/// A running output keeps its cursor: what holds back deletion for nobody may go.
fn forget(consumer: &str, services: &Services) -> Answer {
    if services.bridges.iter().any(|bridge| bridge.name() == consumer) {
        return Answer::Error(format!(
            "the output {consumer} is running; take it out of the configuration first"
        ));
    }
    match services.shared.pipeline.spool().remove_cursor(consumer) {
        Ok(()) => Answer::Forgotten,
        Err(error) => Answer::Error(error.to_string()),
    }
}

async fn replay(request: &ReplayRequest, services: &Services) -> Answer {
    let Some(bridge) = services.bridges.iter().find(|bridge| bridge.name() == request.output) else {
        let names: Vec<_> = services.bridges.iter().map(bridge::Handle::name).collect();
        return Answer::Error(format!(
            "no output is named {}; there is: {}",
            request.output,
            names.join(", ")
        ));
    };
    let span = Replay { from_ms: request.from_ms, to_ms: request.to_ms };
    match bridge.replay(span).await {
        Ok(records) => Answer::Replayed(records),
        Err(reason) => Answer::Error(reason),
    }
}
