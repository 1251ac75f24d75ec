//! A system to install into: this machine's own, and what is written there goes to memory and is gone at the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    SmallDisk,
    foreign::package,
    programs::{ran, run},
    within,
};

/// How long systemd may take on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(60);

/// A view of this machine's root that can be written to. `/proc`, `/sys` and `/dev` are empty in it: nothing there
/// reaches the kernel or the services that run.
pub struct ThrowAwayRoot {
    root: PathBuf,
    memory: SmallDisk,
}

/// A throw-away root in which systemd runs.
pub struct Booted {
    root: ThrowAwayRoot,
    init: Child,
    groups: PathBuf,
    group: PathBuf,
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
        Self { root, memory }
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
        unmount(&self.root);
    }
}

impl Booted {
    /// Up to where services may start. None but systemd's own does by itself.
    pub fn make() -> Self {
        let root = ThrowAwayRoot::make();
        // A machine that is a container of somebody's may say there that a package starts no service.
        let _none = fs::remove_file(root.path("/usr/sbin/policy-rc.d"));
        let groups = root.memory.path().join("groups");
        fs::create_dir(&groups).expect("room");
        ran(Command::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(&groups));
        let group = groups.join(format!("tidegate-test-{}", std::process::id()));
        fs::create_dir(&group).expect("a control group of our own");
        let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/boot");
        let init = Command::new(boot).arg(&root.root).arg(&group).stdin(Stdio::null()).spawn();
        let booted = Self { root, init: init.expect("tests/deploy/boot is a program"), groups, group };
        let up = || booted.try_run(&["systemctl", "is-active", "basic.target"]).then_some(());
        within(BOOT_MAX, up).expect("systemd starts");
        booted
    }

    /// Its files.
    pub fn root(&self) -> &ThrowAwayRoot {
        &self.root
    }

    /// A command in it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let all = ["--cgroup", "--ipc", "--mount", "--net", "--pid", "--uts", "--root", "--wd", "--target"];
        command.args(all).arg(self.init_pid()).args(words).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a command in it, which must succeed; what it printed.
    pub fn ran(&self, words: &[&str]) -> String {
        ran(&mut self.command(words))
    }

    /// Whether a command in it succeeds.
    pub fn try_run(&self, words: &[&str]) -> bool {
        run(&mut self.command(words)).status.success()
    }

    /// The only child of `unshare`; 0, which is nobody's, before there is one.
    fn init_pid(&self) -> String {
        let pid = self.init.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().next().unwrap_or("0").to_owned()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // `unshare` takes systemd with it, and systemd all that it has started.
        let _ended = self.init.kill();
        let _status = self.init.wait();
        let empty = || remove_groups(&self.group).is_ok().then_some(());
        if within(BOOT_MAX, empty).is_none() {
            eprintln!("the control group {} stays", self.group.display());
        }
        unmount(&self.groups);
    }
}

/// A group can be removed when no process and no group is in it.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_groups(&path)?;
        }
    }
    fs::remove_dir(group)
}

fn unmount(path: &Path) {
    let unmounted = run(Command::new("umount").arg(path));
    if !unmounted.status.success() {
        eprintln!("{} stays mounted: {}", path.display(), String::from_utf8_lossy(&unmounted.stderr));
    }
}
