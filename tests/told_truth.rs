//! Promise 6: operators are told the truth.

use milkrun::demo::{Fault, When};
use serde_json::json;

use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop};

#[test]
fn a_record_that_cannot_be_mapped_is_named_where_the_operator_looks() {
    let jobs = JOBS.replace("unit = {", "weight = { from = \"description\", type = \"decimal\" }\nunit = {");
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    shop.items(10);
    shop.item("BAD", json!({"description": "heavy"}));
    let outcome = shop.outlet.run(&["sync", "items"]);
    outcome.expect_code(3);
    assert!(outcome.stdout.contains("1 record is in quarantine"), "{outcome}");
    assert!(outcome.stderr.contains("\"BAD\"") && outcome.stderr.contains("weight"), "{outcome}");
    shop.outlet.run(&["status"]).expect_code(3);
    shop.hq.update("Item", "BAD", json!({"description": "1.5"})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 11);
}

#[test]
fn wrong_credentials_are_blocked_with_a_remedy_and_no_secret_is_shown() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.outlet.configure(&shop.url(), ("demo-manager", "canary-secret-7431"), JOBS);
    let outcome = shop.outlet.run(&["-vv", "sync"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("hq.auth"), "{outcome}");
    let runs = shop.outlet.run(&["--format", "json", "runs"]);
    for text in [&outcome.stdout, &outcome.stderr, &runs.stdout] {
        assert!(!text.contains("canary-secret-7431"), "{outcome}");
    }
}

#[test]
fn hq_being_away_is_failed_not_blocked() {
    let outlet = Outlet::new(Kind::Sqlite);
    // Port 9 of this machine answers nobody.
    outlet.configure("http://127.0.0.1:9", ("k", "s"), JOBS);
    let outcome = outlet.run(&["sync", "items"]);
    outcome.expect_code(1);
    assert!(outcome.stdout.contains("HQ cannot be reached") && outcome.stdout.contains("do: "), "{outcome}");
}

#[test]
fn a_job_whose_predecessor_failed_is_not_started() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.hq.fault_always(When::doctype("Item Group"), Fault::Proxy(502));
    let runs = shop.outlet.sync(&[]);
    assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&json!("failed"), &json!("failed")));
    assert!(runs[1]["error"].as_str().unwrap().contains("item_groups"), "{runs:#?}");
}

#[test]
fn the_run_log_holds_counts_watermarks_and_causes() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 1})).unwrap();
    shop.outlet.sync_well(&[]);
    shop.hq.fault_always(When::doctype("Item"), Fault::Proxy(503));
    shop.outlet.run(&["sync", "items"]).expect_code(1);
    let runs = shop.outlet.run(&["--format", "json", "runs", "items"]).json();
    let [failed, second, first] = runs.as_array().unwrap().as_slice() else { panic!("{runs:#}") };
    assert_eq!(first["counts"]["inserted"], 10);
    assert_eq!((&second["counts"]["updated"], &second["counts"]["fetched"]), (&json!(1), &json!(1)));
    assert_eq!(second["watermark_before"], first["watermark_after"]);
    assert_ne!(second["watermark_before"], second["watermark_after"]);
    assert!(second["counts"]["requests"].as_u64() >= Some(2) && second["counts"]["bytes"].as_u64() > Some(100));
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["counts"]["retries"], 2, "three attempts in all");
    let only_failed = shop.outlet.run(&["--format", "json", "runs", "--failed"]).json();
    assert_eq!(only_failed.as_array().unwrap().len(), 1);
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("\"item_name\"", "\"item_nam\""));
    shop.items(3);
    let outcome = shop.outlet.run(&["sync", "items"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("item_nam"), "{outcome}");
    let check = shop.outlet.run(&["check"]);
    check.expect_code(4);
    assert!(check.stdout.contains("did you mean \"item_name\"?"), "{check}");
}
