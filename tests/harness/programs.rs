//! Where the programs under test are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

/// The gateway.
pub fn tidegate() -> PathBuf {
    program("TIDEGATE_BIN", "tidegate", "cargo build --release -p tidegate -p tidegate-simulator")
}

/// The simulator.
pub fn simulator() -> PathBuf {
    program("SIMULATOR_BIN", "simulator", "cargo build --release -p tidegate -p tidegate-simulator")
}

/// The gateway, built with the switch that takes its syncs away (`TIDEGATE_TEST_NO_SYNC=1`).
pub fn tidegate_without_sync() -> PathBuf {
    program("TIDEGATE_FAULT_BIN", "../fault-injection/tidegate", "tests/run acknowledged_is_on_disk")
}

/// What `tests/riscv32/build` makes.
pub fn riscv32_image() -> PathBuf {
    program(
        "TIDEGATE_RISCV32_ELF",
        "../riscv32imc-unknown-none-elf/release/tidegate-riscv32",
        "tests/riscv32/build",
    )
}

pub(crate) fn program(variable: &str, name: &str, how_to_build: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| beside_this_test(name), PathBuf::from);
    assert!(path.is_file(), "{} is not there; run `tests/run`, or `{how_to_build}`", path.display());
    path
}

/// `target/debug/deps/mqtt-0123` stands for `target/release/NAME`.
fn beside_this_test(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a running test");
    let target = test.ancestors().nth(3).unwrap_or(Path::new("target"));
    target.join("release").join(name)
}

/// Processor time that a process has used, from Linux.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // Fields 14 and 15, counted from behind the name, which may hold anything: proc(5). A hundredth of a second each.
    let fields = stat.rsplit(") ").next().expect("a name").split(' ');
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// Runs `command` to its end, without input.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("cannot run {command:?} ({error}); `tests/run` installs what is needed")
    })
}

/// Runs `command`, which must succeed; what it printed.
pub fn ran(command: &mut Command) -> String {
    let output = run(command);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{complaint}", output.status);
    printed
}
