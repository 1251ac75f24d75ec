//! `tidegate demo`: a gateway and virtual sensors in one process, a live table, an audit.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tidegate_simulator::{self as simulator, AuditPlan, Login, Plan, Progress, Report, Target};
use tokio::sync::oneshot;

use super::{
    DemoArgs, Error, print,
    run::{close_to_others, make_room_for_files, start_error},
    when::span,
};
use crate::{
    auth::{self, DeviceAnswer, DeviceCommand, Registry},
    bridge,
    clock::wall_ms,
    config::{Config, OutputConfig, RocketMqConfig},
    control::{Tail, TailRequest},
    logging,
    service::alarm,
    supervisor::{End, Gateway, termination},
};

mod table;

use table::Table;

/// What the sensors are called.
const PREFIX: &str = "sensor_";

/// Batches that one drawing takes; more readings wait for the next.
const LOOKS_MAX: usize = 16;

/// Runs a gateway and its sensors until the time is over or Ctrl-C, then audits.
///
/// # Errors
/// [`Error::Failed`] when the audit finds a reading lost, altered or out of order.
pub(super) fn run(args: &DemoArgs) -> Result<(), Error> {
    let folder = Folder::make(args.data.as_deref())?;
    let config = configuration(folder.path(), args.rocketmq.as_deref())?;
    let log = logging::Config { level: logging::Level::Warn, ..config.log };
    logging::start(log, args.log.log_level, args.log.log_format)?;
    make_room_for_files(config.mqtt.connections_max);
    close_to_others();
    let credentials = add_sensors(&config, args.devices)?;
    let gateway = Gateway::start(&config, None).map_err(start_error)?;
    let plan = plan(args, &config, &gateway, credentials);
    let targets: Vec<_> = plan.targets.iter().map(ToString::to_string).collect();
    print::note(format_args!(
        "a gateway on {} with {} sensors; its data are in {}",
        targets.join(" and "),
        args.devices,
        folder.path().display()
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Failed(format!("cannot start: {error}")))?;
    let report = runtime.block_on(play(plan, gateway))?;
    print::line(&report)?;
    folder.end()?;
    if report.exit_code() == 0 {
        return Ok(());
    }
    Err(Error::Failed("the audit failed: see the lines above".to_owned()))
}

/// The gateway's defaults, in a folder of its own and on a free port, with the bus as a second output.
fn configuration(folder: &Path, bus: Option<&str>) -> Result<Config, Error> {
    let mut config = Config { data: folder.to_owned(), ..Config::default() };
    config.mqtt.port = 0;
    config.coap.port = 0;
    config.http.enabled = false;
    if let Some(server) = bus {
        if server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
            return Err(Error::Usage(format!("{server} is no HOST:PORT; try 127.0.0.1:9876")));
        }
        let bus = RocketMqConfig { name_servers: vec![server.to_owned()], ..RocketMqConfig::default() };
        config.outputs.push(OutputConfig::RocketMq(Box::new(bus)));
    }
    Ok(config)
}

fn add_sensors(config: &Config, count: u32) -> Result<Vec<Login>, Error> {
    let cannot = |why: String| Error::CannotCreate(format!("cannot add the demo's sensors: {why}"));
    let registry = Registry::open(&config.state_path()).map_err(|error| cannot(error.to_string()))?;
    let command = DeviceCommand::AddMany { count, prefix: PREFIX.to_owned() };
    let added = match auth::apply(&registry, command, wall_ms()) {
        Ok(DeviceAnswer::Added(added)) => added,
        Ok(_) => return Err(cannot("the registry answered something else".to_owned())),
        Err(error) => return Err(cannot(error.to_string())),
    };
    let logins = added.into_iter().filter_map(|one| Some(Login { device: one.id, secret: one.secret? }));
    Ok(logins.collect())
}

/// The sensors are dealt out to both listeners: every second one speaks CoAP.
fn plan(args: &DemoArgs, config: &Config, gateway: &Gateway, credentials: Vec<Login>) -> Plan {
    let mqtt = gateway.mqtt_address();
    let mqtt = Target::mqtt(&mqtt.ip().to_string(), mqtt.port());
    let coap = gateway.coap_address().map(|coap| Target::coap(&coap.ip().to_string(), coap.port()));
    let out = config.outputs.iter().find_map(|output| match output {
        OutputConfig::File(file) => Some(config.data.join(&file.dir)),
        _ => None,
    });
    Plan {
        credentials: Some(credentials),
        interval: Duration::from_millis(args.interval),
        duration: args.duration.map(Duration::from_millis),
        seed: args.seed,
        audit: out.map(AuditPlan::new),
        targets: [mqtt.clone()].into_iter().chain(coap).collect(),
        ..Plan::new(mqtt, args.devices)
    }
}

/// The sensors live and are audited while the gateway runs; the gateway stops when they are done.
async fn play(plan: Plan, gateway: Gateway) -> Result<Report, Error> {
    let failed = |error: io::Error| Error::Failed(format!("cannot wait for signals: {error}"));
    let alarms = gateway.alarms();
    let outputs = gateway.outputs();
    let mut tail = Tail::start(&gateway.core(), gateway.routes(), TailRequest::default())
        .map_err(|error| Error::Disk(error.to_string()))?;
    let mut table = Table::new();
    let show = move |progress: &Progress| {
        for _ in 0..LOOKS_MAX {
            // What cannot be read or drawn is missing in the table only; the audit reads the output.
            let Some(shown) = tail.look() else { break };
            shown.into_iter().for_each(|shown| table.take(shown));
        }
        let _drawn = table.draw(&above(progress), progress.elapsed).is_ok();
    };
    let interrupted = termination().map_err(failed)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let sensors = async {
        let report = simulator::run(plan, show, interrupted).await;
        drop(stop);
        report
    };
    let (report, end) = tokio::join!(
        sensors,
        gateway.run(async {
            let _over = stopped.await.is_err();
        })
    );
    match end.map_err(failed)? {
        End::Stopped => {
            let alarm::Status { told_raised, told_cleared, .. } = alarms.status();
            print::line(format_args!("alarms: {told_raised} raised, {told_cleared} cleared"))?;
            outputs.iter().try_for_each(show_output)?;
            report.map_err(|error| Error::Failed(error.to_string()))
        }
        End::Failed(reason) => Err(Error::Disk(reason)),
    }
}

fn show_output(output: &bridge::Handle) -> Result<(), Error> {
    let counters = output.counters();
    let delivered = counters.delivered.load(Ordering::Relaxed);
    let trouble = counters.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let trouble = if trouble.is_empty() { trouble } else { format!("; {trouble}") };
    print::line(format_args!("output {}: {delivered} records delivered{trouble}", output.name()))?;
    Ok(())
}

/// One line about the whole.
fn above(progress: &Progress) -> String {
    let elapsed = span(u64::try_from(progress.elapsed.as_millis()).unwrap_or(u64::MAX));
    let of =
        progress.planned_duration.map_or_else(String::new, |planned| format!(" of {}", planned.as_secs()));
    format!(
        "{elapsed}{of}: {} of {} sensors connected, {} acknowledged, {:.0}/s",
        progress.connected, progress.devices, progress.acknowledged, progress.rate_per_s
    )
}

/// The demo's data: kept where the user named a folder, else gone with the demo.
enum Folder {
    Kept(PathBuf),
    Fresh(TempDir),
}

impl Folder {
    fn make(named: Option<&Path>) -> Result<Self, Error> {
        let Some(dir) = named else {
            let fresh = TempDir::with_prefix("tidegate-demo-");
            let cannot = |error| Error::CannotCreate(format!("cannot make a folder for the demo: {error}"));
            return fresh.map(Self::Fresh).map_err(cannot);
        };
        let is_empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
        let shown = dir.display();
        if is_empty {
            let cannot = |error| Error::CannotCreate(format!("cannot make {shown}: {error}"));
            return std::fs::create_dir_all(dir).map(|()| Self::Kept(dir.to_owned())).map_err(cannot);
        }
        Err(Error::CannotCreate(format!(
            "{shown} is not empty; name a folder that is empty or not there yet"
        )))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Fresh(folder) => folder.path(),
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Self::Kept(_) => Ok(()),
            Self::Fresh(folder) => folder.close().map_err(|error| Error::Disk(error.to_string())),
        }
    }
}
