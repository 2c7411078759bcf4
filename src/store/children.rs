//! The rows of child tables: they belong to a parent's row, are replaced together, and keep their order.

use std::collections::HashMap;
use std::sync::Arc;

use crate::row::{Cell, Key, Row};

use super::batch::{self, Batch, among};
use super::bind::Bind;
use super::declared;
use super::error::Error;
use super::rows::{Asked, lock};
use super::table::{Child, Order, Table, TableColumn, row_of};
use super::tx::PageTx;

impl PageTx {
    /// The child rows of these parents in the mapping's `child`-th child table, in order, under [`Key::text`] of the
    /// parent's key; parents without rows are left out.
    ///
    /// The order is that of `idx`, or of the table's own number, or where neither exists as good as the database tells.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn child_rows(
        &mut self,
        table: &Table,
        child: usize,
        keys: &[Key],
    ) -> Result<HashMap<Arc<str>, Vec<Row>>, Error> {
        let mut found: HashMap<Arc<str>, Vec<Row>> = HashMap::new();
        let Some(child) = table.children.get(child) else { return Ok(found) };
        let kind = self.connection.kind();
        let asked = Asked::new(kind, vec![&child.parent_key], keys);
        for (rows, binds) in asked.binds(kind) {
            let mut sql = self.connection.sql("SELECT ");
            let columns = std::iter::once(&child.parent_key).chain(&child.columns);
            sql.reads(columns.map(|column| column.name.as_str()));
            sql.push(" FROM ").name(&child.name).push(" WHERE ");
            among(&mut sql, &[child.parent_key.named()], rows);
            match &child.order {
                Order::Column(name) => sql.push(" ORDER BY ").name(&child.name).push(".").name(name),
                Order::Place(place) => sql.push(" ORDER BY ").push(place),
                Order::Unknown => &mut sql,
            };
            sql.push(lock(&self.connection));
            for line in self.connection.fetch(sql, binds).await? {
                let parent = Key(vec![child.parent_key.cell(line.text(0))]);
                let row = row_of(&child.columns, &line, 1);
                for text in asked.texts_of(&parent) {
                    found.entry(Arc::clone(text)).or_default().push(row.clone());
                }
            }
        }
        Ok(found)
    }

    /// Replaces the child rows of these parents in the mapping's `child`-th child table.
    ///
    /// # Errors
    /// [`Error::Refused`] where a value does not fit.
    pub async fn replace_children(
        &mut self,
        table: &Table,
        child: usize,
        rows: &[(Key, Vec<Row>)],
    ) -> Result<(), Error> {
        let Some(child) = table.children.get(child) else { return Ok(()) };
        declared::check(self.connection.kind(), &child.columns, rows.iter().flat_map(|(_, rows)| rows))
            .map_err(|error| error.for_table(&child.name))?;
        let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        self.delete_among(&child.name, vec![&child.parent_key], &keys).await?;
        let mut columns = vec![child.parent_key.named()];
        columns.extend(child.columns.iter().map(TableColumn::named));
        columns.extend(child.idx.iter().map(|stored| (super::table::IDX, stored)));
        let mut batch = Batch::new(columns.len());
        for (key, rows) in rows {
            for (place, row) in (1_i64..).zip(rows) {
                batch.extend(self.child_binds(child, key, row));
                batch.extend(child.idx.iter().map(|_| Bind::Int(Some(place))));
            }
        }
        batch::insert(&mut self.connection, &child.name, &columns, batch, "")
            .await
            .map_err(|error| error.for_table(&child.name))
    }

    fn child_binds<'a>(&self, child: &Child, key: &'a Key, row: &'a Row) -> Vec<Bind<'a>> {
        let kind = self.connection.kind();
        let parent = key.0.first().unwrap_or(&Cell::Null);
        let mut binds = vec![Bind::cell(kind, parent, &child.parent_key.stored)];
        binds.extend(
            child.columns.iter().enumerate().map(|(at, column)| {
                row.get(at).map_or(Bind::Text(None), |cell| Bind::cell(kind, cell, &column.stored))
            }),
        );
        binds
    }
}
