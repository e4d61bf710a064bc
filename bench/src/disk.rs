//! Where a server's data directory lies: a disk that can be filled, or fail.
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

/// Room on the small disk: for the log of a run, and SQLite's own log of 64 MiB.
const TMPFS_SIZE: &str = "size=192m";

/// The size of the disk that fails. A sparse file: it takes what is used.
const EXT4_BYTES: u64 = 512 << 20;

/// What is under the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Whatever the temporary directory is on.
    Plain,
    /// A file system in memory, of a limited size.
    Tmpfs,
    /// A real one, in a file.
    Ext4,
    /// One of our own, whose power can be cut.
    Power,
}

/// A data directory of its own.
#[derive(Debug)]
pub struct Disk {
    kind: Kind,
    /// Unmounted before its directory goes.
    #[cfg(target_os = "linux")]
    power: Option<Box<PowerDisk>>,
    /// The data and the server's own log; gone when it is dropped.
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

    /// A small disk, if it can be had.
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

    /// A disk that can fail, if it can be had.
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

    /// Where the server's own log goes: to the same disk, as it often is. It cannot be written either
    /// when the disk is full, and that must not matter.
    pub fn server_log(&self) -> PathBuf {
        match self.kind {
            // What it said before the cut is to be read afterwards.
            Kind::Power => self.scratch.path().join("server.log"),
            Kind::Plain | Kind::Tmpfs | Kind::Ext4 => self.data().join("server.log"),
        }
    }

    /// What starts a server here. Where its files are limited it must get an error at the limit, and not
    /// be ended by the signal that comes with it.
    pub(super) const fn launcher(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Plain => &["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""],
            Kind::Tmpfs | Kind::Ext4 | Kind::Power => &[],
        }
    }

    /// How the faults of this disk are made, in words for the report.
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
        // Large pieces first, or small gaps remain.
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

    /// Cuts the power: from now on the server gets errors, until it is killed, which is to be at once.
    pub fn cut_power(&self) {
        #[cfg(target_os = "linux")]
        if let Some(power) = &self.power {
            power.switch_off();
        }
    }

    /// Gives power again, when the server has ended: of what it wrote and did not sync the disk has forgotten
    /// what the seed says.
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

    /// Whether the server must have ended before the disk is well again.
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
            // By its path, and lazily: the directory must not stay full of a file system because a
            // scenario failed.
            let umount = std::process::Command::new("umount")
                .arg("-l")
                .arg(self.data())
                .stderr(Stdio::null())
                .status();
            drop(umount);
        }
    }
}

/// The largest file that the server may write from now on; what it wrote already stays.
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
