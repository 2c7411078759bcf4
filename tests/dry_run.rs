//! What a dry run prints is what the run then does, and nothing of it stays.

use std::collections::BTreeMap;
use std::time::Duration;

use milkrun::demo::{Fault, Hold, When};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::{Kind, Outcome, Outlet, Shop, say};

on_each_database! {
    a_first_load_is_told_and_not_even_a_table_is_left_behind
    changes_of_every_kind_are_told_before_and_nothing_is_left_behind
    a_dry_run_that_dies_in_its_middle_leaves_nothing_behind
    a_lookup_finds_the_row_that_an_earlier_job_of_the_same_dry_run_makes
    what_the_database_refuses_is_foretold
    a_table_that_the_outlet_made_is_told_and_left_as_it_is
    deletes_beyond_the_limit_are_foretold
    a_job_that_is_being_run_is_not_rehearsed
    what_a_reconcile_repairs_is_foretold
}

const DRY: [&str; 4] = ["--format", "json", "sync", "--dry-run"];
const REAL: [&str; 4] = ["--format", "json", "sync", "--changes"];

/// A dry run, which must leave nothing behind, and the run after it, which must print the same to the byte.
#[track_caller]
fn rehearsed(shop: &Shop, more: &[&str]) -> Outcome {
    rehearsed_as(shop, &[&["sync"], more].concat())
}

/// As [`rehearsed`], of any command that tells changes.
#[track_caller]
fn rehearsed_as(shop: &Shop, command: &[&str]) -> Outcome {
    let before = shop.outlet.database.dump();
    let files = files(&shop.outlet);
    let json = &["--format", "json"];
    let dry = shop.outlet.run(&[json, command, &["--dry-run"]].concat());
    assert!(shop.outlet.database.dump() == before, "the dry run left something behind\n{dry}");
    assert_eq!(self::files(&shop.outlet), files, "{dry}");
    let real = shop.outlet.run(&[json, command, &["--changes"]].concat());
    assert!(dry.stdout == real.stdout, "they differ\n{dry}\n{real}");
    assert_eq!(dry.code, real.code);
    dry
}

fn files(outlet: &Outlet) -> Vec<String> {
    let names = std::fs::read_dir(outlet.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    names.sort();
    names
}

/// Job, name and action of each change.
fn told(outcome: &Outcome) -> Vec<[String; 3]> {
    let document = outcome.json();
    let word = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let changes = document["changes"].as_array().unwrap();
    changes.iter().map(|change| ["job", "name", "action"].map(|key| word(change, key))).collect()
}

fn a_first_load_is_told_and_not_even_a_table_is_left_behind(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(250);
    let dry = shop.outlet.run(&DRY);
    dry.expect_code(0);
    assert_eq!(told(&dry).len(), 251, "{dry}");
    assert!(dry.stdout.contains("\"phone\":{\"before\":null,\"after\":\"(private)\"}"), "{dry}");
    if kind == Kind::Sqlite {
        assert_eq!(files(&shop.outlet), ["sync.toml"]);
    } else {
        assert!(shop.outlet.database.dump().is_empty(), "{:?}", shop.outlet.database.dump().keys());
    }
    let real = shop.outlet.run(&REAL);
    assert!(dry.stdout == real.stdout, "they differ\n{dry}\n{real}");
    shop.assert_in_step();
    // Nothing to do is told as such, too.
    let idle = rehearsed(&shop, &[]);
    assert_eq!(idle.json()["changes"], json!([]), "{idle}");
}

fn changes_of_every_kind_are_told_before_and_nothing_is_left_behind(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(50);
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 7})).unwrap();
    shop.hq
        .update("Item", "ICE-0002", json!({"barcodes": [{"barcode": "1"}, {"barcode": "2"}]}))
        .unwrap();
    shop.hq.delete("Item", "ICE-0003").unwrap();
    shop.hq.update("Item", "ICE-0004", json!({"is_sales_item": 0})).unwrap();
    shop.item("NEW", json!({}));
    let text = shop.outlet.run(&["sync", "--dry-run"]);
    text.expect_code(0);
    for line in [
        "items: 2 removed, 2 changed (",
        ", 1 added\n",
        "  + NEW       title: Cone NEW, price: 80.50, unit: each, active: 1, changed: ",
        "  ~ ICE-0001  price: 80.50 → 7.00, changed: ",
        "item_barcodes: 1 → 2 rows\n",
        "  - ICE-0003\n",
        "  - ICE-0004\n",
        "dry run: nothing was written\n",
    ] {
        assert!(text.stdout.contains(line), "{line}\n{text}");
    }
    let dry = rehearsed(&shop, &[]);
    let items = |name: &str, action: &str| ["items".to_owned(), name.to_owned(), action.to_owned()];
    let mut told = told(&dry);
    told.sort();
    let mut want = [
        items("ICE-0001", "update"),
        items("ICE-0002", "update"),
        items("ICE-0003", "delete"),
        items("ICE-0004", "delete"),
        items("NEW", "insert"),
    ];
    want.sort();
    assert_eq!(told, want);
    shop.assert_in_step();
    // A local edit and a local delete, repaired.
    shop.outlet.database.execute("update items set price = '1.25' where item_code = 'ICE-0010'");
    shop.outlet.database.execute("delete from item_barcodes where item_code = 'ICE-0011'");
    let repaired = rehearsed(&shop, &["items", "--full"]);
    let price = |change: &&Value| change["columns"]["price"] == json!({"before": "1.25", "after": "80.50"});
    assert_eq!(repaired.json()["changes"].as_array().unwrap().iter().filter(price).count(), 1, "{repaired}");
    shop.assert_in_step();
    rehearsed(&shop, &["items", "--name", "ICE-0012", "ICE-0013"]);
    rehearsed(&shop, &["items", "--since", "2020-01-01"]);
}

#[test]
fn a_long_list_is_summarised_for_people() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(100);
    let text = shop.outlet.run(&["sync", "--dry-run"]);
    let cut = "items: 100 added\n  + ICE-0000  title: Cone ICE-0000, price: 80.50,";
    let end = "\n  … and 95 more\n--format json lists every change\ndry run: nothing was written\n";
    assert!(text.stdout.contains(cut) && text.stdout.contains(end), "{text}");
    let real = shop.outlet.run(&["sync", "--changes"]);
    assert!(real.stdout.contains("  … and 95 more\n") && !real.stdout.contains("dry run"), "{real}");
    shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 7})).unwrap();
    shop.hq.update("Item", "ICE-0007", json!({"item_name": "Cherry"})).unwrap();
    let text = shop.outlet.run(&["sync", "items", "--dry-run"]);
    assert!(text.stdout.contains("items: 100 changed (price: 100, changed: 100, title: 1)\n  ~ ICE-0"), "{text}");
}

fn a_dry_run_that_dies_in_its_middle_leaves_nothing_behind(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(250);
    shop.outlet.sync_well(&["item_groups"]);
    let before = shop.outlet.database.dump();
    let files = files(&shop.outlet);
    for point in ["rows_written:2", "page_committed:2", "run_ended:1"] {
        let died = shop.outlet.run_with(&[("MILKRUN_CRASH_AT", point)], &["sync", "--dry-run"]);
        assert_eq!(died.code, -1, "{died}");
        assert!(shop.outlet.database.dump() == before, "{point}");
        assert_eq!(self::files(&shop.outlet), files, "{point}");
    }
    // Told to stop, it says so, and prints a document all the same.
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item").nth(2), Fault::Hold(hold.clone()));
    let child = shop.outlet.start(&DRY);
    assert!(hold.wait_until_reached(Duration::from_secs(60)));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    hold.release();
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(document["jobs"][1]["status"], "failed", "{document:#}");
    assert!(shop.outlet.database.dump() == before);
    assert_eq!(self::files(&shop.outlet), files);
    rehearsed(&shop, &[]);
}

/// Groups with their parents, and items that take their group's.
fn looking_up() -> String {
    let lookup =
        "title = { from = \"item_group\", lookup = { table = \"item_groups\", match = \"name\", take = \"parent\" } }";
    JOBS.replace("title = { from = \"item_name\", trim = true, max_length = 140 }", lookup)
        .replace("page_size = 100", "page_size = 20")
}

fn a_lookup_finds_the_row_that_an_earlier_job_of_the_same_dry_run_makes(kind: Kind) {
    let shop = Shop::with_jobs(kind, &looking_up());
    shop.hq.update("Item Group", "Cones", json!({"parent_item_group": "Cones"})).unwrap();
    shop.items(90);
    let dry = rehearsed(&shop_with_tables(shop), &[]);
    assert_eq!(dry.json()["jobs"][1]["counts"]["inserted"], 90, "{dry}");
    let changes = dry.json()["changes"].clone();
    let titles = changes.as_array().unwrap().iter().filter(|change| change["columns"]["title"]["after"] == "Cones");
    assert_eq!(titles.count(), 90);
}

/// Has milkrun's own tables made, so that a dump has something to show; none of the jobs'.
fn shop_with_tables(shop: Shop) -> Shop {
    shop.outlet.run(&["runs"]);
    shop
}

fn own_table(kind: Kind) -> String {
    let text = if kind == Kind::Sqlite { "text" } else { "varchar(140)" };
    format!(
        "create table items (item_code {text} primary key, title {text}, price decimal(12, 2) check (price < 1000), \
         note {text} default 'ours')"
    )
}

/// The items' job with three columns.
const PLAIN: &str = r#"
[[job]]
name = "items"
doctype = "Item"
schedule = "0 */5 * * * *"
page_size = 50
table = "items"
key = "item_code"
[job.fields]
item_code = "name"
title = "item_name"
price = { from = "standard_rate", type = "decimal", scale = 2 }
"#;

fn what_the_database_refuses_is_foretold(kind: Kind) {
    let shop = Shop::with_jobs(kind, PLAIN);
    shop.outlet.database.execute(&own_table(kind));
    shop.items(120);
    shop.item("HIGH", json!({"standard_rate": 1000}));
    shop.item("HIGHER", json!({"standard_rate": 2000}));
    let dry = rehearsed(&shop_with_tables(shop), &[]);
    dry.expect_code(3);
    let parked: Vec<[String; 3]> = told(&dry).into_iter().filter(|change| change[2] == "park").collect();
    assert_eq!(parked.iter().map(|change| change[1].as_str()).collect::<Vec<_>>(), ["HIGH", "HIGHER"], "{dry}");
    assert_eq!(dry.json()["jobs"][0]["counts"]["quarantined"], 2, "{dry}");
}

fn a_table_that_the_outlet_made_is_told_and_left_as_it_is(kind: Kind) {
    let shop = Shop::with_jobs(kind, PLAIN);
    shop.outlet.database.execute(&own_table(kind));
    shop.items(20);
    shop.outlet
        .database
        .execute("insert into items (item_code, title) values ('ICE-0003', 'old'), ('OWN', 'mine')");
    let dry = rehearsed(&shop_with_tables(shop), &[]);
    let third = &dry.json()["changes"][3];
    assert_eq!(third["action"], "update", "{dry}");
    assert_eq!(third["columns"]["title"], json!({"before": "old", "after": "Cone ICE-0003"}), "{dry}");
}

#[test]
fn a_deferred_constraint_is_foretold_as_well() {
    let shop = Shop::with_jobs(Kind::Postgres, PLAIN);
    shop.outlet.database.execute(&own_table(Kind::Postgres));
    shop.outlet.database.execute("alter table items add unique (title) deferrable initially deferred");
    shop.items(60);
    shop.item("TWIN", json!({"item_name": "Cone ICE-0007"}));
    let dry = rehearsed(&shop_with_tables(shop), &[]);
    dry.expect_code(3);
    assert_eq!(
        dry.json()["jobs"][0]["counts"],
        json!({
            "fetched": 61, "inserted": 60, "updated": 0, "unchanged": 0, "deleted": 0, "quarantined": 1
        })
    );
}

#[test]
fn a_table_that_no_rollback_reaches_is_not_touched() {
    let shop = Shop::with_jobs(Kind::Mysql, PLAIN);
    shop.outlet.database.execute(&format!("{} engine = MyISAM", own_table(Kind::Mysql)));
    shop.items(3);
    let dry = shop.outlet.run(&["sync", "--dry-run"]);
    dry.expect_code(4);
    assert!(dry.stdout.contains("Turn it to InnoDB"), "{dry}");
    assert_eq!(shop.outlet.database.count("items"), 0);
}

fn deletes_beyond_the_limit_are_foretold(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(60);
    shop.outlet.sync_well(&[]);
    for n in 0..30 {
        shop.hq.delete("Item", &format!("ICE-{n:04}")).unwrap();
    }
    let dry = rehearsed(&shop, &[]);
    dry.expect_code(4);
    assert_eq!(dry.json()["jobs"][1]["status"], "blocked", "{dry}");
    let confirmed = rehearsed(&shop, &["--confirm-deletes"]);
    assert_eq!(told(&confirmed).len(), 30, "{confirmed}");
    shop.assert_in_step();
}

fn what_a_reconcile_repairs_is_foretold(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(60);
    shop.as_reader(JOBS);
    shop.outlet.sync_well(&[]);
    for n in 0..5 {
        shop.hq.rename("Item", &format!("ICE-{n:04}"), &format!("NEW-{n:04}")).unwrap();
        shop.hq.update_silently("Item", &format!("ICE-{:04}", 10 + n), json!({"standard_rate": 7})).unwrap();
        shop.hq.delete_without_trace("Item", &format!("ICE-{:04}", 20 + n)).unwrap();
        shop.hq.merge("Item", &format!("ICE-{:04}", 30 + n), "ICE-0040").unwrap();
    }
    shop.outlet.database.execute("delete from items where item_code = 'ICE-0050'");
    shop.outlet.database.execute("update items set price = '1.25' where item_code = 'ICE-0051'");
    let outcome = rehearsed_as(&shop, &["reconcile", "items"]);
    outcome.expect_code(0);
    let count = |action: &str| told(&outcome).iter().filter(|[_, _, told]| told == action).count();
    assert_eq!([count("move"), count("delete"), count("insert")], [5, 10, 1], "{outcome}");
    shop.assert_in_step();
    let idle = rehearsed_as(&shop, &["reconcile"]);
    assert_eq!(idle.json()["changes"], json!([]), "{idle}");
}

fn a_job_that_is_being_run_is_not_rehearsed(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(10);
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item"), Fault::Hold(hold.clone()));
    let child = shop.outlet.start(&["sync"]);
    assert!(hold.wait_until_reached(Duration::from_secs(60)));
    let dry = shop.outlet.run(&["sync", "items", "--dry-run"]);
    dry.expect_code(1);
    assert!(dry.stdout.contains("the job is being run by process"), "{dry}");
    hold.release();
    assert!(child.wait_with_output().unwrap().status.success());
    rehearsed(&shop, &[]);
}

/// The usual jobs, with a rule for the job and others for three of its fields.
fn ruled() -> String {
    JOBS.replace("deletes = \"delete\"", "deletes = \"mark\"\nconflict = \"merge\"\notherwise = \"local_wins\"")
        .replace("type = \"decimal\", scale = 2 }", "type = \"decimal\", scale = 2, conflict = \"manual\" }")
        .replace("max_length = 140 }", "max_length = 140, conflict = \"hq_wins\" }")
        .replace("default = \"each\" }", "default = \"each\", owner = \"until_edited\" }")
}

/// Rounds of random edits at both ends, each told before and done after.
fn rounds(kind: Kind, jobs: &str, rounds: usize, edits: usize) {
    let seed = std::env::var("MILKRUN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(4_711);
    say!("MILKRUN_TEST_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let shop = Shop::with_jobs(kind, jobs);
    shop.items(300);
    shop.outlet.sync_well(&[]);
    let (mut made, mut changes) = (0, BTreeMap::new());
    for round in 0..rounds {
        for _ in 0..edits {
            edit(&shop, &mut dice, &mut made);
        }
        let more: &[&str] = match round % 4 {
            1 => &["--full"],
            2 => &["--confirm-deletes"],
            _ => &[],
        };
        let dry = rehearsed(&shop, more);
        told(&dry).into_iter().for_each(|[_, _, action]| *changes.entry(action).or_insert(0) += 1);
    }
    say!("in {rounds} rounds: {changes:?}");
    let sum: usize = changes.values().sum();
    assert!(sum >= rounds * edits / 2 && (kind != Kind::Sqlite || sum >= 1_000), "only {changes:?}");
    if jobs == JOBS {
        shop.outlet.run(&["sync", "--full", "--confirm-deletes"]).expect_code(0);
        shop.assert_in_step();
    }
}

fn edit(shop: &Shop, dice: &mut StdRng, made: &mut usize) {
    let names = shop.hq.names("Item");
    let name = names[dice.random_range(0..names.len())].clone();
    let price = dice.random_range(1..10_000);
    match dice.random_range(0..14) {
        0..3 => shop.hq.update("Item", &name, json!({"standard_rate": price})).unwrap(),
        3 => shop.hq.update("Item", &name, json!({"item_name": format!("Cone {price}")})).unwrap(),
        4 | 5 => {
            *made += 1;
            shop.item(&format!("NEW-{made:04}"), json!({"standard_rate": price}));
        }
        6 => shop.hq.delete("Item", &name).unwrap(),
        7 => {
            let is_sales = i32::from(dice.random_bool(0.5));
            shop.hq.update("Item", &name, json!({"is_sales_item": is_sales})).unwrap();
        }
        8 | 9 => {
            let barcodes: Vec<Value> = (0..dice.random_range(0..4))
                .map(|n| json!({"barcode": format!("{price}{n}{}", dice.random_range(0..1_000_000))}))
                .collect();
            shop.hq.update("Item", &name, json!({"barcodes": barcodes})).unwrap();
        }
        10 => shop
            .outlet
            .database
            .execute(&format!("update items set price = '{price}.00' where item_code = '{name}'")),
        11 => shop.outlet.database.execute(&format!("delete from items where item_code = '{name}'")),
        12 => {
            // Both sides at once.
            shop.hq
                .update("Item", &name, json!({"standard_rate": price, "item_name": format!("At HQ {price}")}))
                .unwrap();
            let edit = format!("price = '{}.50', title = 'Here {price}', unit = 'box'", price / 2);
            shop.outlet.database.execute(&format!("update items set {edit} where item_code = '{name}'"));
        }
        _ => shop
            .outlet
            .database
            .execute(&format!("update items set shelf = 'S{price}' where item_code = '{name}'")),
    }
}

#[test]
fn a_thousand_random_changes_are_foretold_to_the_byte_on_sqlite() {
    rounds(Kind::Sqlite, JOBS, 14, 130);
}

#[test]
fn random_changes_are_foretold_to_the_byte_on_postgres() {
    rounds(Kind::Postgres, JOBS, 4, 60);
}

#[test]
fn random_changes_are_foretold_to_the_byte_on_mysql() {
    rounds(Kind::Mysql, JOBS, 4, 60);
}

#[test]
fn a_thousand_random_changes_are_foretold_to_the_byte_under_other_rules_on_sqlite() {
    rounds(Kind::Sqlite, &ruled(), 16, 130);
}

#[test]
fn random_changes_are_foretold_to_the_byte_under_other_rules_on_postgres() {
    rounds(Kind::Postgres, &ruled(), 4, 60);
}

#[test]
fn random_changes_are_foretold_to_the_byte_under_other_rules_on_mysql() {
    rounds(Kind::Mysql, &ruled(), 4, 60);
}
