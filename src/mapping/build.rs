//! Compiles a mapping from its checked words, and collects everything that is wrong with it.

use std::collections::HashMap;

use chrono_tz::Tz;

use super::expr::Expr;
use super::field::{Field, Source};
use super::fingerprint::{self, Table};
use super::lookup::Lookup;
use super::private::{Private, SHOWN};
use super::{
    ChildSpec, ChildTable, Column, FieldSpec, Literal, LookupSpec, Mapping, Origin, Owner, Problem, number, value,
    words,
};
use crate::record::Fields;
use crate::row::{Cell, Type};

const TEXT: Type = Type::Text { max_length: None };

/// The fields of one table, compiled.
#[derive(Default)]
struct Built {
    columns: Vec<Column>,
    fields: Vec<Field>,
    lookups: Vec<LookupSpec>,
}

/// Collects the problems of one table.
struct Problems<'p> {
    child: Option<usize>,
    all: &'p mut Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, column: Option<&str>, part: Option<&'static str>, message: impl Into<String>) {
        let column = column.map(str::to_owned);
        self.all.push(Problem { child: self.child, column, part, message: message.into() });
    }
}

impl Mapping {
    /// Compiles the words of one job; `hq_zone` is the zone HQ writes its moments in.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn build(
        fields: Vec<FieldSpec>,
        key: &[String],
        children: Vec<ChildSpec>,
        hq_zone: Tz,
    ) -> Result<Self, Vec<Problem>> {
        let mut all = Vec::new();
        let mut problems = Problems { child: None, all: &mut all };
        let key_at = key_positions(&fields, key, &mut problems);
        let mut built = Built::of(fields, hq_zone, &mut problems);
        let private = Private::spread(&mut built.fields, &mut built.columns);
        let asked = bind(&mut built.fields, &[]);
        let children = child_tables(children, key, hq_zone, &mut all);
        if !all.is_empty() {
            return Err(all);
        }
        // By name, so that a `sync.toml` put in another order changes no hash.
        let mut hashed: Vec<usize> = positions(&built.columns, |column| column.owner.is_hqs());
        hashed.sort_by_key(|at| built.columns.get(*at).map(|column| column.name.clone()));
        let synced = hashed.iter().copied().filter(|at| !key_at.contains(at)).collect();
        let fingerprint = fingerprint_of(&built, key, &children);
        let Built { columns, fields: compiled, lookups } = built;
        Ok(Self {
            columns,
            key: key_at,
            fields: asked,
            lookups,
            children,
            private,
            fingerprint,
            compiled,
            hashed,
            synced,
        })
    }
}

fn positions(columns: &[Column], is_meant: impl Fn(&Column) -> bool) -> Vec<usize> {
    columns.iter().enumerate().filter(|(_, column)| is_meant(column)).map(|(at, _)| at).collect()
}

fn key_positions(fields: &[FieldSpec], key: &[String], problems: &mut Problems<'_>) -> Vec<usize> {
    if key.is_empty() {
        problems.add(None, Some("key"), "the key names no column");
    }
    let mut found = Vec::new();
    for column in key {
        let Some(at) = fields.iter().position(|field| field.column == *column) else {
            problems.add(None, Some("key"), format!("the key column {column} is not among the fields"));
            continue;
        };
        if found.contains(&at) {
            problems.add(None, Some("key"), format!("the key names {column} twice"));
        }
        found.push(at);
        let Some(field) = fields.get(at) else { continue };
        let same = match &field.origin {
            Origin::Field(_) => None,
            Origin::Expr(source) => words::fields(source).is_empty().then_some("expr"),
            Origin::Const(_) => Some("const"),
        };
        if same.is_some() {
            problems.add(Some(column), same, "this is the same in every row and cannot be part of the key");
        }
        let word = match field.owner {
            Owner::Hq => continue,
            Owner::Once => "once",
            Owner::UntilEdited => "until_edited",
        };
        let message = format!("the key is HQ's: a key column cannot have owner = {word:?}");
        problems.add(Some(column), Some("owner"), message);
    }
    found
}

/// Gives every field its place in the request, and returns the request.
fn bind(fields: &mut [Field], first: &[&str]) -> Fields {
    let needed = fields.iter().flat_map(|field| field.needs().iter().cloned());
    let asked = Fields::new(first.iter().map(|name| (*name).to_owned()).chain(needed));
    for field in fields {
        match &mut field.source {
            // `needs` put it there.
            Source::Field { name, position } => *position = asked.position(name).unwrap_or(usize::MAX),
            Source::Expr(expr) => expr.bind(&asked),
            Source::Const(_) => {}
        }
    }
    asked
}

fn child_tables(specs: Vec<ChildSpec>, key: &[String], zone: Tz, all: &mut Vec<Problem>) -> Vec<ChildTable> {
    let mut tables: Vec<ChildTable> = Vec::new();
    for (index, spec) in specs.into_iter().enumerate() {
        let mut problems = Problems { child: Some(index), all };
        if key.len() > 1 {
            let message = "child rows find their parent by one column: they need a job whose key is a single column";
            problems.add(None, Some("key"), message);
        }
        if spec.fields.is_empty() {
            problems.add(None, Some("fields"), "the child table has no fields");
        }
        if tables.iter().any(|table| table.table.eq_ignore_ascii_case(&spec.table)) {
            let message = format!("{} is filled by two child tables, which would delete each other's rows", spec.table);
            problems.add(None, Some("table"), message);
        }
        for field in &spec.fields {
            if field.column.eq_ignore_ascii_case(&spec.parent_key) {
                let message = "this column holds the parent's key (parent_key) and cannot be filled a second time";
                problems.add(Some(&field.column), Some("parent_key"), message);
            }
            let word = match field.owner {
                Owner::Hq => continue,
                Owner::Once => "once",
                Owner::UntilEdited => "until_edited",
            };
            let message = format!("child rows are replaced with their parent: owner = {word:?} has no meaning here");
            problems.add(Some(&field.column), Some("owner"), message);
        }
        let mut built = Built::of(spec.fields, zone, &mut problems);
        let fields = bind(&mut built.fields, &["parent", "idx"]);
        let private = Private::spread(&mut built.fields, &mut built.columns);
        let Built { columns, fields: compiled, lookups } = built;
        let ChildSpec { field, table, parent_key, .. } = ChildSpec { fields: Vec::new(), ..spec };
        tables.push(ChildTable { field, table, parent_key, columns, fields, compiled, lookups, private });
    }
    tables
}

fn fingerprint_of(built: &Built, key: &[String], children: &[ChildTable]) -> i64 {
    let mut fields: Vec<_> = built.fields.iter().zip(built.columns.iter().map(|column| column.owner)).collect();
    fields.sort_by_key(|(field, _)| &field.column);
    let mut tables = vec![Table { words: key.iter().map(String::as_str).collect(), fields }];
    tables.extend(children.iter().map(|child| Table {
        words: vec![&child.field, &child.table, &child.parent_key],
        fields: child.compiled.iter().map(|field| (field, Owner::Hq)).collect(),
    }));
    fingerprint::of_tables(&tables)
}

impl Built {
    fn of(specs: Vec<FieldSpec>, zone: Tz, problems: &mut Problems<'_>) -> Self {
        let mut built = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for spec in specs {
            if seen.iter().any(|column| column.eq_ignore_ascii_case(&spec.column)) {
                problems.add(Some(&spec.column), None, "the column is filled twice (databases ignore case in names)");
            }
            seen.push(spec.column.clone());
            built.push(spec, zone, problems);
        }
        built
    }

    fn push(&mut self, spec: FieldSpec, zone: Tz, problems: &mut Problems<'_>) {
        let ty = spec.ty.unwrap_or(TEXT);
        check_type(&spec, ty, problems);
        check_parts(&spec, problems);
        // With a lookup the literals are texts to look up; the type is that of what is taken.
        let literal_type = if spec.lookup.is_some() { TEXT } else { ty };
        let mut cell_of = |literal: &Literal, part: &'static str, what: &str| {
            let cell = value::literal(literal, literal_type, zone);
            cell.map_err(|offence| problems.add(Some(&spec.column), Some(part), format!("{what}{offence}")))
                .ok()
        };
        let default = spec.default.as_ref().and_then(|literal| cell_of(literal, "default", ""));
        let map: Option<HashMap<String, Cell>> = spec.map.as_ref().map(|pairs| {
            let cell_of = |(key, literal): &(String, Literal)| {
                Some((key.clone(), cell_of(literal, "map", &format!("{}: ", value::quote(key)))?))
            };
            pairs.iter().filter_map(cell_of).collect()
        });
        let source = match &spec.origin {
            Origin::Field(name) if is_field_name(name) => {
                Some(Source::Field { name: name.clone(), position: usize::MAX })
            }
            Origin::Field(name) => {
                let message = format!("{} is not a field's name", value::quote(name));
                problems.add(Some(&spec.column), Some("from"), message);
                None
            }
            Origin::Expr(source) => match Expr::compile(source) {
                Ok(expr) => Some(Source::Expr(expr)),
                Err(offence) => {
                    problems.add(Some(&spec.column), Some("expr"), offence);
                    None
                }
            },
            Origin::Const(literal) => cell_of(literal, "const", "").map(Source::Const),
        };
        let Some(source) = source else { return };
        let lookup = spec.lookup.map(|lookup| Lookup { index: self.lookup(&lookup), spec: lookup });
        let is_private = spec.is_private;
        self.columns.push(Column { name: spec.column.clone(), ty, owner: spec.owner, is_private });
        self.fields.push(Field {
            column: spec.column,
            source,
            ty,
            zone,
            trim: spec.trim,
            map,
            default,
            lookup,
            is_private,
        });
    }

    /// Columns that take the same from the same table share one lookup.
    fn lookup(&mut self, wanted: &LookupSpec) -> usize {
        self.lookups.iter().position(|known| known == wanted).unwrap_or_else(|| {
            self.lookups.push(wanted.clone());
            self.lookups.len() - 1
        })
    }
}

fn check_type(spec: &FieldSpec, ty: Type, problems: &mut Problems<'_>) {
    match ty {
        Type::Decimal { scale: Some(scale) } if scale > number::MAX_SCALE => {
            let message = format!("scale is {scale}; the most is {}", number::MAX_SCALE);
            problems.add(Some(&spec.column), Some("scale"), message);
        }
        Type::Text { max_length: Some(0) } => {
            problems.add(Some(&spec.column), Some("max_length"), "max_length is 0; the least is 1");
        }
        Type::Text { .. }
        | Type::Decimal { .. }
        | Type::Int
        | Type::Float
        | Type::Bool
        | Type::Date
        | Type::Datetime
        | Type::Time
        | Type::Duration
        | Type::Json => {}
    }
}

/// Parts that make no sense together.
fn check_parts(spec: &FieldSpec, problems: &mut Problems<'_>) {
    let mut refuse = |is_there: bool, part: &'static str, message: &str| {
        if is_there {
            problems.add(Some(&spec.column), Some(part), message);
        }
    };
    let map_is_empty = spec.map.as_ref().is_some_and(Vec::is_empty);
    match &spec.origin {
        Origin::Field(name) if spec.is_private && SHOWN.contains(&name.as_str()) => {
            refuse(true, "private", "milkrun shows HQ's name, modified, parent and idx of a record: map another field");
        }
        Origin::Field(_) => refuse(map_is_empty, "map", "the map is empty, so no value would pass"),
        Origin::Expr(_) => {
            refuse(spec.trim, "trim", "trim does not go with expr: write `…|trim` in the expression");
            refuse(spec.map.is_some(), "map", "map does not go with expr: write `{…}.get(…)` or `… if … else …` in it");
        }
        Origin::Const(_) => {
            refuse(spec.trim, "trim", "a constant needs no trim");
            refuse(spec.map.is_some(), "map", "a constant needs no map: write the value itself");
            refuse(spec.default.is_some(), "default", "a constant is never null and needs no default");
        }
    }
}

/// What cannot be a field at HQ, and would change the meaning of the request (`*` asks for every field).
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
