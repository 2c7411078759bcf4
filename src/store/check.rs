//! What keeps a job from working with the tables as they are: one sentence with its remedy for each finding.

use crate::config::{DatabaseKind, Deletes};
use crate::mapping::LookupSpec;
use crate::row::Type;

use super::catalog::{Catalog, Found, Kind, same_name};
use super::create::{self, Types};
use super::sql::Sql;
use super::table::{DELETED_AT, IDX, Inventory, Part, Wish};

/// All findings at once. Tables that the job makes itself are none.
pub(super) fn findings(
    kind: DatabaseKind,
    wish: &Wish<'_>,
    inventory: &Inventory,
    collation: &'static str,
) -> Vec<String> {
    let types = Types { kind, collation, inventory };
    let mut findings = Vec::new();
    if !wish.create_table {
        for (table, sql) in create::missing(types, wish, false) {
            findings.push(format!(
                "Table {table} does not exist. Set create_table = true for the job, or run: {};",
                sql.text()
            ));
        }
    }
    if let Some(catalog) = inventory.table(wish.parent.table) {
        parent_findings(types, wish, catalog, &mut findings);
    }
    for child in &wish.children {
        if let Some(catalog) = inventory.table(child.table) {
            child_findings(types, wish, child, catalog, &mut findings);
        }
    }
    for part in std::iter::once(&wish.parent).chain(&wish.children) {
        for lookup in part.lookups {
            lookup_findings(kind, lookup, inventory, &mut findings);
        }
    }
    findings
}

fn parent_findings(types: Types<'_>, wish: &Wish<'_>, catalog: &Catalog, findings: &mut Vec<String>) {
    let table = wish.parent.table;
    let mut filled: Vec<&str> = wish.parent.columns.iter().map(|column| column.name.as_str()).collect();
    match wish.deletes {
        Deletes::Mark => {
            filled.push(DELETED_AT);
            if catalog.column(DELETED_AT).is_none() {
                findings.push(lacks(types, table, DELETED_AT, Type::Datetime));
            }
        }
        Deletes::Delete | Deletes::Keep => {}
    }
    if let Some(name) = wish.local_modified
        && catalog.column(name).is_none()
    {
        findings.push(
            lacks(types, table, name, Type::Datetime)
                .replace("Take it out of the mapping", "Name another column in local_modified"),
        );
    }
    column_findings(types, &wish.parent, catalog, findings);
    let key: Vec<&str> = wish.key_columns().map(|column| column.name.as_str()).collect();
    if !catalog.is_unique(&key) {
        let mut remedy = Sql::new(types.kind, "CREATE UNIQUE INDEX ");
        remedy.name(&format!("{table}_{}", key.join("_"))).push(" ON ").name(table);
        remedy.push(" (").names(key.iter().copied()).push(")");
        findings.push(format!(
            "Table {table} has no PRIMARY KEY or UNIQUE index on exactly the key of the job ({}). Run: {};",
            key.join(", "),
            remedy.text()
        ));
    }
    needed_findings(types.kind, table, (catalog, &filled), "{ const = \"\", owner = \"once\" }", findings);
}

fn child_findings(types: Types<'_>, wish: &Wish<'_>, child: &Part<'_>, catalog: &Catalog, findings: &mut Vec<String>) {
    let mut filled: Vec<&str> = child.columns.iter().map(|column| column.name.as_str()).collect();
    filled.extend([child.parent_key, IDX]);
    if catalog.column(child.parent_key).is_none() {
        // What must be filled and is not is what was meant.
        let meant = match needed(types.kind, catalog, &filled).as_slice() {
            [only] => Some(only.name.as_str()),
            [] | [_, _, ..] => None,
        };
        let remedy = meant.map_or_else(
            || "Name its column for the parent in parent_key".to_owned(),
            |meant| format!("Did you mean parent_key = {meant:?}? If not, name its column for the parent there"),
        );
        let found = lacks(types, child.table, child.parent_key, wish.parent_type());
        findings.push(found.replace("Take it out of the mapping", &remedy));
        filled.extend(meant);
    }
    column_findings(types, child, catalog, findings);
    // `owner` has no meaning in a child table, whose rows come and go with their parent's.
    needed_findings(types.kind, child.table, (catalog, &filled), "{ const = \"\" }", findings);
}

fn column_findings(types: Types<'_>, part: &Part<'_>, catalog: &Catalog, findings: &mut Vec<String>) {
    for (at, column) in part.columns.iter().enumerate() {
        match catalog.column(&column.name) {
            None => findings.push(lacks(types, part.table, &column.name, types.of(part, at, column))),
            Some(found) if catalog.is_typed && !fits(column.ty, found.stored.kind) => findings.push(format!(
                "Column {} of table {} is {}, which cannot hold a {}. Declare another type for it in sync.toml, or \
                 change the column to {}.",
                column.name,
                part.table,
                found.stored.full_type,
                column.ty.word(),
                type_text(types, column.ty)
            )),
            Some(_) => {}
        }
    }
}

/// Columns that must have a value and are not among those that are `filled`.
fn needed<'c>(kind: DatabaseKind, catalog: &'c Catalog, filled: &[&str]) -> Vec<&'c Found> {
    let is_filled = |column: &Found| filled.iter().any(|name| same_name(kind, name, &column.name));
    catalog.columns.iter().filter(|column| column.is_needed && !is_filled(column)).collect()
}

fn needed_findings(
    kind: DatabaseKind,
    table: &str,
    (catalog, filled): (&Catalog, &[&str]),
    field: &str,
    findings: &mut Vec<String>,
) {
    for column in needed(kind, catalog, filled) {
        let mut alter = Sql::new(kind, "ALTER TABLE ");
        alter.name(table);
        let remedy = match kind {
            DatabaseKind::Sqlite => None,
            DatabaseKind::Postgres => Some(alter.push(" ALTER COLUMN ").name(&column.name).push(" DROP NOT NULL")),
            DatabaseKind::Mysql => Some(
                alter
                    .push(" MODIFY ")
                    .name(&column.name)
                    .push(" ")
                    .type_name(&column.stored.type_name)
                    .push(" NULL"),
            ),
        };
        let remedy = remedy.map(|sql| format!(", or run: {};", sql.text())).unwrap_or_else(|| ".".to_owned());
        findings.push(format!(
            "Column {0} of table {table} is NOT NULL, has no default, and the mapping does not fill it. Map it (perhaps \
             {0} = {field}){remedy}",
            column.name
        ));
    }
}

/// A table that does not exist is no finding: the job that makes it may not have run yet.
fn lookup_findings(kind: DatabaseKind, lookup: &LookupSpec, inventory: &Inventory, findings: &mut Vec<String>) {
    let Some(catalog) = inventory.table(&lookup.table) else { return };
    for column in [&lookup.match_column, &lookup.take_column] {
        if catalog.column(column).is_none() {
            let known: Vec<_> = catalog.columns.iter().map(|found| found.name.as_str()).collect();
            let nearest = known.iter().find(|name| name.eq_ignore_ascii_case(column));
            let hint = match (kind, nearest) {
                (DatabaseKind::Postgres, Some(name)) => format!("Write {name}: PostgreSQL minds upper and lower case."),
                (_, _) => format!("It has: {}.", known.join(", ")),
            };
            findings.push(format!("The lookup table {} has no column {column}. {hint}", lookup.table));
        }
    }
}

fn lacks(types: Types<'_>, table: &str, column: &str, ty: Type) -> String {
    let mut sql = Sql::new(types.kind, "ALTER TABLE ");
    sql.name(table).push(" ADD COLUMN ").name(column).push(" ");
    types.add(&mut sql, ty, false);
    format!("Table {table} has no column {column}. Take it out of the mapping, or run: {};", sql.text())
}

fn type_text(types: Types<'_>, ty: Type) -> String {
    let mut sql = Sql::new(types.kind, "");
    types.add(&mut sql, ty, false);
    sql.text().to_owned()
}

/// Whether a column made for `kind` can ever hold a value of `ty` so that it reads back the same.
fn fits(ty: Type, kind: Kind) -> bool {
    use Kind::{Bool, Date, Datetime, Decimal, Float, Int, Json, Other, Text, Time};
    match ty {
        // Where no type is declared, a column of any kind may take what HQ sends.
        Type::Text { .. } => true,
        Type::Int => matches!(kind, Text | Int | Float | Decimal | Bool | Json | Other),
        Type::Bool => matches!(kind, Text | Int | Float | Decimal | Bool | Other),
        Type::Float | Type::Duration => matches!(kind, Text | Int | Float | Decimal | Json | Other),
        Type::Decimal { scale: None | Some(0) } => matches!(kind, Text | Int | Float | Decimal | Json | Other),
        Type::Decimal { scale: Some(_) } => matches!(kind, Text | Float | Decimal | Json | Other),
        Type::Date => matches!(kind, Text | Date | Datetime | Other),
        Type::Datetime => matches!(kind, Text | Datetime | Other),
        Type::Time => matches!(kind, Text | Time | Other),
        Type::Json => matches!(kind, Text | Json | Other),
    }
}
