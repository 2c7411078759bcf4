//! Promise 2: what the outlet owns is never touched, and nothing goes without cause.

use milkrun::demo::data::{MANAGER, READER};
use milkrun::demo::{Fault, When};
use serde_json::json;

use crate::support::shop::JOBS;
use crate::support::{Kind, Shop};

on_each_database! {
    rows_and_columns_of_the_outlet_are_left_alone
    a_field_that_vanishes_from_hqs_answer_stops_the_job_and_overwrites_nothing
    a_mass_of_deletes_waits_for_the_operators_word
    deletes_mark_keeps_the_values
    of_two_records_that_claim_one_key_the_second_is_parked
    a_full_sync_repairs_what_was_changed_here
}

fn rows_and_columns_of_the_outlet_are_left_alone(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(20);
    shop.outlet.sync_well(&[]);
    let database = &shop.outlet.database;
    let text = if kind == Kind::Mysql { "varchar(100)" } else { "text" };
    database.execute(&format!("alter table items add column own_note {text}"));
    database.execute("insert into items (item_code, own_note) values ('OWN-1', 'ours')");
    database.execute("update items set own_note = 'mine', shelf = 'B7' where item_code = 'ICE-0003'");
    shop.hq.update("Item", "ICE-0003", json!({"standard_rate": 5})).unwrap();
    shop.hq.delete("Item", "ICE-0004").unwrap();
    shop.outlet.sync_well(&[]);
    shop.outlet.sync_well(&["items", "--full"]);
    let rows = database.rows("items", &["item_code", "own_note", "shelf", "price"], "item_code");
    let find = |code: &str| rows.iter().find(|row| row[0].as_deref() == Some(code)).cloned();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(find("OWN-1").unwrap()[1], some("ours"));
    assert_eq!(find("ICE-0003").unwrap()[1..], [some("mine"), some("B7"), some("5.00")]);
    assert_eq!(find("ICE-0004"), None);
}

fn a_field_that_vanishes_from_hqs_answer_stops_the_job_and_overwrites_nothing(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(20);
    shop.as_reader(JOBS);
    shop.outlet.sync_well(&[]);
    shop.hq.hide_field("outlet@hq.example", "Item", "standard_rate");
    shop.hq.update("Item", "ICE-0003", json!({"item_name": "new"})).unwrap();
    let before = shop.outlet.database.rows("items", &["item_code", "title", "price"], "item_code");
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("standard_rate"), "the field is not named\n{outcome}");
    assert_eq!(shop.outlet.database.rows("items", &["item_code", "title", "price"], "item_code"), before);
    shop.hq.show_field("outlet@hq.example", "Item", "standard_rate");
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

fn a_mass_of_deletes_waits_for_the_operators_word(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(100);
    shop.outlet.sync_well(&[]);
    for n in 0..30 {
        shop.hq.delete("Item", &format!("ICE-{n:04}")).unwrap();
    }
    for _ in 0..2 {
        let outcome = shop.outlet.run(&["sync"]);
        outcome.expect_code(4);
        assert!(outcome.stdout.contains("30 of 100 rows") && outcome.stdout.contains("--confirm-deletes"), "{outcome}");
        assert_eq!(shop.outlet.database.count("items"), 100);
    }
    shop.outlet.sync_well(&["items", "--confirm-deletes"]);
    shop.assert_in_step();
}

fn deletes_mark_keeps_the_values(kind: Kind) {
    let shop = Shop::with_jobs(kind, &JOBS.replace("deletes = \"delete\"", "deletes = \"mark\""));
    shop.items(20);
    shop.outlet.sync_well(&[]);
    shop.hq.delete("Item", "ICE-0004").unwrap();
    let runs = shop.outlet.sync_well(&[]);
    assert_eq!(runs[1]["counts"]["deleted"], 1);
    let marked = |shop: &Shop| {
        let rows = shop.outlet.database.rows("items", &["item_code", "price", "deleted_at"], "item_code");
        rows.into_iter()
            .filter(|row| row[2].is_some())
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(marked(&shop), [(Some("ICE-0004".to_owned()), Some("80.50".to_owned()))]);
    shop.item("ICE-0004", json!({}));
    shop.outlet.sync_well(&[]);
    assert_eq!(marked(&shop), []);
}

fn of_two_records_that_claim_one_key_the_second_is_parked(kind: Kind) {
    let jobs = JOBS.replace("item_code = \"name\"\n", "item_code = \"item_name\"\n");
    let shop = Shop::with_jobs(kind, &jobs);
    shop.item("A", json!({"item_name": "same"}));
    shop.outlet.sync_well(&[]);
    shop.item("B", json!({"item_name": "same"}));
    shop.outlet.run(&["sync"]).expect_code(3);
    let shown = shop.outlet.run(&["quarantine", "show", "items", "B"]);
    assert!(shown.stdout.contains("\"A\"") && shown.stdout.contains("\"B\""), "{shown}");
    // When the first holder is gone, without a trace, the row goes over to the second.
    shop.hq.delete_without_trace("Item", "A").unwrap();
    shop.outlet.run(&["quarantine", "retry", "items"]).expect_code(0);
    assert_eq!(shop.outlet.database.count("items"), 1);
    // A key that changes at HQ moves the row.
    shop.outlet.database.execute("update items set shelf = 'B7'");
    shop.hq.update("Item", "B", json!({"item_name": "other", "barcodes": [{"barcode": "1"}]})).unwrap();
    shop.outlet.sync_well(&[]);
    let rows = shop.outlet.database.rows("items", &["item_code", "shelf"], "item_code");
    assert_eq!(rows, [[Some("other".to_owned()), Some("B7".to_owned())]]);
}

fn a_full_sync_repairs_what_was_changed_here(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(30);
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '1.00' where item_code = 'ICE-0003'");
    shop.outlet.database.execute("delete from items where item_code = 'ICE-0004'");
    shop.outlet.database.execute("delete from item_barcodes where item_code = 'ICE-0005'");
    // Nothing changed at HQ, so an ordinary run has nothing to say about it.
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 29);
    let runs = shop.outlet.sync_well(&["items", "--full"]);
    let counts = &runs[0]["counts"];
    assert_eq!((&counts["inserted"], &counts["updated"], &counts["unchanged"]), (&json!(1), &json!(2), &json!(27)));
    shop.assert_in_step();
    let again = shop.outlet.sync_well(&["items", "--full"]);
    assert_eq!(again[0]["counts"]["unchanged"], 30);
}

#[test]
fn an_empty_answer_for_a_full_doctype_deletes_nothing() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    shop.outlet.sync_well(&[]);
    shop.hq.fault_always(When::doctype("Item"), Fault::EmptyList);
    shop.outlet.sync_well(&[]);
    let full = shop.outlet.run(&["sync", "items", "--full"]);
    assert!(full.expect_code(4).stdout.contains("HQ shows none of the 30 records"), "{full}");
    assert_eq!(shop.outlet.database.count("items"), 30);
    shop.hq.heal();
    shop.outlet.sync_well(&[]);
}

#[test]
fn a_list_that_is_cut_short_makes_no_record_look_gone() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    shop.outlet.sync_well(&[]);
    shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 4})).unwrap();
    // The answer to "these thirty, please" is empty once.
    shop.hq.fault_when(When::doctype("Item").nth(2), Fault::EmptyList);
    shop.outlet.run(&["sync"]);
    shop.outlet.run(&["sync"]);
    assert_eq!(shop.outlet.database.count("items"), 30);
    shop.assert_in_step();
}

#[test]
fn a_user_without_a_sight_of_tombstones_is_told_once_and_syncs_all_the_same() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    shop.outlet.configure(&shop.url(), READER, JOBS);
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(0);
    assert_eq!(outcome.stderr.matches("stay unnoticed").count(), 1, "{outcome}");
    shop.assert_in_step();
    shop.outlet.configure(&shop.url(), MANAGER, JOBS);
    shop.outlet.sync_well(&[]);
}
