//! Another process that is in the way: a second daemon of the same outlet, or whoever has the status page's address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::survey::kept;
use crate::config::Config;
use crate::store::{Store, file_of};
use crate::sync::{Life, life, process, this_process};

/// Who starts waits no longer to be told by whom he is kept from it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a listening socket's state is in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A daemon that works on the same database.
#[derive(Debug)]
pub(super) struct Rival {
    /// Which process, and since when.
    who: String,
    /// Its number on this machine.
    pid: i32,
}

impl Rival {
    /// The one that runs, if there is one beside this process.
    pub(super) async fn on(store: &Store) -> Option<Self> {
        let (holder, kept) = kept(store).await.ok().flatten()?;
        let Life::Runs { pid } = life(&holder) else { return None };
        let is_another = holder != this_process() && kept.stopped_at.is_none();
        let since = kept.started_at.format("%Y-%m-%d %H:%M:%S UTC");
        is_another.then(|| Self { who: format!("{}, since {since}", process(&holder)), pid })
    }

    /// That it runs, and what to do.
    pub(super) fn runs_already(&self) -> String {
        let Self { who, pid } = self;
        format!(
            "the daemon of this outlet runs already ({who}); to have it read an edited file: `milkrun reload`; to start another \
             in its place, end it first: `systemctl stop milkrun`, or `kill {pid}`"
        )
    }

    async fn of(config: &Config) -> Option<Self> {
        if file_of(&config.local).is_some_and(|file| !file.exists()) {
            return None;
        }
        let store = Store::open_to_look(&config.local).await.ok()?;
        let rival = Self::on(&store).await;
        store.close().await;
        rival
    }
}

/// Why the status page's address cannot be taken, with who has it, and what to do.
pub(super) async fn named(error: anyhow::Error, address: SocketAddr, config: &Config) -> anyhow::Error {
    let is_taken = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    if !is_taken {
        return error;
    }
    let rival = timeout(PATIENCE, Rival::of(config)).await.ok().flatten();
    if let Some(rival) = rival {
        return error.context(rival.runs_already());
    }
    match listener(address) {
        Some((pid, name)) => error.context(format!(
            "process {pid} ({name}) has the address of the status page, {address}; end it, or change `listen` of [daemon]"
        )),
        None => error,
    }
}

/// The process of this machine that listens there, as far as this one may see it.
fn listener(address: SocketAddr) -> Option<(u32, String)> {
    let wanted = format!(":{:04X}", address.port());
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&LISTENS) && fields.get(1).is_some_and(|local| local.ends_with(&wanted));
        fields.get(9).filter(|_| listens).map(|inode| format!("socket:[{inode}]"))
    })?;
    let has_it = |process: &PathBuf| {
        let open = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.into_iter()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == inode.as_str()))
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    let process = processes.into_iter().filter(|path| path.join("fd").exists()).find(has_it)?;
    let pid = process.file_name()?.to_str()?.parse().ok()?;
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    Some((pid, name.trim().to_owned()))
}
