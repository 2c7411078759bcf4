//! Promise 3: one bad record stops nobody.

use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::{Kind, Shop};

on_each_database! {
    bad_records_are_parked_the_others_land_and_each_leaves_by_itself_once_mended
    what_the_outlets_own_table_refuses_is_found_and_parked
    a_parked_record_lands_when_the_row_that_it_looks_up_arrives
    a_record_that_was_here_keeps_its_row_while_its_new_version_is_parked
    a_changed_mapping_tries_parked_records_again
    discarded_records_come_back_with_hqs_next_version
    a_version_given_up_stays_so_though_an_older_one_is_here
    what_hq_lost_without_a_trace_leaves_the_quarantine_with_a_reconcile
    what_a_repair_refuses_stays_parked_until_it_is_written
    parked_records_that_left_the_filters_count_as_no_deletes
}

/// The items' fields, with every kind of trap: numbers, dates, lengths, lookups and a plain text.
const TRAPS: &str = r#"
[job.fields]
item_code = "name"
number = { from = "item_name", type = "int" }
day = { from = "stock_uom", type = "date" }
price = { from = "standard_rate", type = "decimal", scale = 2 }
parent = { from = "item_group", lookup = { table = "item_groups", match = "name", take = "parent" } }
text = { from = "description", max_length = 100 }
"#;

/// The usual jobs with the traps in place of the items' fields, and no child table.
fn traps() -> String {
    let (head, _) = JOBS.split_once("[job.fields]\nitem_code").unwrap();
    format!("{head}{}", TRAPS.trim_start())
}

fn trapped(shop: &Shop, code: &str, more: Value) {
    let mut fields = json!({"item_name": "7", "stock_uom": "2024-02-03", "description": "short"});
    for (field, value) in more.as_object().unwrap() {
        fields[field] = value.clone();
    }
    shop.item(code, fields);
}

fn shop_of_traps(kind: Kind, jobs: &str) -> Shop {
    let shop = Shop::with_jobs(kind, jobs);
    for day in ["2024-02-03", "2024-02-31"] {
        shop.hq.insert("UOM", json!({"uom_name": day})).unwrap();
    }
    shop.hq.update("Item Group", "Cones", json!({"parent_item_group": "Cones"})).unwrap();
    shop
}

/// The names in quarantine.
fn parked(shop: &Shop) -> Vec<String> {
    let listed = shop.outlet.run(&["--format", "json", "quarantine", "list"]);
    listed.expect_code(0);
    listed
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

fn bad_records_are_parked_the_others_land_and_each_leaves_by_itself_once_mended(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    for n in 0..96 {
        trapped(&shop, &format!("OK-{n:02}"), json!({}));
    }
    trapped(&shop, "BAD-DATE", json!({"stock_uom": "2024-02-31"}));
    trapped(&shop, "BAD-LENGTH", json!({"description": "x".repeat(101)}));
    trapped(&shop, "BAD-NUMBER", json!({"item_name": "seven"}));
    trapped(&shop, "BAD-SIZE", json!({"item_name": "y".repeat(20 << 20)}));
    let outcome = shop.outlet.run(&["--format", "json", "sync"]);
    outcome.expect_code(3);
    let runs = outcome.json();
    assert_eq!(runs[1]["status"], "quarantine", "{outcome}");
    assert_eq!(runs[1]["counts"]["quarantined"], 4, "{outcome}");
    assert_eq!(shop.outlet.database.count("items"), 96);
    let bad = ["BAD-DATE", "BAD-LENGTH", "BAD-NUMBER", "BAD-SIZE"];
    assert_eq!(parked(&shop), bad);
    for (name, word, sent) in [
        ("BAD-DATE", "day", "2024-02-31"),
        ("BAD-LENGTH", "max_length", "xxx"),
        ("BAD-NUMBER", "number", "seven"),
        ("BAD-SIZE", "number", "(20971520 characters)"),
    ] {
        let shown = shop.outlet.run(&["quarantine", "show", "items", name]);
        shown.expect_code(0);
        assert!(shown.stdout.contains(word) && shown.stdout.contains(sent), "{name}\n{}", shown.stdout);
        assert!(shown.stdout.len() < 100_000, "{name}: {} bytes", shown.stdout.len());
    }
    // The next run has nothing new to say and does not ask for them again. (A drawn wait may be next to nothing.)
    shop.outlet.database.execute("update milkrun_quarantine set next_at = '2099-01-01 00:00:00.000000'");
    let idle = shop.outlet.run(&["--format", "json", "sync", "items"]);
    idle.expect_code(3);
    assert_eq!(idle.json()[0]["counts"]["fetched"], 0, "{idle}");
    for (name, mended) in [
        ("BAD-DATE", json!({"stock_uom": "2024-02-03"})),
        ("BAD-LENGTH", json!({"description": "fits"})),
        ("BAD-NUMBER", json!({"item_name": "8"})),
        ("BAD-SIZE", json!({"item_name": "9"})),
    ] {
        shop.hq.update("Item", name, mended).unwrap();
    }
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 100);
    assert_eq!(parked(&shop), [""; 0]);
}

fn what_the_outlets_own_table_refuses_is_found_and_parked(kind: Kind) {
    let shop = Shop::with_jobs(kind, &traps().replace("text = { from = \"description\", max_length = 100 }\n", ""));
    // A table of the outlet's own making, with rules that milkrun knows nothing of.
    let text = if kind == Kind::Sqlite { "text" } else { "varchar(140)" };
    shop.outlet.database.execute(&format!(
        "create table items (item_code {text} primary key, number int check (number < 1000), day date, \
         price decimal(12, 2) unique, parent {text})"
    ));
    shop.hq.insert("UOM", json!({"uom_name": "2024-02-03"})).unwrap();
    for n in 0..98 {
        trapped(&shop, &format!("OK-{n:02}"), json!({"standard_rate": n}));
    }
    trapped(&shop, "MID-CHECK", json!({"item_name": "1000", "standard_rate": 500}));
    trapped(&shop, "MID-UNIQUE", json!({"standard_rate": 7}));
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(3);
    assert_eq!(shop.outlet.database.count("items"), 98, "{outcome}");
    assert_eq!(parked(&shop), ["MID-CHECK", "MID-UNIQUE"]);
    shop.hq.update("Item", "MID-CHECK", json!({"item_name": "999"})).unwrap();
    shop.hq.update("Item", "MID-UNIQUE", json!({"standard_rate": 501})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 100);
}

fn a_parked_record_lands_when_the_row_that_it_looks_up_arrives(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({}));
    shop.outlet.sync_well(&[]);
    // The group's job does not run, so that its row is not there.
    shop.hq
        .insert("Item Group", json!({"item_group_name": "Cups", "parent_item_group": "Cones"}))
        .unwrap();
    trapped(&shop, "B", json!({"item_group": "Cups"}));
    let alone = shop.outlet.run(&["sync", "items"]);
    alone.expect_code(3);
    assert!(alone.stdout.contains("quarantine list items"), "{alone}");
    let shown = shop.outlet.run(&["quarantine", "show", "items", "B"]);
    assert!(shown.stdout.contains("no row in item_groups has name = \"Cups\""), "{shown}");
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 2);
}

fn a_record_that_was_here_keeps_its_row_while_its_new_version_is_parked(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({}));
    trapped(&shop, "B", json!({}));
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "A", json!({"item_name": "many"})).unwrap();
    shop.hq.update("Item", "B", json!({"item_name": "many"})).unwrap();
    shop.outlet.run(&["sync"]).expect_code(3);
    let numbers = |shop: &Shop| shop.outlet.database.rows("items", &["number"], "item_code");
    assert_eq!(numbers(&shop), [[Some("7".to_owned())], [Some("7".to_owned())]]);
    // Gone at HQ: the row goes, and the parked version with it.
    shop.hq.delete("Item", "A").unwrap();
    shop.outlet.run(&["sync"]).expect_code(3);
    assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (1, vec!["B".to_owned()]));
    // Out of the filter: the same.
    shop.hq.update("Item", "B", json!({"is_sales_item": 0})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (0, vec![]));
}

fn a_changed_mapping_tries_parked_records_again(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({"description": "x".repeat(120)}));
    shop.outlet.run(&["sync"]).expect_code(3);
    let config = shop.outlet.config().replace(", max_length = 100", "");
    shop.outlet.write_config(&config);
    if kind == Kind::Sqlite {
        shop.outlet.sync_well(&[]);
    } else {
        // The column is as long as the mapping said when it was made.
        let longer = if kind == Kind::Mysql { "modify text text" } else { "alter column text type text" };
        shop.outlet.database.execute(&format!("alter table items {longer}"));
        shop.outlet.sync_well(&[]);
    }
    assert_eq!(shop.outlet.database.count("items"), 1);
    assert_eq!(parked(&shop), [""; 0]);
}

fn discarded_records_come_back_with_hqs_next_version(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({"item_name": "many"}));
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.outlet.run(&["quarantine", "retry", "items", "A"]).expect_code(3);
    let listed = shop.outlet.run(&["--format", "json", "quarantine", "list", "items"]).json();
    assert_eq!(listed[0]["tries"], 2);
    shop.outlet.run(&["quarantine", "discard", "items", "A"]).expect_code(0);
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (0, vec![]));
    shop.hq.update("Item", "A", json!({"item_name": "5"})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 1);
    let stranger = shop.outlet.run(&["quarantine", "show", "items", "A"]);
    stranger.expect_code(2);
    assert!(stranger.stderr.contains("quarantine list"), "{stranger}");
}

#[test]
fn a_record_whose_time_has_come_is_tried_again_and_one_that_is_gone_is_forgotten() {
    let shop = shop_of_traps(Kind::Sqlite, &traps());
    trapped(&shop, "A", json!({"item_name": "many"}));
    trapped(&shop, "B", json!({"item_name": "many"}));
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.hq.delete("Item", "B").unwrap();
    shop.hq.update_silently("Item", "A", json!({"item_name": "3"})).unwrap();
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.outlet.database.execute("update milkrun_quarantine set next_at = '2020-01-01 00:00:00.000000'");
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (1, vec![]));
}

#[test]
fn a_bad_child_row_parks_its_parent_and_shows_itself() {
    let jobs = JOBS.replace("barcode = \"barcode\"", "barcode = { from = \"barcode\", type = \"int\" }");
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    shop.item("A", json!({"barcodes": [{"barcode": "1"}, {"barcode": "one"}]}));
    shop.item("B", json!({"barcodes": [{"barcode": "2"}]}));
    shop.outlet.run(&["sync"]).expect_code(3);
    assert_eq!((shop.outlet.database.count("items"), shop.outlet.database.count("item_barcodes")), (1, 1));
    let shown = shop.outlet.run(&["quarantine", "show", "items", "A"]);
    assert!(shown.stdout.contains("barcodes: barcode") && shown.stdout.contains("\"one\""), "{shown}");
    shop.hq.update("Item", "A", json!({"barcodes": [{"barcode": "1"}]})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 2);
}

fn a_version_given_up_stays_so_though_an_older_one_is_here(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({}));
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "A", json!({"item_name": "many"})).unwrap();
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.outlet.run(&["quarantine", "discard", "items", "A"]).expect_code(0);
    shop.outlet.sync_well(&[]);
    shop.outlet.sync_well(&[]);
    // Nor does a reconcile take it up again, with or without an older one here.
    trapped(&shop, "B", json!({"item_name": "many"}));
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.outlet.run(&["quarantine", "discard", "items", "B"]).expect_code(0);
    shop.outlet.run(&["reconcile"]).expect_code(0);
    assert_eq!(parked(&shop), [""; 0]);
    shop.hq.update("Item", "B", json!({"item_name": "9"})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items where number = 9"), 1);
}

fn what_hq_lost_without_a_trace_leaves_the_quarantine_with_a_reconcile(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({"item_name": "many"}));
    trapped(&shop, "B", json!({"item_name": "many"}));
    trapped(&shop, "C", json!({}));
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.hq.delete_without_trace("Item", "A").unwrap();
    shop.outlet.run(&["reconcile"]).expect_code(3);
    assert_eq!(parked(&shop), ["B"]);
}

fn what_a_repair_refuses_stays_parked_until_it_is_written(kind: Kind) {
    let loose = traps().replace("max_length = 100", "max_length = 200");
    let shop = shop_of_traps(kind, &loose);
    trapped(&shop, "A", json!({"description": "x".repeat(150)}));
    trapped(&shop, "B", json!({}));
    shop.outlet.sync_well(&[]);
    // The version that the ledger holds does not fit the new mapping, and trying again does not make it fit.
    let config = shop.outlet.config();
    shop.outlet.write_config(&config.replace("max_length = 200", "max_length = 100"));
    shop.outlet.run(&["sync"]).expect_code(3);
    for _ in 0..2 {
        shop.outlet.run(&["quarantine", "retry", "items"]).expect_code(3);
        assert_eq!(parked(&shop), ["A"]);
    }
    shop.outlet.database.execute("update items set text = 'edited here' where item_code = 'A'");
    shop.outlet.write_config(&config);
    shop.outlet.sync_well(&[]);
    let text = shop.outlet.database.rows("items", &["text"], "item_code").remove(0).remove(0);
    assert_eq!(text, Some("x".repeat(150)));
}

fn parked_records_that_left_the_filters_count_as_no_deletes(kind: Kind) {
    let shop = shop_of_traps(kind, &traps());
    trapped(&shop, "A", json!({}));
    for n in 0..40 {
        trapped(&shop, &format!("BAD-{n:02}"), json!({"item_name": "many"}));
    }
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.outlet.database.execute("update milkrun_quarantine set next_at = '2020-01-01 00:00:00.000000'");
    let narrower = shop.outlet.config().replace("[\"is_sales_item\", \"=\", 1]", "[\"name\", \"=\", \"A\"]");
    shop.outlet.write_config(&narrower);
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (1, vec![]));
}

#[test]
fn a_constraint_that_the_database_puts_off_until_the_commit_parks_its_record_only() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let jobs = traps().replace("parent = { from = \"item_group\", lookup = { table = \"item_groups\", match = \"name\", take = \"parent\" } }\n", "parent = \"item_group\"\n");
        let shop = shop_of_traps(kind, &jobs);
        shop.outlet.database.execute("create table grp (name varchar(140) primary key)");
        shop.outlet.database.execute("insert into grp values ('Cones')");
        shop.outlet.database.execute(
            "create table items (item_code varchar(140) primary key, number int, day date, price numeric(12, 2), \
             parent varchar(140) references grp (name) deferrable initially deferred, text varchar(140))",
        );
        shop.hq
            .insert("Item Group", json!({"item_group_name": "Cups", "parent_item_group": "Cones"}))
            .unwrap();
        for n in 0..50 {
            trapped(&shop, &format!("OK-{n:02}"), json!({}));
        }
        trapped(&shop, "MID", json!({"item_group": "Cups"}));
        let outcome = shop.outlet.run(&["sync"]);
        outcome.expect_code(3);
        assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (50, vec!["MID".to_owned()]), "{outcome}");
        shop.outlet.database.execute("insert into grp values ('Cups')");
        shop.outlet.run(&["quarantine", "retry", "items"]).expect_code(0);
        assert_eq!(shop.outlet.database.count("items"), 51);
    }
}

#[test]
fn a_parked_record_that_hq_does_not_show_for_a_while_is_not_forgotten() {
    let shop = shop_of_traps(Kind::Sqlite, &traps());
    trapped(&shop, "A", json!({"item_name": "many"}));
    shop.outlet.run(&["sync"]).expect_code(3);
    let kept = shop.hq.get("Item", "A").unwrap();
    shop.hq.delete_without_trace("Item", "A").unwrap();
    for _ in 0..3 {
        shop.outlet.run(&["quarantine", "retry", "items"]).expect_code(3);
        assert_eq!(parked(&shop), ["A"]);
    }
    shop.item("A", json!({"item_name": "5", "stock_uom": "2024-02-03", "description": kept["description"]}));
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("items"), parked(&shop)), (1, vec![]));
    // One that stays away is taken for gone in the end.
    trapped(&shop, "B", json!({"item_name": "many"}));
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.hq.delete_without_trace("Item", "B").unwrap();
    let codes: Vec<i32> = (0..9).map(|_| shop.outlet.run(&["quarantine", "retry", "items"]).code).collect();
    assert_eq!(codes, [3, 3, 3, 3, 3, 3, 3, 3, 0]);
}

#[test]
fn a_delete_that_the_database_refuses_does_not_hold_up_the_jobs_behind() {
    let jobs = JOBS
        .replace("unit = {", "grp = \"item_group\"\nunit = {")
        .replace("create_table = true\ndeletes", "deletes");
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    shop.outlet.database.execute(
        "create table item_groups (name text primary key, parent text); \
         create table items (item_code text primary key, title text, price text, unit text, active int, changed text, \
         shelf text, phone text, grp text references item_groups (name)); \
         create table item_barcodes (item_code text, idx int, barcode text, kind text)",
    );
    shop.hq
        .insert("Item Group", json!({"item_group_name": "Old", "parent_item_group": "Cones"}))
        .unwrap();
    shop.item("A", json!({"item_group": "Old"}));
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "A", json!({"item_group": "Cones"})).unwrap();
    shop.hq.delete("Item Group", "Old").unwrap();
    shop.outlet.run(&["sync"]).expect_code(4);
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("item_groups"), 1);
}
