//! Sample data: an ice-cream chain for the demo, and plain items by the hundred thousand for the benches.
//!
//! The same seed gives the same records.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{DocType, Field, Naming, Refusal, Site, User};

/// Key and secret of the System Manager of the sample sites, `manager@hq.example`.
pub const MANAGER: (&str, &str) = ("demo-manager", "demo-secret");
/// Key and secret of the plain reader of the sample sites, `outlet@hq.example`.
pub const READER: (&str, &str) = ("demo", "demo-secret");

/// The item groups of the ice-cream chain, each with its parent.
const GROUPS: [(&str, &str); 12] = [
    ("All Item Groups", ""),
    ("Ice Cream", "All Item Groups"),
    ("Sorbet", "Ice Cream"),
    ("Gelato", "Ice Cream"),
    ("Kulfi", "Ice Cream"),
    ("Vegan", "Ice Cream"),
    ("Family Pack", "Ice Cream"),
    ("Cones & Cups", "All Item Groups"),
    ("Toppings", "All Item Groups"),
    ("Shakes", "All Item Groups"),
    ("Cakes", "All Item Groups"),
    ("Packaging", "All Item Groups"),
];
/// Groups whose items are sold, with the prefix of their codes, the word in their names and a usual price.
const SOLD: [(&str, &str, &str, f64); 10] = [
    ("Ice Cream", "ICE", "Ice Cream", 80.0),
    ("Sorbet", "SOR", "Sorbet", 90.0),
    ("Gelato", "GEL", "Gelato", 120.0),
    ("Kulfi", "KUL", "Kulfi", 60.0),
    ("Vegan", "VEG", "Vegan Scoop", 130.0),
    ("Family Pack", "FAM", "Family Pack", 320.0),
    ("Cones & Cups", "CON", "Cone", 20.0),
    ("Toppings", "TOP", "Topping", 15.0),
    ("Shakes", "SHK", "Shake", 140.0),
    ("Cakes", "CAK", "Ice Cream Cake", 650.0),
];
const FLAVOURS: [&str; 24] = [
    "Vanilla",
    "Alphonso Mango",
    "Pistachio",
    "Café au Lait",
    "Crème Brûlée",
    "Salted Caramel",
    "Dulce de Leche",
    "Belgian Chocolate",
    "Strawberry",
    "Tender Coconut",
    "Lychee",
    "Black Currant",
    "Rose & Cardamom",
    "Saffron",
    "Hazelnut",
    "Fig & Honey",
    "Jackfruit",
    "Sitaphal",
    "Guava Chilli",
    "Blueberry",
    "Cookies & Cream",
    "Butterscotch",
    "Filter Coffee",
    "Matcha",
];
const KINDS: [&str; 10] =
    ["Classic", "Royal", "Mini", "Double", "Roasted", "Swirl", "Chunky", "Lite", "Festival", "Stick"];

/// The HQ of an ice-cream chain: 12 item groups, some 2,400 items with barcodes, and a price for each.
///
/// # Errors
/// Never for a sound seed: only if two records would share a name.
pub fn ice_cream(seed: u64) -> Result<Site, Refusal> {
    let mut random = StdRng::seed_from_u64(seed);
    let site = shop();
    site.load("UOM", ["Nos", "Kg", "Litre", "Box"].map(|uom| json!({"uom_name": uom})))?;
    site.load(
        "Item Group",
        GROUPS.map(|(name, parent)| json!({"item_group_name": name, "parent_item_group": parent, "is_group": u8::from(parent.is_empty())})),
    )?;
    let mut items = Vec::new();
    for (group, prefix, word, price) in SOLD {
        for number in 1..=FLAVOURS.len() * KINDS.len() {
            items.push(item(&mut random, group, &format!("{prefix}-{number:04}"), word, number - 1, price));
        }
    }
    let prices: Vec<Value> = items
        .iter()
        .filter_map(|item| {
            Some(json!({
                "item_code": item.get("item_code")?, "price_list": "Retail", "currency": "INR",
                "price_list_rate": item.get("standard_rate")?,
            }))
        })
        .collect();
    site.load("Item", items)?;
    site.load("Item Price", prices)?;
    Ok(site)
}

/// The DocTypes and users of the chain, without records.
pub fn shop() -> Site {
    shop_in(chrono_tz::Asia::Kolkata)
}

/// As [`shop`], with stamps in another zone.
pub fn shop_in(zone: chrono_tz::Tz) -> Site {
    let (manager, reader) = (MANAGER, READER);
    Site::new(zone)
        .doctype(
            DocType::new("UOM")
                .named_by(Naming::Field("uom_name".into()))
                .field(Field::new("uom_name", "Data").required()),
        )
        .doctype(
            DocType::new("Item Group")
                .named_by(Naming::Field("item_group_name".into()))
                .field(Field::new("item_group_name", "Data").required())
                .field(Field::link("parent_item_group", "Item Group"))
                .field(Field::new("is_group", "Check")),
        )
        .doctype(DocType::child("Item Barcode").fields([("barcode", "Data"), ("barcode_type", "Select")]))
        .doctype(
            DocType::new("Item")
                .named_by(Naming::Field("item_code".into()))
                .field(Field::new("item_code", "Data").required())
                .field(Field::new("item_name", "Data"))
                .field(Field::link("item_group", "Item Group").required())
                .field(Field::link("stock_uom", "UOM"))
                .field(Field::new("standard_rate", "Currency"))
                .field(Field::new("is_sales_item", "Check"))
                .field(Field::new("disabled", "Check"))
                .field(Field::new("description", "Text Editor"))
                .field(Field::new("supplier_phone", "Data"))
                .field(Field::table("barcodes", "Item Barcode")),
        )
        .doctype(
            DocType::new("Item Price")
                .field(Field::link("item_code", "Item").required())
                .field(Field::new("price_list", "Data"))
                .field(Field::new("price_list_rate", "Currency"))
                .field(Field::new("currency", "Data")),
        )
        .user(User::system_manager("manager@hq.example", manager.0, manager.1))
        .user(
            User::new("outlet@hq.example", reader.0, reader.1)
                .may_read("UOM")
                .may_read("Item Group")
                .may_read("Item")
                .may_read("Item Price"),
        )
}

fn item(random: &mut StdRng, group: &str, code: &str, word: &str, number: usize, usual: f64) -> Value {
    let flavour = FLAVOURS.get(number % FLAVOURS.len()).copied().unwrap_or("Vanilla");
    let kind = KINDS.get(number / FLAVOURS.len() % KINDS.len()).copied().unwrap_or("Classic");
    let rate = (usual * random.random_range(0.7..1.6) / 5.0).round() * 5.0;
    let barcodes: Vec<Value> = (0..random.random_range(0..3))
        .map(|_| json!({"barcode": format!("890{:010}", random.random_range(0..10_000_000_000_u64)), "barcode_type": "EAN"}))
        .collect();
    json!({
        "item_code": code, "item_name": format!("{kind} {flavour} {word}"), "item_group": group,
        "stock_uom": if group == "Family Pack" { "Litre" } else { "Nos" }, "standard_rate": rate,
        "is_sales_item": u8::from(random.random_range(0..20) > 0), "disabled": u8::from(random.random_range(0..40) == 0),
        "description": format!("<p>{flavour} {}, the {} way.</p>", word.to_lowercase(), kind.to_lowercase()),
        "barcodes": barcodes,
    })
}

/// Makes plausible edits at HQ, one a call.
#[derive(Debug)]
pub struct Edits {
    site: Site,
    random: StdRng,
    made: usize,
}

/// Edits for the ice-cream chain: mostly prices, now and then a new flavour, a disabled item or a delete. Each step
/// makes one edit and gives a line that says what it was.
pub fn edits(site: &Site, seed: u64) -> Edits {
    Edits { site: site.clone(), random: StdRng::seed_from_u64(seed), made: 0 }
}

impl Iterator for Edits {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.made += 1;
        let edit = match self.random.random_range(0..20) {
            0..=11 => self.change_price(),
            12..=15 => self.invent(),
            16..=18 => self.toggle(),
            _ => self.retire(),
        };
        edit.ok().or_else(|| Some("HQ: an edit was refused".to_owned()))
    }
}

impl Edits {
    fn any_item(&mut self) -> Result<String, Refusal> {
        let names = self.site.names("Item");
        names.choose(&mut self.random).cloned().ok_or_else(|| Refusal::not_found(None))
    }

    fn change_price(&mut self) -> Result<String, Refusal> {
        let code = self.any_item()?;
        let old = self.site.get("Item", &code).and_then(|item| item.get("standard_rate")?.as_f64()).unwrap_or(0.0);
        let step = [-10.0, -5.0, 5.0, 10.0, 15.0].choose(&mut self.random).copied().unwrap_or(5.0);
        let new = (old + step).max(5.0);
        self.site.update("Item", &code, json!({"standard_rate": new}))?;
        Ok(format!("HQ: price of {code} {old:.2} -> {new:.2}"))
    }

    fn invent(&mut self) -> Result<String, Refusal> {
        let (group, prefix, word, usual) =
            SOLD.choose(&mut self.random).copied().unwrap_or(("Ice Cream", "ICE", "Ice Cream", 80.0));
        let code = format!("{prefix}-N{:04}", self.made);
        let number = self.random.random_range(0..FLAVOURS.len() * KINDS.len());
        let new = item(&mut self.random, group, &code, word, number, usual);
        let name = new.get("item_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.site.insert("Item", new)?;
        Ok(format!("HQ: new item {code} \"{name}\""))
    }

    fn toggle(&mut self) -> Result<String, Refusal> {
        let code = self.any_item()?;
        let item = self.site.get("Item", &code).unwrap_or_default();
        let is_disabled = item.get("disabled").and_then(Value::as_i64) == Some(1);
        self.site.update("Item", &code, json!({"disabled": u8::from(!is_disabled)}))?;
        Ok(format!("HQ: {code} {}", if is_disabled { "enabled again" } else { "disabled" }))
    }

    fn retire(&mut self) -> Result<String, Refusal> {
        let code = self.any_item()?;
        for price in self.site.names_where("Item Price", "item_code", &code) {
            self.site.delete("Item Price", &price)?;
        }
        self.site.delete("Item", &code)?;
        Ok(format!("HQ: {code} deleted"))
    }
}

/// A site of `count` items of 20 fields, for benches: the shop's users, DocType `Bench Item`, no child tables.
///
/// # Errors
/// Never: the names are counted.
pub fn bench(seed: u64, count: usize) -> Result<Site, Refusal> {
    let doctype = DocType::new("Bench Item").named_by(Naming::Field("code".into())).fields([
        ("code", "Data"),
        ("title", "Data"),
        ("category", "Data"),
        ("brand", "Data"),
        ("uom", "Data"),
        ("hsn", "Data"),
        ("origin", "Data"),
        ("colour", "Data"),
        ("description", "Text"),
        ("notes", "Small Text"),
        ("rate", "Currency"),
        ("cost", "Currency"),
        ("tax_percent", "Percent"),
        ("weight", "Float"),
        ("shelf_life", "Int"),
        ("pack_size", "Int"),
        ("disabled", "Check"),
        ("is_sales_item", "Check"),
        ("launched_on", "Date"),
        ("counted_at", "Datetime"),
    ]);
    let (key, secret) = ("bench", "bench-secret");
    let reader = User::new("bench@hq.example", key, secret).may_read("Bench Item");
    let site = shop().doctype(doctype).user(reader);
    let mut random = StdRng::seed_from_u64(seed);
    site.load("Bench Item", (0..count).map(|number| bench_item(&mut random, number)))?;
    Ok(site)
}

fn bench_item(random: &mut StdRng, number: usize) -> Value {
    let flavour = FLAVOURS.choose(random).copied().unwrap_or("Vanilla");
    let kind = KINDS.choose(random).copied().unwrap_or("Classic");
    let cents = |random: &mut StdRng, top: u32| f64::from(random.random_range(100..top)) / 100.0;
    json!({
        "code": format!("B-{number:07}"), "title": format!("{kind} {flavour}"), "category": kind, "brand": "HQ",
        "uom": "Nos", "hsn": "2105", "origin": "IN", "colour": flavour.chars().take(3).collect::<String>(),
        "description": format!("{kind} {flavour} number {number}"), "notes": Value::Null, "rate": cents(random, 100_000),
        "cost": cents(random, 80_000), "tax_percent": 18.0, "weight": cents(random, 1_000),
        "shelf_life": random.random_range(1..400), "pack_size": random.random_range(1..24), "disabled": 0,
        "is_sales_item": 1, "launched_on": format!("20{:02}-0{}-1{}", random.random_range(10..26), random.random_range(1..9), number % 10),
        "counted_at": format!("2026-01-0{} 1{}:00:00", random.random_range(1..9), number % 10),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_shop() {
        let names = |site: &Site| (site.names("Item"), site.names("Item Price"));
        let (one, two) = (ice_cream(7).unwrap(), ice_cream(7).unwrap());
        assert_eq!(names(&one), names(&two));
        assert_eq!((one.count("Item"), one.count("Item Price")), (2_400, 2_400));
        let rate = |site: &Site| site.get("Item", "ICE-0042").unwrap()["standard_rate"].clone();
        assert_eq!(rate(&one), rate(&two));
    }

    #[test]
    fn edits_go_on_without_a_refusal_and_say_what_they_did() {
        let site = ice_cream(7).unwrap();
        let lines: Vec<String> = edits(&site, 7).take(200).collect();
        for word in ["price of", "new item", "disabled", "deleted"] {
            assert!(lines.iter().any(|line| line.starts_with("HQ: ") && line.contains(word)), "{word}");
        }
        assert!(!lines.iter().any(|line| line.contains("refused")), "{lines:?}");
        assert!(site.count("Deleted Document") > 0);
    }
}
