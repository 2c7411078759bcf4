//! What becomes of an edited `sync.toml`: it is checked as a whole, its examples are tried, and all that it needs is opened;
//! then it waits for its turn. A version that fails any of that is refused as a whole, and the one in force stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::desk::{Desk, Offer};
use super::engine::{Ends, Look};
use super::notice::Notice;
use super::notify::Manager;
use super::outlet::Address;
use super::roster::Roster;
use super::version::{Newer, id_of, sentences};
use super::watch::{Seen, Watch};
use crate::config::{self, Config};
use crate::retry::Teller;
use crate::run::Status;
use crate::sync::{Engine, Error};

/// When a version that was refused for something that may pass, as a database that is away, is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// When what could not be noted in the database is written again.
const NOTED_AGAIN: Duration = Duration::from_secs(15);

/// Why a version is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What is wrong, a sentence each.
    pub(super) problems: Vec<String>,
    /// It may be good later, with nothing edited.
    pub(super) may_pass: bool,
}

/// Checks the text of the file, and tries the examples in it.
pub(super) async fn check(path: &Path, text: &str) -> Result<Config, Refusal> {
    let (path, text) = (path.to_owned(), text.to_owned());
    // Files that are named in it may lie on a disk that answers slowly.
    let checked = tokio::task::spawn_blocking(move || {
        let config = config::load_text(&path, &text).map_err(|problems| sentences(&problems))?;
        config.failed_examples().map_or(Ok(config), |failed| Err(sentences(&failed)))
    });
    let checked = checked.await.unwrap_or_else(|_panic| Err(vec!["the check of the file broke down".to_owned()]));
    checked.map_err(|problems| Refusal { problems, may_pass: false })
}

/// Says, loudly, that a version is refused; or that there is none, as the file is gone.
pub(super) fn say_refused(path: &Path, refusal: &Refusal, is_there: bool) {
    let problems = refusal.problems.len();
    if is_there {
        tracing::error!(file = %path.display(), problems, "the edited file is refused; the version in force stays");
    } else {
        tracing::error!(
            file = %path.display(),
            "the file is gone or cannot be read; the daemon goes on by the version in force until it is there again"
        );
    }
    for problem in &refusal.problems {
        tracing::error!("{problem}");
    }
}

/// Watches the file of a daemon that runs.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) watch: Watch,
    pub(super) desk: Desk,
    pub(super) notice: Arc<Notice>,
    pub(super) ends: Ends,
    pub(super) manager: Manager,
    /// What was refused last, so that the same is said once.
    pub(super) refused: Option<Refusal>,
}

impl Reloader {
    /// Takes up every edit, for ever.
    pub(super) async fn run(mut self) {
        let mut again = None;
        loop {
            tokio::select! {
                seen = self.watch.next() => again = Box::pin(self.take_up(seen)).await,
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                    let seen = Seen {
                        text: self.watch.read_twice().await,
                        is_asked: false,
                        has_other_values: false,
                    };
                    again = Box::pin(self.take_up(seen)).await;
                }
                () = sleep(NOTED_AGAIN) => if self.notice.is_owed() { self.note().await },
            }
        }
    }

    /// Takes up what was seen; gives when to try again by itself.
    async fn take_up(&mut self, seen: Seen) -> Option<Instant> {
        self.manager.reads_again();
        // What waits is not what the file says any more.
        self.desk.withdraw();
        let id = seen.text.as_ref().ok().map(|text| id_of(text));
        let judged = match seen.text {
            Ok(text) => Box::pin(self.judge(text, seen.has_other_values)).await,
            Err(problems) => Err(Refusal { problems: sentences(&problems), may_pass: false }),
        };
        let refusal = judged.err();
        let now = self.desk.in_force().1.clock().now();
        if let Some(refusal) = &refusal {
            let is_said = self.refused.as_ref().is_some_and(|said| said.problems == refusal.problems);
            if !is_said || seen.is_asked {
                say_refused(&self.path, refusal, id.is_some());
            }
            self.notice.newer(Some(Newer::refused(id, &refusal.problems, now)));
            self.manager.is_still_ready();
        }
        if seen.is_asked {
            self.notice.answered();
        }
        self.note().await;
        let may_pass = refusal.as_ref().is_some_and(|refusal| refusal.may_pass);
        self.refused = refusal;
        may_pass.then(|| Instant::now() + AGAIN)
    }

    /// Judges a text that can be read, and hands it on where it is to take over.
    async fn judge(&mut self, text: String, has_other_values: bool) -> Result<(), Refusal> {
        let (in_force, engine) = self.desk.in_force();
        let is_same = text == in_force;
        if is_same && !has_other_values {
            self.stays("the file is again as it is in force");
            return Ok(());
        }
        let config = Arc::new(check(&self.path, &text).await?);
        if is_same && !names_files(&text) && config.hq.is_same(&engine.config().hq) {
            self.stays("the file was read again: it is as it is in force");
            return Ok(());
        }
        let offer = Box::pin(self.open(text, config, &engine)).await?;
        let (version, now) = (id_of(&offer.text), engine.clock().now());
        tracing::info!(version, "the edited file is good; it takes over when the runs that are going on have ended");
        self.notice.waits(&version, now);
        self.desk.offer(offer);
        Ok(())
    }

    fn stays(&self, why: &str) {
        tracing::info!("{why}");
        self.notice.newer(None);
        self.manager.is_still_ready();
    }

    /// Opens all that the version needs beside what runs.
    async fn open(&self, text: String, config: Arc<Config>, engine: &Engine) -> Result<Offer, Refusal> {
        let refuse = |error: Error| Refusal {
            problems: vec![format!("{}: {}; {}", self.path.display(), error.chain(), error.remedy(Teller::Daemon))],
            may_pass: error.status() != Status::Blocked,
        };
        let (watcher, ends) = self.ends.again(&config, self.manager.watcher());
        let opened = engine.successor(Arc::clone(&config), &self.path, watcher).await.map_err(refuse)?;
        let roster = Roster::of(&config);
        let look = Look::by(&opened, &roster).await.map_err(refuse)?;
        // What cannot be told apart is taken for another one, which costs each job a run.
        let is_same_database = opened.shares_database_with(engine).await.unwrap_or(false);
        let held = engine.config().daemon.listen;
        let address = if config.daemon.listen == held {
            None
        } else {
            let taken = Address::take_beside(held, config.daemon.listen).await;
            let refuse =
                |error| Refusal { problems: vec![format!("{}: {error:#}", self.path.display())], may_pass: true };
            Some(taken.map_err(refuse)?)
        };
        Ok(Offer { text, engine: Arc::new(opened), ends, look, is_same_database, address })
    }

    async fn note(&self) {
        self.notice.write(self.desk.in_force().1.store()).await;
    }
}

/// Whether what the text means may have changed while it did not.
fn names_files(text: &str) -> bool {
    text.contains("${file:")
}
