//! The usual scene: the ice-cream chain's HQ, and an outlet that takes its groups, items, barcodes and prices.

use std::collections::BTreeMap;

use milkrun::demo::{self, Server, Site, data};
use serde_json::{Map, Value, json};

use super::databases::TextRow;
use super::{Kind, Outlet};

pub(crate) struct Shop {
    pub(crate) hq: Site,
    pub(crate) outlet: Outlet,
    server: Server,
}

/// The jobs of the usual outlet.
pub(crate) const JOBS: &str = r#"
[[job]]
name = "item_groups"
doctype = "Item Group"
schedule = "0 0 * * * *"
table = "item_groups"
key = "name"
create_table = true
[job.fields]
name = "name"
parent = "parent_item_group"

[[job]]
name = "items"
doctype = "Item"
schedule = "0 */5 * * * *"
after = ["item_groups"]
filters = [["is_sales_item", "=", 1]]
page_size = 100
overlap = "30m"
table = "items"
key = "item_code"
create_table = true
deletes = "delete"
delete_limit = { rows = 20, percent = 5 }
[job.fields]
item_code = "name"
title = { from = "item_name", trim = true, max_length = 140 }
price = { from = "standard_rate", type = "decimal", scale = 2 }
unit = { from = "stock_uom", map = { Nos = "each", Kg = "kg" }, default = "each" }
active = { expr = "not disabled", type = "bool" }
changed = { from = "modified", type = "datetime" }
phone = { from = "supplier_phone", private = true }
shelf = { const = "", owner = "once" }
[[job.children]]
field = "barcodes"
table = "item_barcodes"
parent_key = "item_code"
[job.children.fields]
barcode = "barcode"
kind = "barcode_type"
"#;

impl Shop {
    /// An HQ without records but one group, and an outlet with the usual jobs that has not run yet.
    pub(crate) fn empty(kind: Kind) -> Self {
        Self::with_jobs(kind, JOBS)
    }

    pub(crate) fn with_jobs(kind: Kind, jobs: &str) -> Self {
        let hq = data::shop();
        hq.insert("UOM", json!({"uom_name": "Nos"})).unwrap();
        hq.insert("UOM", json!({"uom_name": "Kg"})).unwrap();
        hq.insert("Item Group", json!({"item_group_name": "Cones", "parent_item_group": null})).unwrap();
        let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
        let outlet = Outlet::new(kind);
        outlet.configure(&server.url(), data::MANAGER, jobs);
        Self { hq, outlet, server }
    }

    /// Puts another outlet in the place of this one, with the usual jobs; it reaches HQ by `url`.
    pub(crate) fn move_to(&mut self, outlet: Outlet, url: &str) {
        outlet.configure(url, data::MANAGER, JOBS);
        self.outlet = outlet;
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Has the outlet log in as the plain reader, who may not see tombstones.
    pub(crate) fn as_reader(&self, jobs: &str) {
        self.outlet.configure(&self.server.url(), data::READER, jobs);
    }

    /// Makes an item at HQ.
    pub(crate) fn item(&self, code: &str, more: Value) -> String {
        self.hq.insert("Item", item(code, more)).unwrap()
    }

    /// Makes `count` items at HQ, ICE-0000 and on, each with a barcode.
    pub(crate) fn items(&self, count: usize) {
        let rows =
            (0..count).map(|n| item(&format!("ICE-{n:04}"), json!({"barcodes": [{"barcode": format!("89{n:06}")}]})));
        self.hq.load("Item", rows).unwrap();
    }

    /// Fails unless the outlet's tables hold exactly what HQ has.
    #[track_caller]
    pub(crate) fn assert_in_step(&self) {
        let columns = ["item_code", "title", "price", "unit", "active", "changed", "phone"];
        let have: BTreeMap<String, TextRow> = keyed(self.outlet.database.rows("items", &columns, "item_code"));
        let items: Vec<Map<String, Value>> =
            self.hq.dump("Item").into_iter().filter(|item| item["is_sales_item"] == 1).collect();
        let want: BTreeMap<String, TextRow> = keyed(items.iter().map(|item| self.expected(item)).collect());
        same("items", &have, &want);

        let barcodes =
            self.outlet
                .database
                .rows("item_barcodes", &["item_code", "idx", "barcode", "kind"], "item_code, idx");
        let have: BTreeMap<String, TextRow> = keyed_by(barcodes, 2);
        let wanted = items.iter().flat_map(|item| {
            let rows = item["barcodes"].as_array().unwrap();
            rows.iter().map(|row| {
                vec![text(&item["name"]), text(&row["idx"]), text(&row["barcode"]), text(&row["barcode_type"])]
            })
        });
        same("item_barcodes", &have, &keyed_by(wanted.collect(), 2));

        let have = keyed(self.outlet.database.rows("item_groups", &["name", "parent"], "name"));
        let groups = self.hq.dump("Item Group");
        let want = groups.iter().map(|group| vec![text(&group["name"]), text(&group["parent_item_group"])]);
        same("item_groups", &have, &keyed(want.collect()));
    }

    /// The row that an item at HQ must make, as the database prints it.
    fn expected(&self, item: &Map<String, Value>) -> TextRow {
        let is_active = item["disabled"] == 0;
        let active = match (self.outlet.database.kind, is_active) {
            (Kind::Postgres, true) => "true",
            (Kind::Postgres, false) => "false",
            (_, true) => "1",
            (_, false) => "0",
        };
        let unit = match item["stock_uom"].as_str() {
            Some("Kg") => "kg",
            _ => "each",
        };
        vec![
            text(&item["name"]),
            text(&item["item_name"]).map(|title| title.trim().to_owned()),
            Some(format!("{:.2}", item["standard_rate"].as_f64().unwrap())),
            Some(unit.to_owned()),
            Some(active.to_owned()),
            Some(in_utc(item["modified"].as_str().unwrap(), self.outlet.database.kind)),
            text(&item["supplier_phone"]),
        ]
    }
}

/// An item with the fields that HQ insists on.
pub(crate) fn item(code: &str, more: Value) -> Value {
    let mut item = json!({
        "item_code": code, "item_name": format!("Cone {code}"), "item_group": "Cones", "stock_uom": "Nos",
        "standard_rate": 80.5, "is_sales_item": 1, "disabled": 0, "supplier_phone": format!("canary-{code}"),
    });
    for (field, value) in more.as_object().unwrap() {
        item[field] = value.clone();
    }
    item
}

/// A stamp of a site in Asia/Kolkata, in UTC, as the database prints it.
fn in_utc(stamp: &str, kind: Kind) -> String {
    let moment = chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S%.f").unwrap();
    let utc = moment - chrono::Duration::minutes(330);
    let micros = utc.and_utc().timestamp_subsec_micros();
    let whole = utc.format("%Y-%m-%d %H:%M:%S");
    match (kind, micros) {
        (Kind::Sqlite, 0) => whole.to_string(),
        (Kind::Sqlite, micros) => format!("{whole}.{micros:06}"),
        (Kind::Mysql, micros) => format!("{whole}.{micros:06}"),
        (Kind::Postgres, 0) => format!("{whole}+00"),
        (Kind::Postgres, micros) => format!("{whole}.{}+00", format!("{micros:06}").trim_end_matches('0')),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn keyed(rows: Vec<TextRow>) -> BTreeMap<String, TextRow> {
    keyed_by(rows, 1)
}

/// Rows by the text of their first columns; two rows of one key are a failure of their own.
#[track_caller]
fn keyed_by(rows: Vec<TextRow>, columns: usize) -> BTreeMap<String, TextRow> {
    let mut keyed = BTreeMap::new();
    for row in rows {
        let key = format!("{:?}", &row[..columns]);
        assert!(keyed.insert(key.clone(), row).is_none(), "two rows of key {key}");
    }
    keyed
}

#[track_caller]
fn same(table: &str, have: &BTreeMap<String, TextRow>, want: &BTreeMap<String, TextRow>) {
    let mut wrong: Vec<String> = Vec::new();
    for (key, row) in want {
        match have.get(key) {
            None => wrong.push(format!("missing: {row:?}")),
            Some(found) if found != row => wrong.push(format!("differs: have {found:?}\n         want {row:?}")),
            Some(_) => {}
        }
    }
    wrong.extend(have.iter().filter(|(key, _)| !want.contains_key(*key)).map(|(_, row)| format!("too much: {row:?}")));
    let shown: Vec<&String> = wrong.iter().take(10).collect();
    assert!(
        wrong.is_empty(),
        "table {table}: {} of {} rows are wrong, the first of them:\n{shown:#?}",
        wrong.len(),
        want.len()
    );
}
