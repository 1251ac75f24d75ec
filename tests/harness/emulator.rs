//! A Pico: the real image in the emulator of `tests/emulator`, its UART or USB port behind a pseudo-terminal.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{Line, eventually, programs};

/// Bytes that go over the line at once.
const BYTES_MAX: usize = 512;

/// A board that runs. Dropped, its power is off at once.
pub struct Pico {
    /// What the maker of its flash calls it: sixteen digits, the same for the same file.
    pub hardware: String,
    child: Child,
    stdin: ChildStdin,
    said: Arc<Mutex<Vec<String>>>,
    is_off: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Pico {
    /// Power on. `flash` is the file that stands for its flash; without one it is blank.
    pub fn start(line: &Line, flash: &Path, celsius: f64) -> Self {
        Self::run(line, flash, celsius, &image(), &[])
    }

    /// The same with the image whose line is the USB cable.
    pub fn start_on_usb(line: &Line, flash: &Path, celsius: f64) -> Self {
        let how = "firmware/build rp2040 --features usb";
        let image = programs::program("TIDEGATE_RP2040_USB_ELF", "../firmware/tidegate-rp2040-usb.elf", how);
        Self::start_image_on_usb(line, flash, celsius, &image)
    }

    /// The same with an image of one's own.
    pub fn start_image_on_usb(line: &Line, flash: &Path, celsius: f64, image: &Path) -> Self {
        Self::run(line, flash, celsius, image, &["--usb"])
    }

    /// The same with a BME280 on its I2C, which measures the example of its datasheet.
    pub fn start_with_bme280(line: &Line, flash: &Path) -> Self {
        let how = "firmware/build rp2040 --features bme280,usb";
        let image = programs::program(
            "TIDEGATE_RP2040_BME280_ELF",
            "../firmware/tidegate-rp2040-bme280-usb.elf",
            how,
        );
        Self::run(line, flash, 0.0, &image, &["--usb", "--bme280"])
    }

    fn run(line: &Line, flash: &Path, celsius: f64, image: &Path, options: &[&str]) -> Self {
        let socket = flash.with_extension("uart");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let hardware = maker_name(flash);
        let mut child = Command::new("node")
            .arg(tests.join("emulator/board.js"))
            .arg(image)
            .args(options)
            .args(["--temperature", &celsius.to_string()])
            .args(["--name", &hardware])
            .arg("--uart")
            .arg(&socket)
            .arg("--flash")
            .arg(flash)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed; `tests/run` sees to it");
        let stdin = child.stdin.take().expect("piped");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (out, lines) = (child.stdout.take().expect("piped"), Arc::clone(&said));
        let mut threads = vec![thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                lines.lock().expect("nobody panicked").push(line);
            }
        })];
        let ready = || said.lock().expect("nobody panicked").iter().any(|line| line == "ready").then_some(());
        eventually("the emulator is ready", ready);
        let uart = UnixStream::connect(&socket).expect("it listens");
        let is_off = Arc::new(AtomicBool::new(false));
        threads.extend(carry(line, &uart, &is_off));
        Self { hardware, child, stdin, said, is_off, threads }
    }

    /// Makes it so warm.
    pub fn warm(&mut self, celsius: f64) {
        self.ask(&format!("temperature {celsius}"));
    }

    /// Of so many bytes on its line one arrives wrong or not at all, either way; 0: none.
    pub fn noise(&mut self, one_of: u32) {
        self.ask(&format!("noise {one_of}"));
    }

    /// Processor time that the emulator has used.
    pub fn processor_time(&self) -> Duration {
        programs::processor_time(self.child.id())
    }

    /// A number of the emulator's `status`, such as `spoiled`.
    pub fn status(&mut self, name: &str) -> u64 {
        let before = self.said("status").len();
        self.ask("status");
        let line = eventually("the emulator answers", || self.said("status").get(before).cloned());
        let status: serde_json::Value =
            serde_json::from_str(line.trim_start_matches("status ")).expect("it says JSON");
        status[name].as_u64().unwrap_or_else(|| panic!("no number {name}: {line}"))
    }

    fn said(&self, word: &str) -> Vec<String> {
        let said = self.said.lock().expect("nobody panicked");
        said.iter().filter(|line| line.starts_with(word)).cloned().collect()
    }

    /// The power goes after so many more bytes have changed in its flash, in the middle of a writing or an erasure.
    pub fn cut_after(&mut self, bytes: usize) {
        self.ask(&format!("cut {bytes}"));
    }

    /// Whether its power has gone.
    pub fn is_off(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// What the firmware did that the chip would not forgive.
    pub fn broken(&self) -> Vec<String> {
        [self.said("broken"), self.said("reset")].concat()
    }

    fn ask(&mut self, line: &str) {
        // Whose power has gone hears nothing.
        let _heard = writeln!(self.stdin, "{line}");
    }
}

impl Drop for Pico {
    fn drop(&mut self) {
        self.is_off.store(true, Ordering::Relaxed);
        let _ended = self.child.kill();
        let _status = self.child.wait();
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

/// Sixteen digits for a flash: its file's name, by FNV-1a.
fn maker_name(flash: &Path) -> String {
    let bytes = flash.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Carries bytes between the pseudo-terminal and the emulator's socket, both ways.
fn carry(line: &Line, uart: &UnixStream, is_off: &Arc<AtomicBool>) -> [thread::JoinHandle<()>; 2] {
    let pause = Duration::from_millis(3);
    uart.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
    let (mut from_uart, mut to_uart) =
        (uart.try_clone().expect("a socket"), uart.try_clone().expect("a socket"));
    let (mut from_line, mut to_line) = (line.far(), line.far());
    let (first, second) = (Arc::clone(is_off), Arc::clone(is_off));
    let up = thread::spawn(move || {
        let mut buffer = [0; BYTES_MAX];
        while !first.load(Ordering::Relaxed) {
            match from_uart.read(&mut buffer) {
                Ok(0) => return,
                // What the line does not take is lost.
                Ok(count) => drop(to_line.write_all(&buffer[..count])),
                Err(_) => {}
            }
        }
    });
    let down = thread::spawn(move || {
        let mut buffer = [0; BYTES_MAX];
        while !second.load(Ordering::Relaxed) {
            match from_line.read(&mut buffer) {
                Ok(count) => drop(to_uart.write_all(&buffer[..count])),
                // Nothing there, or nobody has the other end open.
                Err(_) => thread::sleep(pause),
            }
        }
    });
    [up, down]
}

/// The image that `firmware/build rp2040` makes.
fn image() -> PathBuf {
    programs::program("TIDEGATE_RP2040_ELF", "../firmware/tidegate-rp2040.elf", "firmware/build rp2040")
}
