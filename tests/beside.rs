//! Several programs on one local database: two milkruns, and the outlet's till.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use milkrun::clock::Clock;
use milkrun::demo::{Fault, Hold, When};
use milkrun::run::{Status, Trigger};
use milkrun::sync::{Engine, Mode, Order};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio_util::sync::CancellationToken;

use crate::support::shop::{JOBS, item};
use crate::support::{Kind, Shop, say};

const ITEMS: usize = 20_000;

/// Longest that a test waits for a request to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the till wrote, and how it went.
#[derive(Debug, Default)]
struct Sales {
    made: i64,
    shelves: BTreeMap<String, String>,
    longest: Duration,
}

/// A till that sells fifty times a second and moves an item to another shelf now and then, as such programs do: on a
/// connection of its own with a patience of five seconds, and every error is one.
fn till(file: &std::path::Path, is_closed: Arc<AtomicBool>) -> JoinHandle<Sales> {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(5));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query("create table sales (n integer primary key, item text)")
                .execute(&mut connection)
                .await
                .unwrap();
            let mut sales = Sales::default();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while !is_closed.load(Ordering::Relaxed) {
                ticks.tick().await;
                let code = format!("ICE-{:04}", sales.made % 100);
                let begun = Instant::now();
                let sold = sqlx::query("insert into sales (n, item) values (?, ?)").bind(sales.made).bind(&code);
                sold.execute(&mut connection).await.unwrap();
                if sales.made % 5 == 0 {
                    let shelf = format!("S{}", sales.made);
                    let moved = sqlx::query("update items set shelf = ? where item_code = ?").bind(&shelf).bind(&code);
                    assert_eq!(moved.execute(&mut connection).await.unwrap().rows_affected(), 1);
                    sales.shelves.insert(code, shelf);
                }
                sales.longest = sales.longest.max(begun.elapsed());
                sales.made += 1;
            }
            connection.close().await.unwrap();
            sales
        })
    })
}

#[test]
fn a_till_writes_to_the_same_file_all_the_time_and_nothing_is_locked_or_lost() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("page_size = 100", "page_size = 5000"));
    shop.items(100);
    shop.outlet.sync_well(&[]);
    let is_closed = Arc::new(AtomicBool::new(false));
    let till = till(&shop.outlet.path("outlet.db"), Arc::clone(&is_closed));
    shop.hq.load("Item", (100..ITEMS).map(|n| item(&format!("ICE-{n:04}"), json!({})))).unwrap();
    // Pages of five thousand: the first load of nearly all, and a comparison with the rows that the till is moving.
    shop.outlet.sync_well(&["items", "--full"]);
    is_closed.store(true, Ordering::Relaxed);
    let sales = till.join().unwrap();
    say!("{} sales beside {ITEMS} records, the longest took {:?}", sales.made, sales.longest);
    shop.assert_in_step();
    assert!(sales.made > 50);
    assert_eq!(shop.outlet.database.count("sales"), usize::try_from(sales.made).unwrap());
    let shelves = shop.outlet.database.rows("items", &["item_code", "shelf"], "item_code");
    for row in shelves {
        let [Some(code), shelf] = row.as_slice() else { panic!("{row:?}") };
        let want = sales.shelves.get(code).map_or("", String::as_str);
        assert_eq!(shelf.as_deref(), Some(want), "{code}");
    }
}

#[test]
fn a_till_writes_all_the_time_and_a_dry_run_beside_it_keeps_it_from_nothing() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("page_size = 100", "page_size = 5000"));
    shop.items(ITEMS / 2);
    shop.outlet.sync_well(&[]);
    let is_closed = Arc::new(AtomicBool::new(false));
    let till = till(&shop.outlet.path("outlet.db"), Arc::clone(&is_closed));
    shop.hq.load("Item", (ITEMS / 2..ITEMS).map(|n| item(&format!("ICE-{n:04}"), json!({})))).unwrap();
    let dry = shop.outlet.run(&["sync", "--full", "--dry-run"]);
    dry.expect_code(0);
    is_closed.store(true, Ordering::Relaxed);
    let sales = till.join().unwrap();
    say!("{} sales beside the dry run, the longest took {:?}", sales.made, sales.longest);
    assert!(sales.made > 20);
    assert_eq!(shop.outlet.database.count("sales"), usize::try_from(sales.made).unwrap());
    assert_eq!(shop.outlet.database.count("items"), ITEMS / 2);
}

on_each_database! {
    a_run_that_was_cut_off_in_a_process_that_lives_on_is_told_as_that
    two_processes_on_one_job_take_turns
    a_process_that_stood_still_finds_its_lease_lost_and_says_so
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// A `sync` that has come as far as HQ's first page of items, which is held.
fn held(shop: &Shop) -> (Child, Hold) {
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item").nth(2), Fault::Hold(hold.clone()));
    let child = shop.outlet.start(&["--format", "json", "sync", "items"]);
    assert!(hold.wait_until_reached(PATIENCE));
    (child, hold)
}

fn ended(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn two_processes_on_one_job_take_turns(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(300);
    shop.outlet.sync_well(&["item_groups"]);
    let (first, hold) = held(&shop);
    let running = shop.outlet.run(&["--format", "json", "status"]).json();
    assert_eq!(running["jobs"][1]["status"], "running");
    let mut second = shop.outlet.start(&["--format", "json", "sync", "items"]);
    let mut said = String::new();
    BufReader::new(second.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let whom = format!("process {} on ", first.id());
    assert!(said.contains(&whom) && said.contains(" since 20") && said.contains("up to 20 s"), "{said}");
    hold.release();
    let (first, second) = (ended(first), ended(second));
    assert_eq!((&first[0]["status"], &second[0]["status"]), (&json!("ok"), &json!("ok")), "{first:#} {second:#}");
    let fetched = |runs: &Value| runs[0]["counts"]["fetched"].as_u64().unwrap();
    assert_eq!(fetched(&first) + fetched(&second), 300, "nothing is read twice");
    shop.assert_in_step();
}

fn a_run_that_was_cut_off_in_a_process_that_lives_on_is_told_as_that(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(300);
    shop.outlet.sync_well(&["item_groups"]);
    let config = Arc::new(milkrun::config::load(&shop.outlet.path("sync.toml")).unwrap());
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item").nth(2), Fault::Hold(hold.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let runs = runtime.block_on(async {
        let engine = Engine::open(config, Clock::system(), Arc::new(|_event| {})).await.unwrap();
        let engine = Arc::new(engine);
        let round = {
            let engine = Arc::clone(&engine);
            move || {
                let engine = Arc::clone(&engine);
                let order =
                    Order { jobs: vec![1], mode: Mode::Changes, trigger: Trigger::Sync, has_confirmed_deletes: false };
                tokio::spawn(async move { engine.round(&order, &CancellationToken::new()).await.unwrap() })
            }
        };
        let first = round();
        let reached = hold.clone();
        assert!(tokio::task::spawn_blocking(move || reached.wait_until_reached(PATIENCE)).await.unwrap());
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        hold.release();
        let second = round().await.unwrap();
        assert_eq!(second[0].status, Status::Ok, "{second:#?}");
        let runs = engine.store().runs(Some("items"), false, 9).await.unwrap();
        engine.store().close().await;
        runs
    });
    let said = runs[1].error.as_deref().unwrap();
    assert!(said.starts_with("the run was cut off"), "{said}");
    shop.assert_in_step();
}

#[test]
fn a_run_that_waited_in_vain_for_another_does_not_stand_for_the_job() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(300);
    shop.outlet.sync_well(&["item_groups"]);
    let (first, hold) = held(&shop);
    let status = || shop.outlet.run(&["--format", "json", "status"]).json()["jobs"][1]["status"].clone();
    let waited = shop.outlet.run(&["--format", "json", "sync", "items"]);
    waited.expect_code(1);
    let error = waited.json()[0]["error"].clone();
    assert!(error.as_str().unwrap().contains("the job is being run by process"), "{error}");
    assert_eq!(status(), "running");
    hold.release();
    assert_eq!(ended(first)[0]["status"], "ok");
    assert_eq!(status(), "ok");
    shop.outlet.run(&["status"]).expect_code(0);
    let log = shop.outlet.run(&["--format", "json", "runs", "items"]).json();
    assert_eq!(log[0]["status"], "failed", "it is in the log all the same: {log:#}");
}

fn a_process_that_stood_still_finds_its_lease_lost_and_says_so(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(300);
    shop.outlet.sync_well(&["item_groups"]);
    let (first, hold) = held(&shop);
    signal(&first, "-STOP");
    // A minute goes by.
    shop.outlet.database.execute("update milkrun_leases set expires_at = '2001-01-01 00:00:00.000000'");
    shop.outlet.sync_well(&["items"]);
    shop.assert_in_step();
    signal(&first, "-CONT");
    hold.release();
    let first = ended(first);
    assert_eq!(first[0]["status"], "failed", "{first:#}");
    assert!(first[0]["error"].as_str().unwrap().contains("another process has taken over job items"), "{first:#}");
    shop.outlet.sync_well(&["items"]);
    shop.assert_in_step();
}

#[test]
fn what_waits_for_a_person_is_told_while_the_next_run_goes_on_too() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("max_length = 140", "max_length = 60"));
    shop.items(250);
    shop.hq.update("Item", "ICE-0007", json!({"item_name": "x".repeat(70)})).unwrap();
    shop.outlet.run(&["sync"]).expect_code(3);
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item"), Fault::Hold(hold.clone()));
    let mut run = shop.outlet.start(&["sync", "items"]);
    assert!(hold.wait_until_reached(PATIENCE));
    let status = shop.outlet.run(&["status"]);
    status.expect_code(3);
    assert!(status.stdout.contains("but for 1 record in quarantine"), "{status}");
    hold.release();
    run.wait().unwrap();
}
