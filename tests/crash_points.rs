//! The process dies at each named place; the next run goes on from there, and both ends are equal.

use milkrun::crash::Point;
use serde_json::{Value, json};

use crate::support::{Kind, Outcome, Shop};

const ITEMS: usize = 250;
const PAGE: u64 = 100;

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    FirstLoad,
    Edits,
    Reconcile,
}

/// Where each place is met: in which scene, and for the how-manieth time, so that it falls into the job `items`.
fn met(point: Point) -> (Scene, u32) {
    match point {
        Point::BetweenMigrations => (Scene::FirstLoad, 1),
        Point::LeaseTaken | Point::RunLogged | Point::WatermarkSaved | Point::RunDone | Point::RunEnded => {
            (Scene::FirstLoad, 2)
        }
        // One page is that of the groups, so that this is the second of the items.
        Point::PageFetched | Point::RowsWritten | Point::PageWritten | Point::PageCommitted => (Scene::FirstLoad, 3),
        Point::RowsRetired | Point::TombstonesWritten | Point::AbsentNoted => (Scene::Edits, 1),
        Point::PageCompared => (Scene::Reconcile, 1),
    }
}

fn dies_at(point: Point, kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(ITEMS);
    let (scene, nth) = met(point);
    if scene != Scene::FirstLoad {
        shop.outlet.sync_well(&[]);
        for n in 0..5 {
            shop.hq.update("Item", &format!("ICE-{n:04}"), json!({"standard_rate": 7})).unwrap();
            shop.hq.delete("Item", &format!("ICE-{:04}", n + 10)).unwrap();
        }
        shop.hq.update("Item", "ICE-0020", json!({"is_sales_item": 0})).unwrap();
        shop.item("OUT-1", json!({"is_sales_item": 0}));
    }
    let wanted = format!("{}:{nth}", point.name());
    let command = if scene == Scene::Reconcile { "reconcile" } else { "sync" };
    let died = shop.outlet.run_with(&[("MILKRUN_CRASH_AT", &wanted)], &[command]);
    assert_eq!(died.code, -1, "{wanted} was not reached\n{died}");

    let committed = committed_by_the_dead(&shop, point);
    let again = shop.outlet.sync_well(&[]);
    shop.assert_in_step();
    if scene == Scene::FirstLoad {
        let fetched = fetched(&again);
        assert!(
            fetched + committed <= ITEMS as u64 + PAGE,
            "{wanted}: {committed} were committed, {fetched} came again"
        );
    }
    assert_eq!(shop.outlet.database.count("milkrun_leases"), 0, "{wanted}: a lease is left behind");
    let runs = shop.outlet.run(&["--format", "json", "runs"]).json();
    assert!(runs.as_array().unwrap().iter().all(|run| run["status"] != "running"), "{wanted}: {runs:#}");
    if kind == Kind::Sqlite {
        let found = shop.outlet.database.rows("pragma_integrity_check", &["integrity_check"], "1");
        assert_eq!(found, [[Some("ok".to_owned())]], "{wanted}");
    }
    let idle = shop.outlet.sync_well(&["items"]);
    assert_eq!((&idle[0]["counts"]["inserted"], &idle[0]["counts"]["updated"]), (&json!(0), &json!(0)), "{wanted}");
}

/// What the log says of the run that died, which must be the truth before anybody has run again.
fn committed_by_the_dead(shop: &Shop, point: Point) -> u64 {
    let has_tables = point != Point::BetweenMigrations;
    let status: Outcome = shop.outlet.run(&["--format", "json", "status"]);
    let jobs = status.json();
    let items = &jobs["jobs"][1];
    assert_ne!(items["status"], "running", "{}: of a dead process\n{status}", point.name());
    let runs = shop.outlet.run(&["--format", "json", "runs", "items", "--limit", "1"]).json();
    let Some(run) = runs.as_array().unwrap().first().filter(|_| has_tables) else { return 0 };
    if point != Point::RunEnded && met(point).0 == Scene::FirstLoad {
        assert_eq!(run["status"], "failed", "{}: {run:#}", point.name());
        assert!(run["error"].as_str().unwrap().contains("the process ended before the run did"), "{run:#}");
        let rows = if run["counts"]["inserted"] == 0 { 0 } else { shop.outlet.database.count("items") };
        assert_eq!(run["counts"]["inserted"], rows, "{}: the log says another number than the table", point.name());
        assert_eq!(rows == 0, matches!(point, Point::LeaseTaken | Point::RunLogged), "{}: {rows} rows", point.name());
    }
    run["counts"]["inserted"].as_u64().unwrap()
}

fn fetched(runs: &[Value]) -> u64 {
    let items = runs.iter().find(|run| run["job"] == "items").unwrap();
    items["counts"]["fetched"].as_u64().unwrap()
}

#[test]
fn a_death_at_any_named_place_costs_at_most_a_page() {
    for point in Point::ALL {
        dies_at(point, Kind::Sqlite);
    }
}

/// Where the order of statements matters to the database; all places would take minutes.
const FEW: [Point; 4] = [Point::BetweenMigrations, Point::RowsWritten, Point::PageCommitted, Point::TombstonesWritten];

#[test]
fn a_death_costs_at_most_a_page_on_postgres() {
    for point in FEW {
        dies_at(point, Kind::Postgres);
    }
}

#[test]
fn a_death_costs_at_most_a_page_on_mysql() {
    for point in FEW {
        dies_at(point, Kind::Mysql);
    }
}
