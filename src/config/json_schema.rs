//! The keys as a JSON Schema, for editors: what it lets pass is a `sync.toml` whose every key and value is known by itself.
//! What keys mean together only `milkrun check` can judge.

use serde_json::{Map, Value, json};

use super::keys::{FIELD, FILE};
use super::schema::{Key, Kind, Section};

/// What editors of TOML read: neither takes a later one in all its parts.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// Any text with a substitution in it may become right once it is read.
const SUBSTITUTED: &str = r"\$\{";

const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]{0,62}$";

const HQ_FIELD: &str = "^[A-Za-z0-9_]{1,64}$";

const DURATION: &str = r"^\s*([0-9]+(ms|s|m|h|d))+\s*$";

/// The JSON Schema (draft 7) of `sync.toml`.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = section(&FILE);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), DIALECT.into());
        schema.insert("title".to_owned(), "milkrun's sync.toml".into());
        schema.insert("definitions".to_owned(), json!({ "field": section(&FIELD) }));
    }
    schema
}

fn section(section: &Section) -> Value {
    let required: Vec<&str> = section.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let properties: Map<String, Value> = section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), key.about.into());
        // A default is TOML; of texts and numbers that is JSON, too.
        let default = key.default.and_then(|default| serde_json::from_str::<Value>(default).ok());
        schema.extend(default.map(|default| ("default".to_owned(), default)));
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Line | Kind::Secret | Kind::Pem => json!({ "type": "string", "minLength": 1 }),
        Kind::HqUrl => text("^[Hh][Tt][Tt][Pp][Ss]?://"),
        Kind::LocalUrl => text(
            "^([Ss][Qq][Ll][Ii][Tt][Ee]:|[Pp][Oo][Ss][Tt][Gg][Rr][Ee][Ss]([Qq][Ll])?://|[Mm][Yy][Ss][Qq][Ll]://|[Mm][Aa][Rr][Ii][Aa][Dd][Bb]://)",
        ),
        Kind::Zone => {
            let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            one_of(zones.collect())
        }
        Kind::Listen => text(r"^(\[[0-9A-Fa-f:.%]+\]|[0-9.]+):[0-9]{1,5}$"),
        Kind::Duration { .. } => text(DURATION),
        Kind::Cron => text(r"^\s*(@[A-Za-z]+|\S+(\s+\S+){4,5})\s*$"),
        Kind::JobName => text("^[A-Za-z0-9_-]{1,64}$"),
        Kind::LocalTable | Kind::Column => text(IDENTIFIER),
        Kind::HqField => text(HQ_FIELD),
        Kind::Word(words) => one_of(words.known.to_vec()),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer { least, most } if *most == i64::MAX => json!({ "type": "integer", "minimum": least }),
        Kind::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number { least, most } => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::OneOrMore(each) => {
            let each = self::kind(each);
            json!({ "anyOf": [each, { "type": "array", "items": each, "minItems": 1 }] })
        }
        Kind::List(each) => json!({ "type": "array", "items": self::kind(each) }),
        Kind::Literal => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Literals => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
        }
        Kind::Json => json!({ "type": ["array", "object"] }),
        Kind::Record => json!({ "type": "object" }),
        Kind::Table(below) => section(below),
        Kind::Tables(below) => json!({ "type": "array", "items": section(below) }),
        Kind::Fields(_) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": IDENTIFIER },
            "additionalProperties": { "anyOf": [self::kind(&Kind::HqField), { "$ref": "#/definitions/field" }] },
        }),
    }
}

/// A text of that form, or one with a substitution.
fn text(pattern: &str) -> Value {
    json!({ "type": "string", "anyOf": [{ "pattern": pattern }, { "pattern": SUBSTITUTED }] })
}

/// One of these words, or a text with a substitution.
fn one_of(words: Vec<&str>) -> Value {
    json!({ "type": "string", "anyOf": [{ "enum": words }, { "pattern": SUBSTITUTED }] })
}
