//! Which database this is: a token that it was given once, the site it belongs to, and how often it has been begun.

use std::path::PathBuf;

use crate::config::{DatabaseKind, Local};

use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::{Store, sqlite};

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its own; a copy has the same.
    pub token: String,
    /// `site.name` of the outlet that it belongs to.
    pub site: String,
    /// How often a process has begun to run jobs in it, and how many hours some have gone on.
    pub epoch: i64,
}

/// The file of a SQLite database; `None` for a server's.
#[must_use]
pub fn file_of(local: &Local) -> Option<PathBuf> {
    match local.kind {
        DatabaseKind::Sqlite => sqlite::file(&local.url),
        DatabaseKind::Postgres | DatabaseKind::Mysql => None,
    }
}

impl Store {
    /// What the database says of itself; `None` before the first process has begun to run jobs in it.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn instance(&self) -> Result<Option<Instance>, Error> {
        read(&mut self.pools.reader().await?).await
    }

    /// Raises the epoch, and makes sure that not even a power cut takes that back. A database that has no token yet is
    /// given this one.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn begin_epoch(&self, token: &str, site: &str) -> Result<Instance, Error> {
        let mut connection = self.pools.writer().await?;
        flushing(&mut connection, true).await?;
        let raised = raise(&mut connection, token, site).await;
        flushing(&mut connection, false).await?;
        raised?;
        let instance = read(&mut connection).await?;
        instance.ok_or_else(|| Error::Damaged("milkrun_instance is empty".to_owned()))
    }

    /// Gives the database another token, as an operator has said that it is this site's.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn renew_instance(&self, token: &str, site: &str) -> Result<(), Error> {
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql("UPDATE milkrun_instance SET token = ?, site = ?, epoch = 0");
        connection.execute(sql, vec![Bind::text(token), Bind::text(site)]).await?;
        Ok(())
    }
}

async fn raise(connection: &mut Connection, token: &str, site: &str) -> Result<(), Error> {
    let mut sql = connection.sql("INSERT INTO milkrun_instance (id, token, site, epoch) VALUES (1, ?, ?, 1)");
    match sql.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            sql.push(" ON CONFLICT (id) DO UPDATE SET epoch = milkrun_instance.epoch + 1, site = excluded.site")
        }
        DatabaseKind::Mysql => sql.push(" ON DUPLICATE KEY UPDATE epoch = epoch + 1, site = VALUES(site)"),
    };
    connection.execute(sql, vec![Bind::text(token), Bind::text(site)]).await?;
    Ok(())
}

/// On SQLite a commit is otherwise flushed with the next checkpoint only.
async fn flushing(connection: &mut Connection, is_at_once: bool) -> Result<(), Error> {
    if connection.kind() != DatabaseKind::Sqlite {
        return Ok(());
    }
    let sql = if is_at_once { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
    let sql = connection.sql(sql);
    connection.execute(sql, Vec::new()).await?;
    Ok(())
}

async fn read(connection: &mut Connection) -> Result<Option<Instance>, Error> {
    let mut sql = connection.sql("SELECT ");
    sql.reads(["token", "site", "epoch"]).push(" FROM milkrun_instance WHERE id = 1");
    let lines = connection.fetch(sql, Vec::new()).await?;
    let instance = |line: &super::line::Line| {
        Ok(Instance {
            token: line.required(0, "milkrun_instance.token")?.to_owned(),
            site: line.required(1, "milkrun_instance.site")?.to_owned(),
            epoch: line.int(2, "milkrun_instance.epoch")?,
        })
    };
    lines.first().map(instance).transpose()
}
