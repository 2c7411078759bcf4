//! A long way to HQ: two pages are under way at once, and nothing else is different.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use milkrun::demo::{Fault, Hold, Line, RateLimit, Request, When};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::support::shop::{JOBS, item};
use crate::support::{Kind, Shop};

/// What names a page by its place.
const PLACE: &str = "limit_start";

/// How long HQ may take to be asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// Far longer than what a local network takes; an HQ whose pages are ready before that.
const WAY: Duration = Duration::from_millis(40);

fn far(kind: Kind, jobs: &str, items: usize) -> Shop {
    let mut shop = Shop::with_jobs(kind, jobs);
    shop.outlet.set_env("MILKRUN_LEAD", "");
    let config = shop.outlet.config().replace("timeout = \"20s\"", "timeout = \"20s\"\nmax_requests_per_second = 0");
    shop.outlet.write_config(&config);
    shop.items(items);
    shop.hq.set_line(Line { latency: WAY, bytes_per_second: None });
    shop
}

fn without_filters() -> String {
    let jobs = JOBS.replace("filters = [[\"is_sales_item\", \"=\", 1]]\n", "");
    assert_ne!(jobs, JOBS);
    jobs
}

/// What was asked for by its place.
fn by_place(shop: &Shop) -> Vec<Request> {
    let is_by_place = |request: &Request| request.query.iter().any(|(key, _)| key == PLACE);
    shop.hq.requests().into_iter().filter(is_by_place).collect()
}

on_each_database! {
    the_page_after_the_one_under_way_is_asked_for_too
    edits_while_two_pages_are_under_way_are_all_there_after_one_more_run
}

fn the_page_after_the_one_under_way_is_asked_for_too(kind: Kind) {
    let shop = far(kind, JOBS, 2_000);
    let runs = shop.outlet.sync_well(&["items"]);
    shop.outlet.sync_well(&["item_groups"]);
    shop.assert_in_step();
    assert!(!by_place(&shop).is_empty());
    // Nothing came twice, and what was asked for in turn is only where the list begins and ends.
    assert_eq!(runs[0]["counts"]["fetched"], 2_000, "{:#}", runs[0]);
    assert_eq!(runs[0]["counts"]["inserted"], 2_000, "{:#}", runs[0]);
}

fn edits_while_two_pages_are_under_way_are_all_there_after_one_more_run(kind: Kind) {
    for seed in 0..2 {
        let shop = far(kind, &without_filters(), 400);
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        for _ in 0..2 {
            let (random, mut left) = (Arc::clone(&random), 20);
            shop.hq.after_every_list("Item", move |hq| {
                // HQ must be edited more slowly than it is read, or a run never catches up.
                if left == 0 {
                    return;
                }
                left -= 1;
                let mut random = random.lock().unwrap();
                let names = hq.names("Item");
                let mut some = || names[random.random_range(0..names.len())].clone();
                let (one, other) = (some(), some());
                hq.update("Item", &one, json!({"standard_rate": 1})).unwrap();
                if one != other {
                    hq.delete("Item", &other).unwrap();
                }
                hq.insert("Item", item(&format!("R-{}", random.random_range(0..100_000)), json!({}))).ok();
            });
            shop.outlet.run(&["sync", "--full", "--confirm-deletes"]).expect_code(0);
            shop.hq.clear_hooks();
        }
        assert!(!by_place(&shop).is_empty(), "seed {seed}");
        shop.outlet.sync_well(&["--confirm-deletes"]);
        shop.assert_in_step();
    }
}

#[test]
fn what_a_first_load_asks_before_it_writes_is_asked_for_at_once() {
    let shop = far(Kind::Sqlite, JOBS, 300);
    let (zone, third) = (Hold::new(), Hold::new());
    shop.hq.fault_when(When::path("get_time_zone"), Fault::Hold(zone.clone()));
    shop.hq.fault_when(When::doctype("Item").nth(3), Fault::Hold(third.clone()));
    let sync = shop.outlet.start(&["sync", "items"]);
    assert!(zone.wait_until_reached(PATIENCE), "HQ is asked for its zone");
    assert!(third.wait_until_reached(PATIENCE), "and for its newest record and the first page before it has answered");
    zone.release();
    third.release();
    assert!(sync.wait_with_output().unwrap().status.success());
    shop.outlet.sync_well(&["item_groups"]);
    shop.assert_in_step();
}

#[test]
fn records_without_a_stamp_come_first_on_a_long_way_too() {
    let shop = far(Kind::Sqlite, JOBS, 1);
    for n in 0..150 {
        let group = json!({"item_group_name": format!("SQL {n}")});
        shop.hq.insert_with_modified("Item Group", group, None).unwrap();
    }
    shop.outlet.sync_well(&["item_groups"]);
    assert_eq!(shop.outlet.database.count("item_groups"), 151);
}

#[test]
fn what_was_inserted_or_went_before_the_place_moves_no_record_out_of_a_pass() {
    let edits: [fn(&milkrun::demo::Site); 3] = [
        |hq| hq.delete("Item", "ICE-0003").unwrap(),
        |hq| hq.update("Item", "ICE-0003", json!({"standard_rate": 7})).unwrap(),
        |hq| {
            hq.insert_with_modified("Item", item("LATE", json!({})), Some("2001-01-01 00:00:00")).unwrap();
        },
    ];
    for edit in edits {
        let shop = far(Kind::Sqlite, &without_filters(), 700);
        shop.outlet.sync_well(&[]);
        // Before a page of whatever number is read, or after it.
        for nth in 2..6 {
            shop.outlet.database.execute("delete from items");
            shop.outlet.database.execute("delete from item_barcodes");
            shop.hq.after_list("Item", nth, edit);
            shop.outlet.run(&["sync", "items", "--full"]).expect_code(0);
            shop.hq.clear_hooks();
            let landed = shop.outlet.database.rows("items", &["item_code"], "item_code");
            let missing: Vec<String> = shop
                .hq
                .names("Item")
                .into_iter()
                .filter(|name| !landed.contains(&vec![Some(name.clone())]))
                .collect();
            // One that was stamped before the beginning of all is no news to any list.
            assert!(missing.iter().all(|name| name == "LATE"), "list {nth}: {missing:?}");
            for name in ["ICE-0003", "LATE"] {
                shop.hq.delete("Item", name).ok();
            }
            shop.item("ICE-0003", json!({}));
        }
    }
}

#[test]
fn an_hq_that_does_not_know_places_or_cuts_lists_is_read_in_turn() {
    for fault in [Fault::IgnoreStart, Fault::CutList(50), Fault::RepeatPage, Fault::DoubleRows] {
        let shop = far(Kind::Sqlite, JOBS, 1_500);
        // Alike, so that no stamp tells how far a list goes.
        shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 3})).unwrap();
        let when =
            if matches!(fault, Fault::CutList(_)) { When::path("/api/resource/Item") } else { When::query(PLACE) };
        shop.hq.fault_always(when, fault.clone());
        let runs = shop.outlet.sync_well(&[]);
        shop.assert_in_step();
        let asked = by_place(&shop).len();
        assert!((1..=8).contains(&asked), "{fault:?}: asked by place {asked} times");
        assert_eq!(runs[1]["counts"]["retries"], 0, "{fault:?}: {:#}", runs[1]);
        assert_eq!(runs[1]["counts"]["inserted"], 1_500, "{fault:?}: {:#}", runs[1]);
    }
}

#[test]
fn what_goes_wrong_with_a_page_that_was_asked_for_ahead_is_no_error_of_the_run() {
    let faults = [
        Fault::Refuse,
        Fault::LoseAnswer,
        Fault::CutBody,
        Fault::CutGzip,
        Fault::HtmlPage,
        Fault::EmptyList,
        Fault::Proxy(502),
        Fault::Proxy(503),
        Fault::Exception(500, "QueryTimeoutError".to_owned()),
        Fault::Answer(403, "application/json".to_owned(), b"{}".to_vec()),
        Fault::Answer(413, "text/html".to_owned(), Vec::new()),
        Fault::DropField("item_name".to_owned()),
        Fault::Shape(json!({"data": {}})),
    ];
    for fault in faults {
        let shop = far(Kind::Sqlite, JOBS, 600);
        shop.hq.fault_always(When::query(PLACE), fault.clone());
        let runs = shop.outlet.sync_well(&[]);
        shop.assert_in_step();
        assert_eq!(runs[1]["counts"]["retries"], 0, "{fault:?}: {:#}", runs[1]);
        let asked = by_place(&shop).len();
        assert!((1..=4).contains(&asked), "{fault:?}: asked by place {asked} times");
        assert!(!shop.hq.requests().iter().any(|request| request.path.ends_with("ping")), "{fault:?}: HQ is not down");
    }
}

#[test]
fn an_hq_with_little_left_of_its_budget_is_asked_for_nothing_ahead() {
    let shop = far(Kind::Sqlite, JOBS, 600);
    let config = shop.outlet.config().replace("max_delay = \"20ms\"", "max_delay = \"10s\"");
    shop.outlet.write_config(&config.replace("[local]", "budget_share = 100\n[local]"));
    let (budget, window, cost) = (Duration::from_millis(500), Duration::from_secs(2), Duration::from_millis(100));
    shop.hq.set_rate_limit(Some(RateLimit { budget, window, cost }));
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
    assert!(shop.hq.requests().iter().all(|request| request.status != 429), "{:#?}", shop.hq.requests());
}

#[test]
fn a_dry_run_on_a_long_way_says_what_the_run_then_does() {
    let shop = far(Kind::Sqlite, JOBS, 600);
    shop.outlet.sync_well(&["item_groups"]);
    shop.hq.forget_requests();
    let planned = shop.outlet.run(&["--format", "json", "sync", "items", "--dry-run"]);
    planned.expect_code(0);
    assert!(!by_place(&shop).is_empty());
    assert!(planned.stdout.contains("ICE-0599"), "{planned}");
    shop.outlet.sync_well(&["items"]);
    shop.assert_in_step();
}
