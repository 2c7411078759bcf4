//! Promise 5: HQ is treated kindly.

use std::time::Duration;

use milkrun::demo::{Fault, RateLimit, Transport, When};
use serde_json::json;

use crate::support::shop::JOBS;
use crate::support::{Kind, Shop};

#[test]
fn an_idle_poll_costs_one_request_a_job_and_one_for_all_deletes() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("overlap = \"30m\"", "overlap = \"1ms\""));
    shop.items(500);
    shop.outlet.sync_well(&[]);
    shop.outlet.sync_well(&[]);
    shop.hq.forget_requests();
    shop.outlet.sync_well(&[]);
    let requests = shop.hq.requests();
    let asked: Vec<_> = requests.iter().map(|request| request.doctype.clone().unwrap_or_default()).collect();
    assert_eq!(asked, ["Deleted Document", "Item Group", "Item"], "{requests:#?}");
    let item = requests.iter().find(|request| request.doctype.as_deref() == Some("Item")).unwrap();
    assert!(item.bytes < 200, "{} bytes", item.bytes);
}

#[test]
fn an_idle_round_of_fifty_jobs_costs_fifty_one_requests() {
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs_of_groups(50));
    shop.outlet.sync_well(&[]);
    shop.hq.forget_requests();
    let runs = shop.outlet.sync_well(&[]);
    let requests = shop.hq.requests();
    assert_eq!(requests.len(), 51, "{requests:#?}");
    assert!(requests.iter().all(|request| request.bytes < 2_000), "{requests:#?}");
    assert!(runs.iter().all(|run| run["counts"]["fetched"] == 0), "{runs:#?}");
}

#[test]
fn an_idle_run_writes_nothing_but_its_line_in_the_run_log() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("overlap = \"30m\"", "overlap = \"1ms\""));
    shop.items(50);
    for _ in 0..3 {
        shop.outlet.sync_well(&[]);
    }
    let own = |shop: &Shop| {
        let rows = |table: &str, columns: &[&str], order: &str| shop.outlet.database.rows(table, columns, order);
        let watermarks = ["job", "stream", "updated_at", "settled_modified", "settled_as_of"];
        [
            rows("milkrun_watermarks", &watermarks, "job, stream"),
            rows("milkrun_ledger", &["job", "hq_name", "hq_modified"], "job, hq_name"),
            rows("milkrun_leases", &["job"], "job"),
        ]
    };
    let (before, runs) = (own(&shop), shop.outlet.database.count("milkrun_runs"));
    shop.outlet.sync_well(&[]);
    assert_eq!(own(&shop), before);
    assert_eq!(shop.outlet.database.count("milkrun_runs"), runs + 2);
}

#[test]
fn the_run_after_a_first_load_asks_for_names_only() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(2_000);
    shop.hq.insert("Item", crate::support::shop::item("NOT-SOLD", json!({"is_sales_item": 0}))).unwrap();
    shop.outlet.sync_well(&[]);
    let runs = shop.outlet.sync_well(&["items"]);
    let counts = &runs[0]["counts"];
    assert!(counts["requests"].as_u64().unwrap() <= 3, "{counts:#}");
    assert_eq!(counts["fetched"], 0, "{counts:#}");
}

#[test]
fn a_record_that_left_the_filter_is_not_asked_for_again() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(47);
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "ICE-0003", json!({"is_sales_item": 0})).unwrap();
    let left = shop.outlet.sync_well(&["items"]);
    assert_eq!(left[0]["counts"]["deleted"], 1, "{left:#?}");
    // Past the second of the update, before which HQ's `Date` would look set back.
    shop.hq.advance(Duration::from_secs(2));
    let idle = shop.outlet.sync_well(&["items"]);
    assert_eq!(idle[0]["counts"]["requests"], 2, "{idle:#?}");
}

#[test]
fn only_mapped_fields_are_asked_for() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.outlet.sync_well(&["items"]);
    let asked = format!("{:?}", shop.hq.requests());
    assert!(!asked.contains("description") && !asked.contains("\\\"*\\\""), "{asked}");
}

#[test]
fn long_queries_fit_gunicorns_request_line() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.hq.set_transport(Transport::Gunicorn);
    shop.items(400);
    shop.outlet.sync_well(&[]);
    shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 3})).unwrap();
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

#[test]
fn a_bulk_update_is_read_in_order_and_not_by_name() {
    for filters in ["", "filters = [[\"is_sales_item\", \"=\", 1]]\n"] {
        let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("filters = [[\"is_sales_item\", \"=\", 1]]\n", filters));
        shop.items(2_000);
        shop.outlet.sync_well(&[]);
        shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 3})).unwrap();
        shop.hq.forget_requests();
        let runs = shop.outlet.sync_well(&["items"]);
        shop.assert_in_step();
        assert_eq!(runs[0]["counts"]["updated"], 2_000, "{filters}: {:#}", runs[0]);
        let requests = shop.hq.requests();
        let of_items: Vec<_> = requests.iter().filter(|request| request.doctype.as_deref() == Some("Item")).collect();
        assert!(of_items.iter().all(|request| request.method == "GET"), "{filters}: {of_items:#?}");
        assert!(of_items.len() <= 8, "{filters}: {} requests for the list and pages that grow", of_items.len());
    }
}

on_each_database! { of_a_bulk_update_only_what_changed_is_written }

fn of_a_bulk_update_only_what_changed_is_written(kind: Kind) {
    let (parents, _) = JOBS.split_once("[[job.children]]").unwrap();
    let plain = parents.replace("filters = [[\"is_sales_item\", \"=\", 1]]\n", "");
    let shop = Shop::with_jobs(kind, &plain.replace("changed = { from = \"modified\", type = \"datetime\" }\n", ""));
    shop.items(2_500);
    shop.outlet.sync_well(&[]);
    for name in ["ICE-0003", "ICE-1500", "ICE-2499"] {
        shop.hq.update("Item", name, json!({"standard_rate": 77})).unwrap();
    }
    shop.outlet.database.execute("UPDATE items SET shelf = 'ours'");
    shop.hq.bulk_stamp("Item", |_| true, json!({})).unwrap();
    let sync = shop.outlet.run(&["-vv", "--format", "json", "sync", "items"]);
    sync.expect_code(0);
    assert!(sync.stderr.contains("only the stamp of a page's records has changed"), "{sync}");
    let runs = sync.json();
    let counts = &runs[0]["counts"];
    assert_eq!((&counts["updated"], &counts["unchanged"]), (&json!(3), &json!(2_497)), "{counts:#}");
    assert_eq!(shop.outlet.database.count("items WHERE price = '77.00' AND shelf = 'ours'"), 3);
    let runs = shop.outlet.sync_well(&["items"]);
    assert_eq!(runs[0]["counts"]["fetched"], 0, "the ledger has the new stamps: {:#}", runs[0]);
}

#[test]
fn what_left_the_filter_in_a_bulk_update_goes() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(1_000);
    shop.outlet.sync_well(&[]);
    let code = |item: &serde_json::Map<String, serde_json::Value>| item["item_code"].as_str().unwrap().to_owned();
    shop.hq
        .bulk_stamp("Item", |item| code(item).as_str() < "ICE-0950", json!({"standard_rate": 4}))
        .unwrap();
    shop.hq.bulk_stamp("Item", |item| code(item).ends_with("77"), json!({"is_sales_item": 0})).unwrap();
    let runs = shop.outlet.sync_well(&["items"]);
    shop.assert_in_step();
    let counts = &runs[0]["counts"];
    assert_eq!((&counts["updated"], &counts["deleted"]), (&json!(941), &json!(10)), "{counts:#}");
}

#[test]
fn a_retry_after_is_waited_for_and_counted() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    let config = shop.outlet.config().replace("max_delay = \"20ms\"", "max_delay = \"5s\"");
    shop.outlet.write_config(&config);
    shop.hq.fault_when(When::doctype("Item"), Fault::TooMany(1));
    let began = std::time::Instant::now();
    let runs = shop.outlet.sync_well(&["items"]);
    assert!(began.elapsed() >= Duration::from_secs(1), "HQ asked to wait a second");
    assert_eq!(runs[0]["counts"]["retries"], 1);
}

#[test]
fn a_passing_fault_is_survived_and_a_lasting_one_is_told() {
    let faults = [
        Fault::Refuse,
        Fault::LoseAnswer,
        Fault::CutBody,
        Fault::CutGzip,
        Fault::HtmlPage,
        Fault::Proxy(502),
        Fault::Proxy(504),
        Fault::Exception(500, "QueryTimeoutError".to_owned()),
        Fault::Shape(json!({"data": {}})),
        Fault::Shape(json!({})),
        Fault::RepeatPage,
    ];
    for fault in faults {
        let shop = Shop::empty(Kind::Sqlite);
        shop.items(350);
        shop.hq.fault_when(When::doctype("Item").nth(4), fault.clone());
        let first = shop.outlet.run(&["sync"]);
        assert!(matches!(first.code, 0 | 1), "{fault:?}\n{first}");
        shop.outlet.sync_well(&[]);
        shop.assert_in_step();

        shop.hq.fault_always(When::doctype("Item"), fault.clone());
        shop.hq.bulk_stamp("Item", |_| true, json!({})).unwrap();
        let lasting = shop.outlet.run(&["sync", "items"]);
        assert!(lasting.code == 1 || matches!(fault, Fault::RepeatPage), "{fault:?}\n{lasting}");
        assert!(lasting.code == 0 || lasting.stdout.contains("do: "), "{fault:?}: no remedy\n{lasting}");
    }
}

#[test]
fn a_rate_limited_hq_is_served_within_its_budget() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(300);
    let config = shop.outlet.config().replace("max_delay = \"20ms\"", "max_delay = \"10s\"");
    shop.outlet.write_config(&config.replace("[local]", "budget_share = 100\n[local]"));
    let (budget, window, cost) = (Duration::from_millis(500), Duration::from_secs(2), Duration::from_millis(100));
    shop.hq.set_rate_limit(Some(RateLimit { budget, window, cost }));
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

/// Sets HQ's clock so that its rate limit's window does not end under the test.
fn middle_of_a_window(shop: &Shop, window: Duration) {
    let past = shop.hq.now().timestamp().unsigned_abs() % window.as_secs();
    shop.hq.advance(window * 3 / 2 - Duration::from_secs(past));
}

#[test]
fn of_hqs_time_budget_an_outlet_takes_its_share_and_says_when_it_goes_on() {
    let shop = Shop::empty(Kind::Sqlite);
    let hour = Duration::from_secs(3600);
    middle_of_a_window(&shop, hour);
    shop.items(300);
    let (budget, cost) = (Duration::from_secs(100), Duration::from_secs(1));
    shop.hq.set_rate_limit(Some(RateLimit { budget, window: hour, cost }));
    let outcome = shop.outlet.run(&["--format", "json", "sync"]);
    outcome.expect_code(1);
    assert_eq!(shop.hq.requests().len(), 5, "5 % of 100 s are 5 requests of a second each\n{outcome}");
    let runs = outcome.json();
    assert_eq!(runs[1]["status"], "failed", "{outcome}");
    let told = "this outlet's share of HQ's time budget is used up until 20";
    assert!(outcome.stdout.contains(told), "{outcome}");
    assert!(outcome.stdout.contains("hq.budget_share"), "{outcome}");
}

#[test]
fn when_others_have_used_up_hqs_budget_no_second_request_is_refused() {
    let shop = Shop::empty(Kind::Sqlite);
    middle_of_a_window(&shop, Duration::from_secs(3600));
    shop.items(10);
    let (window, cost) = (Duration::from_secs(3600), Duration::from_secs(1));
    shop.hq.set_rate_limit(Some(RateLimit { budget: Duration::ZERO, window, cost }));
    let outcome = shop.outlet.run(&["--format", "json", "sync"]);
    outcome.expect_code(1);
    let statuses: Vec<u16> = shop.hq.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [429], "{outcome}");
    assert!(outcome.stdout.contains("HQ's time budget is used up until 20"), "{outcome}");
}

/// So many jobs of one DocType, each into a table of its own.
fn jobs_of_groups(count: u32) -> String {
    let job = |n: u32| {
        format!(
            "[[job]]\nname = \"groups_{n}\"\ndoctype = \"Item Group\"\nschedule = \"0 0 * * * *\"\ntable = \"groups_{n}\"\n\
             key = \"name\"\ncreate_table = true\n[job.fields]\nname = \"name\"\n"
        )
    };
    (1..=count).map(job).collect()
}

#[test]
fn with_hq_down_a_round_of_five_jobs_costs_the_attempts_of_one_request() {
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs_of_groups(5));
    for (fault, pings) in [(Fault::Proxy(503), 0), (Fault::Proxy(502), 1), (Fault::Refuse, 1), (Fault::HtmlPage, 1)] {
        shop.hq.forget_requests();
        // The tombstones are asked for by the round; what is left of it meets an HQ that goes down in its middle.
        shop.hq.fault_always(When::path("/api/resource/Item Group"), fault.clone());
        shop.hq.fault_always(When::path("/api/method/ping"), fault.clone());
        let outcome = shop.outlet.run(&["--format", "json", "sync"]);
        outcome.expect_code(1);
        let runs = outcome.json();
        assert!(runs.as_array().unwrap().iter().all(|run| run["status"] == "failed"), "{outcome}");
        let faulted = shop.hq.requests().iter().filter(|request| request.fault.is_some()).count();
        assert_eq!(faulted, 3 + pings, "{fault:?}\n{outcome}");
        let told = runs[4]["error"].as_str().unwrap();
        assert!(told.contains("HQ is down since 20") && !told.contains("probe"), "{outcome}");
        assert_eq!(runs[4]["remedy"], "bring HQ back, then run the command again", "{outcome}");
        shop.hq.heal();
    }
    // A person's sync is a new process, and always asks.
    shop.outlet.sync_well(&[]);
}

#[test]
fn one_doctype_that_hq_cannot_serve_does_not_keep_the_other_jobs_from_theirs() {
    let jobs = JOBS.replace("after = [\"item_groups\"]", "");
    for fault in [Fault::Proxy(502), Fault::Refuse, Fault::HtmlPage] {
        let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
        shop.items(10);
        shop.hq.fault_always(When::path("/api/resource/Item Group"), fault.clone());
        let runs = shop.outlet.sync(&[]);
        let statuses: Vec<_> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["failed", "ok"], "{fault:?}\n{runs:#?}");
    }
}

#[test]
fn a_page_that_is_too_much_is_asked_for_smaller_and_grows_again() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(2_000);
    shop.hq.advance(Duration::from_secs(2));
    shop.outlet.sync_well(&["item_groups"]);
    shop.hq.forget_requests();
    shop.hq.fault_when(When::path("/api/resource/Item").nth(4), Fault::Proxy(504));
    let runs = shop.outlet.sync_well(&["items"]);
    shop.assert_in_step();
    assert_eq!(runs[0]["counts"]["retries"], 1);
    let requests = shop.hq.requests();
    let limit = |request: &milkrun::demo::Request| {
        let limit = request.query.iter().find(|(key, _)| key == "limit_page_length");
        limit.map(|(_, limit)| limit.parse::<usize>().unwrap())
    };
    let fields_of_a_page = |request: &&milkrun::demo::Request| {
        request.path == "/api/resource/Item" && request.query.iter().any(|(_, value)| value.contains("item_name"))
    };
    let mut limits: Vec<usize> = requests.iter().filter(fields_of_a_page).filter_map(limit).collect();
    limits.dedup();
    // Slowly, as it has been too much once.
    assert!(limits.starts_with(&[100, 800, 200, 400]), "{limits:?}");
}

#[test]
fn pages_that_come_quickly_grow() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3_000);
    let runs = shop.outlet.sync_well(&[]);
    shop.assert_in_step();
    let requests = runs[1]["counts"]["requests"].as_u64().unwrap();
    assert!(requests < 40, "30 pages of 100 with their children would be 60: {requests}");
}
