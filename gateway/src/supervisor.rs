//! Starts the parts against the flow, and stops them with it.
//!
//! Against the flow: what takes is there before what gives. The registry and the spool are opened, the bridges
//! and the control socket started, the listeners last. Stopping goes the other way: the listeners first, then
//! the spool, then the bridges deliver what is left.

use std::{
    fs::{self, DirBuilder, File},
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use crate::{
    auth::{self, Registry},
    bridge::{self, Bridge},
    cli::when::timestamp,
    clock::{Clock, wall_ms},
    config::{CoapConfig, Config, OutputConfig},
    control,
    core::{self, Core},
    health::Health,
    listener::{self, Shared, Workers},
    normalise::{RouteError, Routes},
    output::{Output, file::FileOutput, mqtt::MqttOutput, rocketmq::RocketMqOutput},
    pipeline::Pipeline,
    service::alarm::{self, Alarms},
    service_manager,
    spool::{self, Disk, Lane, Recovered, Spool, Start},
    web,
};

mod reload;

pub use self::reload::{ReloadError, Reloader, Source};

/// How often what the registry has noted is written down.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Why the gateway ended, in the data folder.
const FAILURE_FILE: &str = "failure.txt";

/// Leaves in the data folder, for `tidegate status` of the next start and for people, why the gateway ended.
///
/// # Errors
/// The disk refuses, which after a failure of the disk is to be expected.
pub fn leave_failure(data: &Path, reason: &str, wall_ms: u64) -> io::Result<()> {
    let path = data.join(FAILURE_FILE);
    fs::write(&path, format!("{}: {reason}\n", timestamp(wall_ms)))?;
    File::open(&path)?.sync_all()
}

/// Why a gateway could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("cannot make the data folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `state.db` cannot be opened.
    #[error(transparent)]
    Registry(#[from] auth::OpenError),
    /// `state.db` cannot be written.
    #[error(transparent)]
    Store(#[from] auth::StoreError),
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    /// A cursor cannot be opened.
    #[error(transparent)]
    Cursor(#[from] spool::CursorError),
    /// The routes contradict themselves.
    #[error(transparent)]
    Routes(#[from] RouteError),
    /// An output cannot be opened.
    #[error("output {name}: {source}")]
    Output {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// An address is taken, most likely by another gateway.
    #[error(transparent)]
    Listen(#[from] listener::ListenError),
    /// The control socket cannot be made.
    #[error("cannot make the control socket: {0}")]
    Control(io::Error),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Why a gateway ended.
#[derive(Debug)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// The spool or `state.db` cannot be written any more: exit code 74.
    Failed(String),
}

/// A running gateway.
pub struct Gateway {
    spool: Spool,
    registry: Registry,
    routes: Arc<ArcSwap<Routes>>,
    bridges: Vec<Bridge>,
    core: Core,
    alarms: Alarms,
    workers: Workers,
    serial: Option<listener::serial::Listener>,
    control: control::Server,
    pages: Option<web::Server>,
    health: Arc<Health>,
    failed: Arc<Notify>,
    reloader: Arc<Reloader>,
}

impl Gateway {
    /// Starts everything that `config` names. `source` is where it was read from, for SIGHUP.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(config: &Config, source: Option<Source>) -> Result<Self, StartError> {
        let clock = Clock::start();
        make_folder(&config.data)?;
        warn_of_missing_registry(config);
        let registry = Registry::open(&config.state_path())?;
        let boot = registry.begin_boot()?;
        let (spool, recovered) = Spool::open(Disk::new(config.spool_dir()), &config.spool, clock.wall_ms())?;
        report_recovery(&recovered, boot);
        let routes = Arc::new(ArcSwap::from_pointee(Routes::compile(&config.routes)?));
        let failed = Arc::new(Notify::new());
        let alarm = Arc::clone(&failed);
        spool.watermark().on_failure(Box::new(move || alarm.notify_one()));
        warn_of_forgotten_outputs(config, &spool);
        let bridges = start_bridges(config, &spool, &routes, &clock)?;
        let pipeline =
            Pipeline::new(spool.clone(), registry.clone(), Arc::clone(&routes), clock.clone(), boot);
        let reloader = Arc::new(Reloader { source, routes: Arc::clone(&routes), started: config.clone() });
        let workers = config.threads().get().into();
        let mut shared =
            Shared::new(listener_config(config), pipeline, registry.clone(), clock.clone(), workers);
        shared.coap = coap_config(config);
        let shared = Arc::new(shared);
        let health = watch(&shared, &spool, &bridges);
        let core = Core::start(spool.clone(), config.core.clone());
        let alarms = start_alarms(config, &core, &shared, &routes)?;
        let services = Arc::new(control::Services {
            shared: Arc::clone(&shared),
            routes: Arc::clone(&routes),
            bridges: bridges.iter().map(Bridge::handle).collect(),
            core: core.handle(),
            alarms: alarms.handle(),
            reloader: Arc::clone(&reloader),
            last_failure: fs::read_to_string(config.data.join(FAILURE_FILE)).ok(),
        });
        let control = control::Server::start(&config.control_path(), Arc::clone(&services))
            .map_err(StartError::Control)?;
        let pages = start_pages(config, services)?;
        // Last: whoever sees the port open can ask the control socket.
        let serial = start_serial(config, &shared)?;
        let workers = Workers::start(&shared)?;
        health.set_listening(true);
        report_ready(config, &workers);
        Ok(Self {
            spool,
            registry,
            routes,
            bridges,
            core,
            alarms,
            workers,
            serial,
            control,
            pages,
            health,
            failed,
            reloader,
        })
    }

    /// The address that MQTT clients connect to.
    #[must_use]
    pub fn mqtt_address(&self) -> SocketAddr {
        self.workers.address()
    }

    /// The address that CoAP clients send to, where CoAP is on.
    #[must_use]
    pub fn coap_address(&self) -> Option<SocketAddr> {
        self.workers.coap_address()
    }

    /// The durable log, for services in this process.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The rules that say what a payload means, for services in this process.
    #[must_use]
    pub fn routes(&self) -> &Arc<ArcSwap<Routes>> {
        &self.routes
    }

    /// The live bus, for services in this process.
    #[must_use]
    pub fn core(&self) -> core::Handle {
        self.core.handle()
    }

    /// The bridges to the outputs, for who shows them in this process.
    #[must_use]
    pub fn outputs(&self) -> Vec<bridge::Handle> {
        self.bridges.iter().map(Bridge::handle).collect()
    }

    /// The alarms, for who shows them in this process.
    #[must_use]
    pub fn alarms(&self) -> alarm::Handle {
        self.alarms.handle()
    }

    /// Runs until `stop` or a fatal error, then stops in order. SIGHUP reads the configuration again.
    ///
    /// # Errors
    /// No signal handler could be installed.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<End> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(service_manager::feed_watchdog(Arc::clone(&self.health)));
        service_manager::ready(self.line());
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.failed.notified() => break,
                _ = hangup.recv() => self.reload().await,
                _ = flush.tick() => {
                    self.flush_registry().await;
                    // Delivered records are given up after `keep` on an idle gateway too.
                    self.spool.note_time(wall_ms());
                    if self.failure().is_some() {
                        break;
                    }
                }
            }
        }
        service_manager::stopping(self.failure().unwrap_or_else(|| "stopping".to_owned()));
        tokio::task::spawn_blocking(move || self.stop()).await.map_err(io::Error::other)
    }

    /// What the service manager shows of a gateway that is well.
    fn line(&self) -> String {
        format!("MQTT on {}", self.workers.address())
    }

    /// The file is read elsewhere: the disk may be slow, and the watchdog is fed from here.
    async fn reload(&self) {
        service_manager::reloading();
        let reloader = Arc::clone(&self.reloader);
        match tokio::task::spawn_blocking(move || reloader.reload()).await {
            Ok(Ok(())) => tracing::info!("configuration reloaded"),
            Ok(Err(error)) => tracing::warn!(%error, "the configuration is bad; the old one stays in force"),
            Err(error) => tracing::error!(%error, "the configuration was not read to its end"),
        }
        service_manager::ready(self.line());
    }

    async fn flush_registry(&self) {
        let registry = self.registry.clone();
        // A failure that is not passing is found by `failure`.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || registry.flush()).await {
            tracing::warn!(%error, "what was noted about devices is not written down yet");
        }
    }

    fn failure(&self) -> Option<String> {
        let spool = self.spool.watermark().failure().map(|failure| failure.to_string());
        let registry = || self.registry.failure().map(|failure| failure.to_string());
        let worker = || self.workers.has_ended().then(|| "a worker thread ended".to_owned());
        let serial = || self.serial.as_ref().filter(|serial| serial.has_ended());
        let serial = || serial().map(|_| "the serial thread ended".to_owned());
        let bridge =
            || self.bridges.iter().any(Bridge::has_ended).then(|| "a bridge's thread ended".to_owned());
        spool.or_else(registry).or_else(worker).or_else(serial).or_else(bridge)
    }

    /// With the flow: no new bytes, what came is made durable and acknowledged, then delivered.
    fn stop(self) -> End {
        tracing::info!("stopping");
        let failure = self.failure();
        let mut problems = Vec::new();
        self.health.set_listening(false);
        problems.extend(self.control.stop().err());
        problems.extend(self.workers.drain().err());
        problems.extend(self.serial.and_then(|serial| serial.drain().err()));
        problems.extend(self.pages.and_then(|pages| pages.stop().err()));
        if let Err(error) = self.spool.drain() {
            tracing::error!(%error, "what was taken last is not on disk, and was not acknowledged");
        }
        // What they find in the last readings is delivered with them.
        problems.extend(self.alarms.stop().err());
        self.core.stop();
        self.bridges.iter().for_each(Bridge::ask_to_stop);
        for bridge in self.bridges {
            problems.extend(bridge.drain().err());
        }
        for error in problems {
            tracing::error!(%error, "a part did not stop cleanly");
        }
        if let Err(error) = self.spool.close() {
            tracing::error!(%error, "the spool did not close cleanly");
            return End::Failed(failure.unwrap_or_else(|| error.to_string()));
        }
        if let Err(error) = self.registry.flush() {
            tracing::warn!(%error, "what was noted about devices last is not written down");
        }
        match failure {
            Some(failure) => End::Failed(failure),
            None => End::Stopped,
        }
    }
}

/// Returns when the process is asked to end: SIGTERM or Ctrl-C.
///
/// # Errors
/// No signal handler could be installed.
pub fn termination() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    // Readings are nobody else's business.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::Folder { path: path.to_owned(), source })
}

fn report_recovery(recovered: &Recovered, boot: u32) {
    let end = |lane| *recovered.ends.of(lane);
    let (event, telemetry) = (end(Lane::Event), end(Lane::Telemetry));
    tracing::info!(boot, event, telemetry, cut_bytes = recovered.cut_bytes, "spool open");
    for damage in &recovered.damage {
        tracing::warn!(
            ?damage,
            "the spool is damaged here; a copy is in its quarantine, and the rest goes on"
        );
    }
}

/// Without the registry no device that was added before is known: more likely a mistake than a wish.
fn warn_of_missing_registry(config: &Config) {
    if config.spool_dir().is_dir() && !config.state_path().exists() {
        let path = config.state_path();
        tracing::warn!(path = %path.display(), "the spool is there and the registry is not: no login is known any more");
    }
}

/// A cursor holds back deletion whether or not its output is configured.
fn warn_of_forgotten_outputs(config: &Config, spool: &Spool) {
    let Ok(status) = spool.status() else { return };
    for cursor in status.cursors {
        if config.outputs.iter().all(|output| output.name() != cursor.consumer) {
            let output = cursor.consumer;
            tracing::warn!(%output, "not configured any more, and holds back what it did not get; configure it, or: tidegate spool forget");
        }
    }
}

/// Has the threads watched that must not stand still; the workers see to it themselves.
fn watch(shared: &Shared, spool: &Spool, bridges: &[Bridge]) -> Arc<Health> {
    shared.health.add(Arc::clone(spool.pulse()));
    for bridge in bridges {
        shared.health.add(Arc::clone(bridge.handle().pulse()));
    }
    Arc::clone(&shared.health)
}

fn start_pages(config: &Config, services: Arc<control::Services>) -> Result<Option<web::Server>, StartError> {
    if !config.http.enabled {
        return Ok(None);
    }
    let address = config.http_address();
    let server = web::Server::start(address, &config.http, services)
        .map_err(|source| listener::ListenError { section: "http", address, source })?;
    tracing::info!(http = %server.address(), "pages");
    Ok(Some(server))
}

fn start_bridges(
    config: &Config,
    spool: &Spool,
    routes: &Arc<ArcSwap<Routes>>,
    clock: &Clock,
) -> Result<Vec<Bridge>, StartError> {
    let mut bridges = Vec::new();
    for output in &config.outputs {
        let name = output.name();
        let failed = |source| StartError::Output { name: name.to_owned(), source };
        let cursor = spool.cursor(name, Start::Oldest)?;
        let opened = match output {
            OutputConfig::File(file) => Output::File(FileOutput::open(file, &config.data).map_err(failed)?),
            OutputConfig::Mqtt(mqtt) => {
                Output::Mqtt(Box::new(MqttOutput::open(mqtt, &config.data).map_err(failed)?))
            }
            OutputConfig::RocketMq(bus) => {
                let output = RocketMqOutput::open(bus, &config.data, clock.clone());
                Output::RocketMq(Box::new(output.map_err(failed)?))
            }
        };
        let bridge = Bridge::start(name, opened, spool.clone(), cursor, Arc::clone(routes), clock.clone());
        bridges.push(bridge.map_err(StartError::Thread)?);
    }
    Ok(bridges)
}

/// Says where devices can come in, and where they cannot although the owner may think so.
fn report_ready(config: &Config, workers: &Workers) {
    let coap = workers.coap_address();
    if coap.is_some()
        && config.lan
        && config.coap_address().ip().is_loopback()
        && config.coap.listen.is_none()
    {
        tracing::warn!(
            "CoAP stays on this machine: it is in plain text; write `plain_lan = true` in [coap] to let others in"
        );
    }
    let coap = coap.map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(mqtt = %workers.address(), %coap, data = %config.data.display(), "ready");
}

/// Without a port that is configured there is no thread.
fn start_serial(
    config: &Config,
    shared: &Arc<Shared>,
) -> Result<Option<listener::serial::Listener>, StartError> {
    if config.serial.ports.is_empty() {
        return Ok(None);
    }
    let serial = listener::serial::Listener::start(&config.serial, &config.data, shared);
    serial.map(Some).map_err(StartError::Thread)
}

fn coap_config(config: &Config) -> Option<listener::coap::Config> {
    let CoapConfig { enabled, ref limits, .. } = config.coap;
    enabled.then(|| listener::coap::Config { listen: config.coap_address(), limits: limits.clone() })
}

fn start_alarms(
    config: &Config,
    core: &Core,
    shared: &Arc<Shared>,
    routes: &Arc<ArcSwap<Routes>>,
) -> Result<Alarms, StartError> {
    let parts = alarm::Parts {
        rules: config.alarms.clone(),
        data: config.data.clone(),
        core: core.handle(),
        shared: Arc::clone(shared),
        routes: Arc::clone(routes),
    };
    Alarms::start(parts).map_err(StartError::Thread)
}

fn listener_config(config: &Config) -> listener::Config {
    listener::Config {
        listen: config.mqtt_address(),
        limits: Arc::new(config.mqtt.limits.clone()),
        connections_max: config.mqtt.connections_max,
        sessions_per_login_max: config.mqtt.sessions_per_login_max,
        unauthenticated_max: config.mqtt.unauthenticated_max,
        anonymous: config.anonymous,
    }
}
