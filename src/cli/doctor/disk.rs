//! The disk under a SQLite file: room, rights, and whether it is one that keeps what it is told.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statfs, statvfs};

use super::{Report, size};
use crate::config::Config;
use crate::store::file_of;

/// The write-ahead log grows to this, and a dry run's copy needs it beside the file.
const SPARE: u64 = 64 << 20;

/// Fewer free inodes and the next file may not be made.
const INODES: u64 = 100;

/// File systems of other machines, by statfs(2): NFS, SMB, CIFS, SMB2. A lock there may hold for one machine only.
const REMOTE: [u64; 4] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42];

pub(super) fn look(config: &Config, report: &mut Report) {
    // A server's disk is the server's.
    let Some(file) = file_of(&config.local) else { return };
    let Some(folder) = file.parent() else { return };
    if !folder.is_dir() {
        let message = format!("the folder {} of local.url does not exist", folder.display());
        return report.problem("disk", message, "make it, owned by milkrun's user, or change local.url");
    }
    room(&file, folder, report);
    rights(&file, folder, report);
}

fn room(file: &Path, folder: &Path, report: &mut Report) {
    let Ok(facts) = statvfs(folder) else { return };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let taken = std::fs::metadata(file).map_or(0, |facts| facts.len());
    let message = format!("{} free under {}, which {} needs", size(free), folder.display(), size(taken));
    let message = message.replace(", which 0 B needs", "");
    if facts.f_flag.contains(StatVfsMountFlags::RDONLY) {
        report.problem(
            "disk",
            format!("the file system of {} is read-only", folder.display()),
            "see `dmesg`: a disk with errors is turned so; or mount it for writing",
        );
    } else if free < SPARE {
        report.problem("disk", message, "make room: below 64 MiB the write-ahead log may not fit");
    } else if free < taken.saturating_add(SPARE) {
        report.note("disk", message, "make room: a dry run and a backup need as much as the file");
    } else {
        report.ok("disk", message);
    }
    if facts.f_files > 0 && facts.f_favail < INODES {
        let message = format!("{} inodes are left under {}", facts.f_favail, folder.display());
        report.problem("disk", message, "remove small files; SQLite makes two beside its own");
    }
    let is_remote =
        statfs(folder).is_ok_and(|facts| u64::try_from(facts.f_type).is_ok_and(|kind| REMOTE.contains(&kind)));
    if is_remote {
        let message = format!("{} lies on another machine's disk (NFS or SMB)", folder.display());
        report.problem("disk", message, "move the SQLite file to a local disk: its locks do not hold there");
    }
}

fn rights(file: &Path, folder: &Path, report: &mut Report) {
    let may = |path: &Path, what: Access| access(path, what).is_ok();
    let owner = std::fs::metadata(file).or_else(|_missing| std::fs::metadata(folder)).map(|facts| facts.uid());
    let me = rustix::process::geteuid().as_raw();
    if !may(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let message = format!("user {me} may not make files in {}", folder.display());
        return report.problem(
            "rights",
            message,
            "run as milkrun's user, or give it the folder: SQLite makes two files there",
        );
    }
    if file.exists() && !may(file, Access::READ_OK | Access::WRITE_OK) {
        let message = format!("user {me} may not read and write {}", file.display());
        return report.problem("rights", message, "run as milkrun's user, or give it the file");
    }
    match owner {
        Ok(owner) if me == 0 && owner != 0 => report.note(
            "rights",
            format!("this is root, and {} belongs to user {owner}", file.display()),
            "run milkrun's commands as that user (`sudo -u milkrun milkrun …`): files that root makes lock it out",
        ),
        Ok(_) | Err(_) => report.ok("rights", format!("user {me} may write {}", file.display())),
    }
}
