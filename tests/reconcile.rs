//! What no watermark sees: a reconcile finds it, repairs it, and says so.

use milkrun::demo::User;
use milkrun::demo::data::READER;
use milkrun::demo::{Fault, When};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::shop::JOBS;
use crate::support::{Kind, Outcome, Shop};

mod cut;

on_each_database! {
    a_rename_of_what_changed_lately_is_recognised_by_the_next_run
    renames_merges_silent_edits_and_deletes_without_a_trace_are_repaired_by_one_reconcile
    a_renamed_record_keeps_what_the_outlet_owns
    rows_that_were_removed_here_are_made_again
}

/// A shop whose outlet may not see tombstones, in step.
fn read_shop(kind: Kind, items: usize) -> Shop {
    let shop = Shop::empty(kind);
    shop.items(items);
    shop.as_reader(JOBS);
    shop.outlet.sync_well(&[]);
    shop
}

/// `milkrun reconcile --format json items …`: the run with its report.
#[track_caller]
fn reconcile(shop: &Shop, options: &[&str]) -> Value {
    let outcome = shop.outlet.run(&[&["--format", "json", "reconcile", "items"], options].concat());
    let runs = outcome.json();
    assert!(
        outcome.code == 0 && runs[0]["status"] == "ok",
        "the reconcile did not end well\n{}",
        shop.outlet.told(&outcome)
    );
    runs[0].clone()
}

#[track_caller]
fn assert_unchanged(run: &Value) {
    let counts = &run["counts"];
    let written = (&counts["inserted"], &counts["updated"], &counts["deleted"]);
    assert_eq!(written, (&json!(0), &json!(0), &json!(0)), "{run:#}");
}

fn renames_merges_silent_edits_and_deletes_without_a_trace_are_repaired_by_one_reconcile(kind: Kind) {
    let shop = read_shop(kind, 400);
    for n in 0..5 {
        let name = |offset: usize| format!("ICE-{:04}", offset + n);
        shop.hq.rename("Item", &name(0), &format!("Cup {n}/a")).unwrap();
        shop.hq.merge("Item", &name(10), &name(20)).unwrap();
        shop.hq.update_silently("Item", &name(30), json!({"standard_rate": 1.25})).unwrap();
        shop.hq.delete_without_trace("Item", &name(40)).unwrap();
        shop.hq.update_silently("Item", &name(50), json!({"barcodes": []})).unwrap();
        shop.hq.update_silently("Item", &name(60), json!({"is_sales_item": 0})).unwrap();
    }
    let run = reconcile(&shop, &[]);
    shop.assert_in_step();
    let report = &run["reconciled"];
    let repaired = json!({"renamed": 5, "gone": 15, "new": 0, "changed": 0, "silent": 10, "remade": 0, "edited": 0});
    assert_eq!(report["repaired"], repaired, "{run:#}");
    let sentence = run["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("items: 385 of 385 match, checked "), "{sentence}");
    assert!(sentence.ends_with("; repaired: 5 renamed, 15 gone, 10 changed without a new stamp"), "{sentence}");
    let again = reconcile(&shop, &[]);
    assert_unchanged(&again);
    assert_eq!(again["reconciled"]["repaired"]["renamed"], 0);
}

fn a_renamed_record_keeps_what_the_outlet_owns(kind: Kind) {
    let shop = read_shop(kind, 30);
    let text = if kind == Kind::Mysql { "varchar(100)" } else { "text" };
    shop.outlet.database.execute(&format!("alter table items add column own_note {text}"));
    shop.outlet
        .database
        .execute("update items set own_note = 'mine', shelf = 'B7' where item_code = 'ICE-0003'");
    shop.hq.rename("Item", "ICE-0003", "ICE-3").unwrap();
    shop.hq.rename("Item", "ICE-3", "Three & <co>").unwrap();
    reconcile(&shop, &[]);
    let rows = shop.outlet.database.rows("items", &["item_code", "own_note", "shelf"], "item_code");
    let some = |text: &str| Some(text.to_owned());
    assert!(rows.contains(&vec![some("Three & <co>"), some("mine"), some("B7")]), "{rows:?}");
    shop.assert_in_step();
}

fn a_rename_of_what_changed_lately_is_recognised_by_the_next_run(kind: Kind) {
    let shop = read_shop(kind, 30);
    shop.outlet.database.execute("update items set shelf = 'B7' where item_code = 'ICE-0003'");
    shop.hq.rename("Item", "ICE-0003", "ICE-3").unwrap();
    shop.item("NEW", json!({}));
    shop.outlet.sync_well(&[]);
    let rows = shop.outlet.database.rows("items", &["item_code", "shelf"], "item_code");
    assert!(rows.contains(&vec![Some("ICE-3".to_owned()), Some("B7".to_owned())]), "{rows:?}");
    shop.assert_in_step();
}

fn rows_that_were_removed_here_are_made_again(kind: Kind) {
    let shop = read_shop(kind, 30);
    shop.outlet.database.execute("delete from items where item_code in ('ICE-0003', 'ICE-0004')");
    shop.outlet.database.execute("delete from item_barcodes where item_code = 'ICE-0003'");
    shop.outlet.database.execute("insert into items (item_code) values ('OWN-1')");
    let run = reconcile(&shop, &[]);
    assert_eq!(run["reconciled"]["repaired"]["remade"], 2, "{run:#}");
    assert!(run["sentence"].as_str().unwrap().ends_with("; repaired: 2 rows made again"), "{run:#}");
    let count = shop.outlet.database.count("items");
    shop.outlet.database.execute("delete from items where item_code = 'OWN-1'");
    assert_eq!(count, 31);
    shop.assert_in_step();
}

#[test]
fn renames_among_records_of_one_stamp_are_told_by_their_values() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(60);
    shop.hq.bulk_stamp("Item", |_| true, json!({"disabled": 1})).unwrap();
    shop.as_reader(JOBS);
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set shelf = item_code");
    for n in 0..4 {
        shop.hq.rename("Item", &format!("ICE-{n:04}"), &format!("CUP-{n:04}")).unwrap();
    }
    shop.hq.delete_without_trace("Item", "ICE-0010").unwrap();
    let run = reconcile(&shop, &[]);
    assert_eq!(run["reconciled"]["repaired"]["renamed"], 4, "{run:#}");
    let rows = shop.outlet.database.rows("items", &["item_code", "shelf"], "item_code");
    assert_eq!(rows[0], [Some("CUP-0000".to_owned()), Some("ICE-0000".to_owned())]);
    shop.assert_in_step();
}

#[track_caller]
fn assert_blocked(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, 4, "{outcome}");
    for word in words {
        assert!(outcome.stdout.contains(word), "{word:?} is not said\n{outcome}");
    }
}

#[test]
fn an_hq_that_shows_nothing_empties_no_table_without_a_word() {
    let shop = read_shop(Kind::Sqlite, 60);
    shop.hq.fault_always(When::doctype("Item"), Fault::EmptyList);
    let outcome = shop.outlet.run(&["reconcile", "items"]);
    assert_blocked(&outcome, &["60 records that it does not show", "milkrun reconcile items --confirm-deletes"]);
    assert_eq!(shop.outlet.database.count("items"), 60);
    shop.hq.heal();
    reconcile(&shop, &[]);
    // And when it was really emptied, by SQL.
    for name in shop.hq.names("Item") {
        shop.hq.delete_without_trace("Item", &name).unwrap();
    }
    let outcome = shop.outlet.run(&["reconcile", "items"]);
    assert_blocked(&outcome, &["HQ shows none of the 60 records", "milkrun reconcile items --confirm-deletes"]);
    assert_eq!(shop.outlet.database.count("items"), 60);
    let run = reconcile(&shop, &["--confirm-deletes"]);
    assert_eq!(run["reconciled"]["repaired"]["gone"], 60, "{run:#}");
    assert_eq!(shop.outlet.database.count("items"), 0);
    shop.assert_in_step();
}

#[test]
fn rows_that_a_permission_hides_are_not_deleted_and_the_sentence_says_how_many() {
    let shop = read_shop(Kind::Sqlite, 60);
    shop.hq.insert("Item Group", json!({"item_group_name": "Cups", "parent_item_group": null})).unwrap();
    for n in 0..30 {
        shop.hq.update("Item", &format!("ICE-{n:04}"), json!({"item_group": "Cups"})).unwrap();
    }
    shop.outlet.sync_well(&[]);
    let reader = || shop.hq_reader();
    shop.hq.set_user(reader().only("Item", "item_group", "Cones"));
    for _ in 0..2 {
        let outcome = shop.outlet.run(&["reconcile", "items"]);
        assert_blocked(&outcome, &["30 records that it does not show", "--confirm-deletes", "30 of 60 match"]);
        assert_eq!(shop.outlet.database.count("items"), 60);
    }
    let status = shop.outlet.run(&["status"]);
    assert_eq!(status.code, 4, "{status}");
    // A whole reading deletes nothing either, and is not well.
    let full = shop.outlet.run(&["sync", "items", "--full"]);
    full.expect_code(4);
    assert!(full.stdout.contains("30 records that it does not show"), "{full}");
    assert_eq!(shop.outlet.database.count("items"), 60);
    shop.hq.set_user(reader());
    shop.outlet.sync_well(&["items", "--full"]);
    reconcile(&shop, &[]);
    shop.outlet.run(&["status"]).expect_code(0);
    // A few of many lie within the delete limit, and are no more gone than many.
    shop.hq.update_silently("Item", "ICE-0040", json!({"item_group": "Cups"})).unwrap();
    for n in 0..28 {
        shop.hq.update_silently("Item", &format!("ICE-{n:04}"), json!({"item_group": "Cones"})).unwrap();
    }
    reconcile(&shop, &[]);
    shop.hq.set_user(reader().only("Item", "item_group", "Cones"));
    let outcome = shop.outlet.run(&["reconcile", "items"]);
    assert_blocked(&outcome, &["3 records that it does not show"]);
    let run = reconcile(&shop, &["--confirm-deletes"]);
    assert_eq!(run["reconciled"]["repaired"]["gone"], 3, "{run:#}");
    assert_eq!(shop.outlet.database.count("items"), 57);
}

#[test]
fn deletes_without_a_trace_count_against_the_limit_together_with_all_others() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(100);
    shop.outlet.sync_well(&[]);
    for n in 0..8 {
        shop.hq.delete("Item", &format!("ICE-{n:04}")).unwrap();
        shop.hq.delete_without_trace("Item", &format!("ICE-{:04}", 20 + n)).unwrap();
        shop.hq.update("Item", &format!("ICE-{:04}", 40 + n), json!({"is_sales_item": 0})).unwrap();
    }
    let outcome = shop.outlet.run(&["reconcile", "items"]);
    assert_blocked(
        &outcome,
        &["24 of 100 rows", "none of them was deleted", "milkrun reconcile items --confirm-deletes"],
    );
    assert_eq!(shop.outlet.database.count("items"), 100);
    let run = reconcile(&shop, &["--confirm-deletes"]);
    assert_eq!(run["reconciled"]["repaired"]["gone"], 24, "{run:#}");
    shop.assert_in_step();
    assert_unchanged(&shop.outlet.sync_well(&[])[1]);
}

#[test]
fn a_list_that_is_cut_short_loses_nothing() {
    let shop = read_shop(Kind::Sqlite, 60);
    shop.hq.after_list("Item", 1, |hq| {
        hq.fault_when(When::doctype("Item"), Fault::EmptyList);
        hq.fault_when(When::doctype("Item"), Fault::EmptyList);
    });
    let outcome = shop.outlet.run(&["reconcile", "items"]);
    assert_ne!(outcome.code, 2, "{outcome}");
    assert_eq!(shop.outlet.database.count("items"), 60, "{outcome}");
    reconcile(&shop, &[]);
    shop.assert_in_step();
}

/// Requests of one reconcile of the job `items`.
fn requests(run: &Value) -> u64 {
    run["counts"]["requests"].as_u64().unwrap()
}

#[test]
fn an_unchanged_table_costs_a_few_requests_and_no_write() {
    let shop = read_shop(Kind::Sqlite, 3_000);
    let run = reconcile(&shop, &[]);
    assert_unchanged(&run);
    assert_eq!(run["reconciled"]["compared"], 3_000, "{run:#}");
    // Tombstones, the poll, records without a stamp, and the whole records with their barcodes; each page twice.
    assert!(requests(&run) <= 8, "{run:#}");
    assert_eq!(shop.outlet.database.count("milkrun_reconciles"), 1);
}

#[test]
fn values_are_compared_within_the_requests_allowed_and_the_next_reconcile_goes_on() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(500);
    let jobs = JOBS.replace("page_size = 100", "page_size = 100\nreconcile_requests = 0");
    shop.as_reader(&jobs);
    shop.outlet.sync_well(&[]);
    shop.hq.update_silently("Item", "ICE-0400", json!({"standard_rate": 1.25})).unwrap();
    let run = reconcile(&shop, &[]);
    assert_eq!((&run["reconciled"]["compared"], &run["reconciled"]["repaired"]["silent"]), (&json!(0), &json!(0)));
    assert!(run["sentence"].as_str().unwrap().contains("values compared in 0"), "{run:#}");
    let run = reconcile(&shop, &["--values"]);
    assert_eq!(run["reconciled"]["repaired"]["silent"], 1, "{run:#}");
    shop.assert_in_step();
}

#[test]
fn a_reconcile_that_was_cut_goes_on_from_its_last_page() {
    let shop = read_shop(Kind::Sqlite, 200);
    for n in 0..5 {
        shop.hq.rename("Item", &format!("ICE-{n:04}"), &format!("CUP-{n:04}")).unwrap();
        shop.hq.delete_without_trace("Item", &format!("ICE-{:04}", 10 + n)).unwrap();
        shop.hq.update_silently("Item", &format!("ICE-{:04}", 20 + n), json!({"standard_rate": 2})).unwrap();
    }
    let crash = [("MILKRUN_CRASH_AT", "page_compared:1")];
    assert_eq!(shop.outlet.run_with(&crash, &["reconcile", "items"]).code, -1);
    let run = reconcile(&shop, &[]);
    let repaired = json!({"renamed": 5, "gone": 5, "new": 0, "changed": 0, "silent": 5, "remade": 0, "edited": 0});
    assert_eq!(run["reconciled"]["repaired"], repaired, "{run:#}");
    shop.assert_in_step();
}

#[test]
fn a_renamed_record_is_told_by_hqs_remark_even_when_it_was_saved_since() {
    let shop = read_shop(Kind::Sqlite, 30);
    shop.hq.set_user(shop.hq_reader().may_read("Comment"));
    shop.outlet.database.execute("update items set shelf = 'B7' where item_code = 'ICE-0003'");
    shop.hq.rename("Item", "ICE-0003", "ICE-3").unwrap();
    shop.hq
        .update_with_modified("Item", "ICE-3", json!({"standard_rate": 2}), Some("2024-01-01 10:00:00"))
        .unwrap();
    let run = reconcile(&shop, &[]);
    assert_eq!(run["reconciled"]["repaired"]["renamed"], 1, "{run:#}");
    let rows = shop.outlet.database.rows("items", &["item_code", "shelf"], "item_code");
    assert!(rows.contains(&vec![Some("ICE-3".to_owned()), Some("B7".to_owned())]), "{rows:?}");
    shop.assert_in_step();
}

#[test]
fn the_first_reconcile_of_an_outlet_reads_everything_first() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    shop.as_reader(JOBS);
    shop.outlet.run(&["reconcile"]).expect_code(0);
    shop.assert_in_step();
}

impl Shop {
    /// The plain reader, with the rights it has.
    fn hq_reader(&self) -> User {
        let (key, secret) = READER;
        let reads = ["Item", "Item Group", "Item Price", "UOM"];
        reads
            .iter()
            .fold(User::new("outlet@hq.example", key, secret), |user, doctype| user.may_read(doctype))
    }
}

/// The stamp of an item at HQ.
fn stamp(shop: &Shop, name: &str) -> String {
    shop.hq.get("Item", name).unwrap()["modified"].as_str().unwrap().to_owned()
}

#[test]
fn an_hq_that_was_restored_from_a_backup_is_taken_back_only_on_an_operators_word() {
    let shop = read_shop(Kind::Sqlite, 60);
    let names: Vec<String> = (0..10).map(|n| format!("ICE-{n:04}")).collect();
    let stamps: Vec<String> = names.iter().map(|name| stamp(&shop, name)).collect();
    for name in &names {
        shop.hq.update("Item", name, json!({"standard_rate": 9})).unwrap();
    }
    shop.item("LATER", json!({}));
    shop.outlet.sync_well(&[]);
    shop.hq.delete_without_trace("Item", "LATER").unwrap();
    for (name, stamp) in names.iter().zip(&stamps) {
        shop.hq.update_with_modified("Item", name, json!({"standard_rate": 80.5}), Some(stamp)).unwrap();
    }
    let before = shop.outlet.database.rows("items", &["item_code", "price"], "item_code");
    for command in ["sync", "reconcile"] {
        let outcome = shop.outlet.run(&[command, "items"]);
        let words = ["HQ went back in time", "10 of 11 records", "milkrun reconcile items --confirm-restore"];
        assert_blocked(&outcome, &words);
        assert_eq!(shop.outlet.database.rows("items", &["item_code", "price"], "item_code"), before);
    }
    let run = reconcile(&shop, &["--confirm-restore"]);
    assert_eq!(run["reconciled"]["repaired"]["gone"], 1, "{run:#}");
    shop.assert_in_step();
    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 7})).unwrap();
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
    reconcile(&shop, &[]);
}

#[test]
fn stamps_that_were_all_shifted_are_told_by_how_much() {
    let shop = read_shop(Kind::Sqlite, 20);
    for name in shop.hq.names("Item") {
        let moment = chrono::NaiveDateTime::parse_from_str(&stamp(&shop, &name), "%Y-%m-%d %H:%M:%S%.f").unwrap();
        let shifted = (moment - chrono::TimeDelta::minutes(330)).format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        shop.hq.update_with_modified("Item", &name, json!({}), Some(&shifted)).unwrap();
    }
    let outcome = shop.outlet.run(&["sync", "items"]);
    assert_blocked(&outcome, &["all stamps were shifted by -05:30", "--confirm-restore"]);
    reconcile(&shop, &["--confirm-restore"]);
    shop.assert_in_step();
    shop.outlet.sync_well(&[]);
}

#[test]
fn a_newest_record_that_was_deleted_or_set_back_by_hand_is_no_restore() {
    let shop = read_shop(Kind::Sqlite, 23);
    shop.item("LATER", json!({}));
    shop.outlet.sync_well(&[]);
    shop.hq.delete_without_trace("Item", "LATER").unwrap();
    shop.outlet.sync_well(&["items"]);
    // Asked about once: from then on a poll is one small request again.
    let idle = shop.outlet.sync_well(&["items"]);
    assert_eq!(requests(&idle[0]), 2, "tombstones, which are refused, and the poll: {idle:#?}");
    shop.hq.update("Item", "ICE-0003", json!({"standard_rate": 9})).unwrap();
    shop.outlet.sync_well(&[]);
    shop.hq
        .update_with_modified("Item", "ICE-0003", json!({"standard_rate": 8}), Some("2024-05-05 10:00:00"))
        .unwrap();
    shop.outlet.sync_well(&[]);
    reconcile(&shop, &[]);
    shop.assert_in_step();
}

/// Copies the outlet's SQLite file from one name to another.
fn copy(shop: &Shop, from: &str, to: &str) {
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(shop.outlet.path(&format!("{to}{end}"))).ok();
    }
    std::fs::copy(shop.outlet.path(from), shop.outlet.path(to)).unwrap();
}

/// The name of the outlet's SQLite file.
fn file_of(shop: &Shop) -> String {
    let url = &shop.outlet.database.url;
    url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned()
}

#[test]
fn an_outlets_database_that_was_restored_from_a_backup_runs_only_on_an_operators_word() {
    let shop = read_shop(Kind::Sqlite, 30);
    let file = file_of(&shop);
    copy(&shop, &file, "backup.db");
    shop.hq.update("Item", "ICE-0003", json!({"standard_rate": 9})).unwrap();
    shop.outlet.sync_well(&[]);
    shop.hq.update_silently("Item", "ICE-0004", json!({"standard_rate": 9})).unwrap();
    copy(&shop, "backup.db", &file);
    shop.hq.forget_requests();
    for command in ["sync", "reconcile"] {
        let outcome = shop.outlet.run(&[command]);
        assert_blocked(&outcome, &["restored from a backup", "milkrun sync --confirm-database"]);
    }
    assert!(shop.hq.requests().is_empty(), "HQ was asked");
    shop.outlet.sync_well(&["--confirm-database"]);
    shop.assert_in_step();
    shop.outlet.sync_well(&[]);
}

#[test]
fn a_copy_of_another_outlets_database_is_recognised_and_a_new_machine_is_not() {
    let shop = read_shop(Kind::Sqlite, 30);
    let note = format!("{}.milkrun", file_of(&shop));
    std::fs::remove_file(shop.outlet.path(&note)).unwrap();
    shop.outlet.sync_well(&[]);
    assert!(shop.outlet.path(&note).exists());
    let config = shop.outlet.config();
    // The same database under another name is a site that was renamed.
    shop.outlet.write_config(&config.replace("outlet-042", "outlet-043"));
    shop.outlet.sync_well(&[]);
    std::fs::remove_file(shop.outlet.path(&note)).unwrap();
    shop.outlet.write_config(&config);
    let outcome = shop.outlet.run(&["sync"]);
    assert_blocked(&outcome, &["that of site \"outlet-043\"", "milkrun sync --confirm-database"]);
    shop.outlet.sync_well(&["--confirm-database"]);
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

#[test]
fn a_process_that_dies_or_a_folder_that_takes_no_file_raises_no_alarm() {
    let shop = read_shop(Kind::Sqlite, 250);
    for point in ["lease_taken:1", "run_done:1", "run_ended:2"] {
        assert_eq!(shop.outlet.run_with(&[("MILKRUN_CRASH_AT", point)], &["sync"]).code, -1);
    }
    shop.outlet.sync_well(&[]);
    // A note that is no file, and one that no process can read.
    let note = shop.outlet.path(&format!("{}.milkrun", file_of(&shop)));
    std::fs::write(&note, "{").unwrap();
    shop.outlet.sync_well(&[]);
    std::fs::remove_file(&note).unwrap();
    std::fs::create_dir(&note).unwrap();
    let outcome = shop.outlet.run(&["sync"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(outcome.stderr.matches("cannot be kept here").count(), 1, "{outcome}");
}

#[test]
fn the_daemon_reconciles_on_its_schedule_and_status_tells_what_it_came_to() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    let jobs = JOBS.replace("overlap = \"30m\"\n", "overlap = \"30m\"\nreconcile = \"*/2 * * * * *\"\n");
    shop.as_reader(&jobs);
    shop.outlet.sync_well(&[]);
    shop.hq.update_silently("Item", "ICE-0004", json!({"standard_rate": 9})).unwrap();
    let mut daemon = Daemon::start(&shop.outlet, &[]);
    daemon.wait_for(&["items: 30 of 30 match", "repaired: 1 changed without a new stamp"]);
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    shop.assert_in_step();
    let status = shop.outlet.run(&["status"]);
    assert!(
        status.stdout.contains("items: 30 of 30 match, checked ") && status.stdout.contains("next reconcile"),
        "{status}"
    );
    let told = shop.outlet.run(&["--format", "json", "status"]).json();
    assert_eq!(told["jobs"][1]["reconciled"]["matching"], 30, "{told:#}");
    let runs = shop.outlet.run(&["--format", "json", "runs", "items"]).json();
    assert!(runs.as_array().unwrap().iter().any(|run| run["trigger"] == "reconcile"), "{runs:#}");
}
