//! Programs of `deploy/build` for another processor, in an emulator of it.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Gateway and simulator, each as a script that the emulator takes the place of, so that its process is theirs.
pub struct Foreign {
    pub tidegate: PathBuf,
    pub simulator: PathBuf,
    target: String,
    _folder: TempDir,
}

impl Foreign {
    /// The target of `TIDEGATE_DEPLOY_TARGET`, a 64-bit Raspberry Pi unless it says otherwise.
    pub fn find() -> Self {
        let target = env::var("TIDEGATE_DEPLOY_TARGET");
        let target = target.unwrap_or_else(|_| "aarch64-unknown-linux-gnu".to_owned());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = |name: &str| {
            let path = folder.path().join(name);
            let words = emulator(&target).join(" ");
            let program = built(&target).join(name);
            assert!(program.is_file(), "{} is not there; run `deploy/build {target}`", program.display());
            fs::write(&path, format!("#!/bin/sh\nexec {words} '{}' \"$@\"\n", program.display()))
                .expect("room");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of our own");
            path
        };
        Self { tidegate: script("tidegate"), simulator: script("simulator"), target, _folder: folder }
    }

    /// Its package.
    pub fn package(&self) -> PathBuf {
        package(&self.target)
    }

    /// How Debian calls its processor.
    pub fn architecture(&self) -> &'static str {
        architecture(&self.target)
    }

    /// `program` of this processor, in the emulator.
    pub fn command(&self, program: &Path) -> Command {
        let words = emulator(&self.target);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(program);
        command
    }
}

fn emulator(target: &str) -> [&'static str; 3] {
    match target {
        "aarch64-unknown-linux-gnu" => ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
        "armv7-unknown-linux-gnueabihf" => ["qemu-arm-static", "-L", "/usr/arm-linux-gnueabihf"],
        _ => panic!("no emulator is known for {target}"),
    }
}

fn architecture(target: &str) -> &'static str {
    match target.split('-').next() {
        Some("aarch64") => "arm64",
        Some("armv7") => "armhf",
        _ => "amd64",
    }
}

/// Where `deploy/build` puts what it builds for `target`: `target/debug/deps/deploy-0123` stands for `target`.
fn built(target: &str) -> PathBuf {
    let test = env::current_exe().expect("a running test");
    test.ancestors().nth(3).unwrap_or(Path::new("target")).join("deploy").join(target)
}

/// The package of `deploy/build --deb TARGET`.
pub(crate) fn package(target: &str) -> PathBuf {
    let name = format!("tidegate_{}-1_{}.deb", env!("CARGO_PKG_VERSION"), architecture(target));
    let path = built(target).join(name);
    assert!(path.is_file(), "{} is not there; run `deploy/build --deb {target}`", path.display());
    path
}
