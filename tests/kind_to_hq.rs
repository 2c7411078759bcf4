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
    shop.outlet.write_config(&config);
    let (budget, window, cost) = (Duration::from_millis(500), Duration::from_secs(2), Duration::from_millis(100));
    shop.hq.set_rate_limit(Some(RateLimit { budget, window, cost }));
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}
