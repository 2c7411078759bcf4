//! The daemon: runs on schedule, in order, and stops when told to.

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, get, listen};
use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop};

#[test]
fn the_daemon_loads_at_once_then_brings_each_edit_on_schedule_and_stops_cleanly() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("0 */5 * * * *", "* * * * * *"));
    shop.items(300);
    let mut daemon = Daemon::start(&shop.outlet, &["--log-format", "json"]);
    daemon.wait_for(&["run ended well", "\"job\":\"items\"", "\"inserted\":300"]);
    shop.assert_in_step();
    shop.hq.update("Item", "ICE-0003", json!({"standard_rate": 12.5})).unwrap();
    daemon.wait_for(&["run ended well", "\"job\":\"items\"", "\"updated\":1"]);
    shop.assert_in_step();
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    let runs = shop.outlet.run(&["--format", "json", "runs"]).json();
    // The run that the signal met, if there was one, ended between two requests and says so.
    let is_true = |run: &Value| {
        run["status"] == "ok" || run["error"].as_str().is_some_and(|error| error.starts_with("stopped before the end"))
    };
    assert!(runs.as_array().unwrap().iter().all(is_true), "{runs:#}");
    assert!(runs.as_array().unwrap().iter().any(|run| run["trigger"] == "schedule"), "{runs:#}");
}

#[test]
fn the_daemon_goes_on_while_hq_is_away_and_says_so_once() {
    let outlet = Outlet::new(Kind::Sqlite);
    outlet.configure("http://127.0.0.1:9", ("k", "s"), &JOBS.replace("0 */5 * * * *", "* * * * * *"));
    let mut daemon = Daemon::start(&outlet, &["-v"]);
    daemon.wait_for(&["ERROR", "run ended early", "HQ cannot be reached"]);
    // Every second, and told only to who asks for all.
    for _ in 0..4 {
        daemon.wait_for(&["DEBUG", "run ended early", "HQ cannot be reached"]);
    }
    daemon.signal("-INT");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
}

#[test]
fn the_status_page_answers_and_a_sync_beside_the_daemon_is_safe() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("0 */5 * * * *", "* * * * * *"));
    shop.items(300);
    let port = listen(&shop.outlet);
    let mut daemon = Daemon::start(&shop.outlet, &["--log-format", "json"]);
    daemon.wait_for(&["run ended well", "\"job\":\"items\""]);
    for _ in 0..3 {
        shop.outlet.run(&["sync"]).expect_code(0);
    }
    assert!(get(port, "/healthz").starts_with("HTTP/1.0 200"), "{}", get(port, "/healthz"));
    assert!(get(port, "/metrics").contains("milkrun_job_status"), "{}", get(port, "/metrics"));
    let page = get(port, "/");
    assert!(page.contains("outlet-042") && page.contains("items"), "{page}");
    assert!(!page.contains("demo-secret"));
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    shop.assert_in_step();
}

#[test]
fn the_demo_shows_both_ends() {
    let outlet = Outlet::new(Kind::Sqlite);
    let outcome = outlet.run(&["demo", "--seconds", "15"]);
    outcome.expect_code(0);
    assert!(outcome.stdout.contains("HQ ") && outcome.stdout.contains("items"), "{outcome}");
    assert!(outlet.path("milkrun-demo.db").exists());
}
