//! One history: HQ, the outlet and milkrun in one process, on a clock that only the history moves.

mod faults;
mod hq;
mod outlet;
mod rest;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Kolkata;
use futures_util::FutureExt as _;
use milkrun::clock::Clock;
use milkrun::config;
use milkrun::conflict::Side;
use milkrun::crash::{Point, trap};
use milkrun::demo::{self, DocType, Field, Late, Naming, Server, Site, User, When, data};
use milkrun::record::Stamp;
use milkrun::run::{Run, Status, Trigger};
use milkrun::sync::{Engine, Mode, Order};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::local::{Local, Row};
use super::oracle::{Kind, Oracle, Records, Seen};
use super::plan::{self, COLUMNS, DOCTYPES, JOBS, Job, LONGEST, NAMES, PRICE};
use super::rules::Winner;
use super::step::Step;
use faults::{faults, is_lie};
use rest::check_counts;

const MANAGER: &str = "manager@hq.example";
const START: &str = "2026-03-01T06:00:00Z";

/// How late a transaction may commit; `overlap` of the jobs is 30 minutes.
const LATEST: TimeDelta = TimeDelta::minutes(29);

/// What a history did, for the numbers that are told.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) rounds: usize,
    pub(crate) cut: usize,
    pub(crate) not_done: usize,
    pub(crate) unsure: usize,
}

struct Open {
    late: Late,
    doctype: usize,
    name: String,
    is_delete: bool,
    begun: DateTime<Utc>,
}

pub(crate) struct World<'b> {
    hq: Site,
    server: Server,
    local: &'b mut Local,
    url: &'b str,
    jobs: Vec<Job>,
    /// Passes ask for two pages at once, as on a long way to HQ.
    is_far: bool,
    oracle: Oracle,
    now: Arc<AtomicI64>,
    engine: Option<Engine>,
    open: Vec<Open>,
    /// Makes each value another one.
    serial: u32,
    is_blind: [bool; 2],
    /// Jobs whose mapping was another one.
    is_remapped: [bool; JOBS],
    /// A fault may come that looks like an answer.
    is_lied_to: bool,
    is_lied_to_for_long: bool,
    has_faulted: bool,
    between: Option<(usize, u8, u8)>,
    is_at_rest: bool,
    told: Told,
}

/// How a round is cut short.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Whole,
    At(Point, u8),
    AfterPolls(u32),
}

fn site() -> Site {
    let fields = [
        ("title", "Data"),
        ("remark", "Data"),
        ("rate", "Currency"),
        ("phone", "Data"),
        ("sold", "Check"),
        ("grade", "Check"),
    ];
    let doctype = |name: &str| {
        DocType::new(name)
            .named_by(Naming::Prompt)
            .fields(fields)
            .field(Field::link("grp", DOCTYPES[1]))
            .field(Field::table("parts", "Part"))
    };
    Site::new(Kolkata)
        .doctype(DocType::child("Part").field(Field::new("label", "Data")))
        .doctype(doctype(DOCTYPES[0]))
        .doctype(doctype(DOCTYPES[1]))
        .user(manager())
}

fn manager() -> User {
    User::system_manager(MANAGER, data::MANAGER.0, data::MANAGER.1)
}

impl<'b> World<'b> {
    pub(crate) fn new(seed: u64, local: &'b mut Local, url: &'b str) -> Self {
        let hq = site();
        let start: DateTime<Utc> = START.parse().unwrap();
        hq.freeze(start, Duration::from_millis(1));
        let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            server,
            local,
            url,
            jobs: plan::jobs(seed),
            is_far: !seed.is_multiple_of(4),
            oracle: Oracle::new(JOBS),
            now: Arc::new(AtomicI64::new(start.timestamp_micros())),
            hq,
            engine: None,
            open: Vec::new(),
            serial: 0,
            is_blind: [false; 2],
            is_remapped: [false; JOBS],
            is_lied_to: false,
            is_lied_to_for_long: false,
            has_faulted: false,
            between: None,
            is_at_rest: false,
            told: Told::default(),
        }
    }

    /// Empties the database; in a new one the first engine makes milkrun's tables.
    pub(crate) async fn empty(&mut self, is_new: bool) {
        if is_new {
            self.open_engine().await;
            self.close().await;
        }
        self.local.reset().await;
    }

    /// Plays the history to its end, then lets all come to rest, and compares.
    pub(crate) async fn play(mut self, steps: &[Step]) -> Result<Told, String> {
        for (nth, step) in steps.iter().enumerate() {
            // A second goes by with each step.
            self.pass(TimeDelta::seconds(1));
            self.step(*step).await.map_err(|error| format!("at step {nth}, {step:?}: {error}"))?;
        }
        self.rest().await.map_err(|error| format!("at rest: {error}"))?;
        self.close().await;
        Ok(self.told)
    }

    fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now.load(Ordering::SeqCst)).unwrap()
    }

    /// Lets time pass at both ends.
    fn pass(&mut self, time: TimeDelta) {
        let now = self.hq.now().max(self.at()) + time;
        self.now.store(now.timestamp_micros(), Ordering::SeqCst);
        self.hq.freeze(now, Duration::from_millis(1));
    }

    fn heal(&mut self) {
        self.hq.heal();
        self.is_lied_to = false;
        self.is_lied_to_for_long = false;
    }

    fn serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    fn pick(&self, doctype: usize, who: u8) -> Option<String> {
        let names = self.hq.names(DOCTYPES[doctype]);
        (!names.is_empty()).then(|| names[usize::from(who) % names.len()].clone())
    }

    /// Values for the fields in the mask that HQ never had before.
    fn fields(&mut self, mask: u8) -> Value {
        let n = self.serial();
        let mut fields = json!({});
        let values = [
            ("title", json!(format!("H{n}"))),
            ("rate", json!(n)),
            ("grp", json!(NAMES[n as usize % NAMES.len()])),
            ("phone", json!(format!("P{n}"))),
            ("grade", json!(n % 2)),
            ("remark", json!(format!("R{n}"))),
        ];
        for (at, (field, value)) in values.into_iter().enumerate() {
            if mask & (1 << at) > 0 {
                fields[field] = value;
            }
        }
        fields
    }

    fn new_record(&mut self, name: &str) -> Value {
        let mut record = self.fields(63);
        record["name"] = json!(name);
        record["sold"] = json!(u8::from(!self.serial.is_multiple_of(5)));
        record["parts"] = self.parts(u8::try_from(self.serial % 3).unwrap());
        record
    }

    fn parts(&mut self, many: u8) -> Value {
        (0..many).map(|_| json!({"label": format!("K{}", self.serial())})).collect()
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Insert(..)
            | Step::Update(..)
            | Step::Bulk(..)
            | Step::Parts(..)
            | Step::LateUpdate(..)
            | Step::LateInsert(..)
            | Step::LateDelete(..)
            | Step::Commit
            | Step::Delete(..)
            | Step::Remake(..)
            | Step::Rename(..)
            | Step::Merge(..)
            | Step::Sold(..)
            | Step::Future(..)
            | Step::Unstamped(..)
            | Step::Bad(..)
            | Step::Silent(..)
            | Step::SilentParts(..)
            | Step::SilentDelete(..)
            | Step::HideField(_)
            | Step::ShowField(_)
            | Step::HideRows(_)
            | Step::ShowRows(_)
            | Step::Between(..) => {
                self.at_hq(step);
                Ok(())
            }
            Step::Edit(job, ..)
            | Step::PutBack(job, ..)
            | Step::Own(job, _)
            | Step::Once(job, _)
            | Step::InsertOwn(job)
            | Step::InsertKey(job, _)
            | Step::DeleteRow(job, _) => {
                self.at_outlet(usize::from(job) % JOBS, step).await;
                Ok(())
            }
            Step::Fault(which, nth, is_lasting) => {
                let faults = faults();
                let fault = faults[usize::from(which) % faults.len()].clone();
                let mut when = When::any();
                self.has_faulted = true;
                if is_lie(&fault) {
                    // Nothing contradicts a list of child rows, or of tombstones, that is empty.
                    self.is_lied_to = true;
                    self.is_lied_to_for_long |= is_lasting;
                    when = When::doctype(DOCTYPES[usize::from(which / 128)]);
                }
                let when = when.nth(usize::from(nth));
                if is_lasting {
                    self.hq.fault_always(when, fault)
                } else {
                    self.hq.fault_when(when, fault)
                }
                Ok(())
            }
            Step::Heal => {
                self.heal();
                Ok(())
            }
            Step::Wait(minutes) => {
                self.pass(TimeDelta::minutes(minutes.into()));
                Ok(())
            }
            Step::Poll(minutes) => self.round(minutes, Mode::Changes, Kind::Changes, End::Whole).await,
            Step::Crash(minutes, point, nth) => {
                self.round(minutes, Mode::Changes, Kind::Changes, End::At(point, nth)).await
            }
            Step::Cut(minutes, at) => {
                self.round(minutes, Mode::Changes, Kind::Changes, End::AfterPolls(1 + u32::from(at))).await
            }
            Step::Full(minutes) => self.round(minutes, Mode::Full, Kind::Full, End::Whole).await,
            Step::Reconcile(minutes) => self.reconcile(minutes).await,
            Step::Since(job, minutes) => {
                let since = self.at() - TimeDelta::minutes(i64::from(minutes)) + TimeDelta::minutes(330);
                let mode = Mode::Since(Stamp::at(since.naive_utc()));
                self.round_of(&[usize::from(job) % JOBS], mode, Kind::Since, End::Whole).await.map(drop)
            }
            Step::Name(job, who) => {
                let job = usize::from(job) % JOBS;
                let Some(name) = self.pick(self.jobs[job].doctype, who) else { return Ok(()) };
                self.round_of(&[job], Mode::Names(vec![name.clone()]), Kind::Name(name), End::Whole).await.map(drop)
            }
            Step::Restart => {
                self.close().await;
                Ok(())
            }
            Step::Resolve(job, is_hqs) => self.resolve(usize::from(job) % JOBS, is_hqs).await.map(drop),
            Step::Narrow(job) | Step::Remap(job) | Step::Rule(job, _) => {
                self.reconfigure(usize::from(job) % JOBS, step);
                self.close().await;
                Ok(())
            }
        }
    }

    fn is_mysql(&self) -> bool {
        self.url.starts_with("mysql")
    }

    fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// Decides all that waits in a job; gives how many those were.
    async fn resolve(&mut self, job: usize, is_hqs: bool) -> Result<usize, String> {
        let sql = format!(
            "select {} from milkrun_conflicts where job = 'j{job}' and resolved_at is null",
            self.local.text("id")
        );
        let open = self.local.query(&sql, 1).await;
        self.open_engine().await;
        for id in &open {
            let id = id[0].as_ref().unwrap().parse().unwrap();
            let side = if is_hqs { Side::Hq } else { Side::Local };
            self.engine.as_ref().unwrap().resolve(id, side).await.map_err(|error| error.chain())?;
        }
        self.oracle.told(job, if is_hqs { Winner::Hq } else { Winner::Outlet });
        Ok(open.len())
    }

    fn reconfigure(&mut self, job: usize, step: Step) {
        let config = &mut self.jobs[job];
        match step {
            Step::Narrow(_) => config.is_narrowed = !config.is_narrowed,
            Step::Remap(_) => {
                config.is_remapped = !config.is_remapped;
                self.is_remapped[job] = true;
            }
            // Only where the base values are kept all the time.
            Step::Rule(_, n) if config.rule.is_some() => {
                (config.rule, config.otherwise) = (Some(plan::other_rule(n)), None);
            }
            _ => {}
        }
        let mapping = (config.is_narrowed, config.is_remapped);
        if !matches!(step, Step::Rule(..)) {
            self.oracle.remapped(job, mapping);
        }
    }

    async fn close(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.store().close().await;
        }
    }

    async fn open_engine(&mut self) {
        if self.engine.is_none() {
            let text = plan::config(&self.jobs, &self.server.url(), self.url);
            let config = config::parse("sync.toml", &text, Path::new("."), &BTreeMap::default().into_iter().collect());
            let config = Arc::new(config.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}")));
            let now = Arc::clone(&self.now);
            let clock = Clock::from_fn(move || DateTime::from_timestamp_micros(now.load(Ordering::SeqCst)).unwrap());
            let engine = Engine::open(config, clock, Arc::new(|_event| {})).await.unwrap();
            self.engine = Some(if self.is_far { engine.always_asking_ahead() } else { engine });
        }
    }

    async fn round(&mut self, minutes: u8, mode: Mode, kind: Kind, end: End) -> Result<(), String> {
        self.pass(TimeDelta::minutes(minutes.into()));
        self.round_of(&(0..JOBS).collect::<Vec<_>>(), mode, kind, end).await.map(drop)
    }

    async fn reconcile(&mut self, minutes: u8) -> Result<(), String> {
        let mode = Mode::Reconcile { all_values: true, has_confirmed_restore: false };
        self.round(minutes, mode, Kind::Reconcile, End::Whole).await
    }

    fn records(&self) -> [Records; 2] {
        DOCTYPES.map(|doctype| {
            let named =
                |document: serde_json::Map<String, Value>| (document["name"].as_str().unwrap().to_owned(), document);
            self.hq.dump(doctype).into_iter().map(named).collect()
        })
    }

    async fn tables(&mut self) -> Vec<BTreeMap<String, Row>> {
        let mut tables = Vec::with_capacity(JOBS);
        for job in 0..JOBS {
            tables.push(self.local.rows(job).await);
        }
        tables
    }

    /// A round of milkrun's; gives the runs of one that came to its end.
    async fn round_of(&mut self, jobs: &[usize], mode: Mode, kind: Kind, end: End) -> Result<Option<Vec<Run>>, String> {
        self.open_engine().await;
        let (hq_before, before) = (self.records(), self.tables().await);
        if let Some((doctype, who, mask)) = self.between.take() {
            let fields = self.fields(mask);
            let names = self.hq.names(DOCTYPES[doctype]);
            self.hq.after_list(DOCTYPES[doctype], 2 + usize::from(mask % 4), move |hq| {
                if !names.is_empty() {
                    let name = &names[usize::from(who) % names.len()];
                    hq.update(DOCTYPES[doctype], name, fields).ok();
                }
            });
        }
        let trigger = match kind {
            Kind::Changes => Trigger::Schedule,
            Kind::Full => Trigger::Full,
            Kind::Since => Trigger::Since,
            Kind::Name(_) => Trigger::Name,
            Kind::Reconcile => Trigger::Reconcile,
        };
        // At rest an operator says that what is gone is gone.
        let has_confirmed_deletes = self.is_at_rest;
        let order = Order { jobs: jobs.to_vec(), mode, trigger, has_confirmed_deletes };
        let runs = play(self.engine.as_ref().unwrap(), &order, end).await?;
        self.hq.clear_hooks();
        self.told.rounds += 1;
        if runs.is_none() {
            // The machine comes back when the lease has ended.
            self.engine = None;
            self.told.cut += 1;
            self.pass(TimeDelta::minutes(2));
        }
        let (hq_after, after) = (self.records(), self.tables().await);
        for job in jobs {
            let name = format!("j{job}");
            let run = runs.as_ref().and_then(|runs| runs.iter().find(|run| run.job == name));
            self.told.not_done += usize::from(run.is_some_and(|run| !run.status.is_done()));
            let config = self.jobs[*job].clone();
            let seen = Seen {
                kind: &kind,
                hq: [&hq_before[config.doctype], &hq_after[config.doctype]],
                status: run.map(|run| run.status),
                is_blind: self.is_blind[config.doctype],
                is_lied_to: self.is_lied_to,
                is_lied_to_for_long: self.is_lied_to_for_long,
                before: &before[*job],
                after: &after[*job],
            };
            let told = |error: String| match run.and_then(|run| run.error.as_ref()) {
                Some(said) => format!("{error}\n  the run says: {said}"),
                None => error,
            };
            self.oracle.ran(*job, &config, &seen).map_err(told)?;
            // An answer that lies may have a row go and come back in one run.
            if let Some(run) = run.filter(|_| !self.is_lied_to) {
                check_counts(run, &config, &before[*job], &after[*job])?;
            }
            self.check_nothing_lost(*job, &before[*job], &after[*job]).await?;
        }
        Ok(runs)
    }

    /// What the outlet wrote is either there or in the log of conflicts.
    async fn check_nothing_lost(
        &mut self,
        job: usize,
        before: &BTreeMap<String, Row>,
        after: &BTreeMap<String, Row>,
    ) -> Result<(), String> {
        let is_outlets = |value: &&String| value.starts_with("L-") || value.ends_with(".17");
        let values = |row: &Row| row.columns.iter().flatten().filter(is_outlets).cloned().collect::<Vec<_>>();
        let there: Vec<String> = after.values().flat_map(values).collect();
        let mut lost: Vec<String> = before.values().flat_map(values).filter(|value| !there.contains(value)).collect();
        if !lost.is_empty() {
            let local = self.local.text("local");
            let local = if self.is_mysql() { local.replace("local", "`local`") } else { local };
            let logged =
                self.local.query(&format!("select {local} from milkrun_conflicts where job = 'j{job}'"), 1).await;
            let logged: Vec<String> = logged.into_iter().filter_map(|mut row| row[0].take()).collect();
            lost.retain(|value| !logged.iter().any(|line| line.contains(&format!("\"{value}\""))));
        }
        if lost.is_empty() {
            Ok(())
        } else {
            Err(format!("job j{job}: the outlet's {lost:?} went, and no conflict tells of it"))
        }
    }
}

/// The round, to its end or until it is cut.
async fn play(engine: &Engine, order: &Order, end: End) -> Result<Option<Vec<Run>>, String> {
    let stop = CancellationToken::new();
    if let End::At(point, nth) = end {
        trap::set(Some((point, nth.into())));
    }
    let mut round = pin!(AssertUnwindSafe(engine.round(order, &stop)).catch_unwind());
    let mut left = if let End::AfterPolls(polls) = end { polls } else { u32::MAX };
    let ended = poll_fn(|context| {
        left -= 1;
        if left == 0 { Poll::Ready(None) } else { round.as_mut().poll(context).map(Some) }
    })
    .await;
    trap::set(None);
    match ended {
        None => Ok(None),
        Some(Ok(Ok(runs))) => Ok(Some(runs)),
        Some(Ok(Err(error))) => Err(format!("the round could not be logged: {}", error.chain())),
        Some(Err(panic)) if panic.is::<trap::Sprung>() => Ok(None),
        Some(Err(panic)) => Err(format!("a panic: {}", words(panic.as_ref()))),
    }
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
