//! The rows of a job's table: read with their locks, made, changed, marked, deleted.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;
use crate::conflict::Edited;
use crate::row::{Cell, Key, Row};

use super::Store;
use super::batch::{self, Batch, among};
use super::bind::{Bind, canonical};
use super::connection::Connection;
use super::declared;
use super::error::Error;
use super::seek::Seek;
use super::sql::Sql;
use super::table::{DELETED_AT, Table, TableColumn, row_of};
use super::tx::PageTx;
use super::update::Changes;

/// A local row as it stands, locked until the transaction ends.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRow {
    /// The mapped columns, in the mapping's order. A value that does not read as the mapping's type is a text.
    pub row: Row,
    /// `deleted_at` is set.
    pub is_marked: bool,
    /// What the job's `local_modified` says.
    pub edited: Edited,
    /// The row as each former mapping reads it, where the table was recalled by those.
    pub former: Vec<Row>,
}

impl Store {
    /// As [`PageTx::rows`], outside of any page and without locks.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn rows(&self, table: &Table, keys: &[Key]) -> Result<HashMap<Arc<str>, HeldRow>, Error> {
        rows(&mut self.pools.reader().await?, table, keys, "").await
    }
}

impl PageTx {
    /// The rows with these keys, under [`Key::text`] of the key that was asked for; locked against local writers.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn rows(&mut self, table: &Table, keys: &[Key]) -> Result<HashMap<Arc<str>, HeldRow>, Error> {
        let lock = lock(&self.connection);
        rows(&mut self.connection, table, keys, lock).await
    }

    /// Makes rows; all mapped columns are written.
    ///
    /// # Errors
    /// [`Error::Refused`] where a key or another unique value is taken, or a value does not fit.
    pub async fn insert(&mut self, table: &Table, rows: &[&Row]) -> Result<(), Error> {
        declared::check(self.connection.kind(), &table.columns, rows.iter().copied())
            .map_err(|error| error.for_table(&table.name))?;
        let columns: Vec<_> = table.columns.iter().map(TableColumn::named).collect();
        let places: Vec<_> = table.columns.iter().enumerate().collect();
        let kind = self.connection.kind();
        let batches = rows.chunks(batch::piece(kind)).map(|rows| batch_of(kind, &places, rows));
        let inserted = batch::insert_each(&mut self.connection, &table.name, &columns, batches, "").await;
        inserted.map_err(|error| error.for_table(&table.name))
    }

    /// Writes HQ's columns of existing rows, or those of them that are given, found by their keys, and takes back a mark.
    /// Other columns stay.
    ///
    /// # Errors
    /// [`Error::Refused`] where a unique value is taken, or a value does not fit.
    pub async fn update(&mut self, table: &Table, rows: &[&Row], columns: Option<&[usize]>) -> Result<(), Error> {
        let updated = table.updated_columns(columns);
        if rows.is_empty() || (updated.is_empty() && table.deleted_at.is_none()) {
            return Ok(());
        }
        declared::check(self.connection.kind(), &table.columns, rows.iter().copied())
            .map_err(|error| error.for_table(&table.name))?;
        let key = table.key.iter().filter_map(|at| Some((*at, table.columns.get(*at)?)));
        let places: Vec<_> = key.chain(updated.iter().copied()).collect();
        let changes = Changes { table, columns: places.iter().map(|(_, column)| *column).collect() };
        let kind = self.connection.kind();
        let batches = rows.chunks(batch::piece(kind)).map(|rows| batch_of(kind, &places, rows));
        let done = changes.write(&mut self.connection, batches).await;
        done.map_err(|error| error.for_table(&table.name))
    }

    /// Gives a row another key; its child rows follow.
    ///
    /// # Errors
    /// [`Error::Refused`] where the new key is taken.
    pub async fn rekey(&mut self, table: &Table, from: &Key, to: &Key) -> Result<(), Error> {
        let kind = self.connection.kind();
        let own = (table.name.as_str(), table.key_columns().collect::<Vec<_>>());
        let children = table.children.iter().map(|child| (child.name.as_str(), vec![&child.parent_key]));
        for (name, columns) in std::iter::once(own).chain(children) {
            let mut sql = self.connection.sql("UPDATE ");
            sql.name(name).push(" SET ").list(", ", &columns, |sql, column| set(sql, column));
            sql.push(" WHERE ").list(" AND ", &columns, |sql, column| set(sql, column));
            let cells = to.0.iter().zip(&columns).chain(from.0.iter().zip(&columns));
            let binds = cells.map(|(cell, column)| Bind::cell(kind, cell, &column.stored)).map(as_text(kind)).collect();
            self.connection.execute(sql, binds).await.map_err(|error| error.for_table(name))?;
        }
        Ok(())
    }

    /// Deletes rows and their child rows.
    ///
    /// # Errors
    /// [`Error::Refused`] where other tables' foreign keys hold a row.
    pub async fn delete(&mut self, table: &Table, keys: &[Key]) -> Result<(), Error> {
        for child in &table.children {
            self.delete_among(&child.name, vec![&child.parent_key], keys).await?;
        }
        self.delete_among(&table.name, table.key_columns().collect(), keys).await
    }

    /// Sets `deleted_at`; the values stay. Without effect on a job that does not mark.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn mark_deleted(&mut self, table: &Table, keys: &[Key], now: DateTime<Utc>) -> Result<(), Error> {
        let Some(stored) = &table.deleted_at else { return Ok(()) };
        let kind = self.connection.kind();
        let now = Cell::Datetime(now.naive_utc());
        let asked = Asked::new(kind, table.key_columns().collect(), keys);
        for (rows, mut binds) in asked.binds(kind) {
            let mut sql = self.connection.sql("UPDATE ");
            sql.name(&table.name).push(" SET ").name(DELETED_AT).push(" = ?");
            if kind == DatabaseKind::Postgres {
                sql.push("::").type_name(&stored.type_name);
            }
            sql.push(" WHERE ");
            among(&mut sql, &table.named_key(), rows);
            binds.insert(0, as_text(kind)(Bind::cell(kind, &now, stored)));
            self.connection.execute(sql, binds).await.map_err(|error| error.for_table(&table.name))?;
        }
        Ok(())
    }

    pub(super) async fn delete_among(
        &mut self,
        table: &str,
        key: Vec<&TableColumn>,
        keys: &[Key],
    ) -> Result<(), Error> {
        let named: Vec<_> = key.iter().map(|column| column.named()).collect();
        let asked = Asked::new(self.connection.kind(), key.clone(), keys);
        for (rows, binds) in asked.binds(self.connection.kind()) {
            let mut sql = self.connection.sql("DELETE FROM ");
            sql.name(table).push(" WHERE ");
            among(&mut sql, &named, rows);
            self.connection.execute(sql, binds).await.map_err(|error| error.for_table(table))?;
        }
        Ok(())
    }
}

async fn rows(
    connection: &mut Connection,
    table: &Table,
    keys: &[Key],
    lock: &'static str,
) -> Result<HashMap<Arc<str>, HeldRow>, Error> {
    let named = table.named_key();
    let asked = Asked::new(connection.kind(), table.key_columns().collect(), keys);
    let seek = Seek { table: &table.name, fixed: &[], key: &named, index: None, lock };
    let mut found = HashMap::with_capacity(keys.len());
    for (rows, binds) in asked.binds(connection.kind()) {
        let mut sql = connection.sql("SELECT ");
        sql.reads(table.columns.iter().map(|column| column.name.as_str()));
        if table.deleted_at.is_some() {
            sql.push(", ").read(DELETED_AT);
        }
        if let Some(name) = &table.local_modified {
            sql.push(", ").read(name);
        }
        for column in table.former.iter().flatten() {
            sql.push(", ").read(&column.name);
        }
        let binds = seek.finish(&mut sql, rows, binds);
        for line in connection.fetch(sql, binds).await? {
            let row = row_of(&table.columns, &line, 0);
            let width = table.columns.len();
            let is_marked = table.deleted_at.is_some() && line.text(width).is_some();
            let edited_at = width + usize::from(table.deleted_at.is_some());
            let edited = table.local_modified.as_ref().map_or(Edited::Never, |_| Edited::read(line.text(edited_at)));
            let mut start = edited_at + usize::from(table.local_modified.is_some());
            let former = table.former.iter().map(|columns| {
                let row = row_of(columns, &line, start);
                start += columns.len();
                row
            });
            let held = HeldRow { row, is_marked, edited, former: former.collect() };
            for text in asked.texts_of(&table.key_of(&held.row)) {
                found.insert(Arc::clone(text), held.clone());
            }
        }
    }
    Ok(found)
}

/// The clause that keeps local writers from the rows; SQLite's transaction does that by itself, and a dry run is to
/// keep nobody from rows that it does not change.
pub(super) fn lock(connection: &Connection) -> &'static str {
    match connection.kind() {
        DatabaseKind::Postgres | DatabaseKind::Mysql if !connection.is_dry() => " FOR UPDATE",
        DatabaseKind::Sqlite | DatabaseKind::Postgres | DatabaseKind::Mysql => "",
    }
}

/// Keys that are asked for, and how to find them again among the rows that come back.
pub(super) struct Asked<'k> {
    columns: Vec<&'k TableColumn>,
    keys: &'k [Key],
    kind: DatabaseKind,
    texts: HashMap<Vec<String>, Vec<Arc<str>>>,
}

impl<'k> Asked<'k> {
    pub(super) fn new(kind: DatabaseKind, columns: Vec<&'k TableColumn>, keys: &'k [Key]) -> Self {
        let mut asked = Self { columns, keys, kind, texts: HashMap::with_capacity(keys.len()) };
        for key in keys {
            if let Some(spelt) = asked.spelt(key) {
                asked.texts.entry(spelt).or_default().push(key.text());
            }
        }
        asked
    }

    /// The texts of the keys asked for that `key` answers: none for a row that only the database's collation takes
    /// for one of them.
    pub(super) fn texts_of(&self, key: &Key) -> &[Arc<str>] {
        self.spelt(key).and_then(|spelt| self.texts.get(&spelt)).map_or(&[], Vec::as_slice)
    }

    /// The `IN` lists to ask with; keys that no row can have are left out.
    pub(super) fn binds(&self, kind: DatabaseKind) -> Vec<(usize, Vec<Bind<'k>>)> {
        let mut batch = Batch::new(self.columns.len());
        for key in self.keys.iter().filter(|key| self.spelt(key).is_some()) {
            batch.extend(key.0.iter().zip(&self.columns).map(|(cell, column)| Bind::cell(kind, cell, &column.stored)));
        }
        batch.cut_lists(kind)
    }

    fn spelt(&self, key: &Key) -> Option<Vec<String>> {
        let cells = key.0.iter().zip(&self.columns);
        let spelt: Option<Vec<_>> =
            cells.map(|(cell, column)| canonical(self.kind, &cell.text()?, &column.stored)).collect();
        spelt.filter(|spelt| spelt.len() == self.columns.len())
    }
}

/// `column = ?`, of the column's type.
fn set(sql: &mut Sql, column: &TableColumn) {
    sql.name(&column.name).push(" = ?");
    if sql.kind() == DatabaseKind::Postgres {
        sql.push("::text::").type_name(&column.stored.type_name);
    }
}

/// PostgreSQL takes a single value as text, too.
pub(super) fn as_text<'a>(kind: DatabaseKind) -> impl Fn(Bind<'a>) -> Bind<'a> {
    move |bind| if kind == DatabaseKind::Postgres { Bind::Text(bind.into_text()) } else { bind }
}

fn batch_of<'a>(kind: DatabaseKind, places: &[(usize, &TableColumn)], rows: &[&'a Row]) -> Batch<'a> {
    let (mut batch, mut scratch) = (Batch::of_rows(places.len(), rows.len()), Vec::with_capacity(64));
    for row in rows {
        batch.extend(places.iter().map(|(at, column)| match row.get(*at) {
            Some(cell) => Bind::printed(kind, cell, &column.stored, &mut scratch),
            None => Bind::Text(None),
        }));
    }
    batch
}
