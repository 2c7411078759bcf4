//! The site the recordings were made against, as far as it can be told from them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use milkrun::demo::{DocType, Field, Naming, Site, Transport, User};
use serde_json::{Map, Value, json};

use super::{Recording, recording, recordings};

/// A site with the first `items` of the 3,000 items of the recordings.
pub(super) fn site(items: usize) -> Site {
    let site = Site::new(chrono_tz::Asia::Kolkata)
        .doctype(DocType::new("UOM").named_by(Naming::Field("uom_name".into())).field(Field::new("uom_name", "Data")))
        .doctype(
            DocType::new("Item Group")
                .named_by(Naming::Field("group_name".into()))
                .fields([("group_name", "Data"), ("is_group", "Check")]),
        )
        .doctype(described("976b-v2-meta-child", DocType::child("Item Barcode")))
        .doctype(described("976-v2-meta", DocType::new("Item").named_by(Naming::Field("item_code".into()))))
        .doctype(DocType::new("Asset").named_by(Naming::Prompt).field(Field::table("codes", "Item Barcode")))
        .doctype(
            DocType::new("Item Price")
                .field(Field::link("item_code", "Item"))
                .fields([("price_list", "Data"), ("price_list_rate", "Currency")]),
        )
        .doctype(
            DocType::new("Customer")
                .named_by(Naming::Series("CUST-2026-".into()))
                .fields([("naming_series", "Data"), ("customer_name", "Data"), ("disabled", "Check")])
                .field(Field::new("credit_limit", "Currency").permlevel(1)),
        )
        .doctype(described("976d-v2-meta-tree", DocType::new("Shelf").tree()))
        .doctype(described("976e-v2-meta-single", DocType::new("Store Settings").single()))
        .doctype(
            DocType::new("Empty Thing")
                .field(Field::new("title", "Data"))
                .field(Field::new("cost", "Currency").permlevel(1)),
        )
        .doctype(DocType::new("Counter Log").named_by(Naming::Autoincrement).field(Field::new("title", "Data")))
        .user(User::system_manager("sync@hq.test", "fakekeysysmgr00", "fakesecretsysmgr"))
        .user(outlet())
        .user(
            ["Item", "Item Group", "UOM", "Item Price", "Customer"]
                .iter()
                .fold(User::new("writer@hq.test", "fakekeywriter00", "fakesecretwriter"), |user, of| {
                    user.may_write(of)
                }),
        )
        .user(User::new("norole@hq.test", "fakekeynorole00", "fakesecretnorole"));
    site.set_transport(Transport::Gunicorn);
    freeze(&site, "2026-11-21 16:40:00");
    site.load("UOM", ["Nos", "Box", "Kg"].map(|name| json!({"uom_name": name}))).unwrap();
    site.load("Item Group", groups()).unwrap();
    site.load("Customer", customers()).unwrap();
    site.load("Item", (0..items).map(item)).unwrap();
    freeze(&site, "2026-11-21 18:00:00");
    site
}

/// The read-only user.
pub(super) fn outlet() -> User {
    ["Item", "Item Group", "UOM", "Item Price", "Customer", "Counter Log", "Empty Thing"]
        .iter()
        .fold(User::new("outlet@hq.test", "fakekeyoutlet00", "fakesecretoutlet"), |user, of| user.may_read(of))
}

/// Stops the site's clock at a stamp of Asia/Kolkata.
pub(super) fn freeze(site: &Site, stamp: &str) {
    let now: DateTime<Utc> = format!("{}+05:30", stamp.replace(' ', "T"))
        .parse::<DateTime<chrono::FixedOffset>>()
        .unwrap()
        .into();
    site.freeze(now, Duration::ZERO);
}

/// A DocType with the fields of a recorded description.
fn described(stem: &str, doctype: DocType) -> DocType {
    let recording = recording(stem);
    let fields = recording.body()["data"]["fields"].as_array().unwrap().clone();
    fields.iter().filter(|field| field["fieldname"] != "outlet_ref").fold(doctype, |doctype, field| {
        let mut made = Field::new(field["fieldname"].as_str().unwrap(), field["fieldtype"].as_str().unwrap())
            .permlevel(u8::try_from(field["permlevel"].as_u64().unwrap()).unwrap());
        if let Some(label) = field["label"].as_str() {
            made = made.labelled(label);
        }
        if let Some(options) = field["options"].as_str() {
            made = made.options(options);
        }
        if let Some(default) = field["default"].as_str() {
            made = made.default(default);
        }
        if field["reqd"] == 1 {
            made = made.required();
        }
        if field["unique"] == 1 {
            made = made.unique();
        }
        doctype.field(made)
    })
}

/// The rule the recorded items were made by, overlaid with those that were recorded in full.
fn item(number: usize) -> Value {
    let name = format!("ITEM-{number:05}");
    if let Some(recorded) = recorded_item(&name) {
        return recorded;
    }
    let is_food = number.is_multiple_of(3);
    let created = format!("2026-11-21 16:44:{:09.6}", 35.868_538 + number as f64 * 0.002_4);
    let barcodes: Vec<Value> = (0..number % 3)
        .map(|row| json!({"barcode": (4_000_000_000_000 + number * 10 + row).to_string(), "barcode_type": "EAN"}))
        .collect();
    json!({
        "item_code": name, "item_name": format!("Item number {number}"),
        "item_group": (["Food", "Drinks", "Hardware"][number % 3]), "stock_uom": "Nos",
        "standard_rate": 10.0 + number as f64 / 7.0, "description": format!("<p>Description of item {number}</p>"),
        "weight": number as f64 / 3.0, "end_of_life": "2030-01-01", "opening_time": "16:44:35.866251",
        "shelf_life": number, "kind": (["A", "B", "C"][number % 3]), "notes": is_food.then_some("bulk"), "creation": created,
        "modified": if is_food { "2026-11-21 16:49:12.074256" } else { created.as_str() }, "barcodes": barcodes,
    })
}

fn recorded_item(name: &str) -> Option<Value> {
    let stem = match name {
        "ITEM-00001" => "401-modified-is-site-local-time",
        "ITEM-00002" => "404-silent-change",
        "ITEM-00005" => "501-single-doc-with-children",
        "ITEM-00004" => {
            let mut row = recording("102-list-star").body()["data"][1].clone();
            row["barcodes"] = json!([{"name": "ba33ceafbe", "barcode": "4000000000040", "barcode_type": "EAN"}]);
            return Some(row);
        }
        _ => return None,
    };
    Some(recording(stem).body()["data"].clone())
}

/// Every item group that any recording of 2xx shows, under the stamp shown or the one most had.
fn groups() -> Vec<Value> {
    let mut stamps: Map<String, Value> = Map::new();
    for recording in recordings().iter().filter(|recording| recording.number().starts_with('2')) {
        for row in recording.body()["data"].as_array().into_iter().flatten() {
            let Some(name) = row["name"].as_str() else {
                continue;
            };
            let stamp = row["modified"].as_str();
            if stamp.is_some() || !stamps.contains_key(name) {
                stamps.insert(name.to_owned(), stamp.unwrap_or("2024-05-05 10:00:00").into());
            }
        }
    }
    for (name, stamp) in [("a,b", "10:00:00"), ("a'b", "10:00:00"), ("été", "10:00:00"), ("B", "10:00:00")] {
        stamps.entry(name).or_insert(format!("2024-05-05 {stamp}").into());
    }
    let base = ["Food", "Drinks", "Hardware", "Ünïcode 中文 😀"].map(|name| json!({"group_name": name}));
    stamps
        .into_iter()
        .map(|(name, stamp)| json!({"group_name": name, "modified": stamp}))
        .chain(base)
        .collect()
}

fn customers() -> Vec<Value> {
    let mut rows: Map<String, Value> = Map::new();
    for stem in ["301-drift-page1", "302-drift-page2-after-update", "303-drift-page3", "304-drift-desc-page2"] {
        for row in recording(stem).body()["data"].as_array().unwrap() {
            rows.entry(row["name"].as_str().unwrap()).or_insert(row["modified"].clone());
        }
    }
    // Two rows are not shown by any page, which is what these recordings are about.
    for (name, stamp) in
        [("CUST-2026-00011", "2026-11-21 16:44:44.193600"), ("CUST-2026-00012", "2026-11-21 16:44:44.194800")]
    {
        rows.entry(name).or_insert(stamp.into());
    }
    rows.into_iter()
        .map(|(name, modified)| json!({"name": name, "customer_name": name, "modified": modified}))
        .collect()
}

/// Brings a site into the state a recording was made in, which earlier recordings of the same story left.
pub(super) fn prepare(site: &Site, recording: &Recording) {
    let at = |stamp: &str| freeze(site, stamp);
    let doomed = |number: usize| {
        let name = format!("DEL-{number}");
        site.insert(
            "Item",
            json!({"item_code": name, "item_name": "to go", "item_group": "Food", "stock_uom": "Nos",
            "barcodes": [{"barcode": format!("99{number}")}]}),
        )
        .unwrap();
        name
    };
    let number = recording.number();
    match number {
        "302" | "303" | "304" => {
            for (name, stamp) in
                [("CUST-2026-00001", "2026-11-21 16:49:11.502153"), ("CUST-2026-00002", "2026-11-21 16:49:11.514719")]
            {
                site.update_with_modified("Customer", name, json!({}), Some(stamp)).unwrap();
            }
            if number == "304" {
                site.update_with_modified("Customer", "CUST-2026-00003", json!({}), Some("2026-11-21 16:49:11.6"))
                    .unwrap();
            }
        }
        "401" => at("2026-11-21 16:49:11.890623"),
        "406" | "407" | "408" => {
            at("2026-11-21 16:49:12.112938");
            let late = site.begin_late("Item", Some("ITEM-00100"), json!({"item_name": "late commit"}));
            at("2026-11-21 16:49:13.221705");
            site.update("Item", "ITEM-00200", json!({"item_name": "quick"})).unwrap();
            if number != "406" {
                late.commit().unwrap();
            }
        }
        "412" | "413" => {
            let row = json!({"item_code": "NULLMOD-1", "item_group": "Food"});
            site.insert_with_modified("Item", row, None).unwrap();
        }
        "518b" | "814" | "816" | "817" | "1615" => {
            let name = if number == "814" { "x" } else { "by writer" };
            let mut rows = site.get("Item", "ITEM-00005").unwrap()["barcodes"].clone();
            if matches!(number, "518b" | "1615") {
                // Changed by an earlier request, 942.
                rows = recording
                    .body()
                    .pointer("/data/barcodes")
                    .or(recording.body().pointer("/message/barcodes"))
                    .unwrap()
                    .clone();
                for row in rows.as_array_mut().unwrap() {
                    row.as_object_mut().unwrap().remove("name");
                }
            }
            site.update("Item", "ITEM-00005", json!({"cost_secret": 55, "item_name": name, "barcodes": rows}))
                .unwrap();
        }
        "530a" | "530b" => {
            site.load(
                "Asset",
                [json!({"name": "ITEM-00005", "codes": [{"name": "otherparent1", "barcode": "OTHER"}]})],
            )
            .unwrap();
        }
        "701" | "707" => drop((doomed(0), doomed(1))),
        "702" | "703" | "704" | "732" => {
            at("2026-11-21 16:51:31.469264");
            let name = doomed(0);
            at("2026-11-21 16:51:31.806288");
            site.delete("Item", &name).unwrap();
            if number == "732" {
                at("2026-11-21 16:51:32.854963");
                site.delete("Item", "ITEM-00021").unwrap();
                site.insert("Item", json!({"item_code": "W-3", "item_group": "Food"})).unwrap();
                at("2026-11-21 16:55:17.128173");
                site.delete("Item", "W-3").unwrap();
            }
        }
        "708" => site.update("Item", &doomed(1), json!({"barcodes": []})).unwrap(),
        "709" => site.delete_without_trace("Item", &doomed(2)).unwrap(),
        "710" => drop(site.insert("Item Price", json!({"item_code": "ITEM-00001"})).unwrap()),
        "721" | "722" | "723" | "724" | "725" | "727" | "728" | "729" => {
            at("2026-11-21 16:44:44.258683");
            site.insert("Item Price", json!({"item_code": "ITEM-00022"})).unwrap();
            at("2026-11-21 16:44:44.257528");
            site.insert("Item Price", json!({"item_code": "ITEM-00021"})).unwrap();
            at("2026-11-21 16:44:44.256347");
            site.insert("Item Price", json!({"item_code": "ITEM-00020"})).unwrap();
            at("2026-11-21 16:51:32.284357");
            site.rename("Item", "ITEM-00020", "ITEM-00020-R").unwrap();
            at("2026-11-21 16:51:32.764468");
            site.merge("Item", "ITEM-00021", "ITEM-00022").unwrap();
        }
        "733" => {
            site.insert("Item", json!({"item_code": "RECREATE-1", "item_group": "Food"})).unwrap();
            site.delete("Item", "RECREATE-1").unwrap();
            site.insert("Item", json!({"item_code": "RECREATE-1", "item_group": "Food"})).unwrap();
        }
        "734" => site.update("Item", "ITEM-00005", json!({})).unwrap(),
        "850" => site.update("Item", "ITEM-00006", json!({"item_name": "with unknown key"})).unwrap(),
        "944" | "945" => {
            site.insert(
                "Item",
                json!({"item_code": "CH-1", "item_name": "no child key", "item_group": "Food",
                "barcodes": [{"barcode": "a", "barcode_type": "EAN"}, {"barcode": "b", "barcode_type": "EAN"}]}),
            )
            .unwrap();
        }
        "937" | "948" => {
            for name in ["W-2", "W-3"] {
                site.insert("Item", json!({"item_code": name, "item_group": "Food"})).unwrap();
            }
        }
        "836" | "932" | "933" | "934" | "911" | "930" | "931" | "935" | "936" | "913" | "914" => {
            at("2026-11-21 16:55:16.631838");
            for name in ["W-1", "W-2", "W-7"] {
                site.insert(
                    "Item",
                    json!({"item_code": name, "item_name": "w one b", "item_group": "Food", "stock_uom": "Nos",
                    "standard_rate": 12.345, "barcodes": [{"barcode": "b1"}, {"barcode": "b2"}]}),
                )
                .unwrap();
            }
            if matches!(number, "933" | "934" | "836") {
                at("2026-11-21 16:55:16.653314");
                site.update("Item", "W-1", json!({})).unwrap();
                site.update("Item", "ITEM-00006", json!({})).unwrap();
            }
        }
        "918" => drop(site.insert("Counter Log", json!({"title": "x"})).unwrap()),
        "1110" => {
            site.insert("Item", json!({"item_code": "SHAPE-1", "item_group": "Ünïcode 中文 😀"})).unwrap();
        }
        "1701" | "1702" | "1703" | "1704" | "1705" => site.set_user(outlet().only("Item", "item_group", "Drinks")),
        _ => {}
    }
}
