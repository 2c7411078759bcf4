//! Late commits, and clocks and zones that are wrong, change or jump: never a loss.
//!
//! Both clocks are the test's: HQ's stands still between two edits, the outlet's is handed to the engine.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use milkrun::clock::Clock;
use milkrun::demo::{DocType, Field, Late, Naming, Server, Site, User, serve};
use milkrun::run::{Run, Status, Trigger};
use milkrun::sync::{Engine, Mode, Order};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop};

const JOB: &str = r#"
[[job]]
name = "uoms"
doctype = "UOM"
schedule = "0 */5 * * * *"
page_size = 2000
table = "uoms"
key = "name"
create_table = true
[job.fields]
name = "name"
note = "note"
"#;

/// An HQ with one DocType, and an outlet whose engine lives in the test.
struct Scene {
    hq: Site,
    outlet: Outlet,
    runtime: tokio::runtime::Runtime,
    now: Arc<Mutex<DateTime<Utc>>>,
    _server: Server,
}

impl Scene {
    fn new(zone: Tz, configured: Tz, now: &str) -> Self {
        let hq = Site::new(zone)
            .doctype(
                DocType::new("UOM")
                    .named_by(Naming::Field("uom_name".into()))
                    .field(Field::new("uom_name", "Data"))
                    .field(Field::new("note", "Data")),
            )
            .user(User::system_manager("m@hq.example", "k", "s"));
        let now: DateTime<Utc> = now.parse().unwrap();
        hq.freeze(now, Duration::from_millis(1));
        let server = serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
        let outlet = Outlet::new(Kind::Sqlite);
        outlet.configure(&server.url(), ("k", "s"), JOB);
        let configured = format!("time_zone = \"{configured}\"\ntimeout");
        outlet.write_config(&outlet.config().replacen("time_zone = \"Asia/Kolkata\"\ntimeout", &configured, 1));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { hq, outlet, runtime, now: Arc::new(Mutex::new(now)), _server: server }
    }

    /// An HQ in a zone, known as such, with three records that the outlet has had for a day.
    fn at_rest(zone: Tz, now: &str) -> Self {
        let scene = Self::new(zone, zone, now);
        for name in ["Box", "Kg", "Nos"] {
            scene.hq.insert("UOM", json!({"uom_name": name})).unwrap();
        }
        scene.sync();
        scene.pass_minutes(35);
        scene.sync();
        scene
    }

    fn pass_minutes(&self, minutes: u64) {
        let by = Duration::from_secs(minutes * 60);
        self.hq.advance(by);
        *self.now.lock().unwrap() += by;
    }

    fn run(&self, mode: Mode) -> Run {
        let now = Arc::clone(&self.now);
        let config = Arc::new(milkrun::config::load(&self.outlet.path("sync.toml")).unwrap());
        self.runtime.block_on(async {
            let clock = Clock::from_fn(move || *now.lock().unwrap());
            let engine = Engine::open(config, clock, Arc::new(|_event| {})).await.unwrap();
            let order = Order { jobs: vec![0], mode, trigger: Trigger::Sync, has_confirmed_deletes: false };
            let mut runs = engine.round(&order, &CancellationToken::new()).await.unwrap();
            engine.store().close().await;
            runs.remove(0)
        })
    }

    #[track_caller]
    fn sync(&self) -> Run {
        let run = self.run(Mode::Changes);
        assert_eq!(run.status, Status::Ok, "{run:#?}");
        run
    }

    fn note(&self, name: &str, note: &str) {
        self.hq.update("UOM", name, json!({"note": note})).unwrap();
    }

    fn begin_late(&self, name: &str, note: &str) -> Late {
        self.hq.begin_late("UOM", Some(name), json!({"note": note}))
    }

    #[track_caller]
    fn assert_note(&self, name: &str, note: &str) {
        assert_eq!(self.noted(name).as_deref(), Some(note), "{name}");
    }

    fn noted(&self, name: &str) -> Option<String> {
        let rows = self.outlet.database.rows("uoms", &["name", "note"], "name");
        rows.into_iter().find(|row| row[0].as_deref() == Some(name)).and_then(|row| row[1].clone())
    }
}

#[test]
fn a_record_that_commits_25_minutes_after_its_stamp_arrives_with_the_first_run_after() {
    // A busy HQ, and one that is quiet after one more edit.
    for is_busy in [true, false] {
        let scene = Scene::at_rest(chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
        let late = scene.begin_late("Nos", "late");
        scene.note("Box", "later stamp");
        for nth in 0..5 {
            scene.sync();
            scene.pass_minutes(5);
            if is_busy {
                scene.note("Kg", &format!("edit {nth}"));
            }
        }
        late.commit().unwrap();
        scene.sync();
        scene.assert_note("Nos", "late");
        scene.assert_note("Box", "later stamp");
    }
}

#[test]
fn a_record_that_commits_31_minutes_after_its_stamp_is_left_to_a_whole_reading() {
    let scene = Scene::at_rest(chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
    let late = scene.begin_late("Nos", "too late");
    scene.note("Box", "later stamp");
    for minutes in [10, 10, 10, 1] {
        scene.sync();
        scene.pass_minutes(minutes);
    }
    late.commit().unwrap();
    scene.sync();
    assert_eq!(scene.noted("Nos"), None, "a poll is not to promise what it cannot keep");
    assert_eq!(scene.run(Mode::Full).status, Status::Ok);
    scene.assert_note("Nos", "too late");
}

#[test]
fn a_late_commit_in_the_repeated_hour_arrives_with_the_first_run_after() {
    // In Berlin 01:00 UTC is 03:00, and 02:00 again.
    let scene = Scene::at_rest(chrono_tz::Europe::Berlin, "2025-10-26T00:00:00Z");
    scene.pass_minutes(20);
    scene.note("Box", "first 02:55");
    scene.sync();
    scene.pass_minutes(15);
    let late = scene.begin_late("Nos", "second 02:10");
    assert!(late.stamp().contains(" 02:10"), "{}", late.stamp());
    scene.note("Kg", "later stamp");
    for _ in 0..5 {
        scene.sync();
        scene.pass_minutes(5);
    }
    scene.assert_note("Kg", "later stamp");
    late.commit().unwrap();
    scene.sync();
    scene.assert_note("Nos", "second 02:10");
}

#[test]
fn a_late_commit_over_the_skipped_hour_arrives_with_the_first_run_after() {
    // In Berlin 01:00 UTC is 02:00 that is called 03:00.
    let scene = Scene::at_rest(chrono_tz::Europe::Berlin, "2025-03-30T00:10:00Z");
    scene.pass_minutes(5);
    let late = scene.begin_late("Nos", "01:50");
    scene.pass_minutes(15);
    for nth in 0..2 {
        scene.note("Kg", &format!("after three {nth}"));
        scene.sync();
        scene.pass_minutes(5);
    }
    late.commit().unwrap();
    scene.sync();
    scene.assert_note("Nos", "01:50");
}

#[test]
fn an_outlets_clock_that_jumps_ahead_loses_no_late_commit() {
    let scene = Scene::at_rest(chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
    let late = scene.begin_late("Nos", "late");
    scene.note("Box", "later stamp");
    scene.sync();
    *scene.now.lock().unwrap() += Duration::from_secs(3 * 3600);
    for _ in 0..5 {
        scene.pass_minutes(5);
        scene.sync();
    }
    late.commit().unwrap();
    scene.sync();
    scene.assert_note("Nos", "late");
}

#[test]
fn edits_after_hqs_clock_was_set_back_arrive_at_once() {
    for hours in [1, 5] {
        let scene = Scene::at_rest(chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
        scene.note("Box", "before");
        scene.sync();
        scene.pass_minutes(40);
        scene.sync();
        scene.hq.set_clock(scene.hq.now() - Duration::from_secs(hours * 3600));
        scene.pass_minutes(5);
        for nth in 0..20 {
            let late = scene.begin_late("Kg", &format!("late {nth}"));
            scene.note("Nos", &format!("edit {nth}"));
            scene.sync();
            scene.assert_note("Nos", &format!("edit {nth}"));
            scene.pass_minutes(20);
            late.commit().unwrap();
            scene.sync();
            scene.assert_note("Kg", &format!("late {nth}"));
            scene.pass_minutes(15);
        }
    }
}

#[test]
fn edits_after_hqs_zone_was_moved_west_arrive_when_hq_is_asked_again() {
    let scene = Scene::at_rest(chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
    scene.hq.set_zone(chrono_tz::Europe::Berlin);
    scene.note("Box", "stamped 3.5 hours back");
    scene.sync();
    assert_eq!(scene.noted("Box"), None, "HQ is asked once a day");
    scene.pass_minutes(24 * 60);
    scene.sync();
    scene.assert_note("Box", "stamped 3.5 hours back");
}

#[test]
fn edits_of_the_newest_records_after_hqs_zone_was_moved_west_arrive_at_once_and_are_no_restore() {
    let scene = Scene::at_rest(chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
    for n in 0..6 {
        scene.hq.insert("UOM", json!({"uom_name": format!("New {n}")})).unwrap();
    }
    scene.sync();
    scene.hq.set_zone(chrono_tz::Europe::Berlin);
    for n in 0..6 {
        scene.note(&format!("New {n}"), "stamped 3.5 hours back");
    }
    scene.sync();
    scene.assert_note("New 0", "stamped 3.5 hours back");
}

#[test]
fn edits_after_hqs_zone_was_moved_east_arrive_at_once_and_come_to_rest() {
    let scene = Scene::at_rest(chrono_tz::Europe::Berlin, "2026-05-05T06:00:00Z");
    scene.pass_minutes(120);
    scene.hq.set_zone(chrono_tz::Asia::Kolkata);
    scene.note("Nos", "stamped 3.5 hours ahead");
    scene.sync();
    scene.assert_note("Nos", "stamped 3.5 hours ahead");
    scene.sync();
    scene.pass_minutes(31);
    scene.sync();
    let idle = scene.sync();
    assert_eq!(idle.watermark_after.as_deref().map(|mark| mark.ends_with("Nos")), Some(true), "{idle:#?}");
}

#[test]
fn a_wrong_hq_time_zone_loses_no_record_and_lists_nothing_over_and_over() {
    for configured in [chrono_tz::Asia::Tokyo, chrono_tz::America::New_York] {
        let scene = Scene::new(chrono_tz::Europe::Berlin, configured, "2025-10-26T00:20:00Z");
        scene.hq.load("UOM", (0..500).map(|n| json!({"uom_name": format!("U{n:03}")}))).unwrap();
        scene.sync();
        scene.pass_minutes(35);
        scene.note("U001", "first 02:55");
        scene.sync();
        scene.pass_minutes(15);
        scene.note("U002", "second 02:10");
        scene.sync();
        scene.assert_note("U002", "second 02:10");
        scene.pass_minutes(120);
        scene.sync();
        scene.pass_minutes(31);
        scene.sync();
        let idle = scene.sync();
        assert!(idle.counts.requests == 2 && idle.counts.bytes < 300, "{idle:#?}");
    }
}

/// How many records the bulk stamp has; `MILKRUN_TEST_BULK=100000` for the figure of the docs.
fn bulk() -> usize {
    std::env::var("MILKRUN_TEST_BULK").ok().map_or(10_000, |many| many.parse().unwrap())
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of the docs are read here")]
fn once_the_overlap_has_gone_by_a_bulk_stamp_costs_an_idle_poll_nothing() {
    let scene = Scene::new(chrono_tz::Asia::Kolkata, chrono_tz::Asia::Kolkata, "2026-05-05T06:00:00Z");
    scene.hq.load("UOM", (0..bulk()).map(|n| json!({"uom_name": format!("UOM-{n:06}")}))).unwrap();
    scene.sync();
    scene.pass_minutes(60);
    scene.hq.bulk_stamp("UOM", |_| true, json!({"note": "stamped"})).unwrap();
    let stamped = scene.sync();
    assert_eq!(stamped.counts.updated, bulk() as u64, "{stamped:#?}");
    scene.pass_minutes(15);
    let within = scene.sync();
    println!("within the overlap: {} requests, {} bytes", within.counts.requests, within.counts.bytes);
    scene.pass_minutes(15);
    scene.sync();
    let (mut requests, mut bytes) = (0, 0);
    for _ in 0..50 {
        scene.pass_minutes(5);
        let idle = scene.sync();
        (requests, bytes) = (idle.counts.requests.max(requests), idle.counts.bytes.max(bytes));
        assert!(idle.counts.requests <= 2 && idle.counts.bytes < 10_000, "{idle:#?}");
    }
    println!("50 idle polls of {} records: at most {requests} requests and {bytes} bytes each", bulk());
}

#[test]
fn runs_and_check_say_that_hq_time_zone_is_wrong() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let config = shop.outlet.config();
    let with = |zone: &str| {
        config.replacen("time_zone = \"Asia/Kolkata\"\ntimeout", &format!("time_zone = \"{zone}\"\ntimeout"), 1)
    };
    shop.outlet.write_config(&with("Europe/Berlin"));
    let run = shop.outlet.run(&["sync"]);
    run.expect_code(0);
    assert_eq!(run.stderr.matches("another zone than hq.time_zone").count(), 1, "{run}");
    let check = shop.outlet.run(&["check"]);
    check.expect_code(4);
    assert!(check.stdout.contains("HQ writes its stamps in \"Asia/Kolkata\": set it so"), "{check}");
    // The same zone by its older name is the same zone.
    shop.outlet.write_config(&with("Asia/Calcutta"));
    let run = shop.outlet.run(&["sync"]);
    assert!(!run.stderr.contains("another zone"), "{run}");
    shop.outlet.run(&["check"]).expect_code(0);
}

#[test]
fn runs_and_check_say_that_the_clocks_are_apart() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    shop.hq.set_clock(shop.hq.now() - Duration::from_secs(3 * 3600));
    let check = shop.outlet.run(&["check"]);
    check.expect_code(0);
    assert!(check.stdout.contains("s behind this machine's"), "{check}");
    shop.outlet.sync_well(&[]);
    let run = shop.outlet.run(&["sync"]);
    assert_eq!(run.stderr.matches("clock and this machine's are apart").count(), 1, "{run}");
}

#[test]
fn a_moment_ahead_of_hqs_clock_is_refused_and_a_bare_date_is_its_midnight() {
    let shop = Shop::with_jobs(Kind::Sqlite, JOBS);
    shop.items(3);
    shop.outlet.sync_well(&[]);
    let since = shop.outlet.run(&["sync", "items", "--since", "2199-01-01"]);
    since.expect_code(1);
    assert!(since.stdout.contains("lies ahead of HQ's clock"), "{since}");
    shop.outlet.run(&["watermark", "set", "items", "2199-01-01"]).expect_code(1);
    shop.outlet.run(&["watermark", "set", "items", "01.05.2024"]).expect_code(2);
    let set = shop.outlet.run(&["watermark", "set", "items", "2024-05-05"]);
    set.expect_code(0);
    assert!(set.stdout.contains("2024-05-05 00:00:00"), "{set}");
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}
