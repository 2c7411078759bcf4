//! Who runs a job: one process at a time, by a lease in the local database.
//!
//! A lease ends by itself when its holder stops renewing it. A holder that died on this machine is recognised at
//! once, so that the run after a power cut or a `kill -9` need not wait.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::task::AbortOnDropHandle;

use super::{Engine, Error};
use crate::store::Lease;

/// A lease lasts this long without being renewed: longer than a machine is expected to stall.
const TERM: Duration = Duration::from_secs(60);

/// How often a lease is renewed; several attempts fit into its term.
const BEAT: Duration = Duration::from_secs(15);

/// How long a run waits for another process to finish the same job.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// The name of a process that outlives neither the process nor the boot of its machine:
/// `host/boot/pid namespace/pid/start time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder(String);

impl Holder {
    pub(super) fn this_process() -> Self {
        let pid = std::process::id();
        let [host, boot, namespace] = machine();
        // Without a start time the holder is still unique enough to own a lease, only not to be found dead.
        let started = start_time(pid).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        Self(format!("{host}/{boot}/{namespace}/{pid}/{started}"))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// Whether the holder was a process of this machine, since its last boot, that is no more.
fn is_dead(holder: &str) -> bool {
    let parts: Vec<&str> = holder.split('/').collect();
    let [host, boot, namespace, pid, started] = parts.as_slice() else { return false };
    let here = machine();
    if here.iter().any(String::is_empty) || [*host, *namespace] != [&here[0], &here[2]] {
        return false;
    }
    if *boot != here[1] {
        return true;
    }
    pid.parse().is_ok_and(|pid| start_time(pid).as_deref() != Some(*started))
}

/// Host name, boot id and process namespace, each empty where the system does not tell.
fn machine() -> [String; 3] {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().replace('/', "_");
    let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string());
    [
        read("/proc/sys/kernel/hostname"),
        read("/proc/sys/kernel/random/boot_id"),
        namespace.unwrap_or_default().replace('/', "_"),
    ]
}

/// When a process started, in clock ticks since boot (proc(5), field 22); `None` where there is none.
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// A lease that is held and being renewed; dropping it stops the renewing.
#[derive(Debug)]
pub(super) struct Held {
    job: String,
    _beat: AbortOnDropHandle<()>,
}

/// Until when a lease taken or renewed now is good.
pub(super) fn until(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TERM
}

impl Engine {
    /// Takes the job's lease, waiting a while for whoever has it.
    pub(super) async fn take_lease(&self, job: &str) -> Result<Held, Error> {
        let patient_until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.clock.now();
            let lease = self.store.acquire_lease(job, self.holder.text(), now, TERM).await;
            match lease.map_err(Error::store("taking the job's lease"))? {
                Lease::Held => break,
                Lease::Busy { holder, .. } if holder != self.holder.text() && is_dead(&holder) => {
                    tracing::info!(job, holder, "taking over the lease of a process that died");
                    let released = self.store.release_lease(job, &holder).await;
                    released.map_err(Error::store("taking over a lease"))?;
                }
                Lease::Busy { holder, until } if tokio::time::Instant::now() >= patient_until => {
                    return Err(Error::Busy { holder, until });
                }
                Lease::Busy { .. } => tokio::time::sleep(LOOK).await,
            }
        }
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let (job, holder) = (job.to_owned(), self.holder.text().to_owned());
        let beating = job.clone();
        let beat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                // A page's transaction finds out by itself whether the lease still holds.
                if let Err(error) = store.renew_lease(&beating, &holder, clock.now(), TERM).await {
                    tracing::warn!(job = beating, %error, "the job's lease could not be renewed");
                }
            }
        });
        Ok(Held { job, _beat: AbortOnDropHandle::new(beat) })
    }

    /// Gives a lease back.
    pub(super) async fn give_back(&self, lease: Held) {
        if let Err(error) = self.store.release_lease(&lease.job, self.holder.text()).await {
            tracing::warn!(job = lease.job, %error, "the job's lease could not be given back; it ends by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_with_another_start_time_is_dead() {
        let Holder(me) = Holder::this_process();
        assert!(!is_dead(&me));
        let (rest, _) = me.rsplit_once('/').unwrap();
        assert!(is_dead(&format!("{rest}/1")));
        assert!(!is_dead(&format!("elsewhere{me}")));
        assert!(!is_dead("somebody"));
    }
}
