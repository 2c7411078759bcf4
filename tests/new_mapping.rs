//! An edit of the mapping is no edit of the rows: what nobody touched takes the new mapping's values without a word, and
//! what the outlet did edit is still found.

use serde_json::{Value, json};

use crate::support::shop::item;
use crate::support::{Kind, Shop};

on_each_database! {
    another_type_scale_or_map_is_no_edit_of_the_outlets_under_any_rule
    an_edit_is_found_right_after_the_mapping_changed
    a_record_that_hq_deletes_after_the_mapping_changed_was_not_edited
}

const RULES: [&str; 6] = ["", "hq_wins", "local_wins", "newest_wins", "merge", "manual"];

/// A job for each rule, with these lines of fields.
fn jobs(price: &str, active: &str, more: &str) -> String {
    let job = |rule: &&str| {
        let keys = match *rule {
            "" => String::new(),
            "newest_wins" => "conflict = \"newest_wins\"\nlocal_modified = \"edited\"\n".to_owned(),
            other => format!("conflict = \"{other}\"\n"),
        };
        format!(
            r#"
[[job]]
name = "t_{rule}"
doctype = "Item"
schedule = "0 */5 * * * *"
table = "t_{rule}"
key = "item_code"
delete_limit = {{ rows = 100 }}
{keys}
[job.fields]
item_code = "name"
price = {{ from = "standard_rate", {price} }}
secret = {{ from = "supplier_phone", private = true, {price} }}
active = {{ from = "disabled", map = {{ "0" = "{active}", "1" = "no" }} }}
{more}
"#
        )
    };
    RULES.iter().map(job).collect()
}

fn shop(kind: Kind) -> Shop {
    let shop = Shop::with_jobs(kind, &jobs("type = \"decimal\", scale = 2", "yes", ""));
    let (text, number) = match kind {
        Kind::Sqlite => ("text", "text"),
        Kind::Postgres => ("text", "numeric"),
        Kind::Mysql => ("varchar(140)", "decimal(38,9)"),
    };
    for rule in RULES {
        shop.outlet.database.execute(&format!(
            "create table t_{rule} (item_code {text} not null primary key, price {number}, secret {number}, \
             active {text}, title {text}, edited {text})"
        ));
    }
    let rates = json!({"standard_rate": 1.005, "supplier_phone": "1.005", "item_name": "Cone"});
    let whole = json!({"standard_rate": 80, "supplier_phone": "80", "item_name": "Cup"});
    shop.hq.load("Item", [item("A", rates.clone()), item("B", whole), item("C", rates)]).unwrap();
    shop.outlet.sync_well(&[]);
    shop
}

fn edit_mapping(shop: &Shop, price: &str, active: &str, more: &str) {
    shop.outlet.configure(&shop.url(), milkrun::demo::data::MANAGER, &jobs(price, active, more));
}

fn column(shop: &Shop, rule: &str, column: &str) -> Vec<String> {
    let rows = shop.outlet.database.rows(&format!("t_{rule}"), &[column], "item_code");
    rows.into_iter().flatten().map(Option::unwrap_or_default).collect()
}

/// Numbers as numbers, whatever digits the database shows.
fn numbers(shop: &Shop, rule: &str, of: &str) -> Vec<f64> {
    column(shop, rule, of).iter().map(|text| text.parse().unwrap()).collect()
}

fn log(shop: &Shop) -> Vec<Value> {
    let log = shop.outlet.run(&["--format", "json", "conflicts", "list", "--all"]).json();
    log.as_array().unwrap().clone()
}

fn another_type_scale_or_map_is_no_edit_of_the_outlets_under_any_rule(kind: Kind) {
    let shop = shop(kind);
    let edits = [
        ("type = \"decimal\", scale = 3", "ja", "title = \"item_name\"", [1.005, 80.0, 1.005]),
        ("type = \"decimal\"", "ja", "title = \"item_name\"", [1.005, 80.0, 1.005]),
        ("type = \"decimal\", scale = 1", "si", "", [1.0, 80.0, 1.0]),
        ("type = \"text\"", "si", "", [1.005, 80.0, 1.005]),
        ("type = \"float\"", "si", "", [1.005, 80.0, 1.005]),
        ("type = \"decimal\", scale = 4", "oui", "title = \"item_name\"", [1.005, 80.0, 1.005]),
    ];
    for (price, active, more, prices) in edits {
        edit_mapping(&shop, price, active, more);
        shop.outlet.sync_well(&[]);
        for rule in RULES {
            let step = format!("{rule}: {price}");
            assert_eq!(numbers(&shop, rule, "price"), prices, "{step}");
            assert_eq!(numbers(&shop, rule, "secret"), prices, "{step}");
            assert_eq!(column(&shop, rule, "active"), [active; 3], "{step}");
            if !more.is_empty() {
                assert_eq!(column(&shop, rule, "title"), ["Cone", "Cup", "Cone"], "{step}");
            }
        }
        let log = log(&shop);
        assert!(log.is_empty(), "{price}: {log:#?}");
    }
    // And the new base is as good as the old one.
    shop.outlet.sync_well(&["--full"]);
    assert!(log(&shop).is_empty(), "{:#?}", log(&shop));
}

fn an_edit_is_found_right_after_the_mapping_changed(kind: Kind) {
    let shop = shop(kind);
    for rule in RULES {
        shop.outlet
            .database
            .execute(&format!("update t_{rule} set price = '7', edited = '2099-01-01 00:00:00' where item_code = 'A'"));
    }
    edit_mapping(&shop, "type = \"decimal\", scale = 3", "ja", "title = \"item_name\"");
    let runs = shop.outlet.sync(&[]);
    let manual = runs.iter().find(|run| run["job"] == "t_manual").unwrap();
    assert_eq!(manual["status"], "conflict", "{manual:#}");
    let log = log(&shop);
    for rule in RULES {
        let of_rule: Vec<&Value> = log.iter().filter(|line| line["job"] == format!("t_{rule}")).collect();
        let [line] = of_rule.as_slice() else { panic!("{rule}: {of_rule:#?}") };
        assert_eq!((&line["name"], line["hq"]["price"].as_str()), (&json!("A"), Some("1.005")), "{rule}: {line:#}");
        assert!(line["local"].get("title").is_none(), "{rule}: {line:#}");
        let stays = ["local_wins", "newest_wins", "manual"].contains(&rule);
        let price = if stays { 7.0 } else { 1.005 };
        assert_eq!(numbers(&shop, rule, "price"), [price, 80.0, 1.005], "{rule}");
    }
}

fn a_record_that_hq_deletes_after_the_mapping_changed_was_not_edited(kind: Kind) {
    let shop = shop(kind);
    edit_mapping(&shop, "type = \"decimal\", scale = 3", "ja", "title = \"item_name\"");
    shop.hq.delete("Item", "A").unwrap();
    shop.outlet.sync_well(&[]);
    for rule in RULES {
        assert_eq!(column(&shop, rule, "item_code"), ["B", "C"], "{rule}");
    }
    assert!(log(&shop).is_empty(), "{:#?}", log(&shop));
}

#[test]
fn a_scale_that_is_added_respells_the_numbers_of_a_sqlite_outlet() {
    let shop = shop(Kind::Sqlite);
    edit_mapping(&shop, "type = \"decimal\"", "yes", "");
    shop.outlet.sync_well(&[]);
    for rule in RULES {
        assert_eq!(column(&shop, rule, "price"), ["1.005", "80", "1.005"], "{rule}");
    }
    edit_mapping(&shop, "type = \"decimal\", scale = 3", "yes", "");
    shop.outlet.sync_well(&[]);
    for rule in RULES {
        assert_eq!(column(&shop, rule, "price"), ["1.005", "80.000", "1.005"], "{rule}");
    }
    assert!(log(&shop).is_empty(), "{:#?}", log(&shop));
}
