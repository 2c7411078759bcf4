//! The daemon: runs on schedule, in order, and stops when told to.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop, canary};

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Reads the daemon's log until a line that holds all of `words`.
fn wait_for(log: &mut impl std::io::BufRead, words: &[&str]) -> String {
    let mut seen = String::new();
    for line in log.lines() {
        let line = line.unwrap();
        seen.push_str(&line);
        seen.push('\n');
        if words.iter().all(|word| line.contains(word)) {
            return seen;
        }
    }
    panic!("the daemon ended without {words:?} in its log:\n{seen}");
}

#[test]
fn the_daemon_loads_at_once_then_brings_each_edit_on_schedule_and_stops_cleanly() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("0 */5 * * * *", "* * * * * *"));
    shop.items(300);
    let mut daemon = shop.outlet.start(&["--log-format", "json", "run"]);
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    wait_for(&mut log, &["run ended well", "\"job\":\"items\"", "\"inserted\":300"]);
    shop.assert_in_step();
    shop.hq.update("Item", "ICE-0003", json!({"standard_rate": 12.5})).unwrap();
    wait_for(&mut log, &["run ended well", "\"job\":\"items\"", "\"updated\":1"]);
    shop.assert_in_step();
    signal(&daemon, "-TERM");
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    let status = daemon.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    let runs = shop.outlet.run(&["--format", "json", "runs"]).json();
    // The run that the signal met, if there was one, ended between two requests and says so.
    let is_true = |run: &Value| {
        run["status"] == "ok" || run["error"].as_str().is_some_and(|error| error.starts_with("stopped before the end"))
    };
    assert!(runs.as_array().unwrap().iter().all(is_true), "{runs:#}");
    assert!(runs.as_array().unwrap().iter().any(|run| run["trigger"] == "schedule"), "{runs:#}");
}

#[test]
fn the_daemon_goes_on_while_hq_is_away() {
    let outlet = Outlet::new(Kind::Sqlite);
    outlet.configure("http://127.0.0.1:9", ("k", "s"), &JOBS.replace("0 */5 * * * *", "* * * * * *"));
    let mut daemon = outlet.start(&["run"]);
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    for _ in 0..2 {
        wait_for(&mut log, &["run ended early", "HQ cannot be reached"]);
    }
    signal(&daemon, "-INT");
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(0), "{rest}");
}

#[test]
fn the_status_page_answers_and_a_sync_beside_the_daemon_is_safe() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("0 */5 * * * *", "* * * * * *"));
    shop.items(300);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = shop.outlet.config();
    shop.outlet.write_config(&config.replacen(
        "[local]",
        &format!("[daemon]\nlisten = \"127.0.0.1:{port}\"\n[local]"),
        1,
    ));
    let mut daemon = shop.outlet.start(&["--log-format", "json", "run"]);
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    wait_for(&mut log, &["run ended well", "\"job\":\"items\""]);
    for _ in 0..3 {
        shop.outlet.run(&["sync"]).expect_code(0);
    }
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        std::io::Write::write_all(&mut stream, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        canary::assert_absent("the status page", &answer);
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.0 200"), "{}", get("/healthz"));
    assert!(get("/metrics").contains("milkrun_job_status"), "{}", get("/metrics"));
    let page = get("/");
    assert!(page.contains("outlet-042") && page.contains("items"), "{page}");
    signal(&daemon, "-TERM");
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(0), "{rest}");
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
