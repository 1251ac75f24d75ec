//! The servers that are compared, each fresh, on loopback, with a login a connection.

use std::{
    fmt, fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tidegate_tests::{CoapClient, Gateway, Login, eventually, free_ports, ran, read_credentials};

/// Ticks of `/proc/PID/stat` a second on Linux.
const TICKS_PER_S: f64 = 100.0;
/// How long a server may stay busy after its last acknowledgement.
const IDLE_TRIES_MAX: usize = 200;

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Mqtt,
    Coap,
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As `tidegate quickstart` makes it, with its file output.
    Tidegate,
    /// Without outputs: what to take and to acknowledge costs alone.
    TidegateAlone,
    Mosquitto,
    Libcoap,
}

impl Kind {
    pub fn of(word: &str) -> Result<Self, String> {
        match word {
            "tidegate" => Ok(Self::Tidegate),
            "tidegate-alone" => Ok(Self::TidegateAlone),
            "mosquitto" => Ok(Self::Mosquitto),
            "libcoap" => Ok(Self::Libcoap),
            _ => Err(format!("no server {word}; there are tidegate, tidegate-alone, mosquitto and libcoap")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tidegate => "tidegate",
            Self::TidegateAlone => "tidegate-alone",
            Self::Mosquitto => "mosquitto",
            Self::Libcoap => "libcoap",
        })
    }
}

/// A running one.
pub struct Server {
    process: Process,
    logins: Vec<Login>,
}

enum Process {
    Tidegate(Box<Gateway>),
    Mosquitto { child: Child, port: u16, folder: TempDir },
    Libcoap { child: Child, port: u16 },
}

impl Server {
    pub fn start(kind: Kind, logins: usize) -> Self {
        match kind {
            Kind::Tidegate => start_tidegate(logins, Gateway::make()),
            Kind::TidegateAlone => start_tidegate(logins, without_outputs()),
            Kind::Mosquitto => start_mosquitto(logins),
            Kind::Libcoap => start_libcoap(logins),
        }
    }

    /// Of `protocol`.
    pub fn port(&self, protocol: Protocol) -> u16 {
        match (&self.process, protocol) {
            (Process::Tidegate(gateway), Protocol::Mqtt) => gateway.port,
            (Process::Tidegate(gateway), Protocol::Coap) => gateway.coap_port,
            (Process::Mosquitto { port, .. } | Process::Libcoap { port, .. }, _) => *port,
        }
    }

    pub fn logins(&self) -> &[Login] {
        &self.logins
    }

    fn pid(&self) -> u32 {
        match &self.process {
            Process::Tidegate(gateway) => gateway.pid(),
            Process::Mosquitto { child, .. } | Process::Libcoap { child, .. } => child.id(),
        }
    }

    /// User and system time so far.
    pub fn cpu_s(&self) -> f64 {
        cpu_s_of(self.pid())
    }

    /// Waits until it uses no CPU for a while: what it does after an acknowledgement is its work, too.
    pub fn wait_until_idle(&self) {
        let mut before = self.cpu_s();
        for _ in 0..IDLE_TRIES_MAX {
            thread::sleep(Duration::from_millis(200));
            let after = self.cpu_s();
            if after - before < 0.015 {
                return;
            }
            before = after;
        }
        eprintln!("the server stays busy");
    }

    pub fn memory_max_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Bytes that it has had written to the device, by the kernel's account.
    pub fn disk_bytes(&self) -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid())).unwrap_or_default();
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }
}

/// User and system time of a process so far.
pub fn cpu_s_of(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    // Behind the name, which may hold blanks: state is field 3 of proc(5), utime 14, stime 15.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("ticks");
    (ticks(14) + ticks(15)) / TICKS_PER_S
}

fn without_outputs() -> Gateway {
    let mut gateway = Gateway::make();
    let text = fs::read_to_string(gateway.config_path()).expect("quickstart wrote it");
    let from = text.find("[[output]]").expect("quickstart writes to files");
    let output = text[from..].split("\n\n").next().expect("at least its header").to_owned();
    gateway.configure(&output, "").configure("data = ", "output = []\ndata = ");
    gateway
}

fn start_tidegate(logins: usize, gateway: Gateway) -> Server {
    let credentials = gateway.add_devices(logins, "sensor_b");
    let logins = read_credentials(&credentials);
    let mut gateway = Box::new(gateway);
    gateway.run();
    await_coap(gateway.coap_port);
    Server { process: Process::Tidegate(gateway), logins }
}

fn start_mosquitto(count: usize) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let logins = made_up_logins(count);
    let passwords = folder.path().join("passwords");
    let lines: String = logins.iter().map(|login| format!("{}:{}\n", login.user, login.password)).collect();
    fs::write(&passwords, lines).expect("the password file");
    ran(Command::new("mosquitto_passwd").arg("-U").arg(&passwords));
    let child = spawn_mosquitto(folder.path(), port, &passwords);
    let server = Server { process: Process::Mosquitto { child, port, folder }, logins };
    eventually("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

/// With names and secrets as long as those of the gateway's devices.
fn made_up_logins(count: usize) -> Vec<Login> {
    let login =
        |n| Login { user: format!("sensor_b{n}"), password: format!("0123456789abcdef0123456789{n:06}") };
    (1..=count).map(login).collect()
}

/// Its example server, without DTLS. It looks at no name and no secret.
fn start_libcoap(logins: usize) -> Server {
    let [port] = free_ports();
    let child = Command::new("coap-server-notls")
        .args(["-A", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("libcoap3-bin is installed");
    let server = Server { process: Process::Libcoap { child, port }, logins: made_up_logins(logins) };
    await_coap(port);
    server
}

/// Waits until whoever has `port` answers a ping.
fn await_coap(port: u16) {
    let mut client = CoapClient::open(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    eventually("CoAP is answered", || client.ping().then_some(()));
}

fn spawn_mosquitto(folder: &Path, port: u16, passwords: &Path) -> Child {
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\npersistence false\n\
         max_inflight_messages 0\nlog_dest none\nuser root\n",
        passwords.display()
    );
    fs::write(&config, text).expect("mosquitto's configuration");
    Command::new("mosquitto")
        .arg("-c")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is installed")
}

impl Drop for Server {
    fn drop(&mut self) {
        let (Process::Mosquitto { child, .. } | Process::Libcoap { child, .. }) = &mut self.process else {
            return;
        };
        let _ended = child.kill();
        let _status = child.wait();
        if let Process::Mosquitto { folder, .. } = &self.process {
            // Named here, so that it is plain that the folder outlives the process.
            let _folder = folder.path();
        }
    }
}
