//! What the simulated HQ of the bench holds: items as a shop has them, the same for the same number.
//!
//! Their stamps lie a minute apart in the past, as those of a table that grew over years: only what is edited during
//! the bench is new. They come in the order of their names, as series and imports make them; [`Kind::Shuffled`] is the
//! other case.

use anyhow::Result;
use milkrun::demo::data::READER;
use milkrun::demo::{DocType, Field, Naming, Site, User};
use serde_json::{Value, json};

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Items, their stamps in the order of their names.
    Items,
    /// Items whose stamps have nothing to do with their names.
    Shuffled,
    /// Items with child rows, as many as [`CHILDREN`] says.
    Children,
    /// So many DocTypes of [`OF_A_DOCTYPE`] items each.
    Doctypes,
}

/// Items of each of many DocTypes.
pub(crate) const OF_A_DOCTYPE: usize = 20;

/// Child rows of an item, in the mean.
pub(crate) const CHILDREN: usize = 4;

/// The columns that are mapped, with their types in `sync.toml`. The key `code` is HQ's `name`, the others are called
/// alike on both sides.
pub(crate) const COLUMNS: [(&str, &str); 12] = [
    ("code", "text"),
    ("title", "text"),
    ("category", "text"),
    ("description", "text"),
    ("colour", "text"),
    ("rate", "decimal"),
    ("cost", "decimal"),
    ("weight", "float"),
    ("shelf_life", "int"),
    ("disabled", "bool"),
    ("launched_on", "date"),
    ("counted_at", "datetime"),
];

/// The columns of a child row.
pub(crate) const CHILD_COLUMNS: [(&str, &str); 4] =
    [("code", "text"), ("idx", "int"), ("barcode", "text"), ("packs", "int")];

/// The DocType of one of several jobs.
pub(crate) fn doctype(number: usize) -> String {
    if number == 0 { "Bench Item".to_owned() } else { format!("Bench Item {number}") }
}

/// The table of a job.
pub(crate) fn table(job: usize) -> String {
    if job == 0 { "items".to_owned() } else { format!("items_{job}") }
}

/// A site that holds `count` items, or so many DocTypes of them.
pub(crate) fn site(kind: Kind, count: usize) -> Result<Site> {
    let doctypes = if kind == Kind::Doctypes { count } else { 1 };
    let count = if kind == Kind::Doctypes { OF_A_DOCTYPE } else { count };
    let reader = User::system_manager("bench@hq.example", READER.0, READER.1);
    let mut site = Site::new(chrono_tz::Asia::Kolkata);
    site = site.doctype(DocType::child("Bench Barcode").fields([("barcode", "Data"), ("packs", "Int")]));
    for number in 0..doctypes {
        let item = DocType::new(&doctype(number)).named_by(Naming::Field("code".into())).fields([
            ("code", "Data"),
            ("title", "Data"),
            ("category", "Data"),
            ("description", "Small Text"),
            ("colour", "Data"),
            ("rate", "Currency"),
            ("cost", "Currency"),
            ("weight", "Float"),
            ("shelf_life", "Int"),
            ("disabled", "Check"),
            ("launched_on", "Date"),
            ("counted_at", "Datetime"),
            // Not mapped.
            ("brand", "Data"),
            ("hsn", "Data"),
            ("origin", "Data"),
            ("notes", "Small Text"),
        ]);
        site = site.doctype(item.field(Field::table("barcodes", "Bench Barcode")));
    }
    let site = site.user(reader);
    for number in 0..doctypes {
        site.load(&doctype(number), (0..count).map(|number| item(kind, number, count)))?;
    }
    Ok(site)
}

const CATEGORIES: [&str; 4] = ["Ice Cream", "Sorbet", "Cones", "Cakes"];

const WORDS: [&str; 12] = [
    "Vanilla",
    "Alphonso Mango",
    "Pistachio",
    "Café au Lait",
    "Salted Caramel",
    "Belgian Chocolate",
    "Tender Coconut",
    "Black Currant",
    "Rose & Cardamom",
    "Crème Brûlée",
    "Fig \"Royal\" & Honey",
    "Butterscotch",
];

fn item(kind: Kind, number: usize, count: usize) -> Value {
    let bits = mixed(number);
    let below = |bound: usize, shift: u32| (bits >> shift) % bound;
    let word = WORDS.get(below(WORDS.len(), 3)).copied().unwrap_or_default();
    let place = if kind == Kind::Shuffled { shuffled(number, count) } else { number };
    let stamp = stamp(place);
    let code = format!("B-{number:07}");
    let mut item = json!({
        "creation": stamp, "modified": stamp, "code": code, "title": format!("{word} {}", 100 + below(900, 7)),
        "category": CATEGORIES.get(below(CATEGORIES.len(), 11)),
        "description": format!("{word}, pack of {}, kept at minus {} degrees", 1 + below(24, 13), 15 + below(9, 17)),
        "colour": if below(5, 19) == 0 { Value::Null } else { word.chars().take(3).collect::<String>().into() },
        "rate": cents(below(100_000, 23)), "cost": cents(below(80_000, 29)), "weight": cents(below(1_000, 31)) / 4.0,
        "shelf_life": below(400, 5), "disabled": usize::from(below(40, 37) == 0),
        "launched_on": format!("20{:02}-{:02}-{:02}", 10 + below(16, 2), 1 + below(12, 9), 1 + below(28, 15)),
        "counted_at": format!("2025-{:02}-{:02} {:02}:30:00", 1 + below(12, 4), 1 + below(28, 8), below(24, 12)),
        "brand": "HQ", "hsn": "2105", "origin": "IN",
    });
    if kind == Kind::Children
        && let Some(item) = item.as_object_mut()
    {
        let barcodes: Vec<Value> = (0..below(2 * CHILDREN + 1, 21))
            .map(|row| json!({"name": format!("{code}-{row}"), "barcode": format!("890{:010}", bits % 9_999_999_967 + row), "packs": row}))
            .collect();
        item.insert("barcodes".to_owned(), barcodes.into());
    }
    item
}

/// Microsecond stamps a minute and a bit apart, from 2020 on.
fn stamp(place: usize) -> String {
    let seconds = 1_577_836_800 + i64::try_from(place).unwrap_or_default() * 61;
    let time = chrono::DateTime::from_timestamp(seconds, 123_456_000).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

#[expect(clippy::cast_precision_loss, reason = "small figures")]
fn cents(cents: usize) -> f64 {
    cents as f64 / 100.0
}

/// Bits that look random and are the same for the same number (`SplitMix64`).
fn mixed(number: usize) -> usize {
    let mut bits = (number as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from(bits ^ (bits >> 31)).unwrap_or_default()
}

/// A place of its own for each number, far from its neighbours'.
fn shuffled(number: usize, count: usize) -> usize {
    // Coprime to any count that is not a multiple of it.
    const STEP: usize = 7_368_787;
    number.wrapping_mul(STEP) % count.max(1)
}
