//! Which rows are there, by their keys alone.

use std::collections::HashSet;
use std::sync::Arc;

use crate::row::Key;

use super::Store;
use super::error::Error;
use super::rows::Asked;
use super::seek::Seek;
use super::table::{DELETED_AT, Table, TableColumn, row_of};

impl Store {
    /// Those of these keys that have a row which is not marked as deleted, as [`Key::text`] of the key asked for.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn present(&self, table: &Table, keys: &[Key]) -> Result<HashSet<Arc<str>>, Error> {
        let mut connection = self.pools.reader().await?;
        let (named, columns) = (table.named_key(), table.key_columns().cloned().collect::<Vec<TableColumn>>());
        let asked = Asked::new(connection.kind(), table.key_columns().collect(), keys);
        let seek = Seek { table: &table.name, fixed: &[], key: &named, index: None, lock: "" };
        let mut found = HashSet::with_capacity(keys.len());
        for (rows, binds) in asked.binds(connection.kind()) {
            let mut sql = connection.sql("SELECT ");
            sql.reads(columns.iter().map(|column| column.name.as_str()));
            if table.deleted_at.is_some() {
                sql.push(", ").read(DELETED_AT);
            }
            let binds = seek.finish(&mut sql, rows, binds);
            let lines = connection.fetch(sql, binds).await?;
            for line in lines.iter().filter(|line| line.text(columns.len()).is_none()) {
                found.extend(asked.texts_of(&Key(row_of(&columns, line, 0))).iter().cloned());
            }
        }
        Ok(found)
    }
}
