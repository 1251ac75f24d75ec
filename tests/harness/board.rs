//! A board of the firmware's own core, on this machine, behind a pseudo-terminal.

use std::{
    fs,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    thread,
    time::Duration,
};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tidegate_firmware::{
    Board as Panel, Channel, Clock, Config, Link, Node, Sampler, Sampling, Sensor, Signal, Values, run,
    store::{FlashStore, Identity, Store},
};
use tokio::time::Instant;

use crate::Login;

const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 1 }];
const SECTOR_BYTES: usize = 4096;
const SECTORS: usize = 16;

/// A serial line: the far end of a pseudo-terminal, plugged in under a name of its own.
pub struct Line {
    far: OwnedFd,
    path: PathBuf,
}

impl Line {
    /// Plugged in as `path`.
    pub fn plug(path: &Path) -> Self {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&far).expect("granted");
        unlockpt(&far).expect("unlocked");
        let name = ptsname(&far, Vec::new()).expect("it has a name");
        symlink(name.to_str().expect("plain"), path).expect("the name is free");
        rustix::io::ioctl_fionbio(&far, true).expect("not blocking");
        Self { far, path: path.to_owned() }
    }

    /// Another handle of the far end.
    pub(crate) fn far(&self) -> fs::File {
        fs::File::from(self.far.try_clone().expect("another handle"))
    }

    /// Puts bytes on the line, as any program would.
    pub fn say(&self, bytes: &[u8]) {
        assert_eq!(rustix::io::write(&self.far, bytes), Ok(bytes.len()));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

/// Flash in memory; it outlives the board's power.
#[derive(Clone)]
pub struct Flash(Arc<Mutex<Vec<u8>>>);

impl Flash {
    /// As it comes from the factory.
    pub fn blank() -> Self {
        Self(Arc::new(Mutex::new(vec![0xff; SECTORS * SECTOR_BYTES])))
    }

    /// With the name and secret of `login`.
    pub fn of(login: &Login) -> Self {
        let flash = Self::blank();
        let mut store = FlashStore::<_, 1>::open(flash.clone()).expect("large enough");
        let identity = Identity {
            device: login.user.as_str().try_into().expect("short"),
            secret: login.password.as_str().try_into().expect("short"),
            boot_base: 0,
        };
        assert!(store.set_identity(identity));
        flash
    }

    fn at(&self, offset: u32, len: usize, change: impl Fn(&mut u8, usize)) {
        let start = usize::try_from(offset).expect("small");
        let mut bytes = self.0.lock().expect("nobody panicked");
        bytes[start..start + len].iter_mut().enumerate().for_each(|(at, byte)| change(byte, at));
    }
}

#[derive(Debug)]
pub struct Broken;

impl NorFlashError for Broken {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = Broken;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Broken> {
        let start = usize::try_from(offset).expect("small");
        bytes.copy_from_slice(&self.0.lock().expect("nobody panicked")[start..start + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        SECTORS * SECTOR_BYTES
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Broken> {
        let len = usize::try_from(to - from).expect("small");
        self.at(from, len, |byte, _| *byte = 0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Broken> {
        self.at(offset, bytes.len(), |byte, at| *byte &= bytes[at]);
        Ok(())
    }
}

/// What the world and the board know of each other.
#[derive(Default)]
struct World {
    tenths: AtomicI32,
    is_off: AtomicBool,
    is_identified: AtomicBool,
    signal: Mutex<Option<Signal>>,
    measured: AtomicI32,
}

/// A board that runs.
pub struct Board {
    world: Arc<World>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Board {
    /// Power on: takes a reading every `period_ms`, at 20 °C to begin with.
    pub fn start(hardware: &str, flash: &Flash, line: &Line, period_ms: u32) -> Self {
        let world = Arc::new(World { tenths: AtomicI32::new(200), ..World::default() });
        let far = line.far();
        let (inner, flash) = (Arc::clone(&world), flash.clone());
        let hardware = hardware.to_owned();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let another = || far.try_clone().expect("another handle");
                while live(&hardware, flash.clone(), another(), period_ms, &inner).await {}
            });
        });
        Self { world, thread: Some(thread) }
    }

    /// Makes it so warm, in tenths of a degree.
    pub fn warm(&self, tenths: i32) {
        self.world.tenths.store(tenths, Ordering::Relaxed);
    }

    /// What it shows.
    pub fn signal(&self) -> Option<Signal> {
        *self.world.signal.lock().expect("nobody panicked")
    }

    /// Whether it shows that it is the one that somebody looks for.
    pub fn is_identified(&self) -> bool {
        self.world.is_identified.load(Ordering::Relaxed)
    }

    /// How often it has measured.
    pub fn measured(&self) -> i32 {
        self.world.measured.load(Ordering::Relaxed)
    }
}

impl Drop for Board {
    /// Power off, at any moment.
    fn drop(&mut self) {
        self.world.is_off.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// One start of a board; true when it is to start again.
async fn live(hardware: &str, flash: Flash, far: fs::File, period_ms: u32, world: &World) -> bool {
    let store = FlashStore::<_, 1>::open(flash).expect("large enough");
    let seed = [u8::try_from(store.boot() % 251).expect("small"); 32];
    let config = Config {
        hardware: hardware.try_into().expect("short"),
        model: "host".try_into().expect("short"),
        firmware: env!("CARGO_PKG_VERSION").try_into().expect("short"),
        address: u16::try_from(hardware.bytes().map(u32::from).sum::<u32>()).expect("small"),
        seed,
        period_ms,
    };
    let mut node = Node::new(store, CHANNELS, config);
    let sampling = Sampling { period_ms, average: 1, threshold: 0, silence_ms_max: 60_000 };
    let mut sampler = Sampler::new(sampling);
    let (mut sensor, mut panel) = (Thermometer(world), Lamp(world));
    let mut line = Wire { far };
    let clock = Watch(Instant::now());
    let off = async {
        while !world.is_off.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = run(&mut node, &mut sampler, (&mut sensor, &mut line), (&clock, &mut panel)) => true,
        () = off => false,
    }
}

struct Thermometer<'w>(&'w World);

impl Sensor<1> for Thermometer<'_> {
    fn channels(&self) -> [Channel; 1] {
        CHANNELS
    }

    async fn measure(&mut self) -> Values<1> {
        self.0.measured.fetch_add(1, Ordering::Relaxed);
        [Some(self.0.tenths.load(Ordering::Relaxed))]
    }
}

struct Lamp<'w>(&'w World);

impl Panel for Lamp<'_> {
    fn show(&mut self, signal: Signal, is_identified: bool) {
        self.0.is_identified.store(is_identified, Ordering::Relaxed);
        *self.0.signal.lock().expect("nobody panicked") = Some(signal);
    }

    fn feed_watchdog(&mut self) {}
}

struct Watch(Instant);

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).expect("short")
    }

    async fn wait_until(&self, ms: u64) {
        tokio::time::sleep_until(self.0 + Duration::from_millis(ms)).await;
    }
}

struct Wire {
    far: fs::File,
}

impl Link for Wire {
    async fn receive(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            match self.far.read(buffer) {
                Ok(count) => return count,
                // Nothing there, or nobody has the other end open.
                Err(_) => tokio::time::sleep(Duration::from_millis(3)).await,
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // What the line does not take is lost, as on a wire.
        let _sent = self.far.write_all(bytes);
    }
}
