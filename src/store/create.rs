//! CREATE TABLE from the mapping: which column type keeps each value exactly, on each database.

use crate::config::{DatabaseKind, Deletes};
use crate::mapping::Column;
use crate::row::Type;

use super::catalog::same_name;
use super::sql::Sql;
use super::table::{DELETED_AT, IDX, Inventory, Part, Wish};

/// HQ's names have at most 140 characters.
const NAME_LENGTH: usize = 140;

/// The longest text that becomes a varchar on MariaDB: varchars count against the 65,535 bytes of a row, texts do not.
const VARCHAR_LENGTH: usize = 255;

/// The statements that make the job's missing tables, each with the table it is for.
pub(super) fn missing<'w>(types: Types<'_>, wish: &Wish<'w>, is_dry: bool) -> Vec<(&'w str, Sql)> {
    let Types { kind, inventory, .. } = types;
    let create = create(kind, is_dry);
    let mut statements = Vec::new();
    if inventory.table(wish.parent.table).is_none() {
        statements.push((wish.parent.table, parent(types, wish, create)));
    }
    for child in wish.children.iter().filter(|child| inventory.table(child.table).is_none()) {
        statements.push((child.table, self::child(types, wish, child, create)));
        if has_column(kind, child, IDX) && kind != DatabaseKind::Mysql {
            let mut index = Sql::new(kind, "CREATE INDEX IF NOT EXISTS ");
            index.name(&format!("{}_{}", child.table, child.parent_key)).push(" ON ").name(child.table);
            index.push(" (").name(child.parent_key).push(")");
            statements.push((child.table, index));
        }
    }
    statements
}

/// MariaDB's DDL would commit a dry run, but for that of tables which nobody else sees.
fn create(kind: DatabaseKind, is_dry: bool) -> &'static str {
    match kind {
        DatabaseKind::Mysql if is_dry => "CREATE TEMPORARY TABLE IF NOT EXISTS ",
        DatabaseKind::Sqlite | DatabaseKind::Postgres | DatabaseKind::Mysql => "CREATE TABLE IF NOT EXISTS ",
    }
}

fn parent(types: Types<'_>, wish: &Wish<'_>, create: &'static str) -> Sql {
    let mut sql = Sql::new(types.kind, create);
    sql.name(wish.parent.table).push(" (");
    sql.list(", ", wish.parent.columns.iter().enumerate(), |sql, (at, column)| {
        let is_key = wish.key.contains(&at);
        sql.name(&column.name).push(" ");
        types.add(sql, types.of(&wish.parent, at, column), is_key);
        sql.push(if is_key { " NOT NULL" } else { "" });
    });
    match wish.deletes {
        Deletes::Mark => {
            sql.push(", ").name(DELETED_AT).push(" ");
            types.add(&mut sql, Type::Datetime, false);
        }
        Deletes::Delete | Deletes::Keep => {}
    }
    if let Some(name) = wish.local_modified.filter(|name| !has_column(types.kind, &wish.parent, name)) {
        sql.push(", ").name(name).push(" ");
        types.add(&mut sql, Type::Datetime, false);
    }
    sql.push(", PRIMARY KEY (").names(wish.key_columns().map(|column| column.name.as_str())).push("))");
    sql.push(types.table_options());
    sql
}

fn child(types: Types<'_>, wish: &Wish<'_>, child: &Part<'_>, create: &'static str) -> Sql {
    let mut sql = Sql::new(types.kind, create);
    sql.name(child.table).push(" (").name(child.parent_key).push(" ");
    types.add(&mut sql, wish.parent_type(), true);
    sql.push(" NOT NULL");
    for (at, column) in child.columns.iter().enumerate() {
        sql.push(", ").name(&column.name).push(" ");
        types.add(&mut sql, types.of(child, at, column), false);
    }
    if has_column(types.kind, child, IDX) {
        if types.kind == DatabaseKind::Mysql {
            sql.push(", KEY (").name(child.parent_key).push(")");
        }
    } else {
        sql.push(", ").name(IDX).push(" ");
        types.add(&mut sql, Type::Int, false);
        sql.push(" NOT NULL, PRIMARY KEY (").name(child.parent_key).push(", ").name(IDX).push(")");
    }
    sql.push(")").push(types.table_options());
    sql
}

fn has_column(kind: DatabaseKind, part: &Part<'_>, name: &str) -> bool {
    part.columns.iter().any(|column| same_name(kind, &column.name, name))
}

/// Which column type stores a value exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Types<'a> {
    pub(super) kind: DatabaseKind,
    /// MariaDB's collation under which texts are equal only if their bytes are.
    pub(super) collation: &'static str,
    pub(super) inventory: &'a Inventory,
}

impl Types<'_> {
    /// The type declared for a column, or that of what its lookup takes.
    pub(super) fn of(&self, part: &Part<'_>, at: usize, column: &Column) -> Type {
        let taken = || {
            let lookup = part.lookups.get((*part.looked_up.get(at)?)?)?;
            Some(self.inventory.table(&lookup.table)?.column(&lookup.take_column)?.stored.kind.best_type())
        };
        match column.ty {
            Type::Text { max_length: None } => taken().unwrap_or(column.ty),
            Type::Text { max_length: Some(_) }
            | Type::Int
            | Type::Float
            | Type::Decimal { .. }
            | Type::Bool
            | Type::Date
            | Type::Datetime
            | Type::Time
            | Type::Duration
            | Type::Json => column.ty,
        }
    }

    /// Adds the column type for `ty`.
    pub(super) fn add(&self, sql: &mut Sql, ty: Type, is_key: bool) {
        match self.kind {
            DatabaseKind::Sqlite => sql.push(sqlite_type(ty)),
            DatabaseKind::Postgres => postgres_type(sql, ty),
            DatabaseKind::Mysql => self.mysql_type(sql, ty, is_key),
        };
    }

    fn table_options(&self) -> &'static str {
        match self.kind {
            DatabaseKind::Sqlite | DatabaseKind::Postgres => "",
            DatabaseKind::Mysql => " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        }
    }

    fn mysql_type<'s>(&self, sql: &'s mut Sql, ty: Type, is_key: bool) -> &'s mut Sql {
        match ty {
            Type::Text { max_length } => {
                let length = max_length.and_then(|length| usize::try_from(length).ok());
                match length {
                    Some(length) if is_key || length <= VARCHAR_LENGTH => sql.push("varchar(").count(length).push(")"),
                    None if is_key => sql.push("varchar(").count(NAME_LENGTH).push(")"),
                    Some(_) | None => sql.push("longtext"),
                };
                sql.push(" CHARACTER SET utf8mb4 COLLATE ").push(self.collation)
            }
            Type::Int => sql.push("bigint"),
            Type::Float | Type::Duration => sql.push("double"),
            // Nine is the most that HQ keeps; 29 digits stay before the point.
            Type::Decimal { scale } => {
                let scale = scale.and_then(|scale| usize::try_from(scale).ok()).unwrap_or(9);
                sql.push("decimal(38,").count(scale).push(")")
            }
            Type::Bool => sql.push("tinyint(1)"),
            Type::Date => sql.push("date"),
            Type::Datetime => sql.push("datetime(6)"),
            Type::Time => sql.push("time(6)"),
            // MySQL's own json type would reorder keys and respell numbers.
            Type::Json => sql.push("longtext CHARACTER SET utf8mb4 COLLATE ").push(self.collation),
        }
    }
}

/// Decimals are text: any numeric affinity would turn `0.10` into a binary float.
pub(super) fn sqlite_type(ty: Type) -> &'static str {
    match ty {
        Type::Text { .. } | Type::Decimal { .. } | Type::Date | Type::Datetime | Type::Time | Type::Json => "TEXT",
        Type::Int | Type::Bool => "INTEGER",
        Type::Float | Type::Duration => "REAL",
    }
}

/// `json`, not `jsonb`, which would lose HQ's spelling; `numeric` without a scale keeps every digit.
fn postgres_type(sql: &mut Sql, ty: Type) -> &mut Sql {
    match ty {
        Type::Text { max_length } => match max_length.and_then(|length| usize::try_from(length).ok()) {
            Some(length) => sql.push("varchar(").count(length).push(")"),
            None => sql.push("text"),
        },
        Type::Int => sql.push("bigint"),
        Type::Float | Type::Duration => sql.push("double precision"),
        Type::Decimal { scale } => match scale.and_then(|scale| usize::try_from(scale).ok()) {
            Some(scale) => sql.push("numeric(38,").count(scale).push(")"),
            None => sql.push("numeric"),
        },
        Type::Bool => sql.push("boolean"),
        Type::Date => sql.push("date"),
        Type::Datetime => sql.push("timestamptz(6)"),
        Type::Time => sql.push("time(6)"),
        Type::Json => sql.push("json"),
    }
}
