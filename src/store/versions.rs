//! What a daemon says of itself, and by which mapping each job last read everything: texts whose words are others' affair.

use crate::config::DatabaseKind;

use super::Store;
use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::tx::PageTx;

impl Store {
    /// Keeps what the daemon of the process `holder` says of itself; there is one.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_daemon(&self, holder: &str, state: &str) -> Result<(), Error> {
        let mut connection = self.pools.writer().await?;
        let mut sql = connection.sql("INSERT INTO milkrun_daemon (id, holder, state) VALUES (1, ?, ?)");
        match sql.kind() {
            DatabaseKind::Sqlite | DatabaseKind::Postgres => {
                sql.push(" ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, state = excluded.state")
            }
            DatabaseKind::Mysql => sql.push(" ON DUPLICATE KEY UPDATE holder = VALUES(holder), state = VALUES(state)"),
        };
        connection.execute(sql, vec![Bind::text(holder), Bind::text(state)]).await?;
        Ok(())
    }

    /// The process of the last daemon, and what it said of itself; `None` before the first one.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn daemon(&self) -> Result<Option<(String, String)>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["holder", "state"]).push(" FROM milkrun_daemon WHERE id = 1");
        let lines = connection.fetch(sql, Vec::new()).await?;
        let Some(line) = lines.first() else { return Ok(None) };
        let holder = line.required(0, "milkrun_daemon.holder")?.to_owned();
        Ok(Some((holder, line.required(1, "milkrun_daemon.state")?.to_owned())))
    }

    /// By which mapping the job last read everything, or began to; `None` before the first time, or where an older version
    /// did.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn outline(&self, job: &str) -> Result<Option<String>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("outline").push(" FROM milkrun_mappings WHERE job = ?");
        let lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
        Ok(lines.first().and_then(|line| line.text(0)).map(str::to_owned))
    }

    /// Keeps by which mapping the job reads everything.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_outline(&self, job: &str, outline: &str) -> Result<(), Error> {
        save_outline(&mut self.pools.writer().await?, job, outline).await
    }

    /// The jobs that have left something in milkrun's tables, by name: also those that `sync.toml` no longer has.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn jobs(&self) -> Result<Vec<String>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("job").push(" FROM milkrun_watermarks WHERE stream = ? ORDER BY milkrun_watermarks.job");
        let lines = connection.fetch(sql, vec![Bind::text("records")]).await?;
        lines.iter().map(|line| Ok(line.required(0, "milkrun_watermarks.job")?.to_owned())).collect()
    }
}

impl PageTx {
    /// As [`Store::save_outline`], with what else the transaction holds.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_outline(&mut self, job: &str, outline: &str) -> Result<(), Error> {
        save_outline(&mut self.connection, job, outline).await
    }
}

async fn save_outline(connection: &mut Connection, job: &str, outline: &str) -> Result<(), Error> {
    let mut sql = connection.sql("INSERT INTO milkrun_mappings (job, outline) VALUES (?, ?)");
    match sql.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            sql.push(" ON CONFLICT (job) DO UPDATE SET outline = excluded.outline")
        }
        DatabaseKind::Mysql => sql.push(" ON DUPLICATE KEY UPDATE outline = VALUES(outline)"),
    };
    connection.execute(sql, vec![Bind::text(job), Bind::text(outline)]).await?;
    Ok(())
}
