//! A DocType as HQ describes it: its fields, and what each of them can hold.
//!
//! Values only: how a description is asked for is `source`'s to know, what is made of it the callers'. Taken from recordings
//! 976, 976b and 984; what a field type stores was read off a real site's tables.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer};

/// The longest name of a record, and of what fills a `Data`, `Link` or `Select` field that says no length of its own.
pub const NAME_LENGTH: u32 = 140;

/// Fields that every DocType has and that no field list names.
pub const STANDARD_FIELDS: [&str; 9] =
    ["name", "creation", "modified", "modified_by", "owner", "docstatus", "idx", "parent", "doctype"];

/// A DocType.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DocType {
    /// Its name, as HQ spells it.
    #[serde(default)]
    pub name: String,
    /// A single document in place of a list.
    #[serde(default, rename = "issingle", deserialize_with = "flag")]
    pub is_single: bool,
    /// Its rows live in a Table field of a parent.
    #[serde(default, rename = "istable", deserialize_with = "flag")]
    pub is_child: bool,
    /// Its records form a tree, which HQ renumbers in silence.
    #[serde(default, deserialize_with = "flag")]
    pub is_tree: bool,
    /// Its records are drafts, submitted or cancelled.
    #[serde(default, deserialize_with = "flag")]
    pub is_submittable: bool,
    /// It has no table at HQ.
    #[serde(default, deserialize_with = "flag")]
    pub is_virtual: bool,
    /// How records are named: `field:item_code`, `autoincrement`, `hash` …
    #[serde(default)]
    pub autoname: Option<String>,
    /// The fields, custom ones included, in the order of the form, each once.
    #[serde(deserialize_with = "each_once")]
    pub fields: Vec<Docfield>,
}

/// A tree's own fields stand in its list twice where its maker had made them, too.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Docfield>, D::Error> {
    let mut fields = Vec::<Docfield>::deserialize(deserializer)?;
    let mut seen = HashSet::new();
    fields.retain(|field| seen.insert(field.fieldname.clone()));
    Ok(fields)
}

impl DocType {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, fieldname: &str) -> Option<&Docfield> {
        self.fields.iter().find(|field| field.fieldname == fieldname)
    }

    /// Whether records are numbered, and `name` is a number (recording 917).
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.autoname.as_deref().is_some_and(|rule| rule.eq_ignore_ascii_case("autoincrement"))
    }

    /// The field that records are named by, where it is one.
    #[must_use]
    pub fn named_by(&self) -> Option<&str> {
        self.autoname.as_deref()?.strip_prefix("field:")
    }
}

/// A field of a DocType.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Docfield {
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub fieldname: String,
    /// What the form calls it.
    #[serde(default)]
    pub label: Option<String>,
    /// `Data`, `Link`, `Table` …
    pub fieldtype: String,
    /// For `Link` and `Table` the other DocType, for `Select` the choices, one a line.
    #[serde(default)]
    pub options: Option<String>,
    /// The permission level that a reader needs; 0 is that of the DocType itself (recording 813).
    #[serde(default, deserialize_with = "number")]
    pub permlevel: u32,
    /// HQ takes no two records of the same value.
    #[serde(default, rename = "unique", deserialize_with = "flag")]
    pub is_unique: bool,
    /// It is computed when a form is opened, and no list has it.
    #[serde(default, deserialize_with = "flag")]
    pub is_virtual: bool,
    /// Digits after the point that the form shows; 0 where it says nothing. HQ stores nine in any case (recording 1109).
    #[serde(default, deserialize_with = "number")]
    pub precision: u32,
    /// A length of its own; 0 for the type's.
    #[serde(default, deserialize_with = "number")]
    pub length: u32,
}

/// What a field can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text, of at most so many characters; `None` without a bound.
    Text(Option<u32>),
    /// Whole numbers.
    Int,
    /// 0 or 1.
    Check,
    /// Numbers with up to nine digits after the point.
    Number,
    /// Dates.
    Date,
    /// Moments in HQ's zone.
    Datetime,
    /// Times of day.
    Time,
    /// Seconds.
    Duration,
    /// JSON, as text.
    Json,
    /// Child rows.
    Rows,
    /// A secret, which HQ shows as asterisks (recording 1101).
    Secret,
    /// No value: a break, a button, a heading.
    Nothing,
    /// A type that this version does not know.
    Unknown,
}

impl Docfield {
    /// What the field can hold.
    #[must_use]
    pub fn holds(&self) -> Holds {
        let length = if self.length == 0 { NAME_LENGTH } else { self.length };
        match self.fieldtype.as_str() {
            "Data" | "Link" | "Dynamic Link" | "Select" | "Read Only" | "Color" | "Icon" | "Phone" | "Autocomplete" => {
                Holds::Text(Some(length))
            }
            "Small Text" | "Text" | "Long Text" | "Text Editor" | "Code" | "Markdown Editor" | "HTML Editor"
            | "Attach" | "Attach Image" | "Signature" | "Barcode" | "Geolocation" => Holds::Text(None),
            "Int" | "Long Int" => Holds::Int,
            "Check" => Holds::Check,
            "Currency" | "Float" | "Percent" | "Rating" => Holds::Number,
            "Date" => Holds::Date,
            "Datetime" => Holds::Datetime,
            "Time" => Holds::Time,
            "Duration" => Holds::Duration,
            "JSON" => Holds::Json,
            "Table" | "Table MultiSelect" => Holds::Rows,
            "Password" => Holds::Secret,
            "Section Break" | "Column Break" | "Tab Break" | "HTML" | "Button" | "Image" | "Fold" | "Heading" => {
                Holds::Nothing
            }
            _ => Holds::Unknown,
        }
    }

    /// Whether the field holds child rows.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.holds() == Holds::Rows
    }

    /// Whether a list shows the field to who may read it: asking for another fails the whole list, or is passed over in
    /// silence (recordings 503 and 837).
    #[must_use]
    pub fn is_listed(&self) -> bool {
        !self.is_virtual && !matches!(self.holds(), Holds::Rows | Holds::Nothing | Holds::Unknown)
    }

    /// The DocType whose records the field names, where it is one and the same for all of them.
    #[must_use]
    pub fn links_to(&self) -> Option<&str> {
        (self.fieldtype == "Link")
            .then_some(self.options.as_deref())
            .flatten()
            .filter(|name| !name.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Bool(bool),
    Text(String),
    Other(serde::de::IgnoredAny),
}

/// Frappe's numbers come as numbers, as text, empty or not at all.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(match Loose::deserialize(deserializer)? {
        Loose::Number(number) => u32::try_from(number).unwrap_or(0),
        Loose::Bool(claim) => u32::from(claim),
        Loose::Text(text) => text.trim().parse().unwrap_or(0),
        Loose::Other(_) => 0,
    })
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    number(deserializer).map(|number| number != 0)
}

/// A break may have no name at all.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_however_its_numbers_are_written() {
        let json = r#"{"name": "Item", "issingle": 0, "istable": null, "is_tree": true, "autoname": "field:item_code",
            "fields": [{"fieldname": "rate", "fieldtype": "Currency", "precision": "3", "length": 0, "permlevel": 1},
                       {"fieldname": null, "fieldtype": "Column Break", "precision": ""},
                       {"fieldname": "rate", "fieldtype": "Data"}]}"#;
        let doctype: DocType = serde_json::from_str(json).unwrap();
        assert_eq!((doctype.is_single, doctype.is_child, doctype.is_tree), (false, false, true));
        assert_eq!(doctype.named_by(), Some("item_code"));
        let rate = doctype.field("rate").unwrap();
        assert_eq!((rate.precision, rate.permlevel, rate.holds()), (3, 1, Holds::Number));
        assert!(!doctype.fields[1].is_listed());
        assert_eq!(doctype.fields.len(), 2);
    }

    #[test]
    fn a_length_of_its_own_goes_before_the_types() {
        let field = |fieldtype: &str, length| Docfield { fieldtype: fieldtype.into(), length, ..Docfield::default() };
        assert_eq!(field("Data", 0).holds(), Holds::Text(Some(140)));
        assert_eq!(field("Data", 12).holds(), Holds::Text(Some(12)));
        assert_eq!(field("Text Editor", 12).holds(), Holds::Text(None));
        assert_eq!(field("Something New", 0).holds(), Holds::Unknown);
    }
}
