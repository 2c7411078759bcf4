//! The mapping in words, to be kept and held against a later one: which columns an edit adds, drops and fills otherwise.
//!
//! Of a private column only that its words changed is told, never the words.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::field::{Field, Source};
use super::{ChildTable, Column, Mapping, Owner};
use crate::row::{Cell, Type};

/// The words of each column, by its name and that of the key in `sync.toml`.
pub type Outline = BTreeMap<String, BTreeMap<String, String>>;

impl Mapping {
    /// The parent's columns in words.
    #[must_use]
    pub fn outline(&self) -> Outline {
        of(&self.compiled, &self.columns)
    }
}

impl ChildTable {
    /// The child's columns in words.
    #[must_use]
    pub fn outline(&self) -> Outline {
        of(&self.compiled, &self.columns)
    }
}

fn of(fields: &[Field], columns: &[Column]) -> Outline {
    fields
        .iter()
        .zip(columns)
        .map(|(field, column)| (column.name.clone(), words(field, column)))
        .collect()
}

fn words(field: &Field, column: &Column) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let mut put = |key: &str, text: String| {
        words.insert(key.to_owned(), text);
    };
    let discreet = |text: String| if column.is_private { format!("#{:016x}", xxh3_64(text.as_bytes())) } else { text };
    match &field.source {
        Source::Field { name, .. } => put("from", name.clone()),
        Source::Expr(expr) => put("expr", discreet(expr.source().to_owned())),
        Source::Const(cell) => put("const", discreet(cell.to_string())),
    }
    put("type", type_words(field.ty));
    if field.ty == Type::Datetime {
        put("hq.time_zone", field.zone.name().to_owned());
    }
    if field.trim {
        put("trim", "true".to_owned());
    }
    if let Some(map) = &field.map {
        let sorted: BTreeMap<&String, String> = map.iter().map(|(key, cell)| (key, cell.to_string())).collect();
        let pairs: Vec<String> = sorted.into_iter().map(|(key, cell)| format!("{key} = {cell}")).collect();
        put("map", discreet(pairs.join(", ")));
    }
    if let Some(default) = field.default.as_ref().filter(|default| !matches!(default, Cell::Null)) {
        put("default", discreet(default.to_string()));
    }
    if let Some(lookup) = &field.lookup {
        let spec = &lookup.spec;
        put("lookup", format!("{} by {}.{}", spec.take_column, spec.table, spec.match_column));
    }
    match column.owner {
        Owner::Hq => {}
        Owner::Once => put("owner", "once".to_owned()),
        Owner::UntilEdited => put("owner", "until_edited".to_owned()),
    }
    words
}

/// The type that the words of an outline name; `None` for another version's.
#[must_use]
pub fn type_of(words: &str) -> Option<Type> {
    let number = |name: &str| words.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?.parse().ok();
    let plain = [
        Type::Text { max_length: None },
        Type::Decimal { scale: None },
        Type::Int,
        Type::Float,
        Type::Bool,
        Type::Date,
        Type::Datetime,
        Type::Time,
        Type::Duration,
        Type::Json,
    ];
    let limited = || {
        let text = number("text").map(|most| Type::Text { max_length: Some(most) });
        text.or_else(|| number("decimal").map(|scale| Type::Decimal { scale: Some(scale) }))
    };
    plain.into_iter().find(|ty| ty.word() == words).or_else(limited)
}

fn type_words(ty: Type) -> String {
    match ty {
        Type::Text { max_length: Some(most) } => format!("text({most})"),
        Type::Decimal { scale: Some(scale) } => format!("decimal({scale})"),
        Type::Text { max_length: None }
        | Type::Decimal { scale: None }
        | Type::Int
        | Type::Float
        | Type::Bool
        | Type::Date
        | Type::Datetime
        | Type::Time
        | Type::Duration
        | Type::Json => ty.word().to_owned(),
    }
}
