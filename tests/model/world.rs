//! One history: HQ, the outlet and milkrun in one process, on a clock that only the history moves.

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
use milkrun::demo::{self, DocType, Fault, Field, Late, Naming, Server, Site, User, When, data};
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

fn faults() -> Vec<Fault> {
    let exception = |status, class: &str| Fault::Exception(status, class.to_owned());
    let html = |status| Fault::Answer(status, "text/html".to_owned(), b"<html><h1>no</h1></html>".to_vec());
    let raw = |bytes: &[u8]| Fault::Raw(bytes.to_vec());
    let cut = |body: &[u8]| Fault::Answer(200, "application/json".to_owned(), body.to_vec());
    vec![
        Fault::Refuse,
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::CutBody,
        Fault::CutGzip,
        Fault::GarbageGzip,
        Fault::HtmlPage,
        Fault::LoginRedirect,
        Fault::Redirect(307, "https://portal.example.com/".to_owned()),
        Fault::ContentType("text/html".to_owned()),
        Fault::Late(Duration::from_millis(2)),
        Fault::EmptyList,
        Fault::RepeatPage,
        Fault::DoubleRows,
        Fault::DropField("title".to_owned()),
        Fault::DropField("modified".to_owned()),
        Fault::TokenExpires,
        Fault::Asked("soon".to_owned()),
        Fault::TooMany(0),
        Fault::TooMany(1),
        Fault::Proxy(502),
        Fault::Proxy(503),
        Fault::Proxy(504),
        raw(b"HTTP/1.1 200 OK\r\nConte"),
        raw(b"\x15\x03\x01\x00\x02\x02\x46"),
        raw(b"220 mail.example.com ESMTP\r\n"),
        cut(b""),
        cut(br#"{"data": [["A"#),
        cut(b"{\"data\": \"\xff\"}"),
        Fault::Shape(json!([])),
        Fault::Shape(json!({})),
        Fault::Shape(json!({"message": null})),
        Fault::Shape(json!({"data": {}})),
        Fault::Shape(json!({"data": [["A"]]})),
        Fault::Shape(json!({"data": [{"name": "A"}]})),
        Fault::Shape(json!({"data": []})),
        html(400),
        html(404),
        html(405),
        html(408),
        html(413),
        html(414),
        html(599),
        exception(401, "AuthenticationError"),
        exception(403, "PermissionError"),
        exception(404, "DoesNotExistError"),
        exception(409, "DuplicateEntryError"),
        exception(417, "ValidationError"),
        exception(417, "QueryTimeoutError"),
        exception(500, "OperationalError"),
        exception(500, "JSONDecodeError"),
        exception(500, "QueryTimeoutError"),
        exception(503, "SessionStopped"),
        exception(503, "InReadOnlyMode"),
    ]
}

/// Faults that are answers of HQ's to all appearances.
fn is_lie(fault: &Fault) -> bool {
    match fault {
        Fault::EmptyList | Fault::RepeatPage => true,
        Fault::Shape(body) => *body == json!({"data": []}),
        _ => false,
    }
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
            oracle: Oracle::new(JOBS),
            now: Arc::new(AtomicI64::new(start.timestamp_micros())),
            hq,
            engine: None,
            open: Vec::new(),
            serial: 0,
            is_blind: [false; 2],
            is_remapped: [false; JOBS],
            is_lied_to: false,
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
        record["sold"] = json!(u8::from(self.serial % 5 > 0));
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

    fn at_hq(&mut self, step: Step) {
        match step {
            Step::Insert(doctype, name) => {
                let (doctype, name) = (usize::from(doctype % 2), NAMES[usize::from(name) % NAMES.len()]);
                let record = self.new_record(name);
                if self.hq.insert(DOCTYPES[doctype], record).is_ok() {
                    self.oracle.changed(&self.jobs, doctype, name, true);
                }
            }
            Step::Update(doctype, who, mask) => {
                let fields = self.fields(mask);
                self.update(doctype, who, &fields);
            }
            Step::Parts(doctype, who, many) => {
                let parts = self.parts(many);
                self.update(doctype, who, &json!({"parts": parts}));
            }
            Step::Sold(doctype, who) => {
                let doctype_at = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype_at, who) else { return };
                let is_sold = self.hq.get(DOCTYPES[doctype_at], &name).unwrap()["sold"] == 1;
                self.update(doctype, who, &json!({"sold": u8::from(!is_sold)}));
            }
            Step::Bad(doctype, who) => {
                let title = format!("{}{}", "x".repeat(LONGEST), self.serial());
                self.update(doctype, who, &json!({"title": title}));
            }
            Step::Bulk(doctype, mask, which) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let names = self.hq.names(DOCTYPES[doctype]);
                let picked: Vec<&String> =
                    (0..).zip(&names).filter(|(at, _)| which & (1 << (at % 8)) > 0).map(|(_, name)| name).collect();
                let wanted = |record: &serde_json::Map<String, Value>| {
                    picked.iter().any(|name| record["name"].as_str() == Some(name))
                };
                self.hq.bulk_stamp(DOCTYPES[doctype], wanted, fields).unwrap();
                for name in picked {
                    self.oracle.changed(&self.jobs, doctype, name, true);
                }
            }
            Step::LateUpdate(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                let late = self.hq.begin_late(DOCTYPES[doctype], Some(&name), fields);
                self.begin(late, doctype, name, false);
            }
            Step::LateInsert(doctype, name) => {
                let (doctype, name) = (usize::from(doctype % 2), NAMES[usize::from(name) % NAMES.len()]);
                let record = self.new_record(name);
                let late = self.hq.begin_late(DOCTYPES[doctype], None, record);
                self.begin(late, doctype, name.to_owned(), false);
            }
            Step::LateDelete(doctype, who) => {
                let doctype = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype, who) else { return };
                let late = self.hq.begin_late_delete(DOCTYPES[doctype], &name);
                self.begin(late, doctype, name, true);
            }
            Step::Commit => self.commit(),
            Step::Delete(doctype, who) | Step::SilentDelete(doctype, who) => {
                let doctype = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype, who) else { return };
                let now = self.hq.now();
                if matches!(step, Step::Delete(..)) {
                    self.hq.delete(DOCTYPES[doctype], &name).unwrap();
                    self.oracle.deleted(&self.jobs, doctype, &name, Some(now), true);
                } else {
                    self.hq.delete_without_trace(DOCTYPES[doctype], &name).unwrap();
                    self.oracle.deleted(&self.jobs, doctype, &name, None, false);
                }
            }
            Step::Remake(doctype, who) => {
                let doctype = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype, who) else { return };
                self.at_hq(Step::Delete(u8::try_from(doctype).unwrap(), who));
                let record = self.new_record(&name);
                self.hq.insert(DOCTYPES[doctype], record).unwrap();
                self.oracle.changed(&self.jobs, doctype, &name, true);
            }
            Step::Rename(doctype, who, to) => {
                let (doctype, new) = (usize::from(doctype % 2), NAMES[usize::from(to) % NAMES.len()]);
                let Some(old) = self.pick(doctype, who) else { return };
                // What becomes of the outlet's own row that is in the way, or of one that it removed, is not settled.
                if [old.as_str(), new].iter().any(|name| self.oracle.is_edited_by_row(&self.jobs, doctype, name)) {
                    return;
                }
                if self.hq.rename(DOCTYPES[doctype], &old, new).is_ok() && old != new {
                    self.oracle.renamed(&self.jobs, doctype, &old, new);
                }
            }
            Step::Merge(doctype, from, into) => {
                let doctype = usize::from(doctype % 2);
                let (Some(from), Some(into)) = (self.pick(doctype, from), self.pick(doctype, into)) else { return };
                if from != into {
                    self.hq.merge(DOCTYPES[doctype], &from, &into).unwrap();
                    let now = self.hq.now();
                    self.oracle.deleted(&self.jobs, doctype, &from, Some(now), true);
                }
            }
            Step::Future(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                let stamp = (self.at() + TimeDelta::days(40)).format("%Y-%m-%d %H:%M:%S%.6f").to_string();
                self.hq.update_with_modified(DOCTYPES[doctype], &name, fields, Some(&stamp)).unwrap();
                self.oracle.changed(&self.jobs, doctype, &name, true);
            }
            Step::Unstamped(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                self.hq.update_with_modified(DOCTYPES[doctype], &name, fields, None).unwrap();
                self.oracle.changed(&self.jobs, doctype, &name, false);
            }
            Step::Silent(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                self.hq.update_silently(DOCTYPES[doctype], &name, fields).unwrap();
            }
            Step::SilentParts(doctype, who, many) => {
                let doctype = usize::from(doctype % 2);
                let parts = self.parts(many);
                let Some(name) = self.pick(doctype, who) else { return };
                self.hq.update_silently(DOCTYPES[doctype], &name, json!({"parts": parts})).unwrap();
            }
            Step::HideField(doctype) => self.hq.hide_field(MANAGER, DOCTYPES[usize::from(doctype % 2)], "phone"),
            Step::ShowField(doctype) => self.hq.show_field(MANAGER, DOCTYPES[usize::from(doctype % 2)], "phone"),
            Step::HideRows(doctype) | Step::ShowRows(doctype) => {
                self.is_blind[usize::from(doctype % 2)] = matches!(step, Step::HideRows(_));
                self.set_user();
            }
            Step::Between(doctype, who, mask) => self.between = Some((usize::from(doctype % 2), who, mask)),
            other => unreachable!("{other:?} is none of HQ's"),
        }
    }

    /// Gives the user the rights that are left; those of fields are given back.
    fn set_user(&mut self) {
        let mut user = manager();
        for (doctype, _) in DOCTYPES.iter().zip(self.is_blind).filter(|(_, is_blind)| *is_blind) {
            user = user.only(doctype, "grade", "1");
        }
        self.hq.set_user(user);
    }

    fn update(&mut self, doctype: u8, who: u8, fields: &Value) {
        let doctype = usize::from(doctype % 2);
        let Some(name) = self.pick(doctype, who) else { return };
        self.hq.update(DOCTYPES[doctype], &name, fields.clone()).unwrap();
        self.oracle.changed(&self.jobs, doctype, &name, true);
    }

    fn begin(&mut self, late: Late, doctype: usize, name: String, is_delete: bool) {
        self.open.push(Open { late, doctype, name, is_delete, begun: self.at() });
    }

    fn commit(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let Open { late, doctype, name, is_delete, begun } = self.open.remove(0);
        if late.commit().is_err() {
            return;
        }
        let is_seen = self.at() - begun <= LATEST;
        if is_delete {
            self.oracle.deleted(&self.jobs, doctype, &name, Some(begun), is_seen);
        } else {
            self.oracle.changed(&self.jobs, doctype, &name, is_seen);
        }
    }

    async fn at_outlet(&mut self, job: usize, step: Step) {
        let now = self.at();
        let n = self.serial();
        let rows = self.local.rows(job).await;
        let pick = |who: u8| {
            let living: Vec<&String> = rows.iter().filter(|(_, row)| !row.is_marked).map(|(key, _)| key).collect();
            (!living.is_empty()).then(|| living[usize::from(who) % living.len()].clone())
        };
        let local = |column: usize| if column == PRICE { format!("{n}.17") } else { format!("L-{n}") };
        match step {
            Step::Edit(_, who, column) | Step::PutBack(_, who, column) => {
                let column = usize::from(column) % COLUMNS.len();
                let Some(key) = pick(who) else { return };
                let value = match step {
                    Step::Edit(..) => Some(local(column)),
                    _ => match self.oracle.base(job, &key) {
                        Some(base) => base.columns[column].clone(),
                        None => return,
                    },
                };
                let moment = now.format("%Y-%m-%d %H:%M:%S%.6f");
                let zone = if self.is_postgres() { "+00" } else { "" };
                self.local.edit(job, &key, column, value.as_deref(), &format!("{moment}{zone}")).await;
                self.oracle.edited(job, &key, |state| {
                    state.touched = Some(now);
                    if let Some(row) = &mut state.row {
                        row.columns[column].clone_from(&value);
                    }
                });
            }
            Step::Own(_, who) | Step::Once(_, who) => {
                let Some(key) = pick(who) else { return };
                let (column, value) = (if matches!(step, Step::Own(..)) { "note" } else { "shelf" }, format!("O-{n}"));
                self.local.set(job, &key, column, &value).await;
                self.oracle.edited(job, &key, |state| {
                    if let Some(row) = &mut state.row {
                        let cell = if column == "note" { &mut row.own } else { &mut row.once };
                        *cell = Some(value.clone());
                    }
                });
            }
            Step::InsertOwn(_) | Step::InsertKey(..) => {
                let key = match step {
                    Step::InsertKey(_, name) => NAMES[usize::from(name) % NAMES.len()].to_owned(),
                    _ => format!("OWN-{n}"),
                };
                if rows.contains_key(&key) || self.oracle.is_renamed(self.jobs[job].doctype, &key) {
                    return;
                }
                let columns = [0, 1, 2, 3].map(|column| Some(local(column)));
                let row = Row { columns, own: Some(format!("O-{n}")), ..Row::default() };
                self.local.insert(job, &key, &row).await;
                self.oracle.edited(job, &key, |state| {
                    (state.row, state.touched) = (Some(row.clone()), None);
                });
            }
            Step::DeleteRow(_, who) => {
                let Some(key) = pick(who).filter(|key| !self.oracle.is_renamed(self.jobs[job].doctype, key)) else {
                    return;
                };
                self.local.delete(job, &key).await;
                self.oracle.edited(job, &key, |state| (state.row, state.touched) = (None, None));
            }
            other => unreachable!("{other:?} is none of the outlet's"),
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
            self.engine = Some(Engine::open(config, clock, Arc::new(|_event| {})).await.unwrap());
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
                before: &before[*job],
                after: &after[*job],
            };
            let told = |error: String| match run.and_then(|run| run.error.as_ref()) {
                Some(said) => format!("{error}\n  the run says: {said}"),
                None => error,
            };
            self.oracle.ran(*job, &config, &seen).map_err(told)?;
            if let Some(run) = run {
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

    /// HQ falls quiet and the line is mended; then both ends must agree, and stay so.
    async fn rest(&mut self) -> Result<(), String> {
        self.heal();
        self.is_at_rest = true;
        self.between = None;
        self.is_blind = [false; 2];
        self.set_user();
        while !self.open.is_empty() {
            self.commit();
        }
        // What HQ asked for, such as to wait, was asked of a process that is no more.
        if self.has_faulted {
            self.close().await;
        }
        let all: Vec<usize> = (0..JOBS).collect();
        for _ in 0..2 {
            self.pass(TimeDelta::minutes(31));
            let runs = self.round_of(&all, Mode::Changes, Kind::Changes, End::Whole).await?.unwrap();
            if self.is_emptied(&runs) {
                return Ok(());
            }
            all_done(&runs)?;
        }
        self.reconcile(1).await?;
        let mut decided = 0;
        for job in 0..JOBS {
            decided += self.resolve(job, job % 2 == 0).await?;
        }
        self.round_of(&all, Mode::Changes, Kind::Changes, End::Whole).await?;
        let before = self.tables().await;
        self.pass(TimeDelta::minutes(1));
        let runs = self.round_of(&all, Mode::Changes, Kind::Changes, End::Whole).await?.unwrap();
        all_done(&runs)?;
        if let Some(run) = runs.iter().find(|run| run.status == Status::Conflict) {
            return Err(format!("an operator has decided all {decided}, and something waits still: {run:?}"));
        }
        if self.tables().await != before {
            return Err(format!("a poll of a quiet HQ changed rows: {before:#?}\n{:#?}", self.tables().await));
        }
        if let Some(run) =
            runs.iter().find(|run| (run.counts.inserted, run.counts.updated, run.counts.deleted) != (0, 0, 0))
        {
            return Err(format!("a poll of a quiet HQ says that it wrote: {run:?}"));
        }
        self.check_ledger().await?;
        self.check_conflicts().await?;
        self.check_log().await?;
        self.told.unsure += self.oracle.unsure();
        Ok(())
    }

    /// A job whose records are all gone asks whether this is so, where its table is empty, too.
    fn is_emptied(&self, runs: &[Run]) -> bool {
        let hq = self.records();
        let has_none = |job: &Job| hq[job.doctype].values().all(|document| job.version(document).is_none());
        let asks = |run: &Run| run.error.as_ref().is_some_and(|error| error.contains("shows none of the"));
        let asking = runs.iter().filter(|run| asks(run)).filter_map(|run| run.job.strip_prefix('j')?.parse().ok());
        asking.into_iter().any(|job: usize| has_none(&self.jobs[job]))
    }

    async fn check_ledger(&mut self) -> Result<(), String> {
        for job in 0..JOBS {
            let held = self.local.entries(job).await;
            for (key, wanted) in self.oracle.entries(job) {
                let is_held = held.iter().any(|name| name == key);
                if wanted.is_some_and(|wanted| wanted != is_held) {
                    return Err(format!("job j{job}: the ledger holds {key:?}: {is_held}"));
                }
            }
        }
        Ok(())
    }

    /// The same pair of versions is not raised twice. (A row that is gone has no version, and a mapping that is changed and
    /// changed back brings versions back.)
    async fn check_conflicts(&mut self) -> Result<(), String> {
        let name = self.local.text("hq_name");
        let sql = format!(
            "select {name}, job from milkrun_conflicts where hq_version <> 0 and local_version <> 0 \
             group by job, hq_name, hq_version, local_version having count(distinct run) > 1"
        );
        for pair in self.local.query(&sql, 2).await {
            let [name, job] = [0, 1].map(|at| pair[at].clone().unwrap());
            if !self.is_remapped[job[1..].parse::<usize>().unwrap()] {
                return Err(format!("job {job}: one pair of versions of {name:?} was raised twice"));
            }
        }
        Ok(())
    }

    /// No run is left open, and no lease.
    async fn check_log(&mut self) -> Result<(), String> {
        for sql in ["select '1' from milkrun_runs where status = 'running'", "select '1' from milkrun_leases"] {
            let found = self.local.query(sql, 1).await;
            if !found.is_empty() {
                return Err(format!("{sql}: {} rows", found.len()));
            }
        }
        Ok(())
    }
}

fn all_done(runs: &[Run]) -> Result<(), String> {
    match runs.iter().find(|run| !run.status.is_done()) {
        Some(run) => Err(format!("a run did not end well although nothing is wrong: {run:#?}")),
        None if runs.len() == JOBS => Ok(()),
        None => Err(format!("only {} runs", runs.len())),
    }
}

/// What the run says that it made must be what is there.
fn check_counts(
    run: &Run,
    job: &Job,
    before: &BTreeMap<String, Row>,
    after: &BTreeMap<String, Row>,
) -> Result<(), String> {
    let made = after.keys().filter(|key| !before.contains_key(*key)).count() as u64;
    let removed = before.keys().filter(|key| !after.contains_key(*key)).count() as u64;
    let is_marked = |rows: &BTreeMap<String, Row>, key: &String| rows.get(key).is_some_and(|row| row.is_marked);
    let marked = after.keys().filter(|key| is_marked(after, key) && !is_marked(before, key)).count() as u64;
    let deleted = match job.deletes {
        plan::Deletes::Delete => removed,
        plan::Deletes::Mark => marked,
        plan::Deletes::Keep => 0,
    };
    let Run { counts, .. } = run;
    // A row that moved counts as neither.
    let (made_more, said_more) = match job.deletes {
        plan::Deletes::Delete => (made + counts.deleted, counts.inserted + removed),
        plan::Deletes::Mark | plan::Deletes::Keep => (made, counts.inserted + removed),
    };
    if made_more == said_more && (job.deletes == plan::Deletes::Delete || counts.deleted == deleted) {
        return Ok(());
    }
    Err(format!("{made} rows were made and {deleted} deleted, and the run says: {run:?}"))
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
