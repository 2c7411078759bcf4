//! Who wins where both sides changed a record: the whole table of cases, and the operator's word.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::shop::item;
use crate::support::{Kind, Shop};

on_each_database! {
    every_rule_decides_every_case_as_the_table_says
    until_edited_gives_the_field_to_whoever_wrote_last_and_back
    a_manual_conflict_waits_and_goes_the_way_the_operator_says
    a_deleted_record_whose_row_was_edited_waits_under_manual
    merge_takes_from_each_side_what_it_changed
    values_that_a_trigger_changes_are_no_edits
    hq_wins_without_a_base_says_what_it_wrote_over
    a_reconcile_gives_hq_back_what_is_hqs_and_leaves_the_rest
    a_newly_mapped_column_is_filled_from_hq_under_every_rule
    what_a_trigger_does_to_repaired_values_is_repaired_once
}

/// A job named `name` that takes `Item` into the table `name`.
fn job(name: &str, keys: &str, price: &str) -> String {
    format!(
        r#"
[[job]]
name = "{name}"
doctype = "Item"
schedule = "0 */5 * * * *"
table = "{name}"
key = "item_code"
create_table = true
delete_limit = {{ rows = 100 }}
{keys}
[job.fields]
item_code = "name"
title = "item_name"
price = {{ from = "standard_rate", type = "decimal", scale = 2{price} }}
phone = {{ from = "supplier_phone", private = true }}
"#
    )
}

/// Every rule as the job's and as the field's: the job's name, its rule, and the rule of its price.
fn rules() -> Vec<(String, &'static str, &'static str)> {
    let mut rules = Vec::new();
    for rule in ["hq_wins", "local_wins", "newest_wins", "merge", "manual"] {
        rules.push((format!("job_{rule}"), rule, rule));
        rules.push((format!("field_{rule}"), "hq_wins", rule));
    }
    rules
}

fn jobs() -> String {
    let mut text = String::new();
    for (name, of_job, of_price) in rules() {
        let edited = if of_price == "newest_wins" { "local_modified = \"edited\"\n" } else { "" };
        if name.starts_with("job_") {
            text += &job(&name, &format!("conflict = \"{of_job}\"\n{edited}"), "");
        } else {
            text += &job(&name, edited, &format!(", conflict = \"{of_price}\""));
        }
    }
    text
}

/// What both sides do to one record, and what must come of it.
struct Case {
    code: &'static str,
    /// The price here after the first sync; `None` where there is no row, `Some("")` where nobody edits it.
    here: Option<&'static str>,
    /// The edit here is newer than HQ's.
    is_newer: bool,
    /// The price at HQ after it; `None` where HQ deletes the record, `Some(0)` where it leaves the price alone.
    at_hq: Option<i64>,
    /// The price in the end, and whether the record waits, by the rule that decides.
    ends: fn(&str) -> (Option<&'static str>, bool),
    /// The rule that speaks is the job's: a row as a whole is concerned.
    is_of_row: bool,
    /// What the log calls it.
    kind: &'static str,
}

const fn case(
    code: &'static str,
    here: &'static str,
    at_hq: i64,
    ends: fn(&str) -> (Option<&'static str>, bool),
) -> Case {
    Case { code, here: Some(here), is_newer: false, at_hq: Some(at_hq), ends, is_of_row: false, kind: "" }
}

fn cases() -> Vec<Case> {
    vec![
        case("HQ-ONLY", "", 85, |_| (Some("85.00"), false)),
        case("LOCAL-ONLY", "70.00", 0, |_| (Some("70.00"), false)),
        case("BOTH-SAME", "90.00", 90, |_| (Some("90.00"), false)),
        Case {
            kind: "edit",
            ..case("BOTH-APART", "70.00", 85, |rule| match rule {
                "local_wins" => (Some("70.00"), false),
                "manual" => (Some("70.00"), true),
                _ => (Some("85.00"), false),
            })
        },
        Case {
            kind: "edit",
            is_newer: true,
            ..case("BOTH-APART-NEWER", "70.00", 85, |rule| match rule {
                "local_wins" | "newest_wins" => (Some("70.00"), false),
                "manual" => (Some("70.00"), true),
                _ => (Some("85.00"), false),
            })
        },
        Case {
            at_hq: None,
            is_of_row: true,
            kind: "hq_delete",
            ..case("DELETE-EDIT", "70.00", 0, |rule| match rule {
                "local_wins" => (Some("70.00"), false),
                "manual" => (Some("70.00"), true),
                _ => (None, false),
            })
        },
        Case {
            at_hq: None,
            is_of_row: true,
            is_newer: true,
            kind: "hq_delete",
            ..case("DELETE-EDIT-NEWER", "70.00", 0, |rule| match rule {
                "local_wins" | "newest_wins" => (Some("70.00"), false),
                "manual" => (Some("70.00"), true),
                _ => (None, false),
            })
        },
        Case { at_hq: None, is_of_row: true, ..case("DELETE-CALM", "", 0, |_| (None, false)) },
        Case {
            here: None,
            is_of_row: true,
            kind: "local_delete",
            ..case("EDIT-DELETE", "", 85, |rule| match rule {
                "local_wins" => (None, false),
                "manual" => (None, true),
                _ => (Some("85.00"), false),
            })
        },
    ]
}

fn every_rule_decides_every_case_as_the_table_says(kind: Kind) {
    let shop = Shop::with_jobs(kind, &jobs());
    for case in cases() {
        shop.item(case.code, json!({"standard_rate": 80}));
    }
    let runs = shop.outlet.sync_well(&[]);
    assert_eq!(runs.len(), 10);
    let database = &shop.outlet.database;
    for (name, _, _) in rules() {
        let has_time = name.ends_with("newest_wins");
        let mut sql = String::new();
        for case in cases() {
            let edited = match (has_time, case.is_newer) {
                (true, true) => ", edited = '2099-01-01 00:00:00'",
                (true, false) => ", edited = '2001-01-01 00:00:00'",
                (false, _) => "",
            };
            match case.here {
                None => write!(sql, "delete from {name} where item_code = '{}';", case.code).unwrap(),
                Some("") => {}
                Some(price) => {
                    write!(sql, "update {name} set price = '{price}'{edited} where item_code = '{}';", case.code)
                        .unwrap();
                }
            }
        }
        // Rows that HQ makes later under the same key: one that is another, one that is the same.
        write!(sql, "insert into {name} (item_code, title, price, phone) values ('INSERT', 'Cone INSERT', '70.00', 'canary-INSERT');").unwrap();
        write!(sql, "insert into {name} (item_code, title, price, phone) values ('INSERT-SAME', 'Cone INSERT-SAME', '85.00', 'canary-INSERT-SAME');").unwrap();
        database.execute(&sql);
    }
    for case in cases() {
        match case.at_hq {
            None => shop.hq.delete("Item", case.code).unwrap(),
            // The record comes, and nothing of it that is mapped has changed.
            Some(0) => shop.hq.update("Item", case.code, json!({"stock_uom": "Kg"})).unwrap(),
            Some(price) => shop.hq.update("Item", case.code, json!({"standard_rate": price})).unwrap(),
        }
    }
    shop.item("INSERT", json!({"standard_rate": 85}));
    shop.item("INSERT-SAME", json!({"standard_rate": 85}));

    let outcome = shop.outlet.run(&["--format", "json", "sync"]);
    outcome.expect_code(3);
    for run in outcome.json().as_array().unwrap() {
        let is_manual = run["job"].as_str().unwrap().ends_with("manual");
        assert_eq!(run["status"], if is_manual { "conflict" } else { "ok" }, "{outcome}");
    }
    let log = shop.outlet.run(&["--format", "json", "conflicts", "list", "--all"]).json();
    let log = log.as_array().unwrap();
    for (name, of_job, of_price) in rules() {
        let rows = database.rows(&name, &["item_code", "price"], "item_code");
        let prices: BTreeMap<String, Option<String>> =
            rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone())).collect();
        for case in cases() {
            let (price, waits) = (case.ends)(if case.is_of_row { of_job } else { of_price });
            let found = prices.get(case.code).cloned().flatten();
            assert_eq!(found.as_deref(), price, "{name}: {}\n{}", case.code, shop.outlet.told(&outcome));
            let lines: Vec<&Value> =
                log.iter().filter(|line| line["job"] == name.as_str() && line["name"] == case.code).collect();
            if case.kind.is_empty() {
                assert!(lines.is_empty(), "{name}: {}: nothing was to be decided, {lines:#?}", case.code);
                continue;
            }
            let [line] = lines.as_slice() else { panic!("{name}: {}: {lines:#?}", case.code) };
            assert_eq!(line["kind"], case.kind, "{name}: {line:#}");
            assert_eq!(line["rule"], if case.is_of_row { of_job } else { of_price }, "{name}: {line:#}");
            assert_eq!(line["resolved_at"].is_null(), waits, "{name}: {line:#}");
            assert_eq!(line["base"]["price"], "80.00", "{name}: {line:#}");
            let hq = case.at_hq.map_or(Value::Null, |price| json!(format!("{price}.00")));
            assert_eq!(line["hq"]["price"], hq, "{name}: {line:#}");
            assert_eq!(
                line["local"]["price"],
                case.here.filter(|_| case.here.is_some()).map_or(Value::Null, Value::from),
                "{name}: {line:#}"
            );
            let run = outcome.json().as_array().unwrap().iter().find(|run| run["job"] == name.as_str()).unwrap()["id"]
                .clone();
            assert_eq!(line["run"], run, "{name}: {line:#}");
        }
        let expected = match of_price {
            "local_wins" | "manual" => "70.00",
            _ => "85.00",
        };
        assert_eq!(prices["INSERT"].as_deref(), Some(expected), "{name}: insert beside HQ's");
        let of = |code: &str| log.iter().filter(|line| line["job"] == name.as_str() && line["name"] == code).count();
        assert_eq!((of("INSERT"), of("INSERT-SAME")), (1, 0), "{name}");
    }

    // The same again decides nothing anew and changes nothing.
    let dump = |name: &str| database.rows(name, &["item_code", "title", "price", "phone"], "item_code");
    let before: Vec<_> = rules().iter().map(|(name, _, _)| dump(name)).collect();
    shop.outlet.run(&["sync"]).expect_code(3);
    let after: Vec<_> = rules().iter().map(|(name, _, _)| dump(name)).collect();
    assert_eq!(before, after);
    let again = shop.outlet.run(&["--format", "json", "conflicts", "list", "--all"]).json();
    assert_eq!(again.as_array().unwrap().len(), log.len());
}

fn until_edited_gives_the_field_to_whoever_wrote_last_and_back(kind: Kind) {
    let shop = Shop::with_jobs(kind, &job("items", "", ", owner = \"until_edited\""));
    shop.item("A", json!({"standard_rate": 80}));
    let price = || shop.outlet.database.rows("items", &["price"], "item_code")[0][0].clone().unwrap();
    let hq = |price: i64| {
        shop.hq.update("Item", "A", json!({"standard_rate": price})).unwrap();
        shop.outlet.sync_well(&[]);
    };
    shop.outlet.sync_well(&[]);
    hq(81);
    assert_eq!(price(), "81.00");
    shop.outlet.database.execute("update items set price = '70.00'");
    hq(82);
    assert_eq!(price(), "70.00", "HQ's next change leaves what the shop edited");
    shop.outlet.sync_well(&["items", "--full"]);
    assert_eq!(price(), "70.00", "and so does a full reading");
    // HQ's own present value is put back: it is HQ's again.
    shop.outlet.database.execute("update items set price = '82.00'");
    hq(83);
    assert_eq!(price(), "83.00");
    assert_eq!(shop.outlet.database.count("milkrun_conflicts"), 0, "an owner is no conflict");
}

fn a_manual_conflict_waits_and_goes_the_way_the_operator_says(kind: Kind) {
    let shop = Shop::with_jobs(kind, &job("items", "conflict = \"manual\"", ""));
    for code in ["A", "B", "C", "D"] {
        shop.item(code, json!({"standard_rate": 80}));
    }
    shop.outlet.sync_well(&[]);
    let database = &shop.outlet.database;
    let prices = || {
        database
            .rows("items", &["price"], "item_code")
            .into_iter()
            .map(|row| row[0].clone().unwrap())
            .collect::<Vec<_>>()
    };
    database.execute("update items set price = '70.00' where item_code <> 'D'");
    for code in ["A", "B", "C", "D"] {
        shop.hq.update("Item", code, json!({"standard_rate": 85})).unwrap();
    }
    let run = &shop.outlet.sync(&[])[0];
    assert_eq!(run["status"], "conflict");
    assert!(run["error"].as_str().unwrap().contains("3 records wait for a decision"), "{run:#}");
    assert!(run["remedy"].as_str().unwrap().contains("milkrun conflicts resolve"), "{run:#}");
    assert_eq!(prices(), ["70.00", "70.00", "70.00", "85.00"], "those wait, the rest goes on");
    shop.outlet.run(&["status"]).expect_code(3);

    let open = shop.outlet.run(&["--format", "json", "conflicts", "list"]).json();
    let id = |code: &str| {
        let one = open.as_array().unwrap().iter().find(|one| one["name"] == code).unwrap();
        assert_eq!(
            (&one["base"]["price"], &one["hq"]["price"], &one["local"]["price"]),
            (&json!("80.00"), &json!("85.00"), &json!("70.00"))
        );
        one["id"].to_string()
    };
    shop.outlet.run(&["conflicts", "resolve", &id("A"), "--take", "hq"]).expect_code(0);
    shop.outlet.run(&["conflicts", "resolve", &id("B"), "--take", "local"]).expect_code(0);
    assert_eq!(prices(), ["70.00", "70.00", "70.00", "85.00"], "the next run does it");
    assert_eq!(shop.outlet.sync(&[])[0]["status"], "conflict", "C still waits");
    assert_eq!(prices(), ["85.00", "70.00", "70.00", "85.00"]);
    let refused = shop.outlet.run(&["conflicts", "resolve", &id("A"), "--take", "local"]);
    refused.expect_code(2);
    assert!(refused.stderr.contains("waits no more"), "{refused}");

    // The shop gives way by itself.
    database.execute("update items set price = '85.00' where item_code = 'C'");
    shop.outlet.sync_well(&[]);
    for _ in 0..2 {
        shop.outlet.sync_well(&["items", "--full"]);
        assert_eq!(prices(), ["85.00", "70.00", "85.00", "85.00"], "the same two versions are not raised again");
    }
    // A new version of HQ's is another pair; what the operator says of it holds for it alone.
    shop.hq.update("Item", "B", json!({"standard_rate": 90})).unwrap();
    assert_eq!(shop.outlet.sync(&[])[0]["status"], "conflict");
    let open = shop.outlet.run(&["--format", "json", "conflicts", "list"]).json();
    let id = open[0]["id"].to_string();
    shop.outlet.run(&["conflicts", "resolve", &id, "--take", "hq"]).expect_code(0);
    database.execute("update items set price = '71.00' where item_code = 'B'");
    assert_eq!(shop.outlet.sync(&[])[0]["status"], "conflict", "the shop has edited it since");
    assert_eq!(prices()[1], "71.00");
    let open = shop.outlet.run(&["--format", "json", "conflicts", "list"]).json();
    assert_eq!(open.as_array().unwrap().len(), 1);
    shop.outlet
        .run(&["conflicts", "resolve", &open[0]["id"].to_string(), "--take", "hq"])
        .expect_code(0);
    shop.outlet.sync_well(&[]);
    assert_eq!(prices()[1], "90.00");
    let shown = shop.outlet.run(&["conflicts", "show", &open[0]["id"].to_string()]);
    assert!(shown.stdout.contains("HQ's was taken") && shown.stdout.contains("90.00"), "{shown}");
}

fn a_deleted_record_whose_row_was_edited_waits_under_manual(kind: Kind) {
    let shop = Shop::with_jobs(kind, &job("items", "conflict = \"manual\"", ""));
    for code in ["A", "B"] {
        shop.item(code, json!({"standard_rate": 80}));
    }
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '70.00'");
    for code in ["A", "B"] {
        shop.hq.delete("Item", code).unwrap();
    }
    assert_eq!(shop.outlet.sync(&[])[0]["status"], "conflict");
    assert_eq!(shop.outlet.database.count("items"), 2);
    let open = shop.outlet.run(&["--format", "json", "conflicts", "list"]).json();
    for (code, take) in [("A", "hq"), ("B", "local")] {
        let one = open.as_array().unwrap().iter().find(|one| one["name"] == code).unwrap();
        shop.outlet.run(&["conflicts", "resolve", &one["id"].to_string(), "--take", take]).expect_code(0);
    }
    shop.outlet.sync_well(&[]);
    assert_eq!(
        shop.outlet.database.rows("items", &["item_code", "price"], "1"),
        [[Some("B".to_owned()), Some("70.00".to_owned())]]
    );
    // It is the outlet's own row now, whatever HQ does.
    shop.outlet.sync_well(&["items", "--full", "--confirm-deletes"]);
    assert_eq!(shop.outlet.database.count("items"), 1);
}

fn merge_takes_from_each_side_what_it_changed(kind: Kind) {
    let jobs = [
        job("items", "conflict = \"merge\"\notherwise = \"local_wins\"", ""),
        job("plain", "conflict = \"hq_wins\"", ""),
    ];
    let shop = Shop::with_jobs(kind, &jobs.concat());
    shop.item("A", json!({"standard_rate": 80, "item_name": "Cone"}));
    shop.item("B", json!({"standard_rate": 80, "item_name": "Cone"}));
    shop.outlet.sync_well(&[]);
    for table in ["items", "plain"] {
        shop.outlet.database.execute(&format!("update {table} set title = 'Waffle' where item_code = 'A'"));
        shop.outlet
            .database
            .execute(&format!("update {table} set price = '70.00', title = 'Waffle' where item_code = 'B'"));
    }
    for code in ["A", "B"] {
        shop.hq.update("Item", code, json!({"standard_rate": 85})).unwrap();
    }
    shop.outlet.sync_well(&[]);
    let rows = |table: &str| {
        let rows = shop.outlet.database.rows(table, &["title", "price"], "item_code");
        rows.into_iter()
            .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows("items"), ["Waffle 85.00", "Waffle 70.00"]);
    assert_eq!(rows("plain"), ["Cone 85.00", "Cone 85.00"], "under hq_wins HQ's record is what counts");
    let log = shop.outlet.run(&["--format", "json", "conflicts", "list", "--all"]).json();
    let of = |job: &str, name: &str, kind: &str| {
        log.as_array()
            .unwrap()
            .iter()
            .filter(|line| line["job"] == job && line["name"] == name && line["kind"] == kind)
            .count()
    };
    assert_eq!([of("items", "A", "edit"), of("items", "B", "edit")], [0, 1], "{log:#}");
    assert_eq!(
        [of("plain", "A", "local_edit"), of("plain", "B", "edit"), of("plain", "B", "local_edit")],
        [1, 1, 1],
        "{log:#}"
    );
    // What only the shop changed stays however often HQ's record is read.
    shop.outlet.sync_well(&["--full"]);
    assert_eq!(rows("items"), ["Waffle 85.00", "Waffle 70.00"]);
}

/// A database that makes something else of a value must not look like a shop that edits.
fn values_that_a_trigger_changes_are_no_edits(kind: Kind) {
    let text = if kind == Kind::Mysql { "varchar(140)" } else { "text" };
    let shop = Shop::with_jobs(kind, &job("items", "conflict = \"local_wins\"", ""));
    shop.outlet.database.execute(&format!(
        "create table items (item_code {text} not null primary key, title {text}, price decimal(10,2), phone {text})"
    ));
    let trigger = match kind {
        Kind::Sqlite => {
            "create trigger loud after insert on items begin update items set title = upper(new.title) where item_code = new.item_code; end; \
             create trigger louder after update of title on items when new.title <> upper(new.title) begin \
             update items set title = upper(new.title) where item_code = new.item_code; end"
        }
        Kind::Postgres => {
            "create function loud() returns trigger as $$ begin new.title := upper(new.title); return new; end $$ language plpgsql; \
             create trigger loud before insert or update on items for each row execute function loud()"
        }
        Kind::Mysql => {
            "create trigger loud before insert on items for each row set new.title = upper(new.title); \
             create trigger louder before update on items for each row set new.title = upper(new.title)"
        }
    };
    shop.outlet.database.execute(trigger);
    shop.item("A", json!({"item_name": "cone"}));
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "A", json!({"item_name": "waffle"})).unwrap();
    shop.outlet.sync_well(&[]);
    let title = || shop.outlet.database.rows("items", &["title"], "1")[0][0].clone().unwrap();
    assert_eq!(title(), "WAFFLE", "HQ's change arrives, as nobody edited the row");
    shop.outlet.sync_well(&["items", "--full"]);
    shop.outlet.database.execute("update items set title = 'MINE'");
    shop.hq.update("Item", "A", json!({"item_name": "cup"})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!(title(), "MINE");
}

fn hq_wins_without_a_base_says_what_it_wrote_over(kind: Kind) {
    let shop = Shop::with_jobs(kind, &job("items", "", ""));
    shop.hq.load("Item", ["A", "B", "C"].map(|code| item(code, json!({"standard_rate": 80})))).unwrap();
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '70.00' where item_code in ('A', 'C')");
    for code in ["A", "B"] {
        shop.hq.update("Item", code, json!({"standard_rate": 85})).unwrap();
    }
    shop.outlet.sync_well(&[]);
    let log = || shop.outlet.run(&["--format", "json", "conflicts", "list", "--all"]).json();
    let first = log();
    let [line] = first.as_array().unwrap().as_slice() else { panic!("{first:#}") };
    assert_eq!(
        (&line["name"], &line["hq"]["price"], &line["local"]["price"]),
        (&json!("A"), &json!("85.00"), &json!("70.00"))
    );
    assert_eq!((&line["base"], &line["rule"], &line["resolution"]), (&Value::Null, &json!("hq_wins"), &json!("hq")));
    shop.outlet.sync_well(&["items", "--full"]);
    let second = log();
    assert_eq!(
        (second.as_array().unwrap().len(), &second[0]["name"], &second[0]["kind"]),
        (2, &json!("C"), &json!("local_edit"))
    );
    shop.outlet.sync_well(&["items", "--full"]);
    assert_eq!(log().as_array().unwrap().len(), 2);
}

fn a_reconcile_gives_hq_back_what_is_hqs_and_leaves_the_rest(kind: Kind) {
    let jobs = ["", "conflict = \"hq_wins\"", "conflict = \"local_wins\"", "conflict = \"merge\""];
    let jobs: Vec<String> = jobs.iter().enumerate().map(|(at, keys)| job(&format!("t{at}"), keys, "")).collect();
    let shop = Shop::with_jobs(kind, &jobs.concat());
    for code in ["A", "B", "C"] {
        shop.item(code, json!({"standard_rate": 80}));
    }
    shop.outlet.sync_well(&[]);
    for table in ["t0", "t1", "t2", "t3"] {
        shop.outlet.database.execute(&format!("update {table} set price = '70.00' where item_code = 'A'"));
        shop.outlet.database.execute(&format!("delete from {table} where item_code = 'B'"));
    }
    let outcome = shop.outlet.run(&["--format", "json", "reconcile"]);
    outcome.expect_code(0);
    let rows = |table: &str| {
        let rows = shop.outlet.database.rows(table, &["item_code", "price"], "item_code");
        rows.into_iter()
            .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    for table in ["t0", "t1"] {
        assert_eq!(rows(table), ["A 80.00", "B 80.00", "C 80.00"], "{table}\n{}", shop.outlet.told(&outcome));
    }
    for table in ["t2", "t3"] {
        assert_eq!(rows(table), ["A 70.00", "C 80.00"], "{table}\n{}", shop.outlet.told(&outcome));
    }
    let repaired = &outcome.json()[0]["reconciled"]["repaired"];
    assert_eq!((&repaired["edited"], &repaired["remade"]), (&json!(1), &json!(1)), "{outcome}");
    let again = shop.outlet.run(&["--format", "json", "reconcile"]);
    for run in again.expect_code(0).json().as_array().unwrap() {
        assert_eq!((&run["counts"]["inserted"], &run["counts"]["updated"]), (&json!(0), &json!(0)), "{again}");
    }
}

fn a_newly_mapped_column_is_filled_from_hq_under_every_rule(kind: Kind) {
    let keys = |name: &str| match name {
        "newest_wins" => "conflict = \"newest_wins\"\nlocal_modified = \"edited\"".to_owned(),
        other => format!("conflict = \"{other}\""),
    };
    let rules = ["hq_wins", "local_wins", "newest_wins", "merge", "manual"];
    let jobs: String = rules.iter().map(|rule| job(&format!("t_{rule}"), &keys(rule), "")).collect();
    let shop = Shop::with_jobs(kind, &jobs.replace("title = \"item_name\"\n", ""));
    shop.item("A", json!({"standard_rate": 80, "item_name": "Cone"}));
    shop.outlet.sync_well(&[]);
    for rule in rules {
        shop.outlet
            .database
            .execute(&format!("alter table t_{rule} add column title varchar(140) not null default 'none'"));
    }
    shop.outlet.configure(&shop.url(), milkrun::demo::data::MANAGER, &jobs);
    shop.outlet.sync_well(&[]);
    for rule in rules {
        let title = shop.outlet.database.rows(&format!("t_{rule}"), &["title"], "1")[0][0].clone();
        assert_eq!(title.as_deref(), Some("Cone"), "{rule}");
    }
}

/// A trigger that comes later makes something else of what is written: that is told and repaired once, not each night.
fn what_a_trigger_does_to_repaired_values_is_repaired_once(kind: Kind) {
    let shop = Shop::with_jobs(kind, &[job("kept", "conflict = \"hq_wins\"", ""), job("hashed", "", "")].concat());
    shop.item("A", json!({"item_name": "cone"}));
    shop.outlet.sync_well(&[]);
    for table in ["kept", "hashed"] {
        let trigger = match kind {
            Kind::Sqlite => format!(
                "create trigger loud_{table} after update of title on {table} when new.title <> upper(new.title) begin \
                 update {table} set title = upper(new.title) where item_code = new.item_code; end"
            ),
            Kind::Postgres => format!(
                "create function loud_{table}() returns trigger as $$ begin new.title := upper(new.title); return new; end $$ \
                 language plpgsql; create trigger loud before update on {table} for each row execute function loud_{table}()"
            ),
            Kind::Mysql => format!(
                "create trigger loud_{table} before update on {table} for each row set new.title = upper(new.title)"
            ),
        };
        shop.outlet.database.execute(&trigger);
        shop.outlet.database.execute(&format!("update {table} set title = 'mine'"));
    }
    shop.outlet.run(&["reconcile"]).expect_code(0);
    let told = shop.outlet.database.count("milkrun_conflicts");
    for _ in 0..2 {
        let again = shop.outlet.run(&["--format", "json", "reconcile"]);
        for run in again.expect_code(0).json().as_array().unwrap() {
            assert_eq!(run["counts"]["updated"], 0, "{again}");
        }
    }
    assert_eq!(shop.outlet.database.count("milkrun_conflicts"), told);
    // And it is no edit that would keep HQ's next value away.
    shop.hq.update("Item", "A", json!({"item_name": "cup"})).unwrap();
    shop.outlet.sync_well(&[]);
    for table in ["kept", "hashed"] {
        let title = shop.outlet.database.rows(table, &["title"], "1")[0][0].clone();
        assert_eq!(title.as_deref(), Some("CUP"), "{table}");
    }
}

#[test]
fn a_conflict_that_a_repair_found_is_decided_by_the_next_run() {
    let shop = Shop::with_jobs(Kind::Sqlite, &job("items", "conflict = \"manual\"", ""));
    for code in ["A", "B"] {
        shop.item(code, json!({"standard_rate": 80}));
    }
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '70.00'");
    for code in ["A", "B"] {
        shop.hq.update_silently("Item", code, json!({"standard_rate": 85})).unwrap();
    }
    assert_eq!(shop.outlet.sync(&["items", "--full"])[0]["status"], "conflict");
    let open = shop.outlet.run(&["--format", "json", "conflicts", "list"]).json();
    for (code, take) in [("A", "hq"), ("B", "local")] {
        let one = open.as_array().unwrap().iter().find(|one| one["name"] == code).unwrap();
        shop.outlet.run(&["conflicts", "resolve", &one["id"].to_string(), "--take", take]).expect_code(0);
    }
    shop.outlet.sync_well(&[]);
    let rows = shop.outlet.database.rows("items", &["price"], "item_code");
    assert_eq!(rows, [[Some("85.00".to_owned())], [Some("70.00".to_owned())]]);
}

#[test]
fn what_waits_is_decided_by_another_rule_that_the_job_is_given() {
    let shop = Shop::with_jobs(Kind::Sqlite, &job("items", "conflict = \"manual\"", ""));
    shop.item("A", json!({"standard_rate": 80}));
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '70.00'");
    shop.hq.update("Item", "A", json!({"standard_rate": 85})).unwrap();
    assert_eq!(shop.outlet.sync(&[])[0]["status"], "conflict");
    shop.outlet
        .configure(&shop.url(), milkrun::demo::data::MANAGER, &job("items", "conflict = \"hq_wins\"", ""));
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.rows("items", &["price"], "1"), [[Some("85.00".to_owned())]]);
}

#[test]
fn why_tells_both_sides_the_base_and_whose_word_counts() {
    let shop = Shop::with_jobs(Kind::Sqlite, &job("items", "conflict = \"manual\"", ""));
    shop.item("A", json!({"standard_rate": 80}));
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '70.00'");
    shop.hq.update("Item", "A", json!({"standard_rate": 85, "item_name": "Waffle"})).unwrap();
    let column = |why: &Value, name: &str| {
        let columns = why["columns"].as_array().unwrap();
        columns.iter().find(|column| column["column"] == name).unwrap().clone()
    };
    let why = shop.outlet.run(&["--format", "json", "why", "items", "A"]).json();
    let price = column(&why, "price");
    assert_eq!(
        [&price["hq"], &price["base"], &price["local"], &price["rule"]],
        ["85.00", "80.00", "70.00", "manual"].map(Value::from).each_ref(),
        "{why:#}"
    );
    assert_eq!(price["verdict"], "changed on both sides: an operator decides");
    assert_eq!(column(&why, "title")["verdict"], "changed at HQ: the next run brings it");
    assert_eq!(column(&why, "phone")["hq"], "(private)");
    let run = shop.outlet.sync(&[])[0]["id"].clone();
    let why = shop.outlet.run(&["--format", "json", "why", "items", "A"]).json();
    assert_eq!([&why["conflicts"][0]["run"], &why["conflicts"][0]["rule"]], [&run, &json!("manual")], "{why:#}");
    let told = shop.outlet.run(&["why", "items", "A"]);
    assert!(told.stdout.contains("it waits for a decision") && told.stdout.contains("70.00"), "{told}");
    let nobody = shop.outlet.run(&["why", "items", "NOBODY"]);
    nobody.expect_code(0);
    assert!(
        nobody.stdout.contains("HQ shows no record of this name") && nobody.stdout.contains("there is no row"),
        "{nobody}"
    );
    shop.outlet.database.execute("INSERT INTO items (item_code, title) VALUES ('OWN', 'mine')");
    let own = shop.outlet.run(&["why", "items", "OWN"]);
    assert!(own.expect_code(0).stdout.contains("a row with this key is here; it is the outlet's own"), "{own}");
    shop.outlet.run(&["why", "item", "A"]).expect_code(2);
}
