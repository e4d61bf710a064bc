//! The model as a mounted file system (FUSE).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use fastrand::Rng;
use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;

use super::model::{Model, Number};

/// The time for which the kernel may cache attributes, as all changes go through it.
const TTL: Duration = Duration::from_secs(60);

/// A directory on a disk whose power can be cut.
#[derive(Debug)]
pub struct PowerDisk {
    directory: PathBuf,
    disk: Arc<Mutex<Disk>>,
    session: Option<BackgroundSession>,
}

#[derive(Debug, Default)]
struct Disk {
    model: Model,
    /// Whether the power is cut: programs that still run get errors.
    is_off: bool,
}

impl PowerDisk {
    /// Mounts an empty disk on this directory. One that *lies* acknowledges syncs and does nothing.
    ///
    /// # Errors
    /// If FUSE cannot be used: it takes `/dev/fuse`, and root or `fusermount3`.
    pub fn mount(directory: &Path, lies: bool) -> anyhow::Result<Self> {
        let model = Model::new(lies);
        let mut disk = Self {
            directory: directory.to_owned(),
            disk: Arc::default(),
            session: None,
        };
        disk.spin_up(model)?;
        Ok(disk)
    }

    /// Cuts the power: from now on reads and writes fail.
    pub fn switch_off(&self) {
        self.disk.lock().is_off = true;
    }

    /// Restores the power. The disk then holds what it may hold after such a cut. Every program that had files open
    /// on it must have ended.
    ///
    /// # Errors
    /// If it cannot be mounted again.
    pub fn switch_on(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        // Mounted again, as the kernel must not cache what is lost.
        if let Some(session) = self.session.take() {
            session
                .umount_and_join()
                .context("the disk is still in use")?;
        }
        let left = self.disk.lock().model.cut(rng);
        self.spin_up(left)
    }

    fn spin_up(&mut self, model: Model) -> anyhow::Result<()> {
        let is_off = false;
        self.disk = Arc::new(Mutex::new(Disk { model, is_off }));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("power".to_owned()),
            MountOption::DefaultPermissions,
        ];
        let mounted = Mounted(Arc::clone(&self.disk));
        let session = fuser::spawn_mount(mounted, &self.directory, &config).context(
            "no file system can be mounted by FUSE: that takes /dev/fuse, and root or fusermount3 (Debian: fuse3)",
        )?;
        self.session = Some(session);
        Ok(())
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // An error cannot be reported here.
            let _: io::Result<()> = session.umount_and_join();
        }
    }
}

/// The file system's side towards the kernel.
struct Mounted(Arc<Mutex<Disk>>);

/// A file's inode number for the kernel, where 1 is the directory.
fn ino(number: Number) -> INodeNo {
    INodeNo(number + 1)
}

fn number(ino: INodeNo) -> Number {
    u64::from(ino).saturating_sub(1)
}

fn attributes(ino: INodeNo, kind: FileType, size: usize, mode: u32) -> FileAttr {
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino,
        size: size as u64,
        blocks: size.div_ceil(512) as u64,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: u16::try_from(mode & 0o777).unwrap_or(0o600),
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Mounted {
    /// Does the work, unless the power is cut.
    fn with<T>(&self, work: impl FnOnce(&mut Model) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut disk = self.0.lock();
        if disk.is_off {
            return Err(Errno::EIO);
        }
        work(&mut disk.model)
    }

    fn attributes(&self, of: INodeNo) -> Result<FileAttr, Errno> {
        self.with(|model| attributes_in(model, of))
    }
}

fn attributes_in(model: &Model, of: INodeNo) -> Result<FileAttr, Errno> {
    if of == INodeNo::ROOT {
        return Ok(attributes(of, FileType::Directory, 0, 0o700));
    }
    let content = model.content(number(of)).ok_or(Errno::ENOENT)?;
    let mode = model.mode(number(of));
    Ok(attributes(of, FileType::RegularFile, content.len(), mode))
}

fn place(offset: u64) -> Result<usize, Errno> {
    usize::try_from(offset).map_err(|_| Errno::EFBIG)
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.with(|model| {
            let number = model.find(name).ok_or(Errno::ENOENT)?;
            attributes_in(model, ino(number))
        });
        match found {
            Ok(found) => reply.entry(&TTL, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = self.with(|model| {
            if let Some(size) = size {
                model.set_length(number(ino), place(size)?);
            }
            attributes_in(model, ino)
        });
        match set {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.with(|model| there(model.unlink(name))));
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        to: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self.with(|model| {
            if !flags.is_empty() {
                return Err(Errno::EINVAL);
            }
            there(model.rename(name, to))
        });
        done(reply, renamed);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.attributes(ino) {
            // The kernel keeps its cached pages: SQLite shares memory by a file.
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let created = self.with(|model| {
            let number = model.create(name, mode & !umask);
            attributes_in(model, ino(number))
        });
        match created {
            Ok(found) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&TTL, &found, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.with(|model| {
            let content = model.content(number(ino)).ok_or(Errno::ENOENT)?;
            let from = content.len().min(place(offset)?);
            let until = content.len().min(from + size as usize);
            Ok(content[from..until].to_vec())
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.with(|model| {
            model.write(number(ino), place(offset)?, data);
            u32::try_from(data.len()).map_err(|_| Errno::EFBIG)
        });
        match written {
            Ok(length) => reply.written(length),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.with(|model| {
            model.sync(number(ino));
            Ok(())
        });
        done(reply, synced);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.with(|model| {
            model.sync_names();
            Ok(())
        });
        done(reply, synced);
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.with(|model| {
            let names = model.list();
            Ok(names
                .map(|(name, number)| (name.to_owned(), number))
                .collect::<Vec<_>>())
        });
        let names = match listed {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (after, (name, number)) in (1..).zip(names).skip(skipped) {
            if reply.add(ino(number), after, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 20;
        reply.statfs(blocks, blocks, blocks, blocks, blocks, 4096, 255, 4096);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }
}

fn there(is_there: bool) -> Result<(), Errno> {
    is_there.then_some(()).ok_or(Errno::ENOENT)
}

fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
