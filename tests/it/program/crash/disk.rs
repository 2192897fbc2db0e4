//! A disk whose power can be cut: a file system in a file, of which only what was flushed is there again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Mounted while it is there. Needs root.
pub(super) struct Disk {
    folder: PathBuf,
    cuts: usize,
}

const BYTES: u64 = 1 << 30;

impl Disk {
    pub(super) fn new(folder: &Path) -> Self {
        let disk = Self { folder: folder.to_owned(), cuts: 0 };
        fs::create_dir_all(disk.mount_point()).expect("a folder");
        let image = disk.image();
        let file = fs::File::create(&image).expect("a file for the file system");
        file.set_len(BYTES).expect("its length");
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        disk.mount();
        disk
    }

    /// Where it is.
    pub(super) fn mount_point(&self) -> PathBuf {
        self.folder.join("disk")
    }

    fn image(&self) -> PathBuf {
        self.folder.join(format!("image-{}", self.cuts))
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.mount_point()));
    }

    fn unmount(&self) {
        run(Command::new("umount").arg(self.mount_point()));
    }

    /// Takes the file system as it lies on the disk at this moment, and goes on with that. Who used it is gone.
    pub(super) fn cut_power(&mut self) {
        let before = self.image();
        self.cuts += 1;
        run(Command::new("cp").arg("--sparse=always").arg(&before).arg(self.image()));
        self.unmount();
        fs::remove_file(before).expect("the file of before");
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} (needs root): {status}");
}
