//! Who runs a job: one process at a time, by a lease in the local database.
//!
//! A lease ends by itself when its holder stops renewing it. A holder that died on this machine is recognised at
//! once, so that the run after a power cut or a `kill -9` need not wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::error::{process, running_since};
use super::page::REPEATS;
use super::{Engine, Error};
use crate::run::{Run, Status};
use crate::store::{self, ABANDONED, CUT_OFF, Lease, PageTx, Store};

/// A lease lasts this long without being renewed: longer than a machine is expected to stall.
pub(super) const TERM: Duration = Duration::from_secs(60);

/// How often a lease is renewed; several attempts fit into its term.
const BEAT: Duration = Duration::from_secs(15);

/// How long a run waits for another process to finish the same job.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// The name of a process that outlives neither the process nor the boot of its machine:
/// `host/boot/pid namespace/pid/start time`.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    text: String,
    /// The jobs of which this process has opened a run and not closed it: what is left open of them is its own.
    opened: Arc<Mutex<BTreeSet<String>>>,
}

impl Holder {
    pub(super) fn this_process() -> Self {
        let pid = std::process::id();
        let [host, boot, namespace] = machine();
        // Without a start time the holder is still unique enough to own a lease, only not to be found dead.
        let started = start_time(pid).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        Self { text: format!("{host}/{boot}/{namespace}/{pid}/{started}"), opened: Arc::default() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Notes whether this process has a run of the job open; gives whether it had.
    pub(super) fn note_open(&self, job: &str, is_open: bool) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if is_open { !opened.insert(job.to_owned()) } else { opened.remove(job) }
    }
}

/// The name of this process, as leases have it.
#[must_use]
pub fn this_process() -> String {
    Holder::this_process().text
}

/// What can be seen of a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Runs {
        /// Its number on this machine.
        pid: i32,
    },
    /// It has ended.
    Over,
    /// It is or was another machine's, or another container's.
    Unseen,
}

/// Whether the process of this name is still there.
#[must_use]
pub fn life(holder: &str) -> Life {
    let pid = holder.split('/').nth(3).and_then(|pid| pid.parse().ok());
    match pid {
        _ if is_dead(holder) => Life::Over,
        Some(pid) if is_here(holder) => Life::Runs { pid },
        Some(_) | None => Life::Unseen,
    }
}

/// Whether the holder was a process of this machine, since its last boot, that is no more.
fn is_dead(holder: &str) -> bool {
    let parts: Vec<&str> = holder.split('/').collect();
    let [_host, boot, _namespace, pid, started] = parts.as_slice() else { return false };
    if !is_here(holder) {
        return false;
    }
    let Ok(pid) = pid.parse() else { return *boot != machine()[1] };
    let is_gone = start_time(pid).as_deref() != Some(*started);
    // A container's own boot id lies over the machine's, and a service's sandbox within may not show it: the two see two boots.
    // What came to the same number at the same tick of another boot is most likely this very program, started again.
    is_gone || (*boot != machine()[1] && (pid == std::process::id() || !is_of_this_program(pid)))
}

fn is_of_this_program(pid: u32) -> bool {
    let name = |of: &str| std::fs::read_to_string(format!("/proc/{of}/comm")).ok();
    name("self").is_some_and(|ours| name(&pid.to_string()) == Some(ours))
}

/// Whether the holder is or was a process that this one could see.
fn is_here(holder: &str) -> bool {
    let here = machine();
    let is_told = !here.iter().any(String::is_empty);
    let parts: Vec<&str> = holder.split('/').collect();
    matches!(parts.as_slice(), [host, _, namespace, _, _] if is_told && [*host, *namespace] == [&here[0], &here[2]])
}

/// Tells of runs that the log has as going on, and whose process is no more, that they have failed.
///
/// # Errors
/// The local database cannot be read.
pub async fn tell_the_dead(store: &Store, runs: &mut [Run], now: DateTime<Utc>) -> Result<(), Error> {
    for run in runs.iter_mut().filter(|run| run.status == Status::Running) {
        let lease = store.lease(&run.job).await.map_err(Error::store("reading the leases"))?;
        // One that stands still, here, is no more dead than one that works.
        let is_alive = lease.is_some_and(|(holder, until)| !is_dead(&holder) && (until > now || is_here(&holder)));
        if !is_alive {
            run.status = Status::Failed;
            run.error = Some(ABANDONED.to_owned());
            run.remedy = Some("nothing to do; the next run of the job goes on from the last page".to_owned());
        }
    }
    Ok(())
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
    /// None in a dry run, which holds no lease.
    _beat: Option<AbortOnDropHandle<()>>,
}

/// Until when a lease taken or renewed now is good.
fn until(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TERM
}

/// A wait for somebody else's lease.
#[derive(Debug)]
pub(super) struct Wait {
    began: Instant,
    /// The lease as it was last seen, and since when it stands so.
    seen: Option<(String, DateTime<Utc>, Instant)>,
    /// When the run that is waited for was started.
    since: Option<DateTime<Utc>>,
}

impl Wait {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), seen: None, since: None }
    }

    /// What to make of the lease as it stands at `now`.
    ///
    /// No clock that is right ends a lease so late as an odd one. A holder that lives moves it on; one that does not for a
    /// whole term is dead, however long its lease would last.
    fn judge(&mut self, holder: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> Verdict {
        let since = match &self.seen {
            Some((seen, seen_until, since)) if seen == holder && *seen_until == until => *since,
            Some(_) | None => Instant::now(),
        };
        self.seen = Some((holder.to_owned(), until, since));
        let is_odd = until > now + TERM + BEAT;
        let patience = if is_odd { TERM + BEAT } else { PATIENCE };
        if is_odd && since.elapsed() >= TERM {
            Verdict::Dead
        } else if self.began.elapsed() >= patience {
            Verdict::TooLong
        } else {
            Verdict::Wait(patience)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Its holder is no more.
    Dead,
    /// The wait is over.
    TooLong,
    /// To be looked at again, for as long as this in all.
    Wait(Duration),
}

impl Engine {
    /// Takes the job's lease, waiting a while for whoever has it. A dry run takes none and waits for nobody: what it works
    /// on may be a copy, in which no lease is ever given back.
    pub(super) async fn take_lease(&self, job: &str) -> Result<Held, Error> {
        if self.store.is_dry_run() {
            let lease = self.store.lease(job).await.map_err(Error::store("reading the leases"))?;
            return match lease {
                Some((holder, until)) if until > self.clock.now() && !is_dead(&holder) => {
                    Err(Error::Busy { holder, since: self.running_since(job).await?, until })
                }
                Some(_) | None => Ok(Held { job: job.to_owned(), _beat: None }),
            };
        }
        let mut wait = Wait::new();
        loop {
            let now = self.clock.now();
            let lease = self.store.acquire_lease(job, self.holder.text(), now, TERM).await;
            match lease.map_err(Error::store("taking the job's lease"))? {
                Lease::Held => return Ok(self.held(job)),
                Lease::Left => return self.clear_up(self.held(job), now).await,
                Lease::Kept => return self.close_our_own(self.held(job), now).await,
                Lease::Busy { holder, until } => self.stand_by(job, &mut wait, (&holder, until), now).await?,
            }
        }
    }

    /// The job's lease, which is ours, renewed from now on.
    pub(super) fn held(&self, job: &str) -> Held {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let (job, holder) = (job.to_owned(), self.holder.text().to_owned());
        let beating = job.clone();
        let beat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                // A page's transaction finds out by itself whether the lease still holds.
                match store.renew_lease(&beating, &holder, clock.now(), TERM).await {
                    Ok(()) => {}
                    Err(error @ store::Error::Lost { .. }) => {
                        tracing::warn!(job = beating, %error, "the job's lease is lost: this process stood still for too long");
                        break;
                    }
                    // A page that is being written holds the lease's row until it ends, and renews it itself; a database
                    // that is away ends the run, which says so.
                    Err(error) => tracing::debug!(job = beating, %error, "the job's lease could not be renewed"),
                }
            }
        });
        Held { job, _beat: Some(AbortOnDropHandle::new(beat)) }
    }

    /// Waits a little for who has the lease at `now`, or takes his place if he is dead.
    pub(super) async fn stand_by(
        &self,
        job: &str,
        wait: &mut Wait,
        (holder, until): (&str, DateTime<Utc>),
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let is_ours = holder == self.holder.text();
        let is_first = wait.seen.is_none();
        match wait.judge(holder, until, now) {
            Verdict::Wait(_) | Verdict::TooLong if !is_ours && is_dead(holder) => self.take_over(job, holder).await,
            Verdict::Dead => self.take_over(job, holder).await,
            Verdict::TooLong => Err(Error::Busy { holder: holder.to_owned(), since: wait.since, until }),
            Verdict::Wait(patience) => {
                if is_first {
                    wait.since = self.running_since(job).await?;
                    self.say_whom_we_wait_for(job, holder, wait.since, patience);
                }
                tokio::time::sleep(LOOK).await;
                Ok(())
            }
        }
    }

    async fn take_over(&self, job: &str, holder: &str) -> Result<(), Error> {
        tracing::info!(job, holder, "taking over the lease of a process that died");
        let left = self.store.leave_lease(job, holder).await;
        left.map_err(Error::store("taking over a lease"))
    }

    /// When the job's run that is going on was started.
    async fn running_since(&self, job: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let open = self.store.open_run_of(job).await.map_err(Error::store("reading the run log"))?;
        Ok(open.map(|run| run.started_at))
    }

    /// Not to one who waits for himself: a round that was told to stop is still ending.
    fn say_whom_we_wait_for(&self, job: &str, holder: &str, started: Option<DateTime<Utc>>, patience: Duration) {
        if holder != self.holder.text() {
            let (holder, started) = (process(holder), running_since(started));
            tracing::warn!(job, "{holder} runs this job{started}; waiting for it, up to {} s", patience.as_secs());
        }
    }

    /// Closes the runs that a dead process left open, after a look whether the database survived its end. Where it did
    /// not, they stay open and the lease is anybody's who looks again: nothing is written until it is mended.
    pub(super) async fn clear_up(&self, held: Held, now: DateTime<Utc>) -> Result<Held, Error> {
        self.holder.note_open(&held.job, false);
        match self.try_to_clear_up(&held.job, now).await {
            Ok(()) => Ok(held),
            Err(error) => {
                if let Err(error) = self.store.leave_lease(&held.job, self.holder.text()).await {
                    tracing::warn!(job = held.job, %error, "the job's lease could not be let go; it ends by itself");
                }
                Err(error)
            }
        }
    }

    /// Closes the runs that this very process left open: cut off, or ended while the database was away. What a process does
    /// that lives comes to the database whole, so that there is nothing to look through. Not so where it took the lease of a
    /// dead one and never came to see to that.
    pub(super) async fn close_our_own(&self, held: Held, now: DateTime<Utc>) -> Result<Held, Error> {
        if !self.holder.note_open(&held.job, false) {
            return self.clear_up(held, now).await;
        }
        let closed = self.store.abandon_runs(&held.job, CUT_OFF, now).await;
        if closed.map_err(Error::store("closing the run before"))? > 0 {
            tracing::info!(
                job = held.job,
                "the run before was cut off, or how it ended could not be kept: it is closed"
            );
        }
        Ok(held)
    }

    async fn try_to_clear_up(&self, job: &str, now: DateTime<Utc>) -> Result<(), Error> {
        if !self.store.has_open_run(job).await.map_err(Error::store("reading the run log"))? {
            return Ok(());
        }
        tracing::info!(job, "the process of the last run ended before it: looking through the local database");
        self.store
            .examine()
            .await
            .map_err(Error::store("looking through the local database after an unclean end"))?;
        let abandoned = self.store.abandon_runs(job, ABANDONED, now).await;
        abandoned.map_err(Error::store("closing the runs of a process that died")).map(|_count| ())
    }

    /// Opens a transaction in which the job's lease is held, and kept from others until it ends. Nothing has been done in it,
    /// so that one which loses a deadlock or its connection is opened again.
    pub(super) async fn begin_held(&self, job: &str) -> Result<PageTx, Error> {
        let mut repeated = 0;
        loop {
            match self.try_to_begin_held(job).await {
                Err(Error::Store { cause, .. }) if cause.is_passing() && repeated < REPEATS => {
                    tracing::debug!(job, %cause, "the transaction is opened again");
                    repeated += 1;
                }
                begun => return begun,
            }
        }
    }

    async fn try_to_begin_held(&self, job: &str) -> Result<PageTx, Error> {
        let mut tx = self.store.begin().await.map_err(Error::store("opening a transaction"))?;
        let held = tx.hold_lease(job, self.holder.text(), until(self.clock.now())).await;
        held.map_err(Error::store("holding the job's lease"))?;
        Ok(tx)
    }

    /// Gives a lease back.
    pub(super) async fn give_back(&self, lease: Held) {
        if self.store.is_dry_run() {
            return;
        }
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
        let me = this_process();
        assert!(!is_dead(&me));
        let (rest, _) = me.rsplit_once('/').unwrap();
        assert!(is_dead(&format!("{rest}/1")));
        assert!(!is_dead(&format!("elsewhere{me}")));
        assert!(!is_dead("somebody"));
    }

    #[test]
    fn a_process_that_sees_another_boot_lives_while_it_is_there_and_this_program() {
        let other_boot = |pid: u32| {
            let [host, _, namespace] = machine();
            format!("{host}/another-boot/{namespace}/{pid}/{}", start_time(pid).unwrap())
        };
        let folder = tempfile::tempdir().unwrap();
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let alike = folder.path().join(name.trim());
        std::fs::copy("/bin/sleep", &alike).unwrap();
        let mut alike = std::process::Command::new(&alike).arg("600").spawn().unwrap();
        let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let (lives, is_other) = (other_boot(alike.id()), other_boot(other.id()));
        // It is named after its file once that is loaded.
        while !is_of_this_program(alike.id()) {
            std::thread::yield_now();
        }
        assert_eq!(life(&lives), Life::Runs { pid: i32::try_from(alike.id()).unwrap() });
        assert_eq!(life(&is_other), Life::Over);
        assert_eq!(life(&other_boot(std::process::id())), Life::Over);
        for child in [&mut alike, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(life(&lives), Life::Over);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_of_a_clock_that_was_ahead_is_anybodys_once_nobody_moved_it_for_a_term() {
        let moment = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (today, ahead) = (moment("2027-01-01T00:00:00Z"), moment("2031-01-01T00:00:00Z"));
        let mut wait = Wait::new();
        assert_eq!(wait.judge("a", ahead, today), Verdict::Wait(TERM + BEAT));
        tokio::time::advance(TERM - BEAT).await;
        assert_eq!(wait.judge("a", ahead, today), Verdict::Wait(TERM + BEAT));
        tokio::time::advance(BEAT).await;
        assert_eq!(wait.judge("a", ahead, today), Verdict::Dead);
        // One that lives moves it on, with whatever clock.
        assert_eq!(wait.judge("a", ahead + BEAT, today), Verdict::Wait(TERM + BEAT));
        tokio::time::advance(BEAT).await;
        assert_eq!(wait.judge("a", ahead + 2 * BEAT, today), Verdict::TooLong);
        // An ordinary lease is waited for less, and never taken before its end.
        let mut wait = Wait::new();
        assert_eq!(wait.judge("a", today + TERM, today), Verdict::Wait(PATIENCE));
        tokio::time::advance(PATIENCE).await;
        assert_eq!(wait.judge("a", today + TERM, today), Verdict::TooLong);
    }
}
