//! A server that speaks just enough MQTT, writes the output that the gateway writes, and misbehaves on request.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Each count is of publishes of the whole server; 0: never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Every so many: stored, then the connection is closed without an acknowledgement.
    pub(crate) close_after_storing: u64,
    /// Every so many: the connection is closed, nothing stored.
    pub(crate) close_before_storing: u64,
    /// Every so many: acknowledged and closed at once, so that both are read together.
    pub(crate) close_after_acknowledging: u64,
    /// Every so many: refused with 0x97 (MQTT 5).
    pub(crate) refuse: u64,
    /// Every so many: acknowledged and not stored.
    pub(crate) lose: u64,
    /// Every so many: the acknowledgement of one waits until this much time has passed.
    pub(crate) stall: (u64, Duration),
    /// Refuse every login.
    pub(crate) refuse_login: bool,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dir: tempfile::TempDir,
}

struct Shared {
    faults: Faults,
    output: Mutex<File>,
    publishes: AtomicU64,
    offset: AtomicU64,
}

impl Server {
    pub(crate) fn start(faults: Faults) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let output = Mutex::new(File::create(dir.path().join("out/readings-00000001.jsonl")).unwrap());
        let shared = Shared { faults, output, publishes: AtomicU64::new(0), offset: AtomicU64::new(0) };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(serve(&stream.unwrap(), &shared)));
            }
        });
        Self { address, dir }
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (_, connect) = read_frame(&mut reader)?;
    let is_v5 = connect[6] == 5;
    let code = if shared.faults.refuse_login { if is_v5 { 0x86 } else { 4 } } else { 0 };
    let connack: &[u8] = if is_v5 { &[0x20, 3, 0, code, 0] } else { &[0x20, 2, 0, code] };
    (&*stream).write_all(connack)?;
    let device = client_id(&connect, is_v5);
    loop {
        let (head, body) = read_frame(&mut reader)?;
        match head >> 4 {
            3 => publish(stream, shared, &device, is_v5, head, &body)?,
            12 => (&*stream).write_all(&[0xD0, 0])?,
            _ => return Ok(()),
        }
    }
}

fn publish(
    stream: &TcpStream,
    shared: &Shared,
    device: &str,
    is_v5: bool,
    head: u8,
    body: &[u8],
) -> io::Result<()> {
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let qos = (head >> 1) & 3;
    let id_end = topic_end + if qos > 0 { 2 } else { 0 };
    // No properties are sent: their length is one byte, nought.
    let payload = &body[id_end + usize::from(is_v5)..];
    let number = shared.publishes.fetch_add(1, Ordering::Relaxed) + 1;
    let is_due = |every: u64| every > 0 && number.is_multiple_of(every);
    let faults = shared.faults;
    if is_due(faults.close_before_storing) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let refused = is_due(faults.refuse);
    if !refused && !is_due(faults.lose) {
        store(shared, device, payload)?;
    }
    if is_due(faults.close_after_storing) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    if is_due(faults.stall.0) {
        thread::sleep(faults.stall.1);
    }
    if qos > 0 {
        let id = &body[topic_end..id_end];
        let puback = if refused { vec![0x40, 3, id[0], id[1], 0x97] } else { vec![0x40, 2, id[0], id[1]] };
        (&*stream).write_all(&puback)?;
    }
    if is_due(faults.close_after_acknowledging) {
        Err(io::ErrorKind::ConnectionAborted.into())
    } else {
        Ok(())
    }
}

fn store(shared: &Shared, device: &str, payload: &[u8]) -> io::Result<()> {
    let reading: serde_json::Value = serde_json::from_slice(payload)?;
    let (boot, seq) = (&reading["boot"], &reading["seq"]);
    let mut output = shared.output.lock().unwrap();
    let line = serde_json::json!({
        "lane": "telemetry", "offset": shared.offset.fetch_add(1, Ordering::Relaxed),
        "uid": format!("{device}/{boot}/{seq}"), "device": device,
        "boot": boot, "seq": seq, "ts": reading["ts"], "values": reading["values"],
    });
    output.write_all(format!("{line}\n").as_bytes())
}

fn client_id(connect: &[u8], is_v5: bool) -> String {
    // Protocol name, level, flags, keep-alive; then for MQTT 5 the properties with a length of one byte.
    let at = if is_v5 { 11 + usize::from(connect[10]) } else { 10 };
    let len = usize::from(u16::from_be_bytes([connect[at], connect[at + 1]]));
    String::from_utf8(connect[at + 2..at + 2 + len].to_vec()).unwrap()
}

fn read_frame(reader: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    let head = byte[0];
    let mut len = 0_usize;
    for shift in [0, 7, 14, 21] {
        reader.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7F) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}
