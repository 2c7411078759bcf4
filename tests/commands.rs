//! The command line.

use serde_json::json;

use crate::support::{Kind, Shop};

#[test]
fn check_passes_on_a_sound_outlet_and_names_what_is_wrong_with_another() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let outcome = shop.outlet.run(&["check"]);
    outcome.expect_code(0);
    assert!(outcome.stdout.contains("manager@hq.example"), "{outcome}");
    let config = shop.outlet.config();
    shop.outlet.write_config(&config.replacen(
        "time_zone = \"Asia/Kolkata\"\ntimeout",
        "time_zone = \"Europe/Berlin\"\ntimeout",
        1,
    ));
    let outcome = shop.outlet.run(&["check"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("Asia/Kolkata"), "{outcome}");
    shop.outlet.write_config(&config.replace("field = \"barcodes\"", "field = \"barcodez\""));
    let outcome = shop.outlet.run(&["check"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("barcodez"), "{outcome}");
}

#[test]
fn check_writes_nothing() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.outlet.run(&["check"]).expect_code(0);
    let tables = shop.outlet.database.rows("sqlite_master", &["name"], "name");
    assert!(!tables.iter().any(|row| row[0].as_deref() == Some("items")), "{tables:?}");
}

#[test]
fn status_tells_how_each_job_stands() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let never = shop.outlet.run(&["--format", "json", "status"]).json();
    assert_eq!(never["jobs"][1]["status"], "never");
    shop.outlet.sync_well(&[]);
    let status = shop.outlet.run(&["--format", "json", "status"]);
    status.expect_code(0);
    assert_eq!(status.json()["jobs"][1]["status"], "ok");
    assert_eq!(status.json()["jobs"][1]["rows"], 3);
    // A look at chosen records says nothing about the whole.
    shop.outlet.run(&["sync", "items", "--name", "NO-SUCH"]).expect_code(1);
    assert_eq!(shop.outlet.run(&["--format", "json", "status"]).json()["jobs"][1]["status"], "ok");
    let text = shop.outlet.run(&["status"]);
    assert!(text.stdout.contains("items") && text.stdout.contains("ok"), "{text}");
}

#[test]
fn one_record_can_be_read_again_by_name() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set title = 'wrong'");
    shop.outlet.sync_well(&["items", "--name", "ICE-0003", "ICE-0004"]);
    let right = shop.outlet.database.rows("items", &["title"], "item_code");
    let right = right.iter().filter(|row| row[0].as_deref() != Some("wrong")).count();
    assert_eq!(right, 2);
    shop.item("NOT-SOLD", json!({"is_sales_item": 0}));
    let outside = shop.outlet.run(&["sync", "items", "--name", "NOT-SOLD"]);
    assert!(outside.expect_code(1).stdout.contains("filters leave out \"NOT-SOLD\""), "{outside}");
    let outcome = shop.outlet.run(&["sync", "items", "--name", "NO-SUCH"]);
    outcome.expect_code(1);
    assert!(outcome.stdout.contains("NO-SUCH"), "{outcome}");
}

#[test]
fn a_stretch_can_be_read_again_by_its_stamp() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.outlet.sync_well(&[]);
    let stamp = shop.hq.now_stamp();
    shop.hq.update("Item", "ICE-0002", json!({"standard_rate": 1})).unwrap();
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set title = 'wrong'");
    let runs = shop.outlet.sync_well(&["items", "--since", &stamp]);
    assert_eq!(runs[0]["counts"]["updated"], 1, "{runs:#?}");
    let outcome = shop.outlet.run(&["sync", "--since", "yesterday"]);
    outcome.expect_code(2);
}

#[test]
fn the_watermark_can_be_shown_set_and_reset() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.outlet.sync_well(&[]);
    let shown = shop.outlet.run(&["--format", "json", "watermark", "show", "items"]).json();
    assert!(shown["seen"]["modified"].is_string(), "{shown:#}");
    let set = shop.outlet.run(&["--format", "json", "watermark", "set", "items", "2024-05-05 10:00:00"]);
    assert_eq!(set.expect_code(0).json()["settled"]["modified"], "2024-05-05 10:00:00");
    let runs = shop.outlet.sync_well(&["items"]);
    assert_eq!(runs[0]["counts"]["updated"], 0);
    shop.outlet.run(&["watermark", "reset", "items"]).expect_code(0);
    let runs = shop.outlet.sync_well(&["items"]);
    assert_eq!((&runs[0]["counts"]["fetched"], &runs[0]["counts"]["unchanged"]), (&json!(10), &json!(10)));
    shop.outlet.run(&["watermark", "set", "items", "last week"]).expect_code(2);
    let ahead = shop.outlet.run(&["watermark", "set", "items", "2199-01-01 00:00:00"]);
    assert!(ahead.expect_code(1).stderr.contains("ahead of HQ's clock"), "{ahead}");
}

#[test]
fn an_unknown_job_gets_the_nearest_name() {
    let shop = Shop::empty(Kind::Sqlite);
    let outcome = shop.outlet.run(&["sync", "itmes"]);
    outcome.expect_code(2);
    assert!(outcome.stderr.contains("did you mean \"items\"?"), "{outcome}");
}

#[test]
fn completions_are_printed_without_a_configuration() {
    let shop = Shop::empty(Kind::Sqlite);
    std::fs::remove_file(shop.outlet.path("sync.toml")).unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let outcome = shop.outlet.run(&["completions", shell]);
        assert!(outcome.expect_code(0).stdout.contains("watermark"), "{outcome}");
    }
}

#[test]
fn two_syncs_at_once_do_not_get_in_each_others_way() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(2_000);
    let first = shop.outlet.start(&["sync"]);
    let second = shop.outlet.start(&["sync"]);
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    shop.assert_in_step();
}
