//! Many rows changed by one statement: SQLite from a list of values, PostgreSQL from arrays, MariaDB from a temporary table.

use crate::config::DatabaseKind;

use super::batch::{self, Batch};
use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::sql::Sql;
use super::table::{DELETED_AT, Table, TableColumn};

/// Rows on their way into existing rows: their key columns first.
pub(super) struct Changes<'t> {
    pub(super) table: &'t Table,
    pub(super) columns: Vec<&'t TableColumn>,
}

impl Changes<'_> {
    /// Writes the batches; rows that do not exist are passed over.
    pub(super) async fn write<'a>(
        &self,
        connection: &mut Connection,
        batches: impl Iterator<Item = Batch<'a>>,
    ) -> Result<(), Error> {
        match connection.kind() {
            DatabaseKind::Sqlite | DatabaseKind::Postgres => {
                for batch in batches {
                    self.write_from(connection, batch).await?;
                }
                Ok(())
            }
            DatabaseKind::Mysql => self.write_staged(connection, batches).await,
        }
    }

    async fn write_from(&self, connection: &mut Connection, batch: Batch<'_>) -> Result<(), Error> {
        let kind = connection.kind();
        let width = self.columns.len();
        let keys = self.table.key.len();
        let value = |sql: &mut Sql, at: usize, column: &TableColumn| {
            match kind {
                // SQLite names the columns of VALUES itself.
                DatabaseKind::Sqlite | DatabaseKind::Mysql => sql.push("milkrun_page.column").count(at + 1),
                DatabaseKind::Postgres => {
                    sql.push("milkrun_page.c").count(at).push("::").type_name(&column.stored.type_name)
                }
            };
        };
        for (rows, binds) in batch.cut(kind, connection.piece()) {
            let mut sql = connection.sql("UPDATE ");
            sql.name(&self.table.name).push(" SET ");
            sql.list(", ", self.columns.iter().enumerate().skip(keys), |sql, (at, column)| {
                sql.name(&column.name).push(" = ");
                value(sql, at, column);
            });
            if self.table.deleted_at.is_some() {
                sql.push(if width > keys { ", " } else { "" }).name(DELETED_AT).push(" = NULL");
            }
            sql.push(" FROM ");
            if kind == DatabaseKind::Postgres {
                sql.unnest(binds.iter().map(Bind::array_type));
            } else {
                sql.push("(VALUES ").tuples(rows, width).push(") AS milkrun_page");
            }
            sql.push(" WHERE ").list(" AND ", self.columns.iter().enumerate().take(keys), |sql, (at, column)| {
                sql.name(&self.table.name).push(".").name(&column.name).push(" = ");
                value(sql, at, column);
            });
            connection.execute(sql, binds).await?;
        }
        Ok(())
    }

    /// Through a temporary table whose columns have the target's own types and collations.
    async fn write_staged<'a>(
        &self,
        connection: &mut Connection,
        batches: impl Iterator<Item = Batch<'a>>,
    ) -> Result<(), Error> {
        let keys = self.table.key.len();
        let names = || self.columns.iter().map(|column| column.name.as_str());
        let named: Vec<_> = self.columns.iter().map(|column| column.named()).collect();
        // A transaction that failed may have left it behind on this connection. Statements without values go as one message.
        let mut create = connection.sql("DROP TEMPORARY TABLE IF EXISTS milkrun_stage; ");
        create.push("CREATE TEMPORARY TABLE milkrun_stage AS SELECT ");
        create.names(names()).push(" FROM ").name(&self.table.name).push(" LIMIT 0");
        connection.execute(create, Vec::new()).await?;
        batch::insert_each(connection, "milkrun_stage", &named, batches, "").await?;
        let mut sql = connection.sql("UPDATE milkrun_stage STRAIGHT_JOIN ");
        sql.name(&self.table.name).push(" AS milkrun_target ON ");
        let pair = |sql: &mut Sql, name: &str| {
            sql.push("milkrun_target.").name(name).push(" = milkrun_stage.").name(name);
        };
        sql.list(" AND ", names().take(keys), pair);
        sql.push(" SET ").list(", ", names().skip(keys), pair);
        if self.table.deleted_at.is_some() {
            sql.push(if self.columns.len() > keys { ", " } else { "" });
            sql.push("milkrun_target.").name(DELETED_AT).push(" = NULL");
        }
        sql.push("; DROP TEMPORARY TABLE milkrun_stage");
        connection.execute(sql, Vec::new()).await?;
        Ok(())
    }
}
