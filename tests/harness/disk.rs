//! Disks of a test's own: an ext4 image on a loop device, whose power can be cut, and a small tmpfs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::programs::{ran, run};

/// An ext4 file system in a file, mounted through a loop device.
pub struct LoopDisk {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
    _folder: Option<TempDir>,
}

impl LoopDisk {
    /// A fresh one.
    pub fn make(mebibytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("disk.img");
        let file = File::create(&image).expect("an image");
        file.set_len(mebibytes * 1024 * 1024).expect("room for an image");
        ran(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        Self::mount_image(image, folder)
    }

    /// What is left when the power goes at this moment: the image as the device has it, without what the file
    /// system still holds in memory, mounted through its journal. Whoever writes should be stopped.
    pub fn cut_power(&self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("disk.img");
        ran(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&image));
        Self::mount_image(image, folder)
    }

    fn mount_image(image: PathBuf, folder: TempDir) -> Self {
        let mount = folder.path().join("mount");
        fs::create_dir(&mount).expect("a folder to mount on");
        ran(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        Self { image, mount, mounted: true, _folder: Some(folder) }
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Makes the file system refuse every write from here on, as ext4 does after an error of the device.
    pub fn shut_down(&self) {
        // A remount to read-only is refused while files are open for writing. With `abort`, ext4 gives up its journal.
        ran(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.mount));
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        unmount(&self.mount, &mut self.mounted);
    }
}

/// A ramfs, which takes no O_DIRECT. It says that it has no room and takes whatever comes.
pub struct PlainDisk(SmallDisk);

impl PlainDisk {
    pub fn make() -> Self {
        Self(SmallDisk::mount("ramfs", "mode=0755"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A tmpfs with room for a few MiB.
pub struct SmallDisk {
    mount: PathBuf,
    mounted: bool,
    _folder: TempDir,
}

impl SmallDisk {
    pub fn make(mebibytes: u64) -> Self {
        Self::mount("tmpfs", &format!("size={mebibytes}m"))
    }

    fn mount(kind: &str, options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mount = folder.path().join("mount");
        fs::create_dir(&mount).expect("a folder to mount on");
        ran(Command::new("mount").args(["-t", kind, "-o", options, "tidegate-test"]).arg(&mount));
        Self { mount, mounted: true, _folder: folder }
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.mount, &mut self.mounted);
    }
}

/// A gateway that was killed may take a moment to let go of its files; a lazy unmount waits for it.
fn unmount(mount: &Path, mounted: &mut bool) {
    if std::mem::take(mounted) && !run(Command::new("umount").arg(mount)).status.success() {
        let lazily = run(Command::new("umount").arg("--lazy").arg(mount));
        if !lazily.status.success() {
            eprintln!("{} stays mounted: {}", mount.display(), String::from_utf8_lossy(&lazily.stderr));
        }
    }
}
