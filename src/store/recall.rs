//! Rows as a mapping of before read them: its columns, by its types.

use crate::config::DatabaseKind;
use crate::row::{Row, Type};

use super::Store;
use super::catalog::{Catalog, Kind};
use super::error::Error;
use super::spelling::{spelling, version};
use super::table::{Table, TableColumn};

impl Store {
    /// The table with its rows read by these mappings' columns and types, too; and whether one of them had a column that
    /// the table has no more, so that nobody can tell what it would read.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn recall(&self, table: &Table, forms: &[Vec<(String, Type)>]) -> Result<(Table, bool), Error> {
        let mut table = table.clone();
        let mut connection = self.pools.reader().await?;
        let Some(catalog) = Catalog::read(&mut connection, &table.name).await? else { return Ok((table, true)) };
        let column = |(name, ty): &(String, Type)| {
            let stored = catalog.column(name)?.stored.clone();
            Some(TableColumn { name: name.clone(), ty: *ty, stored, is_hq: true })
        };
        let found = forms.iter().map(|form| form.iter().map(column).collect::<Option<Vec<_>>>());
        table.former = found.flatten().collect();
        let is_lost = table.former.len() < forms.len();
        Ok((table, is_lost))
    }
}

impl Table {
    /// Whether a former mapping that rows are still read by filled the column.
    #[must_use]
    pub fn had(&self, column: &str) -> bool {
        self.former.iter().flatten().any(|former| former.name == column)
    }

    /// Fingerprints of a row, as [`Table::version`], under each of the former mappings.
    #[must_use]
    pub fn former_versions(&self, database: DatabaseKind, former: &[Row]) -> Vec<i64> {
        let forms = self.former.iter().zip(former);
        forms.map(|(columns, row)| version(database, columns.iter().zip(row))).collect()
    }

    /// What a column reads, as the database spells it, under each former mapping that filled it; `None` for null.
    #[must_use]
    pub fn former_spellings(&self, database: DatabaseKind, column: &str, former: &[Row]) -> Vec<Option<String>> {
        let cells = self.former.iter().zip(former).flat_map(|(columns, row)| columns.iter().zip(row));
        let cells = cells.filter(|(former, _)| former.name == column);
        cells.map(|(former, cell)| spelling(database, former, cell)).collect()
    }

    /// A text that the database spelt, as the column at `at` would spell it now.
    #[must_use]
    pub fn respelt(&self, database: DatabaseKind, at: usize, text: &str) -> Option<String> {
        let column = self.columns.get(at)?;
        spelling(database, column, &column.cell(Some(text)))
    }

    /// Whether the column keeps a number's digits as they are written: on SQLite, in a column of texts.
    #[must_use]
    pub fn keeps_digits(&self, database: DatabaseKind, at: usize) -> bool {
        database == DatabaseKind::Sqlite && self.columns.get(at).is_some_and(|column| column.stored.kind == Kind::Text)
    }
}
