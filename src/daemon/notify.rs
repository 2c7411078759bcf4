//! What a service manager is told: that the daemon is ready, reads its file again, is ending, how the jobs stand, and, for
//! its watchdog, that the daemon still moves. Without a `NOTIFY_SOCKET` nothing is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sd_notify::NotifyState;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::pulse::{Pulse, Still};
use super::snapshot::{self, JobSnapshot, Snapshot};
use crate::run::{self, Run};
use crate::sync::{Event, Watcher};

/// How much longer a start may take, said with each try: a database that is not up yet is waited for, however long that is, and
/// a start that does not even try any more is ended.
const MORE_PATIENCE: Duration = Duration::from_secs(180);

/// Looks within the watchdog's time: one that fails leaves time for another.
const LOOKS: u32 = 3;

/// The service manager that has started this process; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Manager(Option<Arc<Mutex<Board>>>);

/// How the jobs stand, for the one line that is shown of them.
#[derive(Debug, Default)]
struct Board {
    zone: Tz,
    jobs: BTreeMap<String, Standing>,
    /// The line that was sent last.
    told: String,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    good: Option<DateTime<Utc>>,
    needs_a_person: bool,
    has_failed: bool,
}

impl Manager {
    /// The one that asked this process to tell it.
    pub(super) fn of_process() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").map(|_socket| Arc::default()))
    }

    /// The local database is not there yet.
    pub(super) fn waits(&self, error: &str) {
        let status = format!("waiting for the local database: {error}");
        let more = u32::try_from(MORE_PATIENCE.as_micros()).unwrap_or(u32::MAX);
        self.send(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(&one_line(&status))]);
    }

    /// The first look at the jobs is done: from now on the outlet is kept in step.
    pub(super) fn is_ready(&self, first: &Snapshot) {
        let Some(status) = self.with(|board| {
            board.zone = first.time_zone;
            let mut known = std::mem::take(&mut board.jobs);
            // Of jobs that were there before, the ends of their runs say more than a look that may be old by now.
            let standing = |job: &JobSnapshot| {
                let known = known.remove(&job.name);
                (job.name.clone(), known.unwrap_or_else(|| Standing::of(job.last_ok, job.status)))
            };
            board.jobs = first.jobs.iter().map(standing).collect();
            board.tell()
        }) else {
            return;
        };
        self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The file is read again; [`Manager::is_ready`] ends that, whatever came of it.
    pub(super) fn reads_again(&self) {
        // The manager holds this against its own clock, so that it knows which request is answered.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
        }
    }

    /// The file was read again, and nothing comes of it.
    pub(super) fn is_still_ready(&self) {
        if let Some(status) = self.with(Board::tell) {
            self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
        }
    }

    /// Tells when `stop` is cancelled.
    pub(super) fn hears_of(&self, stop: &CancellationToken) {
        if self.0.is_none() {
            return;
        }
        let (manager, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            stop.cancelled().await;
            manager.send(&[NotifyState::Stopping, NotifyState::Status("ending the runs at their next page")]);
        });
    }

    /// What the engine is to be opened with so that the line follows the runs.
    pub(super) fn watcher(&self) -> Watcher {
        let manager = self.clone();
        Arc::new(move |event| {
            if let Event::Ended(run, _) = event {
                manager.ended(run);
            }
        })
    }

    fn ended(&self, run: &Run) {
        let line = self.with(|board| {
            let standing = board.jobs.get_mut(&run.job)?;
            standing.ended(run);
            let told = board.told.clone();
            Some(board.tell()).filter(|line| *line != told)
        });
        if let Some(line) = line.flatten() {
            self.send(&[NotifyState::Status(&line)]);
        }
    }

    /// Feeds the manager's watchdog, where it has one, as long as the daemon moves: the ticker looks, the rounds' loop
    /// answers, and the local database does, if only to say no. It is not for an outage: a restart brings no database back.
    pub(super) fn is_fed<Answer>(
        &self,
        pulse: Pulse,
        database: impl Fn() -> Answer + Send + 'static,
        stop: &CancellationToken,
    ) where
        Answer: Future<Output = ()> + Send,
    {
        let Some(limit) = self.0.as_ref().and_then(|_told| sd_notify::watchdog_enabled()) else { return };
        let (manager, stop, every) = (self.clone(), stop.clone(), limit / LOOKS);
        tokio::spawn(async move {
            while stop.run_until_cancelled(sleep(every)).await.is_some() {
                let answer = database();
                match moves(&pulse, answer, every).await {
                    Ok(()) => manager.send(&[NotifyState::Watchdog]),
                    Err(what) => tracing::error!(
                        seconds = every.as_secs(),
                        "{what} gave no sign of life; the service manager's watchdog is not fed, which restarts milkrun \
                         unless that ends"
                    ),
                }
            }
        });
    }

    fn with<T>(&self, what: impl FnOnce(&mut Board) -> T) -> Option<T> {
        // A board is never left half-written.
        self.0.as_ref().map(|board| what(&mut board.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn send(&self, said: &[NotifyState<'_>]) {
        if self.0.is_none() {
            return;
        }
        if let Err(error) = sd_notify::notify(said) {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }
}

/// Whether everything moves that has to; what does not.
async fn moves(pulse: &Pulse, database: impl Future<Output = ()>, patience: Duration) -> Result<(), &'static str> {
    match pulse.felt(patience).await {
        Err(Still::Ticker) => return Err("the ticker"),
        Err(Still::Rounds) => return Err("the loop that starts the runs"),
        Ok(()) => {}
    }
    timeout(patience, database).await.map_err(|_elapsed| "the local database")
}

impl Standing {
    fn of(good: Option<DateTime<Utc>>, status: snapshot::Status) -> Self {
        let needs_a_person = status == snapshot::Status::Blocked;
        Self { good, needs_a_person, has_failed: status == snapshot::Status::Failed }
    }

    fn ended(&mut self, run: &Run) {
        if run.trigger.is_whole() {
            self.needs_a_person = run.status == run::Status::Blocked;
            self.has_failed = run.status == run::Status::Failed;
            if run.status.is_done() {
                self.good = Some(run.started_at);
            }
        }
    }
}

impl Board {
    /// The line, which is sent with this.
    fn tell(&mut self) -> String {
        self.told = self.line();
        self.told.clone()
    }

    /// `5 jobs, as of 2026-11-26 07:42`, which is how old the oldest is; and which need a person.
    fn line(&self) -> String {
        let count = self.jobs.len();
        let mut line = format!("{count} {}", if count == 1 { "job" } else { "jobs" });
        let names = |is_meant: fn(&Standing) -> bool| -> Vec<&str> {
            self.jobs.iter().filter(|(_, job)| is_meant(job)).map(|(name, _)| name.as_str()).collect()
        };
        let told = [
            ("blocked", names(|job| job.needs_a_person)),
            ("failed", names(|job| job.has_failed)),
            ("not yet here", names(|job| job.good.is_none() && !job.needs_a_person && !job.has_failed)),
        ];
        for (word, names) in told.into_iter().filter(|(_, names)| !names.is_empty()) {
            line.push_str(&format!(", {word}: {}", names.join(" ")));
        }
        if let Some(oldest) = self.jobs.values().filter_map(|job| job.good).min() {
            line.push_str(&format!(", as of {}", oldest.with_timezone(&self.zone).format("%Y-%m-%d %H:%M")));
        }
        one_line(&line)
    }
}

/// A line break would begin a word of its own to the manager.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::ended;
    use super::*;

    #[test]
    fn the_line_says_how_many_jobs_how_old_the_oldest_is_and_which_need_somebody() {
        let mut board = Board { zone: chrono_tz::Asia::Kolkata, ..Board::default() };
        for name in ["items", "prices"] {
            board.jobs.insert(name.to_owned(), Standing::of(None, snapshot::Status::Never));
        }
        assert_eq!(board.line(), "2 jobs, not yet here: items prices");
        let run = |status, started_at| ended(status, started_at);
        let mut end = |job: &str, run: &Run| board.jobs.get_mut(job).unwrap().ended(run);
        end("items", &run(run::Status::Ok, "2027-01-01T00:05:00Z"));
        end("prices", &run(run::Status::Ok, "2027-01-01T00:00:00Z"));
        end("prices", &run(run::Status::Blocked, "2027-01-01T00:05:00Z"));
        assert_eq!(board.line(), "2 jobs, blocked: prices, as of 2027-01-01 05:30");
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_gives_no_answer_is_named() {
        let pulse = Pulse::default();
        let living = pulse.clone();
        tokio::spawn(async move {
            loop {
                living.asked().await;
                living.answer();
                living.looked();
            }
        });
        let patience = Duration::from_secs(60);
        assert_eq!(moves(&pulse, async {}, patience).await, Ok(()));
        assert_eq!(moves(&pulse, std::future::pending(), patience).await, Err("the local database"));
    }
}
