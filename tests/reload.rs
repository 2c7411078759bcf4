//! An edited `sync.toml` under a running daemon: taken over or refused as a whole, between runs, and told as it is.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use milkrun::demo::data::MANAGER;
use milkrun::demo::{Fault, Hold, When};
use serde_json::Value;

use crate::support::daemon::{Daemon, free_port, get, listen};
use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop};

/// Longer than any of these tests takes; one that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job of its own, of the units.
const UNITS: &str = r#"
[[job]]
name = "units"
doctype = "UOM"
schedule = "0 0 0 1 1 *"
table = "units"
key = "name"
create_table = true
[job.fields]
name = "name"
"#;

/// The usual jobs, which never come due by themselves while a test runs.
fn seldom() -> String {
    JOBS.replace("0 0 * * * *", "0 0 0 1 1 *").replace("0 */5 * * * *", "0 0 0 1 1 *")
}

/// An outlet with a daemon that has done its first round.
fn started(kind: Kind, jobs: &str, items: usize) -> (Shop, Daemon) {
    let shop = Shop::with_jobs(kind, jobs);
    shop.items(items);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\"", &format!("inserted={items}")]);
    (shop, daemon)
}

fn version(outlet: &Outlet) -> Value {
    outlet.run(&["--format", "json", "status"]).json()["version"].clone()
}

/// The version of a text, as milkrun names it.
fn id(text: &str) -> String {
    format!("{:08x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()) >> 32)
}

/// Fails unless this text is in force and nothing newer is known.
#[track_caller]
fn assert_in_force(outlet: &Outlet, text: &str) {
    let version = version(outlet);
    assert_eq!(version["daemon"]["state"], "runs", "{version:#}");
    assert_eq!(version["in_force"]["id"], id(text), "{version:#}");
    assert_eq!(version["newer"], Value::Null, "{version:#}");
}

/// Writes a text that is refused, and gives what `status` says of it; the one in force must stay.
#[track_caller]
fn refused(outlet: &Outlet, daemon: &mut Daemon, text: &str, in_force: &str) -> Value {
    outlet.write_config(text);
    daemon.wait_for(&["ERROR", "the edited file is refused"]);
    // What is logged is known a moment later.
    loop {
        let version = version(outlet);
        assert_eq!(version["in_force"]["id"], id(in_force), "{version:#}");
        assert_eq!(version["on_disk"], id(text), "{version:#}");
        if version["newer"]["why"] == "refused" {
            return version["newer"].clone();
        }
        assert_eq!(version["newer"]["why"], "unseen", "{version:#}");
    }
}

/// As an editor does that loses nothing: a file beside it, put in its place.
fn put_in_place(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[track_caller]
fn taken_over(outlet: &Outlet, daemon: &mut Daemon, text: &str) {
    daemon.wait_for(&["the edited file is in force", &id(text)]);
    loop {
        let version = version(outlet);
        if version["in_force"]["id"] == id(text) {
            break assert_in_force(outlet, text);
        }
        assert_eq!(version["newer"]["why"], "waiting", "{version:#}");
    }
}

#[test]
fn ten_edits_good_and_bad_between_runs_and_during_one() {
    let jobs = seldom();
    let (shop, mut daemon) = started(Kind::Sqlite, &jobs, 150);
    let outlet = &shop.outlet;
    let first = outlet.config();
    assert_in_force(outlet, &first);

    // 1: a job comes due each second from now on.
    let busy = first.replacen("schedule = \"0 0 0 1 1 *\"\nafter", "schedule = \"* * * * * *\"\nafter", 1);
    outlet.write_config(&busy);
    taken_over(outlet, &mut daemon, &busy);
    daemon.wait_for(&["run ended", "job=\"items\""]);
    daemon.wait_for(&["run ended", "job=\"items\""]);

    // 2: half a line.
    let newer = refused(outlet, &mut daemon, &busy.replacen("table = \"items\"", "table = \"ite", 1), &busy);
    assert!(newer["problems"][0].as_str().unwrap().starts_with("sync.toml:"), "{newer:#}");
    daemon.wait_for(&["run ended", "job=\"items\""]);

    // And a secret that was pasted with a line break in it; the support looks for it in all that is said.
    let torn = busy.replacen(MANAGER.1, "demo\ncanary-torn", 1);
    assert_ne!(torn, busy);
    let newer = refused(outlet, &mut daemon, &torn, &busy);
    assert!(newer["problems"][0].as_str().unwrap().ends_with("see `milkrun check --offline`"), "{newer:#}");
    outlet.run(&["check", "--offline"]).expect_code(2);
    outlet.run(&["--format", "json", "check", "--offline"]).expect_code(2);
    outlet.run(&["reload"]);

    // 3: two mistakes, of which both are told.
    let wrong = busy.replacen("Asia/Kolkata", "Asia/Kolkatta", 1).replacen("overlap", "overlapp", 1);
    let newer = refused(outlet, &mut daemon, &wrong, &busy);
    assert_eq!(newer["count"], 2, "{newer:#}");

    // 4: an example that does not hold.
    let test = "\n[[job.test]]\ngiven = { name = \"A\", parent_item_group = \"B\" }\nexpect = { parent = \"C\" }\n";
    let wrong =
        busy.replacen("parent = \"parent_item_group\"\n", &format!("parent = \"parent_item_group\"\n{test}"), 1);
    let newer = refused(outlet, &mut daemon, &wrong, &busy);
    assert!(
        newer["problems"][0].as_str().unwrap().contains("parent is \"B\", where the example expects \"C\""),
        "{newer:#}"
    );

    // 5: what is in force again, by another file in the place of this one.
    put_in_place(&outlet.path("sync.toml"), &busy);
    daemon.wait_for(&["the file is again as it is in force"]);

    // 6: a new job runs at once.
    let more = format!("{busy}{UNITS}");
    put_in_place(&outlet.path("sync.toml"), &more);
    taken_over(outlet, &mut daemon, &more);
    daemon.wait_for(&["run ended well", "job=\"units\""]);
    assert!(outlet.database.count("units") > 0);

    // 7: one that is gone stops, and its rows stay.
    outlet.write_config(&busy);
    taken_over(outlet, &mut daemon, &busy);
    daemon.wait_for(&["WARN", "the job is no more", "job=\"units\""]);
    assert_eq!(outlet.run(&["--format", "json", "status"]).json()["jobs"].as_array().unwrap().len(), 2);
    assert!(outlet.database.count("units") > 0);

    // 8: an address that somebody else has.
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let with_page = |port| busy.replacen("[local]", &format!("[daemon]\nlisten = \"127.0.0.1:{port}\"\n[local]"), 1);
    let newer = refused(outlet, &mut daemon, &with_page(theirs.local_addr().unwrap().port()), &busy);
    assert!(newer["problems"][0].as_str().unwrap().contains("cannot listen on"), "{newer:#}");

    // 9: one that is free; the page says which version is in force.
    let port = free_port();
    let paged = with_page(port);
    outlet.write_config(&paged);
    taken_over(outlet, &mut daemon, &paged);
    assert!(get(port, "/").contains(&id(&paged)));
    assert!(get(port, "/healthz").starts_with("HTTP/1.0 200"));

    // 10: another mapping, while a run waits for HQ; the link that is the file points to another one.
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item"), Fault::Hold(hold.clone()));
    assert!(hold.wait_until_reached(PATIENCE));
    let mapped = paged.replacen("Nos = \"each\"", "Nos = \"piece\"", 1);
    fs::write(outlet.path("mapped.toml"), &mapped).unwrap();
    std::os::unix::fs::symlink("mapped.toml", outlet.path("link")).unwrap();
    fs::rename(outlet.path("link"), outlet.path("sync.toml")).unwrap();
    daemon.wait_for(&["the edited file is good", &id(&mapped)]);
    let waiting = version(outlet);
    assert_eq!([&waiting["in_force"]["id"], &waiting["newer"]["why"]], [&id(&paged), "waiting"], "{waiting:#}");
    assert!(get(port, "/").contains(&id(&paged)));
    hold.release();
    taken_over(outlet, &mut daemon, &mapped);
    daemon.wait_for(&["the mapping has changed", "items"]);
    daemon.wait_for(&["run ended well", "job=\"items\"", "updated=150"]);
    assert_eq!(
        outlet.database.rows("items", &["count(*)"], "1"),
        outlet.database.rows("items where unit = 'piece'", &["count(*)"], "1")
    );

    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    let runs = outlet.run(&["--format", "json", "runs", "--limit", "500"]).json();
    // The newest may be one that the signal has stopped.
    assert!(runs.as_array().unwrap().iter().skip(1).all(|run| run["status"] == "ok"), "{runs:#}");
    let over = version(outlet);
    assert_eq!([&over["daemon"]["state"], &over["in_force"]], [&Value::from("stopped"), &Value::Null], "{over:#}");
}

fn reload_says_what_came_of_it(kind: Kind) {
    let (shop, daemon) = started(kind, &seldom(), 20);
    let outlet = &shop.outlet;
    let first = outlet.config();
    let good = first.replacen("Nos = \"each\"", "Nos = \"piece\"", 1);
    outlet.write_config(&good);
    let outcome = outlet.run(&["reload"]);
    outcome.expect_code(0);
    assert!(outcome.stdout.contains(&format!("version {} of", id(&good))), "{outcome}");
    assert_in_force(outlet, &good);
    outlet.write_config(&good.replacen("[local]", "[lokal]", 1).replacen("Item Group", "", 1));
    let outcome = outlet.run(&["--config", "sync.toml", "status"]);
    assert!(outcome.code == 0 || outcome.code == 2, "{outcome}");
    outlet.write_config(&good.replacen("overlap", "overlapp", 1));
    let outcome = outlet.run(&["reload"]);
    outcome.expect_code(2);
    assert!(outcome.stdout.contains("is refused") && outcome.stdout.contains("did you mean \"overlap\"?"), "{outcome}");
    let outcome = outlet.run(&["status"]);
    assert!(outcome.stdout.contains("is refused") && outcome.stdout.contains("\"overlap\""), "{outcome}");
    outlet.write_config(&good);
    outlet.run(&["reload"]).expect_code(0);
    assert_in_force(outlet, &good);
    // The job runs by what is in force: everything is read again.
    outlet.sync_well(&["items"]);
    assert_eq!(outlet.database.rows("items where unit = 'piece'", &["count(*)"], "1")[0][0].as_deref(), Some("20"));
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    let outcome = outlet.run(&["reload"]);
    outcome.expect_code(1);
    assert!(outcome.stdout.contains("no daemon runs"), "{outcome}");
}

on_each_database! { reload_says_what_came_of_it }

#[test]
fn a_run_that_does_not_end_stops_at_its_page_and_goes_on_by_the_new_version() {
    let shop = Shop::with_jobs(Kind::Sqlite, &seldom());
    shop.items(450);
    shop.outlet
        .write_config(&shop.outlet.config().replacen("timeout = \"20s\"", "timeout = \"120s\"", 1));
    let hold = Hold::new();
    // The second page of the first load, for longer than a run may go on.
    shop.hq.fault_when(When::doctype("Item").nth(3), Fault::Hold(hold.clone()));
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    assert!(hold.wait_until_reached(PATIENCE));
    let edited = shop.outlet.config().replacen("page_size = 100", "page_size = 50", 1);
    shop.outlet.write_config(&edited);
    daemon.wait_for(&["what runs stops at its next page"]);
    taken_over(&shop.outlet, &mut daemon, &edited);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    hold.release();
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    shop.assert_in_step();
    let runs = shop.outlet.run(&["--format", "json", "runs", "items"]).json();
    let fetched: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| run["counts"]["fetched"].as_u64().unwrap()).collect();
    assert_eq!((fetched.len(), fetched.iter().sum::<u64>()), (2, 450), "{runs:#}");
}

#[test]
fn a_kill_while_a_version_waits_harms_nothing_and_status_says_that_nobody_runs() {
    let (shop, mut daemon) = started(Kind::Sqlite, &seldom().replacen("0 0 0 1 1 *", "* * * * * *", 2), 50);
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item"), Fault::Hold(hold.clone()));
    assert!(hold.wait_until_reached(PATIENCE));
    let edited = shop.outlet.config().replacen("page_size = 100", "page_size = 50", 1);
    shop.outlet.write_config(&edited);
    daemon.wait_for(&["the edited file is good"]);
    daemon.signal("-KILL");
    assert_eq!(daemon.end().0, None);
    hold.release();
    let version = version(&shop.outlet);
    assert_eq!(version["daemon"]["state"], "stopped", "{version:#}");
    assert_eq!([&version["in_force"], &version["newer"]], [&Value::Null; 2], "{version:#}");
    assert_eq!(version["on_disk"], id(&edited));
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended", "job=\"items\""]);
    assert_in_force(&shop.outlet, &edited);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    shop.assert_in_step();
}

#[test]
fn a_secret_that_rotates_in_a_file_is_read_again_and_a_job_that_was_blocked_by_the_old_one_runs_at_once() {
    let shop = Shop::with_jobs(Kind::Sqlite, &seldom());
    shop.items(30);
    let secret = shop.outlet.path("secret");
    let (_, right) = milkrun::demo::data::MANAGER;
    fs::write(&secret, "canary-wrong").unwrap();
    shop.outlet.write_config(&shop.outlet.config().replacen(right, "${file:secret}", 1));
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["ERROR", "HQ refused the credentials"]);
    daemon.wait_for(&["run ended", "job=\"items\""]);
    // Nobody need tell it.
    fs::write(&secret, right).unwrap();
    daemon.wait_for(&["run ended well", "job=\"items\"", "inserted=30"]);
    // One that is gone is refused, and the version in force stays; once it is there again, all is well.
    fs::rename(&secret, shop.outlet.path("aside")).unwrap();
    daemon.wait_for(&["ERROR", "the edited file is refused"]);
    daemon.wait_for(&["ERROR", "${file:secret}: the file cannot be read"]);
    assert_eq!(version(&shop.outlet)["newer"]["why"], "refused");
    fs::rename(shop.outlet.path("aside"), &secret).unwrap();
    daemon.wait_for(&["the edited file is in force"]);
    assert_eq!(version(&shop.outlet)["newer"], Value::Null);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    shop.assert_in_step();
}

#[test]
fn another_database_takes_over_and_the_one_before_says_that_nobody_works_with_it() {
    let (shop, mut daemon) = started(Kind::Sqlite, &seldom(), 30);
    let first = shop.outlet.config();
    fs::write(shop.outlet.path("new.toml"), first.replacen("outlet.db", "new.db", 1)).unwrap();
    let unwritten = shop.outlet.run(&["--config", "new.toml", "reload"]);
    unwritten.expect_code(1);
    assert!(unwritten.stdout.contains("no daemon has written to this database"), "{unwritten}");
    let second = first.replacen("outlet.db", "second.db", 1);
    shop.outlet.write_config(&second);
    taken_over(&shop.outlet, &mut daemon, &second);
    daemon.wait_for(&["run ended well", "job=\"items\"", "inserted=30"]);
    fs::write(shop.outlet.path("first.toml"), &first).unwrap();
    let before = shop.outlet.run(&["--config", "first.toml", "--format", "json", "status"]).json();
    assert_eq!(before["version"]["daemon"]["state"], "stopped", "{before:#}");
    let unreachable = second.replacen("second.db", "none/third.db", 1);
    shop.outlet.write_config(&unreachable);
    daemon.wait_for(&["ERROR", "none does not exist"]);
    // That one runs by an older file cannot be seen from a database that it has never worked with.
    assert_eq!(version(&shop.outlet)["daemon"]["state"], "never");
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn a_database_that_is_logged_in_to_otherwise_is_the_same_one_and_runs_nothing_at_once() {
    let (shop, mut daemon) = started(Kind::Postgres, &seldom(), 30);
    let url = shop.outlet.config().lines().find(|line| line.starts_with("url = \"postgres")).unwrap().to_owned();
    let other = format!("{}?application_name=milkrun\"", url.strip_suffix('"').unwrap());
    let edited = shop.outlet.config().replacen(&url, &other, 1);
    shop.outlet.write_config(&edited);
    taken_over(&shop.outlet, &mut daemon, &edited);
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    let runs = log.lines().filter(|line| line.contains("run ended") && line.contains("job=\"items\"")).count();
    assert_eq!((code, runs), (Some(0), 1), "{log}");
    assert!(!log.contains("another one now"), "{log}");
}

#[test]
fn narrower_filters_retire_rows_within_the_limit_without_waiting_for_the_night() {
    let (shop, mut daemon) = started(Kind::Sqlite, &seldom(), 100);
    shop.hq.update("Item", "ICE-0007", serde_json::json!({"disabled": 1})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 100);
    let narrow = "[[\"is_sales_item\", \"=\", 1], [\"disabled\", \"=\", 0]]";
    let narrower = shop.outlet.config().replacen("[[\"is_sales_item\", \"=\", 1]]", narrow, 1);
    shop.outlet.write_config(&narrower);
    taken_over(&shop.outlet, &mut daemon, &narrower);
    daemon.wait_for(&["run ended well", "job=\"items\"", "deleted=1"]);
    assert_eq!(shop.outlet.database.count("items"), 99);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));

    // As well where no daemon saw the edit, and a run by hand has read everything by it.
    shop.hq.update("Item", "ICE-0008", serde_json::json!({"item_group": "Odd"})).unwrap();
    shop.outlet.sync_well(&[]);
    let narrowest = narrower.replacen(narrow, &narrow.replacen("]]", "], [\"item_group\", \"!=\", \"Odd\"]]", 1), 1);
    shop.outlet.write_config(&narrowest);
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 99);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\"", "deleted=1"]);
    assert_eq!(shop.outlet.database.count("items"), 98);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    // What was done is not done again.
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["daemon started", "reconciles=0"]);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

/// Threads and open files of a process.
fn held_by(pid: u32) -> (usize, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap();
    (threads, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

#[test]
fn many_versions_leave_no_thread_and_no_file_open() {
    let shop = Shop::with_jobs(Kind::Sqlite, &seldom());
    shop.items(10);
    let port = listen(&shop.outlet);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    let texts = [shop.outlet.config(), shop.outlet.config().replacen("page_size = 100", "page_size = 50", 1)];
    let versions = |count: usize| {
        for n in 0..count {
            shop.outlet.write_config(&texts[(n + 1) % 2]);
            shop.outlet.run(&["reload"]).expect_code(0);
            assert!(get(port, "/healthz").starts_with("HTTP/1.0 200"));
        }
        held_by(daemon.pid())
    };
    let (early, late) = (versions(4), versions(20));
    assert!(late.0 <= early.0 + 1 && late.1 <= early.1 + 2, "threads and files: {early:?}, then {late:?}");
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}
