//! The daemon's life, from its first look at the file to its end, with one version of the file in force after another.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Offer};
use super::engine::{Ends, Look, round};
use super::handover::{Moved, at_once, told};
use super::notice::Notice;
use super::notify::Manager;
use super::outlet::{Address, Kept, Outlet, Page};
use super::pulse::Pulse;
use super::reload::{Refusal, Reloader, check, say_refused};
use super::retries::{Retries, Standing};
use super::rival::{self, Rival};
use super::roster::Roster;
use super::rounds::Turn;
use super::shown::Shown;
use super::shutdown::stop_on_signals;
use super::ticker::Times;
use super::version::{InForce, Newer, id_of, sentences};
use super::watch::Watch;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::retry::{Backoff, Teller};
use crate::run;
use crate::store::Store;
use crate::sync::{Engine, Error, Watcher};

/// Between two looks at a database that is not there yet, as after a start of the machine. They never end.
const OPENING: Backoff =
    Backoff { max_attempts: u32::MAX, first_delay: Duration::from_secs(1), max_delay: Duration::from_secs(60) };

/// How long the database's connections may take to close when the daemon ends, and what is said last to be written.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a takeover waits for a database to be told and to tell: no round runs meanwhile. What it did not take is written
/// later.
const TELLING: Duration = Duration::from_secs(5);

/// The daemon of the file `path`: waits for the local database where it must, and keeps the outlet in step until SIGTERM
/// or SIGINT, by the newest good version of the file.
///
/// # Errors
/// A file that does not check; the status page's address is taken, or the local database needs a person. What goes wrong
/// later is logged.
pub async fn run(path: &Path) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(&stop);
    let text = config::read(path)?;
    let config = Arc::new(config::load_text(path, &text)?);
    let watch = Watch::new(path, text.clone());
    let manager = Manager::of_process();
    manager.hears_of(&stop);
    let (watcher, ends) = Ends::heard(&config, manager.watcher());
    let shown = Shown::default();
    let address = match (Address::take(config.daemon.listen).await, config.daemon.listen) {
        (Err(error), Some(listen)) => return Err(Box::pin(rival::named(error, listen, &config)).await),
        (taken, _) => taken?,
    };
    let page = Page::open(address, shown.read(), Arc::clone(&ends.totals), &stop);
    let version = Version { text, config, watcher, ends };
    let mut start = Start { path, shown, manager, stop: stop.clone(), watch, version, page, refused: None };
    match Box::pin(start.open()).await {
        Ok(Some((engine, look))) => Box::pin(start.live(engine, look)).await,
        Ok(None) => {
            start.page.close().await;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps the outlet in step, with an engine that is open and by its clock, until told to stop.
///
/// # Errors
/// The status page's address is taken, or the local database cannot be read. What goes wrong later is logged.
pub async fn run_until(engine: Arc<Engine>, ends: Ends, stop: CancellationToken) -> anyhow::Result<()> {
    let shown = Shown::default();
    shown.set(Ok(Arc::clone(&engine)));
    let address = Address::take(engine.config().daemon.listen).await?;
    let page = Page::open(address, shown.read(), Arc::clone(&ends.totals), &stop);
    let roster = Roster::of(engine.config());
    let look = Look::by(&engine, &roster).await?;
    let times = (engine.clock().clone(), Pulse::default());
    let mut outlet = Outlet::start(Times::of(&roster), look, times).await?;
    // Nobody waits for his turn, so that it ends with the daemon.
    if let Kept::Stopped { cut_off } = Box::pin(keep(&mut outlet, &engine, &ends, &Turn::under(&stop), &stop)).await {
        outlet.stop(cut_off).await;
    }
    page.close().await;
    Ok(())
}

/// Runs rounds by this engine until told to stop or to make way.
async fn keep(outlet: &mut Outlet, engine: &Arc<Engine>, ends: &Ends, turn: &Turn, stop: &CancellationToken) -> Kept {
    let running = |jobs, trigger| round(Arc::clone(engine), Arc::clone(&ends.report), jobs, trigger, turn.halt.clone());
    outlet.keep(running, &ends.ended, turn, stop).await
}

/// A version of the file, as long as the database is not open.
struct Version {
    text: String,
    config: Arc<Config>,
    watcher: Watcher,
    ends: Ends,
}

/// A daemon before its database is open.
struct Start<'p> {
    path: &'p Path,
    shown: Shown,
    manager: Manager,
    stop: CancellationToken,
    watch: Watch,
    version: Version,
    page: Page,
    refused: Option<(Option<String>, Refusal)>,
}

impl Start<'_> {
    /// Opens the engine, as often as it takes, by the newest good version of the file; `None` where told to stop before.
    async fn open(&mut self) -> Result<Option<(Arc<Engine>, Look)>, Error> {
        loop {
            let (config, watcher) = (Arc::clone(&self.version.config), Arc::clone(&self.version.watcher));
            let open = || async {
                let opened = Engine::open(Arc::clone(&config), Clock::system(), Arc::clone(&watcher)).await;
                opened.map(|engine| engine.guarded(self.path).of_daemon())
            };
            let seen = tokio::select! {
                biased;
                opened = Box::pin(opened(open, &self.shown, &self.manager, &self.stop)) => return opened,
                seen = self.watch.next() => seen,
            };
            let id = seen.text.as_ref().ok().map(|text| id_of(text));
            let judged = match seen.text {
                Ok(text) => self.turn_to(text).await,
                Err(problems) => Err(Refusal { problems: sentences(&problems), may_pass: false }),
            };
            if let Err(refusal) = &judged {
                say_refused(self.path, refusal, id.is_some());
            }
            self.refused = judged.err().map(|refusal| (id, refusal));
        }
    }

    async fn turn_to(&mut self, text: String) -> Result<(), Refusal> {
        let config = Arc::new(check(self.path, &text).await?);
        let held = self.version.config.daemon.listen;
        if config.daemon.listen != held {
            let refuse = |error| Refusal { problems: vec![format!("{error:#}")], may_pass: false };
            let address = Address::take_beside(held, config.daemon.listen).await.map_err(refuse)?;
            let page = Page::open(address, self.shown.read(), Arc::clone(&self.version.ends.totals), &self.stop);
            std::mem::replace(&mut self.page, page).close().await;
        }
        let (watcher, ends) = self.version.ends.again(&config, self.manager.watcher());
        tracing::info!(version = id_of(&text), "the edited file is good, and in force");
        self.version = Version { text, config, watcher, ends };
        Ok(())
    }

    /// Lives on with this engine until told to stop.
    async fn live(self, engine: Arc<Engine>, look: Look) -> anyhow::Result<()> {
        let Self { path, shown, manager, stop, watch, version: Version { text, ends, .. }, page, refused } = self;
        let (clock, roster) = (engine.clock().clone(), Roster::of(engine.config()));
        let in_force = InForce { id: id_of(&text), loaded_at: clock.now() };
        let notice = Arc::new(Notice::new(path, in_force, roster.clone(), clock.now()));
        if let Some((id, refusal)) = &refused {
            notice.newer(Some(Newer::refused(id.clone(), &refusal.problems, clock.now())));
        }
        // Its word would be overwritten, and whoever asks be told of this one.
        if let Some(rival) = Rival::on(engine.store()).await {
            page.close().await;
            anyhow::bail!("{}", rival.runs_already());
        }
        notice.write(engine.store()).await;
        if let Err(error) = engine.keep_outlines().await {
            tracing::debug!(error = error.chain(), "the mappings in force could not be kept in words");
        }
        shown.show_version(&notice);
        let pulse = Pulse::default();
        manager.is_ready(&look.snapshot);
        manager.is_fed(pulse.clone(), shown.touch(), &stop);
        let turn = Turn::under(&stop);
        let desk = Desk::new(text, Arc::clone(&engine), turn.clone());
        let reloader = Reloader {
            path: path.to_owned(),
            watch,
            desk: desk.clone(),
            notice: Arc::clone(&notice),
            ends: ends.again(engine.config(), manager.watcher()).1,
            manager: manager.clone(),
            refused: refused.map(|(_, refusal)| refusal),
        };
        let watching = tokio::spawn(reloader.run());
        let outlet = Outlet::start(Times::of(&roster), look, (clock, pulse)).await?;
        let mut life = Life { outlet, engine, ends, roster, page, shown, notice, manager, stop };
        let cut_off = life.go_on(&desk, turn).await;
        watching.abort();
        life.end(cut_off).await;
        Ok(())
    }
}

/// Opens the engine and takes the first look at the jobs, as often as it takes; `None` where told to stop before.
async fn opened<Opening: Future<Output = Result<Engine, Error>>>(
    open: impl Fn() -> Opening,
    shown: &Shown,
    manager: &Manager,
    stop: &CancellationToken,
) -> Result<Option<(Arc<Engine>, Look)>, Error> {
    let mut failed: u32 = 0;
    loop {
        let opening = async {
            let engine = Arc::new(open().await?);
            let look = Look::by(&engine, &Roster::of(engine.config())).await?;
            Ok::<_, Error>((engine, look))
        };
        let error = match stop.run_until_cancelled(opening).await {
            None => return Ok(None),
            Some(Ok((engine, look))) => {
                if failed > 0 {
                    tracing::info!(tries = failed + 1, "the local database is open");
                }
                shown.set(Ok(Arc::clone(&engine)));
                return Ok(Some((engine, look)));
            }
            Some(Err(error)) if error.status() == run::Status::Blocked => return Err(error),
            Some(Err(error)) => error,
        };
        failed = failed.saturating_add(1);
        let (chain, remedy) = (error.chain(), error.remedy(Teller::Daemon));
        shown.set(Err(chain.clone()));
        manager.waits(&chain);
        // At growing distances, as the same is tried for as long as it takes.
        if failed.is_power_of_two() {
            tracing::warn!(tries = failed, error = chain, remedy, "waiting for the local database");
        }
        let wait = OPENING.wait(failed, None, rand::random()).unwrap_or(OPENING.max_delay);
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            return Ok(None);
        }
    }
}

/// A daemon that runs.
struct Life {
    outlet: Outlet,
    engine: Arc<Engine>,
    ends: Ends,
    roster: Roster,
    page: Page,
    shown: Shown,
    notice: Arc<Notice>,
    manager: Manager,
    stop: CancellationToken,
}

impl Life {
    /// Runs rounds, by one version after another, until told to stop; gives how many had to be cut off.
    async fn go_on(&mut self, desk: &Desk, mut turn: Turn) -> usize {
        loop {
            let kept = Box::pin(keep(&mut self.outlet, &self.engine, &self.ends, &turn, &self.stop)).await;
            if let Kept::Stopped { cut_off } = kept {
                return cut_off;
            }
            if let Some(offer) = desk.take() {
                Box::pin(self.take_over(offer)).await;
            }
            turn = Turn::under(&self.stop);
            desk.begin(&turn);
        }
    }

    /// Has a version take over, between two rounds.
    async fn take_over(&mut self, offer: Offer) {
        let Offer { text, engine, ends, mut look, is_same_database, address } = offer;
        let (was, is) = (self.engine.config(), engine.config());
        let is_same_hq = was.hq.is_same(&is.hq);
        let roster = Roster::of(is);
        let stuck = self.outlet.standing(|standing| match standing {
            Standing::Blocked => true,
            Standing::Failed { .. } => !is_same_hq,
            Standing::Calm => false,
        });
        let moved = Moved::between(&self.roster, &roster);
        self.outlet.turn(Times::of(&roster), Retries::of_roster(&roster), &moved);
        // Reckoned up to a moment at which the new times hold: what came due since the version was opened is missed, too.
        look.snapshot.now = engine.clock().now();
        let missed = at_once((&self.roster, &roster), &look.snapshot, is_same_database, stuck);
        self.outlet.add(missed);
        self.outlet.owe(look.owed);
        if let Some(address) = address {
            let page = Page::open(address, self.shown.read(), Arc::clone(&ends.totals), &self.stop);
            std::mem::replace(&mut self.page, page).close().await;
        }
        self.shown.set(Ok(Arc::clone(&engine)));
        let names: Vec<&str> = roster.jobs.iter().map(|job| job.name.as_str()).collect();
        ends.report.only(&names);
        let version = id_of(&text);
        let in_force = InForce { id: version.clone(), loaded_at: engine.clock().now() };
        let (new, gone) = told(&self.roster, &roster);
        tracing::info!(version, jobs = roster.jobs.len(), ?new, ?gone, "the edited file is in force");
        let until = Instant::now() + TELLING;
        if is_same_database {
            self.say_what_stays(&gone, engine.store(), until).await;
        } else {
            tracing::warn!(was = was.local.shown(), is = is.local.shown(), "the outlet's database is another one now");
            Box::pin(self.in_time(until, self.notice.leave(self.engine.store(), engine.clock().now()))).await;
        }
        self.notice.in_force(in_force, roster.clone());
        Box::pin(self.in_time(until, self.notice.write(engine.store()))).await;
        self.manager.is_ready(&look.snapshot);
        (self.engine, self.ends, self.roster) = (engine, ends, roster);
    }

    /// Does this as long as nobody stops the daemon and it takes no longer; `None` where it was given up.
    async fn in_time<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        self.stop.run_until_cancelled(timeout_at(until, work)).await?.ok()
    }

    /// Says of jobs that are no more what they leave behind.
    async fn say_what_stays(&self, gone: &[String], store: &Store, until: Instant) {
        for job in gone {
            let Some(entry) = self.roster.position(job).and_then(|at| self.roster.jobs.get(at)) else { continue };
            let rows = self.in_time(until, store.count_entries(job)).await.and_then(Result::ok);
            tracing::warn!(
                job,
                rows,
                table = entry.table,
                "the job is no more: its rows stay as they are, and what milkrun knows of them, should it come back"
            );
        }
    }

    async fn end(self, cut_off: usize) {
        self.outlet.stop(cut_off).await;
        self.page.close().await;
        let store = self.engine.store();
        let closing = async {
            self.notice.stopped(self.engine.clock().now());
            self.notice.write(store).await;
            store.close().await;
        };
        if timeout(CLOSING, closing).await.is_err() {
            tracing::warn!("the local database did not let go in time; what was not committed is rolled back");
        }
    }
}
