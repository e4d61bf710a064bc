//! The disk under a server's data directory: it can be filled, or fail.
//!
//! Real file systems where they can be mounted, which takes root on Linux. Elsewhere a limit on the size of
//! the server's files stands in for them: SQLite then gets EFBIG where it would get ENOSPC or EROFS.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use fastrand::Rng;
use tokio::process::Command;

#[cfg(target_os = "linux")]
use crate::power::PowerDisk;

/// The size of the small disk: room for the log of a run, and for SQLite's write-ahead log of 64 MiB.
const TMPFS_SIZE: &str = "size=192m";

/// The size of the disk that fails. It is a sparse file, which takes only what is used.
const EXT4_BYTES: u64 = 512 << 20;

/// The file system under the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The temporary directory's.
    Plain,
    /// A file system in memory, of a limited size.
    Tmpfs,
    /// An ext4, in a file.
    Ext4,
    /// Our own, whose power can be cut.
    Power,
}

/// A disk with a data directory.
#[derive(Debug)]
pub struct Disk {
    kind: Kind,
    /// Dropped, and so unmounted, before its directory is removed.
    #[cfg(target_os = "linux")]
    power: Option<Box<PowerDisk>>,
    /// The data and the server's journal; removed on drop.
    scratch: tempfile::TempDir,
}

impl Disk {
    /// A directory among the temporary files.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn plain() -> anyhow::Result<Self> {
        let disk = Self {
            kind: Kind::Plain,
            #[cfg(target_os = "linux")]
            power: None,
            scratch: tempfile::Builder::new()
                .prefix("everbeat-bench-")
                .tempdir()?,
        };
        fs::create_dir(disk.data())?;
        Ok(disk)
    }

    /// A small disk, where it can be mounted; else a directory.
    ///
    /// # Errors
    /// If not even a directory can be made.
    pub async fn small() -> anyhow::Result<Self> {
        let mut disk = Self::plain()?;
        let target = text(&disk.data())?;
        let mount = ["-t", "tmpfs", "-o", TMPFS_SIZE, "tmpfs", &target];
        if run("mount", &mount).await.is_ok() {
            disk.kind = Kind::Tmpfs;
        }
        Ok(disk)
    }

    /// A disk that can fail, where it can be mounted; else a directory.
    ///
    /// # Errors
    /// If not even a directory can be made.
    pub async fn failing() -> anyhow::Result<Self> {
        let mut disk = Self::plain()?;
        File::create(disk.image())?.set_len(EXT4_BYTES)?;
        let image = text(&disk.image())?;
        if run("mkfs.ext4", &["-q", "-F", &image]).await.is_ok() && disk.mount_image().await.is_ok()
        {
            disk.kind = Kind::Ext4;
        }
        Ok(disk)
    }

    /// A disk whose power can be cut. One that `lies` acknowledges syncs and does nothing.
    ///
    /// # Errors
    /// If no file system can be mounted by FUSE, which Linux alone has.
    pub fn power(lies: bool) -> anyhow::Result<Self> {
        let mut disk = Self::plain()?;
        disk.kind = Kind::Power;
        #[cfg(target_os = "linux")]
        {
            disk.power = Some(Box::new(PowerDisk::mount(&disk.data(), lies)?));
            Ok(disk)
        }
        #[cfg(not(target_os = "linux"))]
        bail!("a disk whose power can be cut is had on Linux only (lies: {lies})")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// The path of the server's journal: on the same disk, as it often is. When the disk is full, it
    /// cannot be written either, and that must not matter.
    pub fn server_log(&self) -> PathBuf {
        match self.kind {
            // The journal must outlive the cut.
            Kind::Power => self.scratch.path().join("server.log"),
            Kind::Plain | Kind::Tmpfs | Kind::Ext4 => self.data().join("server.log"),
        }
    }

    /// The command that starts a server on this disk. Where its files are limited, the server must get an error at
    /// the limit, and not be ended by the signal (SIGXFSZ).
    pub(super) const fn launcher(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Plain => &["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""],
            Kind::Tmpfs | Kind::Ext4 | Kind::Power => &[],
        }
    }

    /// How this disk's faults are made, for the report.
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Plain => {
                "no root, or no such mount: a limit on file sizes stands in for the disk"
            }
            Kind::Tmpfs => "tmpfs of 192 MiB, filled by a ballast file",
            Kind::Ext4 => "ext4 in a file, aborted: read-only until it is mounted again",
            Kind::Power => "a file system of our own, which forgets what was not synced",
        }
    }

    /// Fills the disk to the last byte.
    ///
    /// # Errors
    /// If it does not get full.
    pub async fn fill(&self, server: u32) -> anyhow::Result<()> {
        if self.kind != Kind::Tmpfs {
            return limit_files(server, "0").await;
        }
        let mut ballast = File::create(self.ballast())?;
        // Large pieces first, then small ones for the gaps.
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0; size];
            while ballast.write_all(&piece).is_ok() {}
        }
        let one_more = File::create(self.data().join("probe")).and_then(|mut f| f.write_all(b"x"));
        if one_more.is_ok() {
            bail!("the small disk is still not full");
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// If the ballast cannot be removed.
    pub async fn free(&self, server: u32) -> anyhow::Result<()> {
        if self.kind != Kind::Tmpfs {
            return limit_files(server, "unlimited").await;
        }
        fs::remove_file(self.ballast())?;
        Ok(())
    }

    /// Makes the disk read-only under the running server, as the kernel does after an I/O error. (A
    /// remount is refused while files are open for writing.)
    ///
    /// # Errors
    /// If that cannot be done.
    pub async fn turn_read_only(&self, server: u32) -> anyhow::Result<()> {
        if self.kind != Kind::Ext4 {
            return limit_files(server, "0").await;
        }
        run("mount", &["-o", "remount,abort", &text(&self.data())?]).await?;
        if File::create(self.data().join("probe")).is_ok() {
            bail!("the disk is still not read-only");
        }
        Ok(())
    }

    /// Cuts the power: from now on the server gets errors. The caller must kill it at once.
    pub fn cut_power(&self) {
        #[cfg(target_os = "linux")]
        if let Some(power) = &self.power {
            power.switch_off();
        }
    }

    /// Restores the power after the server has ended: the disk has lost, as the seed decides, some of what the
    /// server wrote and did not sync.
    ///
    /// # Errors
    /// If the disk cannot be mounted anew.
    pub fn give_power(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(power) = &mut self.power {
            return power.switch_on(rng);
        }
        bail!(
            "this disk has no power that could be cut (seed {})",
            rng.get_seed()
        )
    }

    /// Whether the server has to end before the disk can be repaired.
    pub fn needs_restart(&self) -> bool {
        self.kind == Kind::Ext4
    }

    /// Makes the disk writable again. One that failed is mounted anew, which only a server that has
    /// ended allows.
    ///
    /// # Errors
    /// If that cannot be done.
    pub async fn turn_writable(&self, server: Option<u32>) -> anyhow::Result<()> {
        if self.kind == Kind::Ext4 {
            run("umount", &[&text(&self.data())?]).await?;
            return self.mount_image().await;
        }
        limit_files(server.context("the server is not running")?, "unlimited").await
    }

    async fn mount_image(&self) -> anyhow::Result<()> {
        let (image, data) = (text(&self.image())?, text(&self.data())?);
        run("mount", &["-o", "loop", &image, &data]).await
    }

    fn ballast(&self) -> PathBuf {
        self.data().join("ballast")
    }

    fn image(&self) -> PathBuf {
        self.scratch.path().join("disk.img")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Tmpfs | Kind::Ext4) {
            // By its path, and lazily: a scenario that failed must not leave a mounted file system
            // behind.
            let umount = std::process::Command::new("umount")
                .arg("-l")
                .arg(self.data())
                .stderr(Stdio::null())
                .status();
            drop(umount);
        }
    }
}

/// Limits the size of the files that the server writes from now on; larger ones stay as they are.
async fn limit_files(server: u32, bytes: &str) -> anyhow::Result<()> {
    let limit = format!("--fsize={bytes}:unlimited");
    run("prlimit", &["--pid", &server.to_string(), &limit]).await
}

async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), said.trim());
    }
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path
        .to_str()
        .context("a temporary path that is not UTF-8")?;
    Ok(text.to_owned())
}
