//! Rows by their keys, key by key through the index.
//!
//! A list of keys leaves PostgreSQL's planner a choice, and where it has no statistics yet, as of a table that was just
//! filled, it reads the whole table for a page of them. Asked key by key it has none.

use crate::config::DatabaseKind;

use super::batch::{among, is_cast_safe};
use super::bind::Bind;
use super::catalog::Stored;
use super::sql::Sql;

/// What is looked for, beside the keys.
pub(super) struct Seek<'a> {
    pub(super) table: &'a str,
    /// Equal for all: columns of milkrun's own tables, and their values.
    pub(super) fixed: &'a [(&'static str, &'a str)],
    /// The columns of the key.
    pub(super) key: &'a [(&'a str, &'a Stored)],
    /// The index that SQLite is to go by.
    pub(super) index: Option<&'static str>,
    /// The clause that locks what is found.
    pub(super) lock: &'static str,
}

impl Seek<'_> {
    /// Finishes a query of which the select list stands: from where, and for which of `rows` keys, whose values are `binds`.
    pub(super) fn finish<'b>(&'b self, sql: &mut Sql, rows: usize, mut binds: Vec<Bind<'b>>) -> Vec<Bind<'b>> {
        let fixed = self.fixed.iter().map(|(_, value)| Bind::text(value));
        if sql.kind() == DatabaseKind::Postgres && self.key.iter().all(|(_, stored)| is_cast_safe(stored)) {
            self.each(sql);
            binds.extend(fixed);
            return binds;
        }
        sql.push(" FROM ").name(self.table);
        if let (Some(index), DatabaseKind::Sqlite) = (self.index, sql.kind()) {
            sql.push(" INDEXED BY ").push(index);
        }
        sql.push(" WHERE ");
        for (column, _) in self.fixed {
            sql.push(column).push(" = ? AND ");
        }
        among(sql, self.key, rows);
        sql.push(self.lock);
        binds.splice(0..0, fixed);
        binds
    }

    /// `OFFSET 0` keeps the planner from making one join of it.
    fn each(&self, sql: &mut Sql) {
        sql.push(" FROM UNNEST(").list(", ", self.key, |sql, _| {
            sql.push("?::text[]");
        });
        sql.push(") AS milkrun_page(").list(", ", 0..self.key.len(), |sql, at| {
            sql.push("milkrun_").count(at);
        });
        sql.push(") CROSS JOIN LATERAL (SELECT * FROM ").name(self.table).push(" WHERE ");
        for (column, _) in self.fixed {
            sql.push(column).push(" = ? AND ");
        }
        sql.list(" AND ", self.key.iter().enumerate(), |sql, (at, (column, stored))| {
            sql.name(column).push(" = milkrun_page.milkrun_").count(at).push("::").type_name(&stored.type_name);
        });
        sql.push(" OFFSET 0").push(self.lock).push(") AS milkrun_found");
    }
}
