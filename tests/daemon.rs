//! The daemon alone for years: databases that come late, failures tried again, signals at bad moments, nothing that grows.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milkrun::clock::Clock;
use milkrun::config;
use milkrun::daemon;
use milkrun::demo::{Fault, Hold, When};
use milkrun::run::{Status, Trigger};
use milkrun::sync::{Engine, Mode, Order};
use serde_json::json;
use sqlx::{Connection as _, Executor as _};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{Daemon, get, listen};
use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop};

/// Longer than any of these tests takes; one that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server's address that can be taken away: connections are dropped until it is there.
struct Door {
    port: u16,
    is_open: Arc<AtomicBool>,
}

impl Door {
    fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, is_open) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let opened = Arc::clone(&is_open);
        std::thread::spawn(move || {
            for visitor in listener.incoming().map_while(Result::ok) {
                if opened.load(Ordering::SeqCst) {
                    let server = TcpStream::connect(&server).unwrap();
                    join(visitor.try_clone().unwrap(), server.try_clone().unwrap());
                    join(server, visitor);
                }
            }
        });
        Self { port, is_open }
    }
}

/// Passes on what comes, until either end closes.
fn join(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(std::net::Shutdown::Both).ok();
    });
}

fn a_daemon_waits_for_a_database_that_is_not_up_yet(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(150);
    let server = shop.outlet.database.url.rsplit('@').next().unwrap().split('/').next().unwrap().to_owned();
    let door = Door::before(server.clone());
    let config = shop.outlet.config().replacen(&server, &format!("127.0.0.1:{}", door.port), 1);
    shop.outlet.write_config(&config);
    let port = listen(&shop.outlet);
    let mut daemon = Daemon::start(&shop.outlet, &[]);
    let line = daemon.wait_for(&["waiting for the local database"]);
    assert!(line.contains("WARN") && line.contains("opening the local database"), "{line}");
    let health = get(port, "/healthz");
    assert!(health.starts_with("HTTP/1.0 503") && health.contains("the local database cannot be used"), "{health}");
    door.is_open.store(true, Ordering::SeqCst);
    daemon.wait_for(&["the local database is open"]);
    daemon.wait_for(&["run ended well", "items", "inserted=150"]);
    assert!(get(port, "/healthz").starts_with("HTTP/1.0 200"));
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    shop.assert_in_step();
}

mod postgres {
    #[test]
    fn a_daemon_waits_for_a_database_that_is_not_up_yet() {
        super::a_daemon_waits_for_a_database_that_is_not_up_yet(crate::support::Kind::Postgres);
    }
}

mod mysql {
    #[test]
    fn a_daemon_waits_for_a_database_that_is_not_up_yet() {
        super::a_daemon_waits_for_a_database_that_is_not_up_yet(crate::support::Kind::Mysql);
    }
}

#[test]
fn a_daemon_that_waits_for_its_database_ends_when_told_to_and_one_that_needs_a_person_does_not_wait() {
    let outlet = Outlet::new(Kind::Sqlite);
    outlet.configure("http://127.0.0.1:9", ("k", "s"), JOBS);
    let good = outlet.config();
    let door = Door::before(String::new());
    let server = format!("postgres://root@127.0.0.1:{}/none", door.port);
    outlet.write_config(&good.replacen(&outlet.database.url, &server, 1));
    let mut daemon = Daemon::start(&outlet, &[]);
    daemon.wait_for(&["waiting for the local database"]);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));

    outlet.write_config(&good.replacen(&outlet.database.url, "sqlite:///no/such/folder/outlet.db", 1));
    let outcome = outlet.run(&["run"]);
    outcome.expect_code(4);
    assert!(outcome.stderr.contains("the folder /no/such/folder does not exist"), "{outcome}");

    outlet.write_config(&good.replacen("time_zone", "time_zoom", 1));
    outlet.run(&["run"]).expect_code(2);
}

#[test]
fn what_failed_is_tried_again_before_its_next_tick_and_status_says_when() {
    // The site's name draws the waits; this one's first is of a few milliseconds, its second of a minute and a half.
    let jobs = JOBS.replace("0 0 * * * *", "0 0 0 1 1 *").replace("0 */5 * * * *", "0 0 0 1 1 *");
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    shop.outlet.write_config(&shop.outlet.config().replacen("outlet-042", "outlet-875", 1));
    shop.items(50);
    shop.hq.fault_always(When::any(), Fault::Refuse);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["ERROR", "run ended early", "HQ cannot be reached"]);
    daemon.wait_for(&["DEBUG", "run ended early", "job=\"items\""]);
    // The second time both are tried together, in one round, and items waits for its groups.
    daemon.wait_for(&["DEBUG", "run ended early", "job=\"item_groups\""]);
    daemon.wait_for(&["DEBUG", "run ended early", "job=\"items\""]);
    let runs = shop.outlet.run(&["--format", "json", "runs"]).json();
    let triggers: Vec<_> = runs.as_array().unwrap().iter().rev().map(|run| run["trigger"].clone()).collect();
    assert_eq!(triggers, ["start", "start", "retry", "retry"]);
    let status = shop.outlet.run(&["--format", "json", "status"]).json();
    let moment = |text: &serde_json::Value| text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    for job in status["jobs"].as_array().unwrap() {
        let wait = moment(&job["next_run"]) - moment(&status["jobs"][0]["last_run"]["ended_at"]);
        assert!((90..110).contains(&wait.num_seconds()), "{status:#}");
    }
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn a_failure_is_over_when_its_retry_ends_well() {
    let jobs = JOBS.replace("0 0 * * * *", "0 0 0 1 1 *").replace("0 */5 * * * *", "0 0 0 1 1 *");
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    shop.outlet.write_config(&shop.outlet.config().replacen("outlet-042", "outlet-875", 1));
    shop.items(50);
    // As many as the requests of the first round: three attempts for the tombstones of both jobs.
    for _ in 0..3 {
        shop.hq.fault(Fault::Refuse);
    }
    let mut daemon = Daemon::start(&shop.outlet, &[]);
    daemon.wait_for(&["ERROR", "run ended early", "job=\"item_groups\""]);
    // The job that only waited for it had no trouble of its own.
    let line = daemon.wait_for(&["HQ is back"]);
    assert!(line.contains("runs=1 jobs=\"item_groups\""), "{line}");
    daemon.wait_for(&["run ended well", "job=\"items\"", "inserted=50"]);
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    shop.assert_in_step();
}

#[test]
fn a_signal_ends_a_run_that_waits_for_hq_and_jobs_not_begun_leave_no_trace() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(50);
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item Group"), Fault::Hold(hold.clone()));
    let daemon = Daemon::start(&shop.outlet, &[]);
    assert!(hold.wait_until_reached(PATIENCE));
    daemon.signal("-TERM");
    // HQ still holds its answer back.
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR") && log.contains("daemon stopped"), "{log}");
    hold.release();
    let runs = shop.outlet.run(&["--format", "json", "runs"]).json();
    let jobs: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["job"].clone()).collect();
    assert_eq!(jobs, ["item_groups"]);
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

#[test]
fn a_signal_ends_a_daemon_whose_page_waits_for_a_lock_and_the_second_one_does_not_wait() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(50);
    shop.outlet.sync_well(&[]);
    let url = shop.outlet.database.url.clone();
    let held = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut lock = held.block_on(sqlx::SqliteConnection::connect(&url)).unwrap();
    for signals in [1, 2] {
        // Each daemon catches up at once: a tick has gone by since a day that this sets.
        shop.outlet.database.execute("update milkrun_runs set started_at = '2020-01-01 00:00:00.000000'");
        let hold = Hold::new();
        shop.hq.fault_when(When::doctype("Deleted Document"), Fault::Hold(hold.clone()));
        let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
        assert!(hold.wait_until_reached(PATIENCE));
        held.block_on(lock.execute("begin immediate")).unwrap();
        hold.release();
        daemon.signal("-TERM");
        daemon.wait_for(&["stopping at the next page"]);
        if signals == 2 {
            daemon.signal("-TERM");
        }
        // The lock is let go only after the daemon has ended.
        let (code, log) = daemon.end();
        assert_eq!(code, Some(if signals == 2 { 143 } else { 0 }), "{log}");
        held.block_on(lock.execute("rollback")).unwrap();
    }
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

/// Threads and open files of a process.
fn held_by(pid: &str) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap();
    (threads, std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

#[test]
fn a_daemon_holds_no_more_threads_and_files_after_many_rounds() {
    let jobs = JOBS.replace("0 0 * * * *", "* * * * * *").replace("0 */5 * * * *", "* * * * * *");
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    shop.items(20);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    let pid = daemon.pid().to_string();
    let mut rounds = |count| {
        for n in 0..count {
            if n % 4 == 0 {
                shop.hq.fault(Fault::CutBody);
                shop.hq.update("Item", "ICE-0001", json!({"standard_rate": n})).unwrap();
            }
            daemon.wait_for(&["run ended", "items"]);
        }
        held_by(&pid)
    };
    let (early, late) = (rounds(8), rounds(20));
    // A connection more may be open at the moment of one look.
    assert!(late.0 <= early.0 + 2 && late.1 <= early.1 + 3, "threads and files: {early:?}, then {late:?}");
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn two_hundred_rounds_leave_no_task_behind() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let text = shop.outlet.config().replacen("timeout", "max_requests_per_second = 0\ntimeout", 1);
        let config = Arc::new(config::parse("sync.toml", &text, Path::new("."), &Default::default()).unwrap());
        let (watcher, _ends) = daemon::Ends::heard(&config, Arc::new(|_event| {}));
        let engine = Engine::open(Arc::clone(&config), Clock::system(), watcher).await.unwrap();
        let order =
            Order { jobs: vec![0, 1], mode: Mode::Changes, trigger: Trigger::Schedule, has_confirmed_deletes: false };
        let mut tasks = Vec::new();
        for round in 0..200 {
            if round % 10 == 5 {
                shop.hq.fault(Fault::Exception(403, "PermissionError".to_owned()));
            }
            shop.hq.update("Item", "ICE-0001", json!({"standard_rate": round})).unwrap();
            let runs = engine.round(&order, &CancellationToken::new()).await.unwrap();
            assert!(runs.iter().all(|run| run.status != Status::Running));
            tasks.push(tokio::runtime::Handle::current().metrics().num_alive_tasks());
        }
        // One a connection to HQ, which is kept or not.
        let (early, late) = (tasks[..20].iter().max().unwrap(), tasks[180..].iter().max().unwrap());
        assert!(late <= &(early + 1), "{tasks:?}");
        engine.store().close().await;
    });
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}
