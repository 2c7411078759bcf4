//! What `milkrun plan` says of an edited `sync.toml` is what its next runs then do.

use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::{Kind, Shop};

fn plan(shop: &Shop) -> Vec<Value> {
    let outcome = shop.outlet.run(&["--format", "json", "plan", "--detailed-exitcode"]);
    let plans = outcome.json().as_array().unwrap().clone();
    let is_nothing = plans.iter().all(|plan| plan["what"] == "unchanged" && plan["needs"] == json!([]));
    outcome.expect_code(if is_nothing {
        0
    } else if plans.iter().all(|plan| plan["needs"] == json!([])) {
        5
    } else {
        4
    });
    plans
}

fn of<'p>(plans: &'p [Value], job: &str) -> &'p Value {
    plans.iter().find(|plan| plan["job"] == job).unwrap()
}

fn edit(shop: &Shop, from: &str, to: &str) {
    let text = shop.outlet.config();
    assert!(text.contains(from), "{from}");
    shop.outlet.write_config(&text.replacen(from, to, 1));
}

fn a_plan_names_what_an_edit_changes_and_the_next_run_reads_what_it_said(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(300);
    let first = plan(&shop);
    assert_eq!(
        [&of(&first, "items")["what"], &of(&first, "items")["reading"]["records"]],
        [&json!("new"), &json!(300)]
    );
    assert!(of(&first, "items")["makes"].as_array().unwrap().len() >= 2, "{first:#?}");
    assert_eq!(shop.outlet.database.count("milkrun_runs"), 0);
    shop.outlet.sync_well(&[]);
    assert!(plan(&shop).iter().all(|plan| plan["what"] == "unchanged"));
    shop.outlet.run(&["plan"]).expect_code(0);

    // A column more, one that is not there yet; one less; one that is filled otherwise.
    edit(
        &shop,
        "price = { from = \"standard_rate\", type = \"decimal\", scale = 2 }\n",
        "rate = { from = \"standard_rate\", type = \"decimal\", scale = 2 }\n",
    );
    edit(&shop, "Nos = \"each\"", "Nos = \"piece\"");
    let plans = plan(&shop);
    let items = of(&plans, "items");
    assert_eq!([&items["what"], &items["reading"]["records"]], [&json!("changed"), &json!(300)], "{items:#}");
    assert!(items["needs"][0].as_str().unwrap().contains("ADD COLUMN"), "{items:#}");
    let column = |change, column| json!({"change": change, "table": "items", "column": column});
    let changes = items["changes"].as_array().unwrap();
    assert!(changes.contains(&column("column_added", "rate")), "{items:#}");
    assert!(changes.contains(&column("column_dropped", "price")), "{items:#}");
    let unit = changes.iter().find(|change| change["column"] == "unit").unwrap();
    assert_eq!([&unit["key"], &unit["to"]], ["map", "Kg = kg, Nos = piece"], "{items:#}");
    assert_eq!(of(&plans, "item_groups")["what"], "unchanged");
    let told = shop.outlet.run(&["plan"]);
    told.expect_code(4);
    for words in [
        "its next run reads 300 records again",
        "+ column rate of items",
        "- column price of items",
        "! Table items has no column rate",
    ] {
        assert!(told.stdout.contains(words), "{words}\n{told}");
    }

    // Once the column is there, the next run fills it, with as many records as were told.
    let sql = "ALTER TABLE items ADD COLUMN rate ";
    shop.outlet
        .database
        .execute(&format!("{sql}{}", if kind == Kind::Sqlite { "TEXT" } else { "numeric(38,2)" }));
    let items = plan(&shop);
    let items = of(&items, "items");
    let (records, requests) =
        (items["reading"]["records"].as_u64().unwrap(), items["reading"]["requests"].as_u64().unwrap());
    let runs = shop.outlet.sync_well(&["items"]);
    let counts = &runs[0]["counts"];
    assert_eq!([counts["fetched"].as_u64(), counts["updated"].as_u64()], [Some(records); 2], "{counts:#}");
    let took = counts["requests"].as_u64().unwrap();
    assert!(took.abs_diff(requests) <= 3, "{requests} requests were told, {took} it took");
    assert_eq!(shop.outlet.database.rows("items where rate is null", &["count(*)"], "1")[0][0].as_deref(), Some("0"));
    assert!(plan(&shop).iter().all(|plan| plan["what"] == "unchanged"));
}

fn a_plan_counts_the_rows_that_leave_with_the_filters_and_a_reconcile_lets_just_those_go(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(100);
    for n in 0..12 {
        shop.hq.update("Item", &format!("ICE-{n:04}"), json!({"disabled": 1})).unwrap();
    }
    shop.outlet.sync_well(&[]);
    edit(&shop, "[[\"is_sales_item\", \"=\", 1]]", "[[\"is_sales_item\", \"=\", 1], [\"disabled\", \"=\", 0]]");
    let plans = plan(&shop);
    let items = of(&plans, "items");
    assert_eq!(items["leaving"], json!({"rows": 12, "is_beyond_limit": false}), "{items:#}");
    assert_eq!(items["reading"]["records"], 88);
    assert_eq!(items["changes"][0]["key"], "filters");
    edit(&shop, "rows = 20, percent = 5", "rows = 10, percent = 5");
    let plans = plan(&shop);
    assert_eq!(of(&plans, "items")["leaving"], json!({"rows": 12, "is_beyond_limit": true}));
    // More than the limit: nothing goes without a word.
    shop.outlet.run(&["reconcile", "items"]).expect_code(4);
    assert_eq!(shop.outlet.database.count("items"), 100);
    edit(&shop, "rows = 10, percent = 5", "rows = 20, percent = 5");
    shop.outlet.run(&["reconcile", "items"]).expect_code(0);
    assert_eq!(shop.outlet.database.count("items"), 88);
}

on_each_database! {
    a_plan_names_what_an_edit_changes_and_the_next_run_reads_what_it_said
    a_plan_counts_the_rows_that_leave_with_the_filters_and_a_reconcile_lets_just_those_go
}

#[test]
fn a_job_that_is_gone_is_told_with_what_it_leaves() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(30);
    shop.outlet.sync_well(&[]);
    let (groups, _) = JOBS.split_once("[[job]]\nname = \"items\"").unwrap();
    let (head, _) = shop
        .outlet
        .config()
        .split_once("[[job]]")
        .map(|(head, rest)| (head.to_owned(), rest.to_owned()))
        .unwrap();
    shop.outlet.write_config(&format!("{head}{groups}"));
    let plans = plan(&shop);
    let items = of(&plans, "items");
    assert_eq!([&items["what"], &items["rows"], &items["table"]], [&json!("removed"), &json!(30), &json!("items")]);
    let told = shop.outlet.run(&["plan"]);
    assert!(told.stdout.contains("its 30 rows of table items stay"), "{told}");
}

/// A change of mapping is resumed where it was cut, and keeps to the pace.
#[test]
fn a_back_fill_goes_on_where_it_was_cut_and_keeps_to_the_pace() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(600);
    shop.outlet.sync_well(&[]);
    edit(&shop, "timeout = \"20s\"", "timeout = \"20s\"\nmax_requests_per_second = 4");
    edit(&shop, "Nos = \"each\"", "Nos = \"piece\"");
    let began = std::time::Instant::now();
    shop.hq.fault_when(
        milkrun::demo::When::doctype("Item").nth(4),
        milkrun::demo::Fault::Exception(403, "PermissionError".to_owned()),
    );
    let cut = shop.outlet.sync(&["items"]);
    assert_eq!(cut[0]["status"], "blocked", "{cut:#?}");
    let already = cut[0]["counts"]["updated"].as_u64().unwrap();
    assert!(already > 0 && already < 600, "{cut:#?}");
    let rest = shop.outlet.sync_well(&["items"]);
    assert_eq!(rest[0]["counts"]["updated"].as_u64().unwrap() + already, 600, "{rest:#?}");
    let requests = cut[0]["counts"]["requests"].as_u64().unwrap().max(rest[0]["counts"]["requests"].as_u64().unwrap());
    assert!(began.elapsed().as_secs_f64() >= (requests as f64 - 4.0) / 4.0);
}

#[test]
fn an_edit_that_hq_would_refuse_is_told_before_it_blocks_the_job() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    shop.outlet.sync_well(&["items"]);
    let good = shop.outlet.config();
    for (from, to, words) in [
        (
            "\"standard_rate\"",
            "\"standart_rate\"",
            "HQ's Item has no field \"standart_rate\", did you mean \"standard_rate\"?",
        ),
        ("doctype = \"Item\"", "doctype = \"Itme\"", "HQ has no DocType \"Itme\", did you mean \"Item\"?"),
    ] {
        edit(&shop, from, to);
        let told = shop.outlet.run(&["plan"]);
        assert!(told.expect_code(4).stdout.contains(&format!("! {words}")), "{told}");
        assert!(!told.stderr.contains("WARN"), "{told}");
        shop.outlet.write_config(&good);
    }
    edit(&shop, "Nos = \"each\"", "Nos = \"piece\"");
    shop.hq.fault_always(milkrun::demo::When::any(), milkrun::demo::Fault::Proxy(401));
    let refused = shop.outlet.run(&["plan"]);
    assert!(refused.expect_code(4).stderr.contains("HQ refused the credentials"), "{refused}");
    shop.hq.heal();
    shop.hq.fault_always(milkrun::demo::When::any(), milkrun::demo::Fault::Refuse);
    shop.outlet.run(&["plan"]).expect_code(1);
}
