//! A system to install into: this machine's own, and what is written there goes to memory and is gone at the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{SmallDisk, foreign::package, programs::ran};

/// A view of this machine's root that can be written to. `/proc`, `/sys` and `/dev` are empty in it: nothing there
/// reaches the kernel or the services that run.
pub struct ThrowAwayRoot {
    root: PathBuf,
    _memory: SmallDisk,
}

impl ThrowAwayRoot {
    pub fn make() -> Self {
        let memory = SmallDisk::make(512);
        let [changes, work, root] = ["changes", "work", "root"].map(|name| memory.path().join(name));
        for folder in [&changes, &work, &root] {
            fs::create_dir(folder).expect("an empty disk");
        }
        let options = format!("lowerdir=/,upperdir={},workdir={}", changes.display(), work.display());
        ran(Command::new("mount").args(["-t", "overlay", "-o", &options, "tidegate-test"]).arg(&root));
        Self { root, _memory: memory }
    }

    /// `path` of it as this process reaches it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A command in it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(words).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a command in it, which must succeed; what it printed.
    pub fn ran(&self, words: &[&str]) -> String {
        ran(&mut self.command(words))
    }

    /// Puts this machine's package of the gateway into it, as `/tidegate.deb`.
    pub fn bring_package(&self) -> &'static str {
        fs::copy(package("x86_64-unknown-linux-gnu"), self.path("/tidegate.deb")).expect("room");
        "/tidegate.deb"
    }
}

impl Drop for ThrowAwayRoot {
    fn drop(&mut self) {
        let unmounted = crate::programs::run(Command::new("umount").arg::<&Path>(&self.root));
        if !unmounted.status.success() {
            eprintln!("{} stays mounted", self.root.display());
        }
    }
}
