//! A year of one outlet, in a minute: the engine and HQ in one process, both on a clock that jumps from tick to tick.
//!
//! Two changes of clocks, thirty power cuts, five outages, a rotated key. A full disk is not among them, as SQLite offers
//! no way to fill one from within the process; the tests of the databases have it.

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use milkrun::clock::Clock;
use milkrun::config;
use milkrun::daemon::{Ends, schedule::Schedule};
use milkrun::demo::{self, Fault, Site, User, When, data};
use milkrun::run::{Status, Trigger};
use milkrun::sync::{Engine, Mode, Order};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::shop::{JOBS, item};
use crate::support::{Kind, Outlet};

/// Set in the process of its own that the year is lived in: other tests would blur its memory.
const ALONE: &str = "MILKRUN_TEST_YEAR_ALONE";

const START: &str = "2026-03-01T00:00:00Z";

/// The outlet through its year.
struct Year {
    hq: Site,
    outlet: Outlet,
    now: Arc<AtomicI64>,
    random: StdRng,
    secret: String,
    engine: Option<Arc<Engine>>,
    /// Items made so far; each has a name of its own.
    made: usize,
    ended: BTreeMap<Status, usize>,
}

impl Year {
    fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now.load(Ordering::SeqCst)).unwrap()
    }

    fn go_to(&self, moment: DateTime<Utc>) {
        self.now.store(moment.timestamp_micros(), Ordering::SeqCst);
        self.hq.freeze(moment, Duration::from_millis(1));
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::from_fn(move || DateTime::from_timestamp_micros(now.load(Ordering::SeqCst)).unwrap())
    }

    /// An edit at HQ: mostly a price, sometimes a new item, a delete, other barcodes.
    fn edit(&mut self) {
        let names = self.hq.names("Item");
        let name = names.choose(&mut self.random).unwrap().clone();
        let rate = self.random.random_range(1..10_000);
        let edited = match self.random.random_range(0..10) {
            0 => {
                self.made += 1;
                self.hq
                    .insert("Item", item(&format!("NEW-{:04}", self.made), json!({"standard_rate": rate})))
                    .map(drop)
            }
            1 => self.hq.delete("Item", &name),
            2 => self.hq.update("Item", &name, json!({"is_sales_item": rate % 2})),
            3 => self.hq.update("Item", &name, json!({"barcodes": [{"barcode": format!("4{rate:08}")}]})),
            _ => self.hq.update("Item", &name, json!({"standard_rate": rate})),
        };
        edited.unwrap();
    }

    async fn engine(&mut self) -> Arc<Engine> {
        if self.engine.is_none() {
            let text = self.outlet.config().replacen("timeout", "max_requests_per_second = 0\ntimeout", 1);
            let text = text.replace("demo-secret", &self.secret).replace("Asia/Kolkata", "Europe/Berlin");
            let config = config::parse("sync.toml", &text, Path::new("."), &BTreeMap::default().into_iter().collect());
            let config = Arc::new(config.unwrap());
            let (watcher, _ends) = Ends::heard(&config, Arc::new(|_event| {}));
            self.engine = Some(Arc::new(Engine::open(config, self.clock(), watcher).await.unwrap()));
        }
        Arc::clone(self.engine.as_ref().unwrap())
    }

    /// A round of these jobs; with `cut_at` the power goes at that step of it. True where it came to its end.
    async fn round(&mut self, jobs: Vec<usize>, cut_at: Option<u32>) -> bool {
        let engine = self.engine().await;
        let order = Order { jobs, mode: Mode::Changes, trigger: Trigger::Schedule, has_confirmed_deletes: false };
        let stop = CancellationToken::new();
        let runs = {
            let mut round = pin!(engine.round(&order, &stop));
            let mut left = cut_at.unwrap_or(u32::MAX);
            poll_fn(|context| {
                left -= 1;
                if left == 0 { Poll::Ready(None) } else { round.as_mut().poll(context).map(Some) }
            })
            .await
        };
        match runs {
            Some(runs) => {
                for run in runs.unwrap() {
                    *self.ended.entry(run.status).or_default() += 1;
                }
                true
            }
            None => {
                self.engine = None;
                false
            }
        }
    }

    /// Kilobytes: resident memory, and the database's file.
    fn size(&self) -> (u64, u64) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let file = std::fs::metadata(self.outlet.path("outlet.db")).unwrap().len();
        (resident.trim().trim_end_matches(" kB").parse().unwrap(), file / 1024)
    }

    fn assert_in_step(&self) {
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let items = self.hq.dump("Item");
        let items: Vec<_> = items.iter().filter(|item| item["is_sales_item"] == 1).collect();
        let mut want: Vec<_> = items
            .iter()
            .map(|item| format!("{} {:.2}", text(&item["name"]), item["standard_rate"].as_f64().unwrap()))
            .collect();
        let rows = self.outlet.database.rows("items", &["item_code", "price"], "item_code");
        let mut have: Vec<_> =
            rows.iter().map(|row| row.iter().flatten().cloned().collect::<Vec<_>>().join(" ")).collect();
        want.sort();
        have.sort();
        assert_eq!(have, want);
        let mut want: Vec<_> = items
            .iter()
            .flat_map(|item| {
                item["barcodes"].as_array().unwrap().iter().map(|row| (text(&item["name"]), text(&row["barcode"])))
            })
            .collect();
        let rows = self.outlet.database.rows("item_barcodes", &["item_code", "barcode"], "1");
        let mut have: Vec<_> = rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect();
        want.sort();
        have.sort();
        assert_eq!(have, want);
    }
}

#[test]
fn a_year_alone_ends_equal_to_hq_with_memory_and_disk_flat() {
    if std::env::var_os(ALONE).is_none() {
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "year::a_year_alone_ends_equal_to_hq_with_memory_and_disk_flat", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let told = format!("{}\n{}", String::from_utf8_lossy(&alone.stdout), String::from_utf8_lossy(&alone.stderr));
        assert!(alone.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (year, cuts, early, late) = runtime.block_on(live());
    year.assert_in_step();
    assert_eq!(cuts, 30);
    let ended = |status| year.ended.get(&status).copied().unwrap_or_default();
    assert!(ended(Status::Ok) > 1_200 && ended(Status::Failed) > 40 && ended(Status::Blocked) > 2, "{:?}", year.ended);
    assert!(late.0 < early.0 + 6_144, "memory in kB: {early:?}, then {late:?}");
    assert!(late.1 < early.1 + 512, "file in kB: {early:?}, then {late:?}");
    assert!(year.outlet.database.count("milkrun_runs where started_at < '2026-11-25'") <= 4);
    assert_eq!(year.outlet.database.count("milkrun_quarantine"), 0);
}

/// Lives through the year; gives its number of power cuts, and its size after a third of it and at its end.
async fn live() -> (Year, i64, (u64, u64), (u64, u64)) {
    let hq = data::shop_in(Berlin);
    let start: DateTime<Utc> = START.parse().unwrap();
    hq.freeze(start, Duration::from_millis(1));
    hq.insert("UOM", json!({"uom_name": "Nos"})).unwrap();
    hq.insert("Item Group", json!({"item_group_name": "Cones", "parent_item_group": null})).unwrap();
    hq.load("Item", (0..300).map(|n| item(&format!("ICE-{n:04}"), json!({"barcodes": []})))).unwrap();
    let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
    let outlet = Outlet::new(Kind::Sqlite);
    let jobs = JOBS.replace("0 0 * * * *", "0 30 2 * * *").replace("0 */5 * * * *", "0 0 */8 * * *");
    outlet.configure(&server.url(), data::MANAGER, &jobs);
    let mut year = Year {
        hq,
        outlet,
        now: Arc::default(),
        random: StdRng::seed_from_u64(42),
        secret: "demo-secret".to_owned(),
        engine: None,
        made: 0,
        ended: BTreeMap::new(),
    };
    year.go_to(start);
    let schedules = Schedule::all(year.engine().await.config());

    let day = |day: i64| start + TimeDelta::days(day);
    // From day to day: HQ away for hours and for days, and the old key refused until somebody brings the new one.
    let outages = [(20, 21), (75, 76), (130, 134), (200, 201), (290, 297)];
    let (rotated, brought) = (day(170), day(171));
    let changes = ["2026-03-29", "2026-10-25"].map(|day| format!("{day}T00:00:00Z").parse::<DateTime<Utc>>().unwrap());
    let (mut cuts, mut early) = (0, (0, 0));
    while year.at() < day(365) {
        let now = year.at();
        let ticks: Vec<_> = schedules.iter().map(|schedule| schedule.next(now).unwrap()).collect();
        // In the night of a change somebody runs the jobs every twenty minutes.
        let is_night = changes.iter().any(|change| (now - *change).num_hours().abs() < 4);
        let next = ticks.iter().copied().min().unwrap();
        let (next, due) = match (is_night, now + TimeDelta::minutes(20)) {
            (true, soon) if soon < next => (soon, vec![0, 1]),
            _ => (next, (0..2).filter(|job| ticks[*job] == next).collect()),
        };
        let edits = year.random.random_range(0..3);
        for n in 1..=edits {
            year.go_to(now + (next - now) * n / (edits + 1));
            year.edit();
        }
        year.go_to(next);
        if now < rotated && next >= rotated {
            year.hq.set_user(User::system_manager("manager@hq.example", data::MANAGER.0, "new-secret"));
        }
        if now < brought && next >= brought {
            year.secret = "new-secret".to_owned();
            year.engine = None;
        }
        let was_away = outages.iter().any(|(from, to)| (day(*from)..day(*to)).contains(&now));
        let is_away = outages.iter().any(|(from, to)| (day(*from)..day(*to)).contains(&next));
        match (was_away, is_away) {
            (false, true) => year.hq.fault_always(When::any(), Fault::Refuse),
            (true, false) => year.hq.heal(),
            (true, true) | (false, false) => {}
        }
        let is_cut = cuts < 30 && next > day(cuts * 12);
        let cut_at = is_cut.then(|| year.random.random_range(1..60));
        if !year.round(due.clone(), cut_at).await {
            cuts += 1;
            // The machine comes back some minutes later, and catches up.
            year.go_to(next + TimeDelta::minutes(7));
            year.round(due, None).await;
        }
        // What HQ remembers here is not the outlet's.
        year.hq.forget_requests();
        if early.0 == 0 && year.at() > day(120) {
            early = year.size();
        }
    }
    let late = year.size();
    for hour in 0..3 {
        year.go_to(day(366) + TimeDelta::hours(hour));
        year.round(vec![0, 1], None).await;
    }
    year.engine().await.store().close().await;
    (year, cuts, early, late)
}
